"""Upgrades: nothing is lost and nothing is silent."""

from __future__ import annotations

import json

import jubilant
import pytest


def settled(status: jubilant.Status) -> bool:
    return jubilant.all_active(status) and jubilant.all_agents_idle(status)


def test_upgrade(either: jubilant.Juju, charm):
    probe = charm(
        "probe",
        hooks={"start": "status-set active one; echo mine > kept; touch shipped"},
        files={"shipped": "old", "dropped": "old"},
    )
    either.deploy(probe, num_units=2)
    either.wait(settled)
    before = len(probe.events("probe/0"))
    probe.hook("upgrade-charm", 'status-set active "two $(cat kept) $(cat shipped) $(ls dropped 2>&1 | wc -w)"')
    probe.write("shipped", "new")
    (probe.directory / "dropped").unlink()
    either.refresh("probe", path=probe)
    status = either.wait(settled)
    assert status.apps["probe"].charm == "local:probe-1"
    for unit in status.apps["probe"].units.values():
        assert unit.workload_status.message.startswith("two mine new ")
        assert not unit.upgrading_from
    assert probe.events("probe/0")[before:] == ["upgrade-charm", "config-changed"]


def test_idle_means_upgraded(juju: jubilant.Juju, charm):
    """The first status after `refresh` never shows the old state as settled."""
    probe = charm("instant", hooks={"start": "status-set active one"})
    juju.deploy(probe)
    juju.wait(settled)
    probe.hook("upgrade-charm", "sleep 0.5; status-set active two")
    juju.refresh("instant", path=probe)
    juju.wait(settled, delay=0.01, successes=1)
    assert juju.status().apps["instant"].app_status.message == "two"


def test_an_identical_charm_is_a_new_revision(juju: jubilant.Juju, charm):
    probe = charm("same", hooks={"start": "status-set active"})
    juju.deploy(probe)
    juju.wait(lambda status: jubilant.all_active(status, "same"))
    for revision in (1, 2):
        juju.refresh("same", path=probe)
        status = juju.wait(lambda status: jubilant.all_agents_idle(status, "same"))
        assert status.apps["same"].charm_rev == revision
    assert probe.events("same/0").count("upgrade-charm") == 2


def test_refusals(juju: jubilant.Juju, charm, tutti):
    probe = charm(
        "strict",
        hooks={"start": "status-set active"},
        metadata={
            "provides": {"source": {"interface": "token"}},
            "storage": {"disk": {"type": "filesystem", "minimum-size": "1M"}},
        },
    )
    sink = charm("strict-sink", metadata={"requires": {"sink": {"interface": "token"}}})
    juju.deploy(probe)
    juju.deploy(sink)
    juju.integrate("strict", "strict-sink")
    juju.wait(lambda status: jubilant.all_active(status, "strict"))
    broken = charm("other", metadata={"subordinate": True, "requires": {
        "host": {"interface": "juju-info", "scope": "container"}}})
    broken.write("metadata.yaml", {"name": "strict", "summary": "x", "subordinate": True, "requires": {
        "host": {"interface": "juju-info", "scope": "container"}}})
    for extra in ((), ("--dry-run",)):
        done = tutti(
            "refresh", "--model", str(juju.model), "strict", "--path", str(broken), *extra, check=False
        )
        assert done.returncode == 1
        for reason in ("subordina", "source", "disk"):
            assert reason in done.stderr + done.stdout, "every reason at once"
    with pytest.raises(jubilant.CLIError) as error:
        juju.refresh("strict", path=sink)
    assert 'cannot refresh "strict" to "strict-sink"' in error.value.stderr
    with pytest.raises(jubilant.CLIError) as error:
        juju.refresh("strict")
    assert "refreshing a local charm requires either --path or --switch" in error.value.stderr
    assert juju.status().apps["strict"].charm_rev == 0


def test_dry_run_changes_nothing(juju: jubilant.Juju, charm, tutti):
    probe = charm("careful", hooks={"start": "status-set active"}, files={"a": "1"})
    juju.deploy(probe)
    juju.wait(lambda status: jubilant.all_active(status, "careful"))
    probe.write("a", "2")
    probe.write("b", "new")
    done = tutti("refresh", "--model", str(juju.model), "careful", "--path", str(probe), "--dry-run")
    assert "a" in done.stdout and "b" in done.stdout
    assert juju.status().apps["careful"].charm_rev == 0
    assert "upgrade-charm" not in probe.events("careful/0")
    juju.refresh("careful", path=probe)
    juju.wait(lambda status: jubilant.all_agents_idle(status, "careful"))
    assert juju.status().apps["careful"].charm_rev == 1, "a dry run uses up no revision"


