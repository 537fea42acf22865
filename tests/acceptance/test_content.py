"""Content through the clients of others: pulp-cli, pip and uv."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

Pulp = Callable[..., object]


@pytest.fixture(scope="module")
def base(controller: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own, as the one that commands start listens on no port that is known before."""
    data = tmp_path_factory.mktemp("content")
    arguments = ["tutti", "serve", "--data", str(data), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(arguments, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as server:
        socket = data / "tutti.sock"
        address = ""
        while not address:
            assert server.poll() is None, "the server has ended"
            if socket.exists():
                shown = subprocess.run(
                    ["curl", "-s", "--unix-socket", str(socket), "http://x/v1"], capture_output=True, check=False
                )
                address = json.loads(shown.stdout)["address"] if shown.returncode == 0 else ""
        yield f"http://{address}"
        server.terminate()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, pathlib.Path]]:
    """A site of files with their list."""
    site = tmp_path_factory.mktemp("source")
    handler = partial(SimpleHTTPRequestHandler, directory=site)
    handler.log_message = lambda *_: None
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", site
        server.shutdown()


def offer(site: pathlib.Path, files: dict[str, bytes]):
    """Puts files on the site, and a list of them."""
    lines = []
    for name, content in files.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        lines.append(f"{name},{hashlib.sha256(content).hexdigest()},{len(content)}\n")
    (site / "PULP_MANIFEST").write_text("".join(lines))


