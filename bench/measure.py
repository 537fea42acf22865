"""Measures the figures of docs/performance.md against a built `tutti`.

    cargo xtask bench            # or: python3 bench/measure.py PATH/TO/tutti [--only NAME]

Every measurement starts a controller of its own in a scratch directory and prints
name, median, minimum, maximum and what is to be reached. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import http.client
import json
import os
import pathlib
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator

ROOT = pathlib.Path(__file__).parents[1]
HOOKS = ("install", "leader-elected", "config-changed", "start", "update-status")


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: pathlib.Path):
        super().__init__("localhost", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def json(self, method: str, path: str, body=None):
        self.request(method, path, json.dumps(body) if body is not None else None,
                     {"content-type": "application/json"})
        answer = self.getresponse()
        text = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text) if text else None


class Controller:
    """A controller in a directory of its own."""

    def __init__(self, tutti: pathlib.Path, data: pathlib.Path):
        self.tutti = tutti
        self.data = data
        self.environment = os.environ | {
            "TUTTI_DATA": str(data), "JUJU_DATA": str(data / "client"),
            "TUTTI_CONTROLLER": str(data / "tutti.sock"),
        }

    def start(self) -> float:
        """Seconds from starting the process to its first answer."""
        log = open(self.data / "serve.log", "ab")
        started = time.perf_counter()
        self.process = subprocess.Popen(
            [self.tutti, "serve", "--data", str(self.data), "--listen", "127.0.0.1:0"],
            stdout=log, stderr=log, env=self.environment)
        while True:
            with contextlib.suppress(OSError):
                self.connection = Connection(self.data / "tutti.sock")
                self.connection.json("GET", "/v1")
                return time.perf_counter() - started
            if self.process.poll() is not None:
                sys.exit((self.data / "serve.log").read_text()[-2000:])
            time.sleep(0.0005)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)

    def run(self, *arguments: str) -> str:
        done = subprocess.run([self.tutti, *arguments], env=self.environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"tutti {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def status(self, model: str = "bench"):
        return self.connection.json("GET", f"/v1/models/{model}/status")

    def settle(self, units: int, model: str = "bench", every: float = 0.002):
        """Waits until so many units are active and idle; looks every so many seconds."""
        while True:
            applications = self.status(model)["applications"].values()
            settled = sum(
                unit["workload-status"].get("current") == "active"
                and unit["juju-status"].get("current") == "idle"
                for application in applications for unit in application.get("units", {}).values())
            if settled >= units:
                return
            time.sleep(every)


@contextlib.contextmanager
def controller(tutti: pathlib.Path) -> Iterator[Controller]:
    data = pathlib.Path(tempfile.mkdtemp(prefix="tutti-bench-"))
    running = Controller(tutti, data)
    running.start()
    running.run("add-model", "bench")
    try:
        yield running
    finally:
        running.stop()
        shutil.rmtree(data, ignore_errors=True)


def bash_charm(directory: pathlib.Path, hooks: dict[str, str] | None = None) -> pathlib.Path:
    """A charm with five hooks; one of them sets the status."""
    (directory / "hooks").mkdir(parents=True)
    (directory / "metadata.yaml").write_text("name: small\nsummary: small\n")
    (directory / "config.yaml").write_text("options: {word: {type: string, default: ''}}\n")
    bodies = dict.fromkeys(HOOKS, "true") | {"start": "status-set active"} | (hooks or {})
    for name, body in bodies.items():
        hook = directory / "hooks" / name
        hook.write_text(f"#!/bin/bash\n{body}\n")
        hook.chmod(0o755)
    return directory


def controller_start(tutti: pathlib.Path) -> list[float]:
    times = []
    with controller(tutti) as running:
        for _ in range(15):
            running.stop()
            times.append(running.start() * 1000)
    return times


def idle_memory(tutti: pathlib.Path) -> list[float]:
    with controller(tutti) as running:
        charm = bash_charm(running.data / "charm")
        for number in range(10):
            running.run("deploy", str(charm), f"small{'abcdefghij'[number]}")
        running.settle(10)
        time.sleep(5)
        for line in pathlib.Path(f"/proc/{running.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return [int(line.split()[1]) / 1024]
    return []


def deploy_bash(tutti: pathlib.Path) -> list[float]:
    times = []
    with controller(tutti) as running:
        charm = running.data / "small.charm"
        running.run("pack", str(bash_charm(running.data / "charm")), "--output", str(charm))
        for number in range(10):
            started = time.perf_counter()
            running.run("deploy", str(charm), f"small{'abcdefghij'[number]}")
            running.settle(number + 1)
            times.append((time.perf_counter() - started) * 1000)
    return times


def deploy_ops(tutti: pathlib.Path) -> list[float]:
    """Time from `deploy` to active and idle, over the time the charm's own processes took."""
    ratios = []
    with controller(tutti) as running:
        source = running.data / "python"
        (source / "src").mkdir(parents=True)
        (source / "metadata.yaml").write_text("name: python\nsummary: python\n")
        (source / "requirements.txt").write_text("ops==2.23.1\n")
        (source / "src/charm.py").write_text(
            "#!/usr/bin/env python3\nimport ops\n\n"
            "class Charm(ops.CharmBase):\n    def __init__(self, framework):\n"
            "        super().__init__(framework)\n        framework.observe(self.on.start, self._start)\n\n"
            "    def _start(self, _):\n        self.unit.status = ops.ActiveStatus()\n\n"
            "if __name__ == '__main__':\n    ops.main(Charm)\n")
        packed = running.data / "python.charm"
        running.run("pack", str(source), "--output", str(packed))
        record = running.data / "record"
        timed(packed, record)
        hooks = 4
        watching = hooks * cost_of_timing(running.data)
        for number in range(7):
            record.write_text("")
            started = time.perf_counter()
            running.run("deploy", str(packed), f"python{'abcdefg'[number]}")
            # Asking for the status would take time from the charm; looking at a file does not.
            while len(own := record.read_text().split()) < hooks:
                time.sleep(0.0005)
            running.settle(number + 1, every=0.0005)
            total = time.perf_counter() - started - watching
            ratios.append(total / sum(map(float, own)) * 100 - 100)
    return ratios


