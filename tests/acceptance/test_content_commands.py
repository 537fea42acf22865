"""`tutti content`: a mirror of a list of files, its versions, and what is served of them."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import pathlib
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


class Upstream:
    """A list of files as Pulp publishes them, on loopback."""

    def __init__(self, directory: pathlib.Path):
        self.directory = directory
        handler = functools.partial(Quiet, directory=str(directory))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/PULP_MANIFEST"

    def hold(self, files: dict[str, bytes], **lies: str):
        """Puts files there; `lies` are digests that the list gives in place of the true ones."""
        lines = []
        for name, content in files.items():
            (self.directory / name).write_bytes(content)
            digest = lies.get(name, hashlib.sha256(content).hexdigest())
            lines.append(f"{name},{digest},{len(content)}")
        (self.directory / "PULP_MANIFEST").write_text("\n".join(lines) + "\n")


@pytest.fixture
def upstream(tmp_path: pathlib.Path) -> Iterator[Upstream]:
    upstream = Upstream(tmp_path)
    yield upstream
    upstream.server.shutdown()


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def mirrored(tutti, *arguments: str) -> dict:
    return json.loads(tutti("content", "mirror", *arguments, "--format", "json").stdout)


def test_a_mirror_has_versions_that_can_be_served_and_rolled_back(tutti, upstream: Upstream):
    upstream.hold({"a.txt": b"one", "b.txt": b"two"})
    first = mirrored(tutti, upstream.url, "--name", "files")
    assert (first["version"], first["added"], first["left_out"]) == (1, 2, 0)
    url = first["url"]
    assert fetched(url + "a.txt") == b"one"

    assert mirrored(tutti, "files")["is_new"] is False

    upstream.hold({"a.txt": b"changed", "c.txt": b"three"})
    second = mirrored(tutti, "files")
    assert (second["version"], second["added"], second["removed"]) == (2, 2, 2)
    assert fetched(url + "a.txt") == b"changed"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetched(url + "b.txt")

    assert tutti("content", "diff", "files", "1", "2").stdout == "~ a.txt\n- b.txt\n+ c.txt\n"
    versions = json.loads(tutti("content", "versions", "files", "--format", "json").stdout)
    assert [one["version"] for one in versions] == [2, 1, 0]
    assert versions[0]["served"] == ["files"]

    tutti("content", "promote", "files", "1", "--to", "stable")
    tutti("content", "rollback", "files")
    assert fetched(url + "a.txt") == b"one"
    assert fetched(url.replace("/files/", "/stable/") + "b.txt") == b"two"
    tutti("content", "promote", "files")
    assert fetched(url + "a.txt") == b"changed"

    (listed,) = json.loads(tutti("content", "list", "--format", "json").stdout)
    assert (listed["name"], listed["units"], len(listed["served"])) == ("files", 2, 2)
    shown = json.loads(tutti("content", "show", "files", "1", "--format", "json").stdout)
    assert [one["path"] for one in shown] == ["a.txt", "b.txt"]

    assert "frees its space" in tutti("content", "remove", "files").stdout
    assert json.loads(tutti("content", "list", "--format", "json").stdout) == []
    cleaned = json.loads(tutti("content", "clean", "--unused", "0s", "--format", "json").stdout)
    assert cleaned["units"] >= 4


def test_what_cannot_be_fetched_is_named_and_stays_as_it_was(tutti, upstream: Upstream):
    upstream.hold({"a.txt": b"one", "b.txt": b"two"})
    mirrored(tutti, upstream.url, "--name", "partly")
    upstream.hold({"a.txt": b"one more", "b.txt": b"two more"}, **{"b.txt": "0" * 64})
    done = tutti("content", "mirror", "partly", "--format", "json")
    answer = json.loads(done.stdout)
    assert (answer["version"], answer["left_out"]) == (2, 1)
    assert "b.txt" in done.stderr
    assert fetched(answer["url"] + "a.txt") == b"one more"
    assert fetched(answer["url"] + "b.txt") == b"two"
    tutti("content", "remove", "partly")


def test_files_are_fetched_when_they_are_asked_for(tutti, upstream: Upstream):
    upstream.hold({"a.txt": b"one"})
    mirrored(tutti, upstream.url, "--name", "later", "--policy", "on-demand")
    answer = mirrored(tutti, "later", "--policy", "on-demand")
    assert answer["downloaded"] == 0
    assert fetched(answer["url"] + "a.txt") == b"one"
    (upstream.directory / "a.txt").unlink()
    assert fetched(answer["url"] + "a.txt") == b"one", "it is kept"
    tutti("content", "remove", "later")


def test_own_files_are_uploaded(tutti, tmp_path: pathlib.Path):
    file = tmp_path / "notes.txt"
    file.write_text("notes")
    answer = json.loads(tutti("content", "upload", "own", str(file), "--into", "docs", "--format", "json").stdout)
    assert answer["version"] == 1
    assert fetched(answer["url"] + "docs/notes.txt") == b"notes"
    tutti("content", "remove", "own")


def test_refusals_say_what_to_do(tutti, tmp_path: pathlib.Path):
    for arguments, said in [
        (["mirror", "nothing"], "there is no repository \"nothing\": 'tutti content list' shows"),
        (["mirror", "http://127.0.0.1:1/x"], "say with --type what is at"),
        (["versions", "nothing"], "there is no repository"),
        (["mirror", "http://127.0.0.1:1/PULP_MANIFEST", "--name", "gone"], "'tutti content remove gone'"),
        (["rollback", "gone"], "has no version before"),
        (["upload", "x", str(tmp_path / "gone")], "is no file"),
    ]:
        done = tutti("content", *arguments, check=False)
        assert done.returncode != 0
        assert said in done.stderr, done.stderr
    tutti("content", "remove", "gone")
