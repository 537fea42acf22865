"""`kill -9` at random moments of a script of mixed operations: afterwards everything converges.

Every `config-changed` and `upgrade-charm` of the probe adds one secret that holds the id of its run.
A run that committed has exactly one; a run that was cut or failed has none.
"""

from __future__ import annotations

import collections
import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from charms import Charm

OPERATIONS = int(os.environ.get("TUTTI_CRASH_OPERATIONS", "40"))
SEED = int(os.environ.get("TUTTI_CRASH_SEED", str(random.SystemRandom().randrange(1 << 32))))
NOTE = 'secret-add --owner unit run="$JUJU_CONTEXT_ID" > /dev/null'


class Controller:
    """A controller and its agent, in one process or in two, that are killed now and then."""

    def __init__(self, directory: pathlib.Path, apart: bool, lease: str = "2m"):
        self.directory = directory
        self.lease = lease
        self.apart = apart
        self.environment = os.environ | {
            "TUTTI_DATA": str(directory),
            "JUJU_DATA": str(directory / "client"),
            "TUTTI_CONTROLLER": str(directory / "tutti.sock"),
        }
        self.kills = 0
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.start()

    def start(self):
        """Starts what is not running."""
        serve = ["serve", "--listen", "127.0.0.1:0", "--agent-lease", self.lease]
        serve += (["--no-agent"] if self.apart else [])
        if database := os.environ.get("TUTTI_CRASH_DATABASE"):
            serve += ["--database", database]
        for name, command in {"serve": serve, "agent": ["agent"]}.items():
            if name == "agent" and not self.apart:
                continue
            if name not in self.processes:
                with open(self.directory / f"{name}.log", "ab") as log:
                    self.processes[name] = subprocess.Popen(
                        ["tutti", *command], stdout=log, stderr=log, env=self.environment
                    )
        deadline = time.monotonic() + 20
        while self.tutti("models", "--format", "json").returncode != 0:
            for name, process in self.processes.items():
                assert process.poll() is None, (self.directory / f"{name}.log").read_text()[-4000:]
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def kill(self, rng: random.Random):
        process = self.processes.pop(rng.choice(sorted(self.processes)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.kills += 1

    def stop(self):
        for name in ("agent", "serve"):
            if process := self.processes.get(name):
                process.terminate()
                assert process.wait(timeout=20) == 0

    def tutti(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["tutti", *arguments], capture_output=True, text=True, timeout=120, env=self.environment
        )

    def json(self, *arguments: str):
        done = self.tutti(*arguments, "--format", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def probes(directory: pathlib.Path) -> list[Charm]:
    def probe(name: str, metadata: dict) -> Charm:
        hooks = {
            "config-changed": f"{NOTE}; status-set active",
            "upgrade-charm": NOTE,
            "link-relation-created": "relation-set hello=$JUJU_UNIT_NAME",
            "ping": "action-set pong=1",
        }
        return Charm(
            directory / name,
            name,
            hooks=hooks,
            metadata=metadata,
            config={"word": {"type": "string", "default": ""}},
            actions={"ping": {"description": "Ping."}},
        )

    peers = {"ring": {"interface": "ring"}}
    return [
        probe("left", {"provides": {"link": {"interface": "link"}}, "peers": peers}),
        probe("right", {"requires": {"link": {"interface": "link"}}, "peers": peers}),
    ]


def operation(rng: random.Random, charms: list[Charm]) -> list[str]:
    """One random command; it may be refused, it may be cut, it may not corrupt anything."""
    charm = rng.choice(charms)
    name = charm.directory.name
    number = rng.randrange(4)
    return rng.choice(
        [
            ["deploy", str(charm), name],
            ["add-unit", name],
            ["add-unit", name],
            ["remove-unit", "--no-prompt", f"{name}/{number}"],
            ["config", name, f"word={rng.random()}"],
            ["config", name, f"word={rng.random()}"],
            ["integrate", "left", "right"],
            ["remove-relation", "left", "right"],
            ["refresh", name, "--path", str(charm)],
            ["run", f"{name}/{number}", "ping", "--wait", "1s"],
            ["resolve", f"{name}/{number}"],
        ]
    )


def killer(controller: Controller, rng: random.Random, stop: threading.Event):
    while not stop.wait(rng.uniform(0.02, 0.5)):
        controller.kill(rng)
        time.sleep(rng.uniform(0, 0.1))
        controller.start()


@pytest.mark.parametrize("apart", [False, True], ids=["one-process", "two-processes"])
def test_kill_at_random(tmp_path: pathlib.Path, apart: bool):
    print(f"seed {SEED}, {OPERATIONS} operations")
    rng = random.Random(SEED)
    charms = probes(tmp_path)
    directory = tmp_path / "data"
    directory.mkdir()
    controller = Controller(directory, apart)
    assert controller.tutti("add-model", "crash").returncode == 0
    assert controller.tutti("model-config", "automatically-retry-hooks=true").returncode == 0
    for charm in charms:
        assert controller.tutti("deploy", str(charm)).returncode == 0
    stop = threading.Event()
    thread = threading.Thread(target=killer, args=(controller, random.Random(rng.random()), stop))
    thread.start()
    try:
        for _ in range(OPERATIONS):
            controller.tutti(*operation(rng, charms))
    finally:
        stop.set()
        thread.join()
    print(f"{controller.kills} kills")
    try:
        converge(controller)
        check_flushes(controller, charms)
        check_flows(controller)
        assert controller.tutti("destroy-model", "crash", "--no-prompt", "--destroy-storage").returncode == 0
    finally:
        controller.stop()
    if "TUTTI_CRASH_DATABASE" not in os.environ:
        with sqlite3.connect(directory / "tutti.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def converge(controller: Controller):
    """Everything becomes active and idle; a hook that was cut is retried by the agent itself."""
    deadline = time.monotonic() + 120
    while True:
        status = controller.json("status")
        units = [
            unit
            for application in status["applications"].values()
            for unit in application.get("units", {}).values()
        ]
        if all(
            (unit["workload-status"]["current"], unit["juju-status"]["current"]) == ("active", "idle")
            for unit in units
        ):
            return
        if time.monotonic() > deadline:
            pytest.fail(f"seed {SEED}: not converged: {json.dumps(status, indent=1)}")
        time.sleep(0.2)


def check_flushes(controller: Controller, charms: list[Charm]):
    """No run is there twice, and no unit that lives lacks the run that made it what it is."""
    runs = collections.Counter()
    for name in controller.json("secrets"):
        secret = controller.json("show-secret", name, "--reveal")
        (content,) = [entry["content"]["Data"]["run"] for entry in secret.values()]
        runs[content] += 1
    assert not [run for run, count in runs.items() if count > 1], f"seed {SEED}: flushed twice"
    status = controller.json("status")
    for application in status["applications"].values():
        for unit in application.get("units", {}):
            configured = [run for run in runs if run.startswith(f"{unit}-config-changed")]
            assert configured, f"seed {SEED}: {unit} is active without a committed config-changed"


def check_flows(controller: Controller):
    unfinished = [
        flow
        for state in ("blocked", "ready", "running", "waiting", "reverting", "parked", "stuck")
        for flow in controller.json("flows", "--state", state)
    ]
    assert not unfinished, f"seed {SEED}: {unfinished}"


def test_what_depends_on_a_killed_agent_is_unknown_until_it_is_back(tmp_path: pathlib.Path):
    running = Controller(tmp_path, apart=True, lease="2s")
    running.tutti("add-model", "m")
    probe = Charm(tmp_path / "probe", "probe", hooks={"start": "status-set active"})
    assert running.tutti("deploy", str(probe), "probe").returncode == 0

    def states() -> list[str]:
        status = running.json("status")
        probe = status["applications"]["probe"]
        unit, machine = probe["units"]["probe/0"], status["machines"]["0"]
        return [probe["sync"]["state"], unit.get("sync-state", "in_sync"), machine.get("sync-state", "in_sync")]

    def until(state: str):
        deadline = time.monotonic() + 60
        while states() != [state] * 3:
            assert time.monotonic() < deadline, states()
            time.sleep(0.1)

    until("in_sync")
    agent = running.processes.pop("agent")
    agent.kill()
    agent.wait()
    until("unknown")
    unit = running.json("show-unit", "probe/0")["probe/0"]
    assert unit["sync"]["reason"] == "agent-silent"
    assert {one["type"]: one["status"] for one in unit["conditions"]} == {
        "AgentReporting": "false", "Installed": "true", "WorkloadActive": "unknown",
    }
    assert running.tutti("sync", "probe").returncode == 0
    assert states()[0] == "unknown"
    running.start()
    until("in_sync")
    running.stop()