@pytest.fixture
def pulp(base: str, tmp_path: pathlib.Path) -> Pulp:
    """Runs pulp-cli; answers what it printed, read as JSON if it is."""
    config = tmp_path / "cli.toml"
    config.write_text(
        f'[cli]\nbase_url = "{base}"\nusername = "admin"\npassword = "password"\nverify_ssl = false\ntimeout = 120\n'
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_CONFIG_HOME": str(tmp_path)}

    def run(*arguments: str, refused: bool = False):
        command = [pathlib.Path(sys.executable).parent / "pulp", "--config", config, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
        assert (done.returncode != 0) == refused, f"pulp {' '.join(arguments)}: {done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read()


def test_mirror_promote_and_roll_back(pulp: Pulp, base: str, source: tuple[str, pathlib.Path]):
    url, site = source
    offer(site, {"d/one": b"1", "two": b"2"})
    assert {"core", "file", "python"} <= {one["component"] for one in pulp("status")["versions"]}
    pulp("file", "remote", "create", "--name", "m", "--url", f"{url}PULP_MANIFEST", "--policy", "on_demand")
    created = pulp("file", "repository", "create", "--name", "m", "--remote", "m")
    assert created["latest_version_href"].endswith("/versions/0/")
    pulp("file", "repository", "sync", "--repository", "m")
    publication = pulp("file", "publication", "create", "--repository", "m")
    pulp("file", "distribution", "create", "--name", "m", "--base-path", "m", "--publication", publication["pulp_href"])
    for name, content in (("d/one", b"1"), ("two", b"2")):
        assert get(f"{base}/pulp/content/m/{name}") == content
    manifest = get(f"{base}/pulp/content/m/PULP_MANIFEST").decode()
    assert sorted(line.split(",")[0] for line in manifest.splitlines()) == ["d/one", "two"]
    offer(site, {"two": b"22"})
    pulp("file", "repository", "sync", "--repository", "m", "--mirror")
    first, second = (
        pulp("file", "repository", "version", "show", "--repository", "m", "--version", str(n)) for n in (1, 2)
    )
    counts = {key: second["content_summary"][key]["file.file"]["count"] for key in ("added", "removed", "present")}
    assert counts == {"added": 1, "removed": 2, "present": 1}
    assert get(f"{base}/pulp/content/m/two") == b"2"
    pulp("file", "distribution", "update", "--name", "m", "--repository", "m")
    assert get(f"{base}/pulp/content/m/two") == b"22"
    pulp("file", "distribution", "update", "--name", "m", "--publication", publication["pulp_href"])
    assert get(f"{base}/pulp/content/m/two") == b"2"
    pulp("file", "repository", "version", "destroy", "--repository", "m", "--version", "1", refused=True)
    assert first["number"] == 1
    listed = pulp("file", "repository", "version", "list", "--repository", "m")
    assert [one["number"] for one in listed] == [2, 1, 0]
    assert len(pulp("file", "repository", "content", "list", "--repository", "m", "--version", "1")) == 2


def test_bring_files(pulp: Pulp, tmp_path: pathlib.Path):
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(random.randbytes(1000))
    large.write_bytes(random.randbytes(2_500_000))
    for path, chunk in ((small, "1MB"), (large, "1MB")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        artifact = pulp("artifact", "upload", "--file", str(path), "--chunk-size", chunk)
        assert (artifact["sha256"], artifact["size"]) == (digest, path.stat().st_size)
        unit = pulp("file", "content", "upload", "--file", str(path), "--relative-path", path.name)
        assert (unit["relative_path"], unit["sha256"]) == (path.name, digest)
        shown = pulp("file", "content", "show", "--relative-path", path.name, "--sha256", digest)
        assert shown["pulp_href"] == unit["pulp_href"]
    pulp("file", "repository", "create", "--name", "b", "--retain-repo-versions", "2")
    for path in (small, large):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        where = ("--repository", "b", "--relative-path", path.name, "--sha256", digest)
        pulp("file", "repository", "content", "add", *where)
    pulp("file", "repository", "content", "remove", *where)
    assert [one["number"] for one in pulp("file", "repository", "version", "list", "--repository", "b")] == [3, 2]
    pulp("file", "repository", "version", "repair", "--repository", "b", "--version", "2")
    pulp("file", "repository", "label", "set", "--repository", "b", "--key", "team", "--value", "x")
    assert len(pulp("file", "repository", "list", "--label-select", "team=x")) == 1
    pulp("file", "repository", "destroy", "--name", "b")
    pulp("file", "repository", "show", "--name", "b", refused=True)


def test_look_at_tasks(pulp: Pulp):
    newest = pulp("task", "list", "--limit", "1", "--state", "completed")[0]
    assert pulp("task", "show", "--wait", "--href", newest["pulp_href"])["state"] == "completed"
    assert pulp("task", "summary")["completed"] > 0
    assert pulp("task", "list", "--name-contains", "no-such-name") == []
    pulp("task", "purge", "--finished-before", "2001-01-01")
    assert pulp("task-group", "list") == []
    assert len(pulp("worker", "list")) == 1
    pulp("orphan", "cleanup", "--protection-time", "0")


def wheel(directory: pathlib.Path, name: str, version: str) -> pathlib.Path:
    """A wheel of one module."""
    path = directory / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"version = '{version}'\n")
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return path


def install(installer: list[str], index: str, target: pathlib.Path, name: str):
    """Installs a project from an index, and nothing from elsewhere."""
    command = [sys.executable, *installer, "--index-url", index, "--target", str(target), name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_installers_take_from_the_index(pulp: Pulp, base: str, tmp_path: pathlib.Path):
    pulp("python", "repository", "create", "--name", "py")
    pulp("python", "distribution", "create", "--name", "py", "--base-path", "py", "--repository", "py")
    for version in ("1.0", "1.1"):
        path = wheel(tmp_path, "tutti_probe", version)
        form = ["-F", ":action=file_upload", "-F", "name=tutti_probe", "-F", f"version={version}"]
        command = ["curl", "-sf", "-u", "a:b", *form, "-F", f"content=@{path}", f"{base}/pypi/py/legacy/"]
        subprocess.run(command, check=True, capture_output=True)
    index = f"{base}/pypi/py/simple/"
    for installer in (["-m", "pip", "install", "--no-cache-dir"], ["-m", "uv", "pip", "install", "--no-cache"]):
        target = tmp_path / installer[1]
        install(installer, index, target, "Tutti.Probe")
        assert (target / "tutti_probe.py").read_text() == "version = '1.1'\n"


def test_installers_take_from_a_mirrored_index(
    pulp: Pulp, base: str, source: tuple[str, pathlib.Path], tmp_path: pathlib.Path
):
    """Only metadata is fetched by the sync: the wheel comes when the first installer asks for it."""
    url, site = source
    pages = site / "simple" / "tutti-probe"
    pages.mkdir(parents=True)
    path = wheel(pages, "tutti_probe", "2.0")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (pages / "index.html").write_text(f'<a href="{path.name}#sha256={digest}">{path.name}</a>')
    remote = ("--url", url, "--policy", "on_demand", "--includes", '["tutti-probe"]')
    pulp("python", "remote", "create", "--name", "index", *remote)
    pulp("python", "repository", "create", "--name", "index", "--remote", "index")
    pulp("python", "repository", "sync", "--name", "index")
    pulp("python", "distribution", "create", "--name", "index", "--base-path", "a/index", "--repository", "index")
    for installer in (["-m", "pip", "install", "--no-cache-dir"], ["-m", "uv", "pip", "install", "--no-cache"]):
        target = tmp_path / installer[1]
        index = f"{base}/pypi/a/index/simple/"
        install(installer, index, target, "tutti-probe")
        assert (target / "tutti_probe.py").read_text() == "version = '2.0'\n"
        path.unlink(missing_ok=True)
