"""Charms in Python on ops: prepared from their directory, deferral brought back."""

from __future__ import annotations

import json
import pathlib
import urllib.request

import jubilant
import pytest

from conftest import ROOT

DEFERRING = """#!/usr/bin/env python3
import ops

class Deferring(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.config_changed, self._configure)

    def _configure(self, event):
        if not (self.charm_dir.parent / "ready").exists():
            self.unit.status = ops.WaitingStatus("for the file")
            event.defer()
            return
        self.unit.status = ops.ActiveStatus("there it is")

if __name__ == "__main__":
    ops.main(Deferring)
"""


def page(status: jubilant.Status) -> str:
    address = status.apps["website"].units["website/0"].address
    try:
        with urllib.request.urlopen(f"http://{address}:8080/", timeout=5) as answer:
            return answer.read().decode()
    except OSError as error:
        return str(error)


def test_a_website_and_its_database(juju: jubilant.Juju):
    juju.deploy(ROOT / "charms/database")
    juju.deploy(ROOT / "charms/website")
    juju.wait(lambda status: jubilant.all_blocked(status, "website"), timeout=180)
    juju.integrate("website", "database")
    status = juju.wait(
        lambda status: jubilant.all_active(status) and "website: welcome" in page(status)
    )
    assert status.apps["website"].units["website/0"].open_ports == ["8080/tcp"]
    juju.config("website", {"title": "A & B"})
    juju.wait(lambda status: "A &amp; B" in page(status), delay=0.1)
    task = juju.run("website/0", "visit")
    assert "A &amp; B" in task.results["page"]


def test_a_traceback_is_in_the_log_and_the_result(juju: jubilant.Juju):
    with pytest.raises(jubilant.TaskError) as error:
        juju.exec("python3 -c 'raise KeyError(1)'", unit="website/0")
    assert "KeyError" in error.value.task.stderr


def test_packing_is_cached_and_stable(tutti, tmp_path: pathlib.Path):
    one, two = tmp_path / "one", tmp_path / "two"
    for directory in (one, two):
        directory.mkdir()
        tutti("pack", str(ROOT / "charms/website"), cwd=directory)
    (first,), (second,) = one.glob("*.charm"), two.glob("*.charm")
    assert first.name.startswith("website")
    assert first.read_bytes() == second.read_bytes()


@pytest.fixture
def deferring(tmp_path: pathlib.Path) -> pathlib.Path:
    directory = tmp_path / "deferring"
    (directory / "src").mkdir(parents=True)
    (directory / "metadata.yaml").write_text("name: deferring\nsummary: Defers.\n")
    (directory / "config.yaml").write_text("options: {word: {type: string, default: ''}}\n")
    (directory / "requirements.txt").write_text("ops>=2.23,<4\n")
    script = directory / "src/charm.py"
    script.write_text(DEFERRING)
    script.chmod(0o755)
    return directory


def test_deferred_events_are_seen_and_come_back(
    juju: jubilant.Juju, deferring: pathlib.Path, controller: pathlib.Path, tutti
):
    juju.deploy(deferring)
    juju.wait(lambda status: jubilant.all_waiting(status, "deferring"), timeout=180)
    juju.wait(lambda status: jubilant.all_agents_idle(status, "deferring"))
    listed = json.loads(
        tutti("deferred", "--model", str(juju.model), "--format", "json").stdout
    )
    (notice,) = [notice for notice in listed if notice["unit"] == "deferring/0"]
    assert "config_changed" in notice["event"] and "_configure" in notice["handler"]
    assert notice["next"]
    (unit,) = controller.glob(f"models/*/agents/unit-deferring-0")
    (unit / "ready").touch()
    juju.wait(lambda status: jubilant.all_active(status, "deferring"), timeout=30)
    juju.wait(
        lambda _: not json.loads(
            tutti("deferred", "--model", str(juju.model), "--format", "json").stdout
        ),
        delay=0.2,
    )


def test_deferred_events_survive_an_upgrade(
    juju: jubilant.Juju, deferring: pathlib.Path, controller: pathlib.Path
):
    juju.deploy(deferring, "surviving")
    juju.wait(lambda status: jubilant.all_waiting(status, "surviving"), timeout=180)
    (unit,) = controller.glob("models/*/agents/unit-surviving-0")
    (unit / "ready").touch()
    (deferring / "version").write_text("2\n")
    juju.refresh("surviving", path=deferring)
    juju.wait(lambda status: jubilant.all_active(status, "surviving"), timeout=60)


def test_a_missing_module_is_said(juju: jubilant.Juju, tmp_path: pathlib.Path):
    directory = tmp_path / "unpreparable"
    (directory / "src").mkdir(parents=True)
    (directory / "metadata.yaml").write_text("name: unpreparable\nsummary: x\n")
    (directory / "requirements.txt").write_text("tutti-no-such-package-on-any-index==0.0.1\n")
    (directory / "src/charm.py").write_text("import ops\n")
    with pytest.raises(jubilant.CLIError) as error:
        juju.deploy(directory)
    assert "tutti-no-such-package-on-any-index" in error.value.stderr
