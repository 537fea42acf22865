"""Deploy, scale, remove, on both kinds of model."""

from __future__ import annotations

import time

import jubilant

from conftest import ROOT

ACTIVE = {"start": "status-set active ready"}


def test_deploy_a_directory(either: jubilant.Juju):
    either.deploy(ROOT / "charms/database")
    first = either.status()
    assert "database/0" in first.apps["database"].units, "visible before deploy returns"
    status = either.wait(jubilant.all_active)
    app = status.apps["database"]
    assert app.charm == "local:database-0"
    assert (app.charm_name, app.charm_rev, app.charm_origin) == ("database", 0, "local")
    assert app.version == "1.0"
    unit = app.units["database/0"]
    assert unit.leader
    assert unit.workload_status.message == "welcome"
    assert unit.address.startswith("127.")


def test_start_up_order(either: jubilant.Juju, charm):
    probe = charm("probe", hooks=ACTIVE, metadata={"peers": {"ring": {"interface": "ring"}}})
    either.deploy(probe)
    either.wait(lambda status: jubilant.all_active(status) and jubilant.all_agents_idle(status))
    expected = ["install", "ring-relation-created", "leader-elected", "config-changed", "start"]
    assert probe.events("probe/0") == expected


def test_a_charm_without_status_is_unknown(juju: jubilant.Juju, charm):
    juju.deploy(charm("silent"))
    juju.wait(lambda status: status.apps["silent"].units["silent/0"].workload_status.current == "unknown")


def test_scale_up_and_down(either: jubilant.Juju, charm):
    probe = charm("probe", hooks=ACTIVE, metadata={"peers": {"ring": {"interface": "ring"}}})
    either.deploy(probe, num_units=2)
    either.add_unit("probe")
    status = either.wait(
        lambda status: jubilant.all_active(status) and len(status.apps["probe"].units) == 3
    )
    assert sum(unit.leader for unit in status.apps["probe"].units.values()) == 1
    assert len({unit.address for unit in status.apps["probe"].units.values()}) == 3
    either.wait(jubilant.all_agents_idle)
    joined = [event for event in probe.events("probe/2") if "ring-relation-joined" in event]
    assert joined == ["ring-relation-joined probe/0", "ring-relation-joined probe/1"]
    if either.show_model().model_type == "caas":
        either.remove_unit("probe", num_units=1)
    else:
        either.remove_unit("probe/2")
    either.wait(lambda status: len(status.apps["probe"].units) == 2)
    either.wait(jubilant.all_agents_idle)
    assert probe.events("probe/2")[-3:] == ["ring-relation-departed probe/1", "stop", "remove"]
    assert probe.events("probe/0")[-1] == "ring-relation-departed probe/2"


def test_removing_the_leader_makes_another(juju: jubilant.Juju, charm):
    probe = charm("follow", hooks=ACTIVE)
    juju.deploy(probe, num_units=2)
    juju.wait(lambda status: jubilant.all_active(status, "follow"))
    juju.remove_unit("follow/0")
    juju.wait(lambda status: list(status.apps["follow"].units) == ["follow/1"])
    status = juju.wait(lambda status: jubilant.all_agents_idle(status, "follow"))
    assert status.apps["follow"].units["follow/1"].leader
    assert "leader-elected" in probe.events("follow/1")


def test_unit_numbers(either: jubilant.Juju, charm):
    probe = charm("probe", hooks=ACTIVE)
    either.deploy(probe)
    either.wait(jubilant.all_active)
    either.remove_application("probe")
    either.wait(lambda status: not status.apps)
    either.deploy(probe)
    status = either.wait(jubilant.all_active)
    again = "probe/0" if either.show_model().model_type == "caas" else "probe/1"
    assert list(status.apps["probe"].units) == [again]


def test_deploying_is_quick(juju: jubilant.Juju, charm):
    """Not a benchmark: a deploy that takes many seconds means that something waits for a timer."""
    probe = charm("quick", hooks=ACTIVE)
    started = time.monotonic()
    juju.deploy(probe)
    juju.wait(lambda status: jubilant.all_active(status, "quick"), delay=0.05, successes=1)
    assert time.monotonic() - started < 5


def test_machines_come_and_go(juju: jubilant.Juju, charm):
    juju.deploy(charm("housed", hooks=ACTIVE))
    status = juju.wait(lambda status: jubilant.all_active(status, "housed"))
    machine = status.apps["housed"].units["housed/0"].machine
    assert status.machines[machine].juju_status.current == "started"
    juju.remove_application("housed")
    juju.wait(lambda status: "housed" not in status.apps and machine not in status.machines)
