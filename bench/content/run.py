"""Runs Tutti's content store beside Pulp, and prints one table.

    cargo xtask bench --content [--quick]

Sets Pulp up from PyPI with a PostgreSQL cluster and nginx of its own, generates sites, and drives both over the same REST API:
syncs, serving, cleaning up. Beside them stands what the machine allows. Nothing that was started stays.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import platform
import signal
import sys

import fixtures
import limit
import scenario
from services import Nginx, Postgres, Pulp, Tutti

HERE = pathlib.Path(__file__).resolve().parent
STEPS = ("first sync", "no-op resync", "unchanged", "second repository", "v2 sync", "orphan cleanup")
# What is asked of ours: (step, factor of Pulp's wall and CPU).
WANTED = {"first sync": 10, "no-op resync": 30, "second repository": 20, "orphan cleanup": 50}
PROGRAMS = ("tutti-sqlite", "tutti-postgres", "pulp")
LARGE = 5 * 1024 * 1024


def main():
    arguments = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    arguments.scratch.mkdir(parents=True, exist_ok=True)
    logs = arguments.scratch / "log"
    logs.mkdir(exist_ok=True)
    sites = [fixtures.make(arguments.scratch / "sites", files, 1024) for files in arguments.files]
    if arguments.large:
        sites.append(fixtures.make(arguments.scratch / "sites", arguments.large, LARGE))
    report = {"machine": machine(), "rows": []}
    try:
        with Nginx(arguments.scratch / "sites", arguments.scratch, logs) as nginx, \
                Postgres(arguments.scratch, logs) as postgres:
            measure(arguments, report["rows"], sites, nginx, postgres)
    finally:
        report["machine"]["load at the end"] = os.getloadavg()
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")
        show(report)
        print(f"\nwritten to {arguments.output}")


def parse() -> argparse.Namespace:
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parents[1] / "target"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tutti", type=pathlib.Path, help="a built `tutti`")
    parser.add_argument("limit", type=pathlib.Path, help="a built `fetch_limit`")
    parser.add_argument("--quick", action="store_true", help="1,000 files and 20 large ones instead of 10,000 and 200")
    parser.add_argument("--files", type=int, action="append", help="files of 1 KiB; may be repeated (10000)")
    parser.add_argument("--large", type=int, help="files of 5 MiB (200; 0: none)")
    parser.add_argument("--only", default="", metavar="TEXT",
                        help=f"only the programs whose names contain this ({', '.join(PROGRAMS)})")
    parser.add_argument("--seconds", type=int, default=5, help="how long files are asked for (5)")
    parser.add_argument("--scratch", type=pathlib.Path, default=target / "bench-content",
                        help="sites and Pulp, kept for the next time (%(default)s)")
    parser.add_argument("--output", type=pathlib.Path, help="where the figures go as JSON (SCRATCH/content.json)")
    arguments = parser.parse_args()
    arguments.scratch = arguments.scratch.resolve()
    arguments.output = arguments.output or arguments.scratch / "content.json"
    arguments.files = arguments.files or [1000 if arguments.quick else 10_000]
    if arguments.large is None:
        arguments.large = 20 if arguments.quick else 200
    return arguments


def machine() -> dict:
    return {"taken": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "cores": os.cpu_count(),
            "kernel": platform.release(), "load at the beginning": os.getloadavg()}


def measure(arguments, rows: list[dict], sites: list[fixtures.Site], nginx: Nginx, postgres: Postgres):
    for site in sites:
        measure_limit(arguments, rows, site, nginx, postgres)
    for name in (name for name in PROGRAMS if arguments.only in name):
        # Ours starts anew for each site; Pulp takes too long for that, and removes all it had after each.
        groups = [sites] if name == "pulp" else [[site] for site in sites]
        for group in groups:
            with server(name, arguments, postgres) as one:
                run = scenario.Scenario(one, rows, arguments.scratch)
                for site in group:
                    run.run(site, nginx.url, arguments.seconds)


def server(name: str, arguments, postgres: Postgres):
    logs = arguments.scratch / "log"
    if name == "pulp":
        return Pulp(arguments.scratch, logs, postgres)
    return Tutti(arguments.tutti, arguments.scratch, logs, postgres if name == "tutti-postgres" else None)


def measure_limit(arguments, rows: list[dict], site: fixtures.Site, nginx: Nginx, postgres: Postgres):
    fetched = limit.fetch(arguments.limit, site, nginx, arguments.scratch)
    row = {"program": "limit", "files": site.files, "size": site.size, "step": "first sync",
           "fetch_s": fetched["wall_s"], "cpu_s": fetched["cpu_s"],
           "sqlite_rows_s": round(limit.sqlite(site, nginx.url, arguments.scratch), 3),
           "postgres_rows_s": round(limit.postgres(site, nginx.url, postgres), 3)}
    paths = [f"/{site.name}/v1/{path}" for path in site.paths()]
    served = scenario.load(nginx.url, paths, arguments.seconds, arguments.scratch)
    rows += [row, {"program": "nginx", "files": site.files, "size": site.size, "step": "serving", **served}]
    print(" ", row, served, flush=True)


# The table


def show(report: dict):
    found = {(row["program"], row["files"], row["size"], row["step"]): row for row in report["rows"]}
    for files, size in dict.fromkeys((row["files"], row["size"]) for row in report["rows"]):
        print(f"\n{files} files of {size} bytes: wall s (CPU s of the server + of its database)\n")
        print("| | " + " | ".join(PROGRAMS) + " | wall, CPU: Pulp / SQLite | Pulp / PostgreSQL |\n|---|---|---|---|---|---|")
        for step in STEPS:
            of = {name: found.get((name, files, size, step)) for name in PROGRAMS}
            if any(of.values()):
                factors = [factor(of["pulp"], of[name]) for name in PROGRAMS[:2]]
                print(f"| {step} | " + " | ".join([*map(cell, of.values()), *factors]) + " |")
        peaks = [max((row["rss_mb"] for row in report["rows"] if (row["program"], row["files"], row["size"])
                      == (name, files, size) and "rss_mb" in row), default=None) for name in PROGRAMS]
        print("| greatest process, MB | " + " | ".join(str(peak or "") for peak in peaks) + " | | |")
        one = found.get(("limit", files, size, "first sync"))
        if one:
            print(f"\nThe limit of a first sync: {one['fetch_s']} s, {one['cpu_s']} s of CPU, and rows: "
                  f"{one['sqlite_rows_s']} s on SQLite, {one['postgres_rows_s']} s on PostgreSQL.")
            for name, rows_s in (("tutti-sqlite", one["sqlite_rows_s"]), ("tutti-postgres", one["postgres_rows_s"])):
                ours = found.get((name, files, size, "first sync"))
                if ours:
                    print(f"{name}: {ours['wall_s'] / (one['fetch_s'] + rows_s):.2f} times the limit.")
        print()
        for name in (*PROGRAMS, "nginx"):
            served = found.get((name, files, size, "serving"))
            if served:
                print(f"{name} serves {served['requests_s']:,.0f} files a second, {served['mb_s']:,.0f} MB/s.")
    print("\nAsked for, as multiples of Pulp: " + ", ".join(f"{step} {times}" for step, times in WANTED.items())
          + "; a first sync in 1.5 times the limit; small files 200; large files 0.7 of nginx.")


def cell(row: dict | None) -> str:
    return f"{row['wall_s']:.3f} ({row['cpu_s']:.2f} + {row['database_cpu_s']:.2f})" if row else ""


def factor(theirs: dict | None, ours: dict | None) -> str:
    if not theirs or not ours:
        return ""
    spent = [row["cpu_s"] + row["database_cpu_s"] for row in (theirs, ours)]
    # CPU is counted in hundredths of a second: what took none took less than one.
    return f"{theirs['wall_s'] / max(ours['wall_s'], 0.0001):,.0f}, {spent[0] / max(spent[1], 0.01):,.0f}"


if __name__ == "__main__":
    main()
