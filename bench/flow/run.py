"""Runs the flow engine beside other engines for durable work, and prints one table.

    python3 bench/flow/run.py --database postgres://postgres@127.0.0.1:5432/postgres

Every program runs the same: flows of ten tasks that do nothing, each task durable before the next begins, so many flows in
flight. Programs take turns (A B C, A B C, ...), so that a busy machine hurts all of them alike. Each run has a new database,
which is dropped afterwards; nothing that was started stays. What cannot be installed is named and left out.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PYTHON_PEERS = HERE / "peers" / "python"
RUST_PEERS = HERE / "peers" / "rust"

IN_FLIGHT = (1, 8, 64)
STORES = ("sqlite", "postgres")
RUST = ("dbos", "durare", "steno")
# What is asked of ours, as a multiple of the best Rust peer: (store, in flight) -> factor.
WANTED_OF_RUST = {("sqlite", 8): 5, ("postgres", 8): 2, ("sqlite", 64): 15, ("postgres", 64): 8}
WANTED_OF_TASKFLOW = 500
WANTED_CPU_US = 30


@dataclasses.dataclass(frozen=True)
class Case:
    """One row of the table."""

    what: str
    store: str
    in_flight: int
    program: str
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        flight = f" {self.in_flight}" if self.in_flight else ""
        return f"{self.what} {self.store}{flight} {self.program}"


def main():
    arguments = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    cases = [case for case in all_cases(arguments) if wanted(case, arguments.only)]
    if arguments.list:
        print("\n".join(case.name for case in cases))
        return
    programs, missing = install({case.program for case in cases}, arguments)
    cases = [case for case in cases if case.program in programs]
    if arguments.database is None:
        missing.append("PostgreSQL: no --database was given")
        cases = [case for case in cases if case.store != "postgres"]
    results = []
    try:
        for turn in range(arguments.runs):
            for case in cases:
                # The long measurements are of ours alone: there is nobody to take turns with.
                if turn == 0 or case.what == "throughput":
                    results.append(run(case, turn, programs, arguments))
    finally:
        report = {"machine": machine(arguments), "missing": missing, "results": results}
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")
        show(report)
        say(f"written to {arguments.output}")


def parse() -> argparse.Namespace:
    scratch = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "bench-flow"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", help="a PostgreSQL server: postgres://user@host:port/database; databases of "
                        "our own are made there and dropped. Without it only SQLite is measured")
    parser.add_argument("--runs", type=int, default=3, help="turns of each program (3)")
    parser.add_argument("--quick", action="store_true", help="one turn, a fifth of the flows, a short history")
    parser.add_argument("--only", action="append", default=[], metavar="WORDS",
                        help="only the cases whose names have all these words; may be repeated; see --list")
    parser.add_argument("--list", action="store_true", help="name the cases and end")
    parser.add_argument("--scratch", type=pathlib.Path, default=scratch,
                        help="where other engines are installed and built, and kept for the next time (%(default)s)")
    parser.add_argument("--output", type=pathlib.Path, help="where the results go as JSON (SCRATCH/flow.json)")
    parser.add_argument("--measure", type=pathlib.Path, help="a built `measure` of ours, instead of building it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="jobs of cargo while building")
    parser.add_argument("--seconds-max", type=int, default=900, help="a run is given up after so long (900)")
    arguments = parser.parse_args()
    arguments.scratch = arguments.scratch.resolve()
    arguments.output = arguments.output or arguments.scratch / "flow.json"
    if arguments.quick:
        arguments.runs = 1
    return arguments


# Cases


def all_cases(arguments: argparse.Namespace) -> Iterator[Case]:
    part = 5 if arguments.quick else 1
    # Slow engines run fewer flows: a rate is the same, and so is the patience of whoever waits.
    flows = {"dbos-python": 100, "taskflow": 20}
    for store in STORES:
        for in_flight in IN_FLIGHT:
            for shape in ("call", "queued"):
                words = ("throughput", "--flows", str(1000 // part), "--in-flight", str(in_flight), "--shape", shape)
                yield Case("throughput", store, in_flight, f"tutti-{shape}", words)
            for program in (*RUST, "dbos-python", "taskflow"):
                if (program, store) == ("dbos", "sqlite"):
                    continue  # It has PostgreSQL only.
                if (program, in_flight) == ("taskflow", 64):
                    continue  # Its threads share one interpreter, which 8 fill.
                count = flows.get(program, 1000) // part
                yield Case("throughput", store, in_flight, program,
                           ("--flows", str(count), "--in-flight", str(in_flight)))
    history = "10000" if arguments.quick else "1000000"
    for store in STORES:
        for through in ("transaction", "engine"):
            yield Case("latency", store, 0, f"tutti-{through}", ("latency", "--flows", str(500 // part), "--through", through))
        yield Case("resume", store, 0, "tutti", ("resume", "--flows", str(1000 // part)))
        yield Case("queue", store, 0, "tutti",
                   ("queue", "--one", str(10_000 // part), "--distinct", str(100_000 // part)))
        yield Case("growth", store, 0, "tutti", ("growth",))
        yield Case("history", store, 0, "tutti", ("history", "--finished", history))


def wanted(case: Case, only: list[str]) -> bool:
    words = case.name.split()
    return not only or any(all(word in words for word in one.split()) for one in only)


# Installing


def install(names: set[str], arguments: argparse.Namespace) -> tuple[dict[str, list[str]], list[str]]:
    """The command of each program; and what could not be had, and why."""
    arguments.scratch.mkdir(parents=True, exist_ok=True)
    programs, missing = {}, []
    ours = {name for name in names if name.startswith("tutti")}
    for group, prepare in (
        (ours, lambda: [arguments.measure or build_ours(arguments)]),
        (names & set(RUST), lambda: [build_rust_peers(arguments)]),
        (names & {"taskflow"}, lambda: [environment("taskflow", arguments), PYTHON_PEERS / "taskflow_chains.py"]),
        (names & {"dbos-python"}, lambda: [environment("dbos", arguments), PYTHON_PEERS / "dbos_steps.py"]),
    ):
        if not group:
            continue
        try:
            command = [str(word) for word in prepare()]
        except (OSError, subprocess.CalledProcessError) as error:
            missing.append(f"{', '.join(sorted(group))}: {reason(error)}")
            say(missing[-1])
            continue
        for name in group:
            programs[name] = command + ([name] if name in RUST else [])
    return programs, missing


def reason(error: Exception) -> str:
    """The error, and the last line the program said with letters in it."""
    lines = (getattr(error, "stderr", None) or "").splitlines()
    said = [line.strip() for line in lines if any(character.isalpha() for character in line)]
    return f"{said[-1]} ({error})" if said else str(error)


def build_ours(arguments: argparse.Namespace) -> str:
    say("building tutti's measure")
    return cargo(ROOT, arguments, "--package", "tutti-flow", "--example", "measure")


def build_rust_peers(arguments: argparse.Namespace) -> str:
    say("building the Rust engines")
    return cargo(RUST_PEERS, arguments, "--locked", "--target-dir", str(arguments.scratch))


def cargo(directory: pathlib.Path, arguments: argparse.Namespace, *words: str) -> str:
    """Builds at low priority; answers the program's path."""
    command = ["nice", "-n", "10", "cargo", "build", "--release", "--jobs", str(arguments.jobs),
               "--message-format", "json-render-diagnostics", *words]
    built = subprocess.run(command, cwd=directory, check=True, text=True, capture_output=True)
    messages = (json.loads(line) for line in built.stdout.splitlines())
    return [message["executable"] for message in messages if message.get("executable")][-1]


