"""Bus events reach charms as notices, and workloads raise some of their own."""

from __future__ import annotations

import json
import os
import pathlib

import jubilant
import pytest

LISTENING = {"x-tutti": {"bus": {"listen": ["shop.orders.placed"]}}}

BASH = """
case "$JUJU_NOTICE_TYPE $JUJU_NOTICE_KEY" in
"bus shop.orders.placed") status-set active "ordered $TUTTI_NOTICE_DATA" ;;
"custom backup") status-set active "backup $TUTTI_NOTICE_DATA" ;;
*) exit 1 ;;
esac
"""

RAISE = """
tutti bus fire tutti.notice.raised model="$JUJU_MODEL_UUID" unit="$JUJU_UNIT_NAME" key=backup data='{"mib": 3}'
"""

OPS = """#!/usr/bin/env python3
import json
import os

import ops


class BusNotice(ops.EventBase):
    def __init__(self, handle):
        super().__init__(handle)
        self.key = os.environ.get("JUJU_NOTICE_KEY", "")
        self.data = json.loads(os.environ.get("TUTTI_NOTICE_DATA", "{}"))

    def snapshot(self):
        return {"key": self.key, "data": self.data}

    def restore(self, snapshot):
        self.key, self.data = snapshot["key"], snapshot["data"]


class Events(ops.CharmEvents):
    bus_notice = ops.EventSource(BusNotice)


class Listening(ops.CharmBase):
    on = Events()

    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.bus_notice, self._noticed)

    def _noticed(self, event):
        if event.data["article"] == "deferred" and not (self.charm_dir.parent / "seen").exists():
            (self.charm_dir.parent / "seen").touch()
            event.defer()
            return
        self.unit.status = ops.ActiveStatus(f"{event.key}: {event.data['article']}")


if __name__ == "__main__":
    ops.main(Listening)
"""


@pytest.fixture
def environment() -> dict[str, str]:
    """As it is for a person: the bus is the controller's."""
    return {name: value for name, value in os.environ.items() if name != "TUTTI_BUS_URL"}


def message(status: jubilant.Status, unit: str) -> str:
    return status.get_units(unit.split("/")[0])[unit].workload_status.message


def test_a_bash_charm_hears_of_bus_events_and_of_its_workload(
    juju: jubilant.Juju, charm, tutti, environment
):
    tutti_path = f'PATH="$PATH:{os.environ["PATH"]}"'
    one = charm(
        "hearing",
        metadata=LISTENING,
        actions={"back-up": {"description": "backs up"}},
        hooks={"bus-notice": BASH, "back-up": f"{tutti_path}{RAISE}", "start": "status-set active"},
    )
    juju.deploy(one, app="hearing", num_units=2)
    juju.wait(jubilant.all_active)
    fire = ["bus", "fire", "--unchecked", "shop.orders.placed"]
    for article in ("pen", "book"):
        tutti(*fire, f"article={article}", env=environment)
    for unit in ("hearing/0", "hearing/1"):
        juju.wait(lambda status: message(status, unit) == 'ordered {"article":"book"}')
        assert one.events(unit).count("bus-notice") == 2
    juju.run("hearing/1", "back-up")
    juju.wait(lambda status: message(status, "hearing/1") == 'backup {"mib":3}')
    assert one.events("hearing/0").count("bus-notice") == 2


def test_a_notice_whose_hook_fails_is_kept(juju: jubilant.Juju, charm, tutti, environment):
    fails = '[ -e "$JUJU_CHARM_DIR/../mended" ] || exit 1\nstatus-set active "$TUTTI_NOTICE_DATA"'
    one = charm("failing", metadata=LISTENING, hooks={"bus-notice": fails, "start": "status-set active"})
    juju.deploy(one, app="failing")
    juju.wait(lambda status: jubilant.all_active(status, "failing"))
    tutti("bus", "fire", "--unchecked", "shop.orders.placed", "article=ink", env=environment)
    juju.wait(lambda status: jubilant.any_error(status, "failing"))
    juju.exec("touch ../mended", unit="failing/0")
    juju.cli("resolve", "failing/0")
    juju.wait(lambda status: message(status, "failing/0") == '{"article":"ink"}')


def test_an_ops_charm_hears_of_bus_events(
    juju: jubilant.Juju, tutti, tmp_path: pathlib.Path, environment
):
    directory = tmp_path / "listening"
    (directory / "src").mkdir(parents=True)
    metadata = {"name": "listening", "summary": "Listens.", **LISTENING}
    (directory / "metadata.yaml").write_text(json.dumps(metadata))
    (directory / "requirements.txt").write_text("ops>=2.23,<4\n")
    (directory / "src/charm.py").write_text(OPS)
    (directory / "src/charm.py").chmod(0o755)
    juju.deploy(directory, app="listening")
    juju.wait(lambda status: jubilant.all_agents_idle(status, "listening"), timeout=180)
    fire = ["bus", "fire", "--unchecked", "shop.orders.placed"]
    tutti(*fire, "article=pen", env=environment)
    juju.wait(lambda status: message(status, "listening/0") == "shop.orders.placed: pen")
    tutti(*fire, "article=deferred", env=environment)
    juju.wait(lambda status: message(status, "listening/0") == "shop.orders.placed: deferred")
