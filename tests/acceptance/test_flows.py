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


def test_what_failed_is_brought_back_without_a_new_wish(juju: jubilant.Juju, charm, tutti):
    word = {"word": {"type": "string", "default": ""}}
    hook = 'test "$(config-get word)" != sleep || sleep 5'
    juju.deploy(charm("tardy", hooks={"start": "status-set active", "config-changed": hook}, config=word))
    juju.wait(lambda status: jubilant.all_active(status, "tardy"))
    model = ["--model", str(juju.model)]
    done = tutti("sync", "tardy", "tardy/0", *model)
    assert done.stderr.splitlines() == ["tardy is in sync", "tardy/0 is in sync"]
    juju.config("tardy", {"word": "sleep"})
    tutti("flow", "cancel", flow_of(tutti, juju, "application/tardy", "configure")["id"])
    shown = json.loads(juju.cli("show-application", "tardy", "--format", "json"))["tardy"]
    assert shown["sync"] == "failed"
    conditions = {one["type"]: one["status"] for one in shown["conditions"]}
    assert conditions == {"Converged": "false", "LeaderElected": "true"}
    done = tutti("sync", "tardy", *model, "--wait", "1m")
    assert "Synchronize tardy: flow " in done.stderr and done.stderr.splitlines()[-1] == "tardy is in sync"
    unit = json.loads(juju.cli("show-unit", "tardy/0", "--format", "json"))["tardy/0"]
    assert unit["sync"]["state"] == "in_sync"
    assert [one["status"] for one in unit["conditions"]] == ["true"] * 3


def flow_of(tutti, juju: jubilant.Juju, resource: str, kind: str) -> dict:
    flows = listing(tutti, juju, "flows", "--resource", resource, "--kind", kind)
    return flows[0]


def test_a_flow_is_shown_cancelled_retried_and_watched(juju: jubilant.Juju, charm, tutti):
    word = {"word": {"type": "string", "default": ""}}
    juju.deploy(charm("stuck", hooks={"start": "exit 1"}, config=word))
    juju.wait(lambda status: jubilant.all_error(status, "stuck"))
    flow = flow_of(tutti, juju, "application/stuck", "deploy")["id"]
    end = flow.rsplit("-", 1)[1]
    assert end in tutti("flows", "--model", str(juju.model)).stdout
    shown = tutti("flow", "show", end).stdout
    assert flow in shown and "1 of 2 tasks ended" in shown
    assert "✓ Check the archive of" in shown
    assert "└─ ◐ Wait until stuck/0 has caught up" in shown
    assert 'hook failed: "start"' in shown and "cancelled" in shown
    assert tutti("flow", "show", end, "--graph").stdout.startswith("flowchart TD")
    assert "t0 -> t1;" in tutti("flow", "show", end, "--graph", "dot").stdout
    graph = json.loads(tutti("flow", "show", end, "--graph", "--format", "json").stdout)
    assert len(graph["nodes"]) == 2 and len(graph["edges"]) == 1

    juju.config("stuck", {"word": "x"})
    behind = flow_of(tutti, juju, "application/stuck", "configure")["id"]
    waiting = tutti("flow", "show", behind).stdout
    assert f"flow {end} of application/stuck, 2nd in the queue" in waiting

    refused = tutti("flow", "retry", end, check=False)
    assert refused.returncode == 1 and "cannot be retried: it can be cancelled" in refused.stderr
    cancelled = json.loads(tutti("flow", "cancel", end, "--format", "json").stdout)
    assert cancelled["id"] == flow
    watched = tutti("flow", "watch", end, check=False)
    assert watched.returncode == 1 and "cancelled" in watched.stdout
    assert json.loads(tutti("flow", "show", end, "--format", "json").stdout)["state"] == "cancelled"

    tutti("flow", "retry", end)
    juju.cli("resolve", "stuck/0", "--no-retry")
    watched = tutti("flow", "watch", end)
    assert "succeeded  Deploy" in watched.stdout, watched.stdout
    assert tutti("flow", "watch", behind).returncode == 0
    assert tutti("flow", "log", end).stdout == ""


def test_parts_of_ids_that_stand_for_nothing_are_refused(tutti):
    none = tutti("flow", "show", "ffffffffffff", check=False)
    assert none.returncode == 1 and 'no flow\'s id begins or ends with "ffffffffffff"' in none.stderr
    for nothing in ("", "zzzzzzzz-zzzz-zzzz-zzzz-zzzzzzzzzzzz"):
        refused = tutti("flow", "abandon", nothing, check=False)
        assert refused.returncode == 1 and "is no id of a flow" in refused.stderr
    short = tutti("flow", "cancel", "abc", check=False)
    assert short.returncode == 1 and "at least 6 characters" in short.stderr
    verb = tutti("flow", "explode", "ffffffffffff", check=False)
    assert verb.returncode == 2
