"""What happens behind a command is visible: flows, tasks, sync."""

from __future__ import annotations

import json

import jubilant


def listing(tutti, juju: jubilant.Juju, *arguments: str):
    done = tutti(arguments[0], "--model", str(juju.model), *arguments[1:], "--format", "json")
    return json.loads(done.stdout)


def test_every_change_is_a_flow(juju: jubilant.Juju, charm, tutti):
    probe = charm(
        "probe", hooks={"start": "status-set active"}, config={"word": {"type": "string", "default": ""}}
    )
    juju.deploy(probe)
    juju.wait(jubilant.all_active)
    juju.config("probe", {"word": "x"})
    juju.wait(jubilant.all_agents_idle)
    flows = listing(tutti, juju, "flows", "--resource", "application/probe")
    assert {flow["state"] for flow in flows} == {"succeeded"}
    assert len({flow["kind"] for flow in flows}) == 2
    tasks = listing(tutti, juju, "tasks", "--resource", "unit/probe/0")
    assert {task["state"] for task in tasks} == {"succeeded"}
    shown = json.loads(tutti("show-task", tasks[0]["id"], "--format", "json").stdout)
    assert shown["id"] == tasks[0]["id"]


def test_trouble_is_found_by_resource(juju: jubilant.Juju, charm, tutti):
    juju.deploy(charm("sick", hooks={"start": "exit 1"}))
    juju.wait(lambda status: jubilant.all_error(status, "sick"))
    tasks = listing(tutti, juju, "tasks", "--resource", "unit/sick/0", "--state", "retrying")
    assert any('hook failed: "start"' in task["message"] for task in tasks)
    status = json.loads(juju.cli("status", "--format", "json"))
    sync = status["applications"]["sick"]["sync"]
    assert sync["state"] == "retrying" and 'hook failed: "start"' in sync["message"]
    juju.cli("resolve", "sick/0", "--no-retry")
    juju.wait(lambda status: jubilant.all_agents_idle(status, "sick"))
    status = json.loads(juju.cli("status", "--format", "json"))
    assert status["applications"]["sick"]["sync"]["state"] == "in_sync"