def wrapper(record: pathlib.Path) -> str:
    """A script that notes how long `dispatch.real` beside it runs, in seconds."""
    return (f'#!/bin/bash\na=$EPOCHREALTIME\n./dispatch.real "$@"\ncode=$?\nb=$EPOCHREALTIME\n'
            f'echo "$(( ${{b/./}} - ${{a/./}} ))e-6" >> {record}\nexit $code\n')


def cost_of_timing(directory: pathlib.Path) -> float:
    """Seconds the wrapper itself takes: a process of bash that would not be there."""
    with tempfile.TemporaryDirectory(dir=directory) as place:
        real, wrapped = pathlib.Path(place, "dispatch.real"), pathlib.Path(place, "dispatch")
        real.write_text("#!/bin/sh\n")
        wrapped.write_text(wrapper(pathlib.Path(place, "record")))
        times: dict[pathlib.Path, list[float]] = {real: [], wrapped: []}
        for script in times:
            script.chmod(0o755)
        for script in [real, wrapped] * 30:
            started = time.perf_counter()
            subprocess.run([script], cwd=place, check=True)
            times[script].append(time.perf_counter() - started)
    return statistics.median(times[wrapped]) - statistics.median(times[real])


def timed(packed: pathlib.Path, record: pathlib.Path):
    """Puts the wrapper in the place of a packed charm's dispatch."""
    rewritten = packed.with_suffix(".new")
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(rewritten, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename == "dispatch":
                new.writestr(copy.copy(entry), wrapper(record))
                entry.filename = "dispatch.real"
            # Modes and links are in the entry's attributes.
            new.writestr(entry, content)
    rewritten.rename(packed)


def hook_tool(tutti: pathlib.Path) -> list[float]:
    with controller(tutti) as running:
        running.run("deploy", str(bash_charm(running.data / "charm")), "small")
        running.settle(1)
        script = ("for n in {1..200}; do a=$EPOCHREALTIME; is-leader > /dev/null; b=$EPOCHREALTIME; "
                  "echo $(( ${b/./} - ${a/./} )); done")
        lines = running.run("exec", "--unit", "small/0", "--", script)
        return [int(line) / 1000 for line in lines.split() if line.isdigit()]


def status_json(units: int) -> Callable[[pathlib.Path], list[float]]:
    def measure(tutti: pathlib.Path) -> list[float]:
        times = []
        with controller(tutti) as running:
            running.run("deploy", str(bash_charm(running.data / "charm")), "small")
            running.settle(1)
            running.stop()
            seed(running.data / "tutti.db", units - 1)
            running.start()
            for _ in range(21):
                started = time.perf_counter()
                out = subprocess.run([tutti, "status", "--format", "json"], env=running.environment,
                                     capture_output=True, check=True).stdout
                times.append((time.perf_counter() - started) * 1000)
            assert len(json.loads(out)["applications"]["small"]["units"]) == units
        return times[1:]

    return measure


def seed(database: pathlib.Path, units: int):
    """Copies unit 0 and its machine, as units of an agent that is not here."""
    with sqlite3.connect(database) as connection:
        for table, key in (("machine", "number"), ("unit", "number")):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            row = dict(zip(columns, connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()))
            rows = []
            for number in range(1, units + 1):
                copy = row | {key: number, "agent": "elsewhere"}
                if table == "unit":
                    copy |= {"id": f"seeded-{number}", "name": f"small/{number}", "machine": number}
                rows.append(tuple(copy[column] for column in columns))
            marks = ", ".join("?" * len(columns))
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)