def test_a_refused_dry_run_promises_no_upgrade(juju: jubilant.Juju, charm, tutti):
    probe = charm("settled", hooks={"start": "status-set active"},
                  metadata={"storage": {"disk": {"type": "filesystem"}}})
    juju.deploy(probe)
    juju.wait(lambda status: jubilant.all_active(status, "settled"))
    other = charm("other-settled")
    other.write("metadata.yaml", {"name": "settled", "summary": "x"})
    done = tutti("refresh", "--model", str(juju.model), "settled", "--path", str(other), "--dry-run",
                 "--format", "json", check=False)
    assert done.returncode == 1
    plan = json.loads(done.stdout)
    assert plan["refusals"] and plan["to"] == "local:settled-1"
    assert plan["units"] == {"settled/0": "stays as it is"}


def test_a_unit_in_error_keeps_its_upgrade(juju: jubilant.Juju, charm):
    probe = charm("faulty", hooks={"start": "exit 1"})
    juju.deploy(probe)
    juju.wait(lambda status: jubilant.all_error(status, "faulty"))
    probe.hook("start", "status-set active mended")
    juju.refresh("faulty", path=probe)
    juju.wait(lambda status: jubilant.all_error(status, "faulty"))
    assert "upgrade-charm" not in probe.events("faulty/0"), "without --force-units it waits"
    juju.cli("resolve", "faulty/0", "--no-retry")
    juju.wait(lambda status: status.apps["faulty"].units["faulty/0"].juju_status.current == "idle")
    assert probe.events("faulty/0").count("upgrade-charm") == 1


def test_force_units_mends_a_unit_in_error(juju: jubilant.Juju, charm):
    probe = charm("broken", hooks={"start": "exit 1"})
    juju.deploy(probe)
    juju.wait(lambda status: jubilant.all_error(status, "broken"))
    failed = len(probe.events("broken/0"))
    probe.hook("start", "status-set active mended")
    juju.cli("refresh", "broken", "--path", str(probe), "--force-units")
    status = juju.wait(lambda status: jubilant.all_active(status, "broken"))
    assert status.apps["broken"].app_status.message == "mended"
    after = [event for event in probe.events("broken/0")[failed:] if event != "start"]
    assert after[0] == "upgrade-charm", "never lost, and before anything else of the new charm"


def test_a_failing_upgrade_hook(juju: jubilant.Juju, charm):
    probe = charm("wobbly", hooks={"start": "status-set active"})
    juju.deploy(probe)
    juju.wait(lambda status: jubilant.all_active(status, "wobbly"))
    probe.hook("upgrade-charm", "exit 1")
    juju.refresh("wobbly", path=probe)
    status = juju.wait(lambda status: jubilant.all_error(status, "wobbly"))
    message = status.apps["wobbly"].units["wobbly/0"].workload_status.message
    assert message == 'hook failed: "upgrade-charm"'
    juju.cli("resolved", "wobbly/0", "--no-retry")
    juju.wait(lambda status: jubilant.all_active(status, "wobbly"))


def test_relations_are_readable_during_the_upgrade(juju: jubilant.Juju, charm):
    source = charm("giver", metadata={"provides": {"source": {"interface": "token"}}},
                   hooks={"source-relation-created": "relation-set token=secret", "start": "status-set active"})
    sink = charm("taker", metadata={"requires": {"sink": {"interface": "token"}}},
                 hooks={"start": "status-set active"})
    juju.deploy(source)
    juju.deploy(sink)
    juju.integrate("giver", "taker")
    juju.wait(lambda status: jubilant.all_agents_idle(status, "giver", "taker"))
    sink.hook(
        "upgrade-charm",
        'r=$(relation-ids sink); status-set active "$(relation-get -r $r token $(relation-list -r $r))"',
    )
    juju.refresh("taker", path=sink)
    juju.wait(lambda status: status.apps["taker"].app_status.message == "secret", delay=0.1)
