"""Actions and commands: exit codes, results, order."""

from __future__ import annotations

import json

import jubilant
import pytest

ACTIONS = {
    "greet": {
        "description": "Say hello.",
        "params": {"name": {"type": "string", "default": "you"}, "times": {"type": "integer"}},
    },
    "fail": {"description": "Fail as actions do."},
    "crash": {"description": "End badly."},
    "slow": {"description": "Take a while."},
}
HOOKS = {
    "start": "status-set active",
    "greet": 'echo "to $(action-get name)"; action-log half; action-set a.b=1 said="hello $(action-get name)"',
    "fail": "action-set before=1; action-fail 'no luck'",
    "crash": "echo oops >&2; exit 3",
    "slow": "sleep 2; action-set done=yes",
    "config-changed": "",
}


@pytest.fixture(scope="module", autouse=True)
def probe(juju: jubilant.Juju, tmp_path_factory: pytest.TempPathFactory):
    from charms import Charm

    directory = tmp_path_factory.mktemp("operations") / "probe"
    config = {"word": {"type": "string", "default": "old"}}
    probe = Charm(directory, "probe", hooks=HOOKS, actions=ACTIONS, config=config)
    juju.deploy(probe)
    juju.wait(jubilant.all_active)
    return probe


def test_results(juju: jubilant.Juju):
    task = juju.run("probe/0", "greet", {"name": "world"})
    assert task.success
    assert task.results == {"said": "hello world", "a": {"b": "1"}}
    assert task.stdout == "to world\n"
    assert task.stderr == ""
    assert task.log[0].endswith("half")


def test_leader(juju: jubilant.Juju):
    assert juju.run("probe/leader", "greet").results["said"] == "hello you"


def test_action_fail(juju: jubilant.Juju):
    with pytest.raises(jubilant.TaskError) as error:
        juju.run("probe/0", "fail")
    task = error.value.task
    assert (task.status, task.return_code, task.message) == ("failed", 0, "no luck")
    assert task.results == {"before": "1"}


def test_action_crash(juju: jubilant.Juju):
    with pytest.raises(jubilant.TaskError) as error:
        juju.run("probe/0", "crash")
    task = error.value.task
    assert (task.status, task.return_code, task.stderr) == ("failed", 3, "oops\n")
    status = juju.status().apps["probe"].units["probe/0"]
    assert status.workload_status.current == "active", "an action never puts its unit into error"


def test_exit_codes(tutti, juju: jubilant.Juju):
    model = ("--model", str(juju.model))

    def run(*arguments: str):
        done = tutti(*arguments, check=False)
        return done.returncode, done.stdout, done.stderr

    code, stdout, _ = run("run", *model, "--format", "json", "probe/0", "fail")
    assert code == 0 and json.loads(stdout)["probe/0"]["status"] == "failed"
    code, stdout, stderr = run("run", *model, "--format", "json", "probe/0", "crash")
    assert code == 1 and json.loads(stdout)["probe/0"]["results"]["return-code"] == 3
    assert "the following task failed:" in stderr
    code, stdout, stderr = run("exec", *model, "--format", "json", "--unit", "probe/9", "--", "true")
    assert (code, stdout) == (0, "") and 'unit "probe/9" not found' in stderr


def test_unknown_action_and_unit(juju: jubilant.Juju):
    with pytest.raises(ValueError):
        juju.run("probe/0", "dance")
    with pytest.raises(ValueError):
        juju.run("probe/9", "greet")
    with pytest.raises(ValueError):
        juju.exec("true", unit="probe/9")


def test_bad_parameters(juju: jubilant.Juju):
    with pytest.raises((jubilant.CLIError, ValueError)) as error:
        juju.run("probe/0", "greet", {"times": "often"})
    assert "times" in str(error.value) + str(getattr(error.value, "stderr", ""))


def test_a_timeout_leaves_the_task(juju: jubilant.Juju):
    with pytest.raises(TimeoutError):
        juju.run("probe/0", "slow", wait=0.001)
    assert juju.run("probe/0", "greet").success, "the next task simply comes after it"


def test_exec(juju: jubilant.Juju):
    assert juju.exec("config-get word; pwd", unit="probe/0").stdout.startswith("old\n/")
    assert juju.exec("echo", "two  words", unit="probe/0").stdout == "two  words\n"
    with pytest.raises(jubilant.TaskError) as error:
        juju.exec("exit 4", unit="probe/0")
    assert (error.value.task.status, error.value.task.return_code) == ("completed", 4)
    assert juju.exec("echo here", machine=0).stdout == "here\n"


def test_an_action_sees_the_current_config(juju: jubilant.Juju):
    juju.config("probe", {"word": "new"})
    assert juju.exec("config-get word", unit="probe/0").stdout == "new\n"


def test_actions_are_listed(juju: jubilant.Juju):
    actions = json.loads(juju.cli("actions", "probe", "--format", "json"))
    assert actions["greet"]["description"] == "Say hello." if isinstance(actions["greet"], dict) else actions["greet"] == "Say hello."