def fifty_units(tutti: pathlib.Path) -> list[float]:
    with controller(tutti) as running:
        charm = bash_charm(running.data / "charm")
        started = time.perf_counter()
        running.run("deploy", str(charm), "small", "--num-units", "50")
        running.settle(50)
        return [(time.perf_counter() - started) * 1000]


def peers(units: int) -> Callable[[pathlib.Path], list[float]]:
    def measure(tutti: pathlib.Path) -> list[float]:
        """Time per hook while every unit greets every other, with the charm's processes."""
        with controller(tutti) as running:
            note = running.data / "note"
            word = f"echo >> {note}"
            hooks = {"ring-relation-joined": f"{word}; relation-set a=$RANDOM", "ring-relation-changed": word}
            charm = bash_charm(running.data / "charm", hooks)
            (charm / "metadata.yaml").write_text(
                "name: small\nsummary: small\npeers: {ring: {interface: ring}}\n")
            started = time.perf_counter()
            running.run("deploy", str(charm), "small", "--num-units", str(units))
            running.settle(units, every=0.2)
            elapsed = time.perf_counter() - started
            count = len(note.read_text()) + units * (len(HOOKS) - 2)
            return [elapsed * 1000 / count]

    return measure


def hook_latency(tutti: pathlib.Path) -> list[float]:
    times = []
    with controller(tutti) as running:
        note = running.data / "note"
        hooks = {"config-changed": f"echo $EPOCHREALTIME > {note}.new; mv {note}.new {note}"}
        running.run("deploy", str(bash_charm(running.data / "charm", hooks)), "small")
        running.settle(1)
        for number in range(30):
            note.unlink(missing_ok=True)
            started = time.time()
            running.connection.json("PATCH", "/v1/models/bench/applications/small/config",
                                    {"set": {"word": str(number)}})
            while not note.exists():
                time.sleep(0.0005)
            times.append((float(note.read_text()) - started) * 1000)
            running.settle(1)
    return times


MEASUREMENTS = [
    ("controller start to first answer", "ms", "≤ 50", controller_start),
    ("idle memory with 10 applications", "MB", "≤ 30", idle_memory),
    ("bash charm, deploy to active and idle", "ms", "≤ 150", deploy_bash),
    ("ops charm, over its own dispatch time", "%", "≤ 10", deploy_ops),
    ("hook tool call", "ms", "≤ 3", hook_tool),
    ("status --format json, 100 units", "ms", "≤ 10", status_json(100)),
    ("status --format json, 2,000 units", "ms", "≤ 50", status_json(2000)),
    ("50 units of a bash charm, deploy to active and idle", "ms", "", fifty_units),
    ("20 units in a peer relation, per hook", "ms", "", peers(20)),
    ("50 units in a peer relation, per hook", "ms", "", peers(50)),
    ("config change to start of config-changed", "ms", "≤ 20", hook_latency),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tutti", type=pathlib.Path)
    parser.add_argument("--only", default="", help="part of a measurement's name")
    arguments = parser.parse_args()
    print(f"{'':52} {'median':>9} {'min':>9} {'max':>9}  to reach")
    for name, unit, goal, measure in MEASUREMENTS:
        if arguments.only not in name:
            continue
        values = measure(arguments.tutti.resolve())
        median, low, high = statistics.median(values), min(values), max(values)
        print(f"{name:52} {median:9.2f} {low:9.2f} {high:9.2f}  {goal} {unit}", flush=True)


if __name__ == "__main__":
    main()