def environment(name: str, arguments: argparse.Namespace) -> pathlib.Path:
    """The interpreter of a virtual environment with what NAME.txt lists."""
    needs = PYTHON_PEERS / f"{name}.txt"
    directory = arguments.scratch / f"venv-{name}"
    installed = directory / "installed.txt"
    python = directory / "bin" / "python"
    if not installed.is_file() or installed.read_text() != needs.read_text():
        say(f"installing {name}")
        for command in ([sys.executable, "-m", "venv", directory],
                        [python, "-m", "pip", "install", "--quiet", "--requirement", needs]):
            subprocess.run(command, check=True, text=True, capture_output=True)
        shutil.copy(needs, installed)
    return python


# Running


def run(case: Case, turn: int, programs: dict[str, list[str]], arguments: argparse.Namespace) -> dict:
    load = os.getloadavg()[0]
    say(f"{case.name}, turn {turn + 1} (load {load:.1f})")
    result = {"name": case.name, "what": case.what, "store": case.store, "in_flight": case.in_flight,
              "program": case.program, "turn": turn, "load": round(load, 2)}
    try:
        with database(case.store, arguments) as url:
            text = execute([*programs[case.program], *case.words, "--database", url], arguments.seconds_max)
        result["figures"] = json.loads(text.strip().splitlines()[-1])
    except (subprocess.SubprocessError, ValueError, IndexError) as error:
        result["failed"] = reason(error)
        say(f"  failed: {result['failed']}")
    return result


