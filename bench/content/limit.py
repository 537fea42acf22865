"""What the machine allows: the same files fetched, checked and forced to the disk, and the same rows, by nothing else."""

from __future__ import annotations

import json
import pathlib
import sqlite3
import subprocess
import time

from fixtures import Site
from services import Nginx, Postgres, remove

# A file, a unit, where it came from, and that a repository holds it: less than any store can do with.
TABLES = """
CREATE TABLE artifact (digest TEXT PRIMARY KEY, size BIGINT NOT NULL);
CREATE TABLE unit (id BIGINT PRIMARY KEY, path TEXT NOT NULL, digest TEXT NOT NULL, UNIQUE (path, digest));
CREATE TABLE source (unit BIGINT PRIMARY KEY, url TEXT NOT NULL);
CREATE TABLE held (repository BIGINT NOT NULL, unit BIGINT NOT NULL, version BIGINT NOT NULL,
                   PRIMARY KEY (repository, unit, version));
"""


def rows(site: Site, url: str) -> dict[str, list[tuple]]:
    entries = list(enumerate(site.entries()))
    return {
        "artifact": [(digest, size) for _, (_, digest, size) in entries],
        "unit": [(number, path, digest) for number, (path, digest, _) in entries],
        "source": [(number, f"{url}/{path}") for number, (path, _, _) in entries],
        "held": [(1, number, 1) for number, _ in entries],
    }


def fetch(program: pathlib.Path, site: Site, nginx: Nginx, scratch: pathlib.Path) -> dict:
    """Ten connections, as many as a remote has by itself."""
    out = scratch / "limit"
    remove(out)
    address = nginx.url.removeprefix("http://")
    command = [program, address, f"/{site.name}/v1", site.directory / "v1" / "PULP_MANIFEST", out, "10"]
    try:
        return json.loads(subprocess.run(command, text=True, capture_output=True, check=True).stdout)
    finally:
        remove(out)


def sqlite(site: Site, url: str, scratch: pathlib.Path) -> float:
    """Seconds until the rows are on the disk: one transaction."""
    path = scratch / "limit.db"
    for one in (path, path.with_name("limit.db-wal"), path.with_name("limit.db-shm")):
        one.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {TABLES}")
    tables = rows(site, url)
    begun = time.perf_counter()
    connection.execute("BEGIN")
    for table, lines in tables.items():
        places = ", ".join("?" * len(lines[0]))
        connection.executemany(f"INSERT INTO {table} VALUES ({places})", lines)
    connection.execute("COMMIT")
    taken = time.perf_counter() - begun
    connection.close()
    path.unlink()
    return taken


def postgres(site: Site, url: str, server: Postgres) -> float:
    """The same by COPY."""
    server.database("content_limit")
    server.sql(TABLES, "content_limit")
    taken = 0.0
    for table, lines in rows(site, url).items():
        text = "".join("\t".join(map(str, line)) + "\n" for line in lines)
        begun = time.perf_counter()
        server.sql(f"COPY {table} FROM STDIN", "content_limit", feed=text)
        taken += time.perf_counter() - begun
    server.sql("DROP DATABASE content_limit")
    return taken
