"""What is measured: the same calls of Pulp's REST API to Pulp and to Tutti, with the cost of each task.

A task's wall time is what it says of itself, from its start to its end, so neither the queue nor how often is asked counts.
CPU is that of the process that does the task with all it started, and of the database's server.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import pathlib
import re
import subprocess
import time
import urllib.error
import urllib.request

import meter
from fixtures import Site
from services import program

V3 = "/pulp/api/v3/"
ENDED = ("completed", "failed", "canceled", "skipped")
CREDENTIALS = "Basic " + base64.b64encode(b"admin:password").decode()


class Api:
    """A server that speaks Pulp's REST API."""

    def __init__(self, url: str):
        self.url = url

    def call(self, method: str, path: str, body=None):
        request = urllib.request.Request(
            self.url + path, method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json", "authorization": CREDENTIALS})
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()[:500]}") from error
        return json.loads(text) if text else None

    def done(self, answer) -> dict | None:
        """Waits for the task an answer names, if it names one."""
        if not answer or "task" not in answer:
            return None
        begun = time.monotonic()
        while True:
            task = self.call("GET", answer["task"])
            if task["state"] in ENDED:
                if task["state"] != "completed":
                    raise RuntimeError(f"{task['name']}: {task['error']}")
                return task
            # Asking costs Pulp a quarter of a second of CPU, to check the password: so the less often, the longer it takes.
            time.sleep(min(0.05 + (time.monotonic() - begun) / 5, 5))

    def create(self, noun: str, **fields) -> dict:
        answer = self.call("POST", f"{V3}{noun}/", fields)
        task = self.done(answer)
        return self.call("GET", task["created_resources"][0]) if task else answer

    def wait_ready(self):
        """Until a worker is there: the API answers before."""
        for _ in range(240):
            with contextlib.suppress(OSError, RuntimeError):
                status = self.call("GET", f"{V3}status/")
                if status["online_workers"] and status["online_content_apps"]:
                    return
            time.sleep(0.5)
        raise RuntimeError("no worker")


class Scenario:
    """Runs against one server; `rows` is what it cost."""

    def __init__(self, server, rows: list[dict], scratch: pathlib.Path):
        self.server, self.rows, self.scratch = server, rows, scratch
        self.api = Api(server.api)
        self.api.wait_ready()

    def note(self, site: Site, step: str, **figures):
        row = {"program": self.server.name, "files": site.files, "size": site.size, "step": step, **figures}
        self.rows.append(row)
        print(f"  {row['program']:15} {site.name:12} {step:18} "
              + "  ".join(f"{name} {figure}" for name, figure in figures.items()), flush=True)

    def step(self, site: Site, step: str, start):
        server = self.server
        time.sleep(0.3)
        before, database = meter.cpu(server.worker), meter.cpu(server.database)
        with meter.Peak(server.worker) as peak:
            begun = time.perf_counter()
            task = self.api.done(start())
            seen = time.perf_counter() - begun
        # Whoever did the task may still be ending, and is counted when its parent has seen that.
        time.sleep(0.5)
        self.note(site, step, wall_s=round(moment(task["finished_at"]) - moment(task["started_at"]), 4),
                  seen_s=round(seen, 3), cpu_s=round(meter.cpu(server.worker) - before, 2),
                  database_cpu_s=round(meter.cpu(server.database) - database, 2), rss_mb=round(peak.mb, 1))

    def run(self, site: Site, url: str, seconds: int):
        first, second = f"{url}/{site.name}/v1/PULP_MANIFEST", f"{url}/{site.name}/v2/PULP_MANIFEST"
        a, from_a = self.repository("a", first)
        b, from_b = self.repository("b", first)
        self.step(site, "first sync", self.sync(a, from_a))
        self.check(a, site.files)
        self.step(site, "no-op resync", self.sync(a, from_a))
        self.step(site, "unchanged", self.sync(a, from_a, optimize=True))
        self.step(site, "second repository", self.sync(b, from_b))
        self.check(b, site.files)
        self.api.done(self.api.call("PATCH", from_a["pulp_href"], {"url": second}))
        self.step(site, "v2 sync", self.sync(a, from_a, mirror=True))
        self.check(a, site.files)
        publication = self.api.create("publications/file/file", repository=b["pulp_href"])
        served = self.api.create(
            "distributions/file/file", name="d", base_path="d", publication=publication["pulp_href"])
        self.server.analyze()
        self.serve(site, seconds)
        for one in (served, publication, a, b, from_a, from_b):
            # What was mirrored is published with that, and goes with its repository.
            self.api.done(self.api.call("DELETE", one["pulp_href"]))
        self.server.age()
        self.step(site, "orphan cleanup", lambda: self.api.call(
            "POST", f"{V3}orphans/cleanup/", {"orphan_protection_time": 0}))
        left = self.api.call("GET", f"{V3}content/file/files/?limit=1")["count"]
        if left:
            raise RuntimeError(f"{left} units are left")

    def repository(self, name: str, url: str):
        return (self.api.create("repositories/file/file", name=name),
                self.api.create("remotes/file/file", name=name, url=url, policy="immediate"))

    def sync(self, repository, remote, mirror=False, optimize=False):
        body = {"remote": remote["pulp_href"], "mirror": mirror, "optimize": optimize}
        return lambda: self.api.call("POST", f"{repository['pulp_href']}sync/", body)

    def check(self, repository, files: int):
        version = self.api.call("GET", repository["pulp_href"])["latest_version_href"]
        present = self.api.call("GET", version)["content_summary"]["present"]
        found = present.get("file.file", {}).get("count", 0)
        if found != files:
            raise RuntimeError(f"{found} of {files} files are there")

    def serve(self, site: Site, seconds: int):
        before = meter.cpu(self.server.content), meter.cpu(self.server.database)
        paths = [f"/pulp/content/d/{path}" for path in site.paths()]
        figures = load(self.server.content_app, paths, seconds, self.scratch)
        spent = meter.cpu(self.server.content) - before[0], meter.cpu(self.server.database) - before[1]
        self.note(site, "serving", **figures, cpu_s=round(spent[0], 2), database_cpu_s=round(spent[1], 2))


def moment(text: str) -> float:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def load(url: str, paths: list[str], seconds: int, scratch: pathlib.Path) -> dict:
    """Requests and bytes a second that `wrk` gets with 16 connections that ask for one path after the other."""
    script = scratch / "paths.lua"
    listed = ",".join(f'"{path}"' for path in paths[:10_000])
    script.write_text(f"local paths = {{{listed}}}\nlocal next = 0\nfunction request()\n  next = next % #paths + 1\n"
                      "  return wrk.format('GET', paths[next])\nend\n")
    command = [program("wrk"), "-t1", "-c16", f"-d{seconds}s", "--timeout", "30s", "-s", script, url]
    said = subprocess.run(command, text=True, capture_output=True, check=True).stdout
    asked = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m), ([\d.]+)(B|KB|MB|GB) read", said)
    if not asked or "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"not all was answered by {url}: {said}")
    taken = float(asked[2]) * {"ms": 0.001, "s": 1, "m": 60}[asked[3]]
    read = float(asked[4]) * {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}[asked[5]]
    return {"requests_s": round(int(asked[1]) / taken, 1), "mb_s": round(read / taken / 1e6, 1)}