def execute(command: list[str], seconds_max: int) -> str:
    """Runs a program with everything it starts, and leaves nothing of it."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        out, err = process.communicate(timeout=seconds_max)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command[0], out, err)
    return out


@contextlib.contextmanager
def database(store: str, arguments: argparse.Namespace) -> Iterator[str]:
    """A new database, gone afterwards."""
    if store == "sqlite":
        with tempfile.TemporaryDirectory(dir=arguments.scratch) as directory:
            yield f"sqlite://{directory}/flow.db"
        return
    name = f"tutti_bench_{os.getpid()}"
    drop = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"
    psql(arguments.database, drop)
    psql(arguments.database, f"CREATE DATABASE {name} TEMPLATE template0")
    try:
        yield urllib.parse.urlsplit(arguments.database)._replace(path=f"/{name}").geturl()
    finally:
        psql(arguments.database, drop)


def psql(url: str, statement: str) -> str:
    command = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--command", statement, url]
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout.strip()


# Reporting


def machine(arguments: argparse.Namespace) -> dict:
    def first(command: list[str]) -> str | None:
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            return subprocess.run(command, cwd=ROOT, check=True, text=True, capture_output=True).stdout.strip()
        return None

    server = None
    if arguments.database:
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            server = psql(arguments.database, "SHOW server_version")
    model = [line.partition(":")[2].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    return {"at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "commit": first(["git", "rev-parse", "--short", "HEAD"]), "cpus": os.cpu_count(),
            "cpu": model[0] if model else platform.machine(), "python": platform.python_version(),
            "rustc": first(["rustc", "--version"]), "postgresql": server, "quick": arguments.quick}


def show(report: dict):
    rows = [row for row in report["results"] if row["what"] == "throughput"]
    medians = show_throughput(rows)
    show_ratios(medians)
    for row in report["results"]:
        if row["what"] != "throughput":
            print(f"\n{row['name']} (load {row['load']:.1f})")
            print(json.dumps(rounded(row.get("figures", row.get("failed"))), indent=1))
    for line in report["missing"]:
        print(f"\nnot measured: {line}")


def show_throughput(rows: list[dict]) -> dict:
    """Prints the table; answers the median rate of each case."""
    medians = {}
    if not rows:
        return medians
    print("\n| store | in flight | program | runs | steps/s: median | min | max | CPU us a step | peak MiB | load |")
    print("|---|---:|---|---:|---:|---:|---:|---:|---:|---:|")
    for key in dict.fromkeys((row["store"], row["in_flight"], row["program"]) for row in rows):
        mine = [row for row in rows if (row["store"], row["in_flight"], row["program"]) == key]
        figures = [row["figures"] for row in mine if "figures" in row]
        head = f"| {key[0]} | {key[1]} | {key[2]} |"
        if not figures:
            print(f"{head} failed: {mine[-1]['failed'][:100]} |")
            continue
        rates = [one["rate"] for one in figures]
        cpu = statistics.median(one["cpu_us"] for one in figures)
        medians[key] = (statistics.median(rates), cpu)
        memory = max(one["rss_mib"] for one in figures)
        load = statistics.mean(row["load"] for row in mine)
        print(f"{head} {len(figures)} | {medians[key][0]:,.0f} | {min(rates):,.0f} | {max(rates):,.0f} "
              f"| {cpu:,.1f} | {memory:,.0f} | {load:.1f} |")
    return medians


def show_ratios(medians: dict):
    """Ours against the best Rust engine and TaskFlow, of the same run."""
    ours = [key for key in medians if key[2].startswith("tutti")]
    if not ours:
        return
    print("\n| store | in flight | ours | x best Rust | wanted | x TaskFlow | wanted | CPU us | wanted |")
    print("|---|---:|---|---:|---:|---:|---:|---:|---:|")
    for store, in_flight, program in ours:
        rate, cpu = medians[store, in_flight, program]
        rust = max(((found[0], key[2]) for key, found in medians.items()
                    if key[:2] == (store, in_flight) and key[2] in RUST), default=None)
        slow = max((found[0] for key, found in medians.items() if key[::2] == (store, "taskflow")), default=None)
        of_rust = f"{rate / rust[0]:.2f} ({rust[1]})" if rust else "-"
        of_slow = f"{rate / slow:,.0f}" if slow else "-"
        factor = WANTED_OF_RUST.get((store, in_flight), "-")
        print(f"| {store} | {in_flight} | {program} | {of_rust} | {factor} | {of_slow} | {WANTED_OF_TASKFLOW} "
              f"| {cpu:,.1f} | {WANTED_CPU_US} |")


def rounded(value):
    if isinstance(value, float):
        return round(value, 3) if abs(value) < 100 else round(value)
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return value


def say(text: str):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
