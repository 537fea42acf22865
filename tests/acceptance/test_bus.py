"""`tutti bus` against its own broker, with a service in Rust and a peer that speaks Lightbus's wire by hand."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest

API = "my_company.auth"
AUTH = pathlib.Path(shutil.which("tutti") or "tutti").resolve().parent / "examples/auth"


class Broker:
    """`tutti bus serve` in a directory of its own."""

    def __init__(self, directory: pathlib.Path):
        self.directory = directory
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["tutti", "bus", "serve", "--listen", "127.0.0.1:0"]
            + ["--unix", str(self.directory / "bus.sock"), "--data", str(self.directory)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        lines = [self.process.stdout.readline().strip() for _ in range(2)]
        assert lines[0] == f"redis+unix://{self.directory}/bus.sock"
        self.url = lines[1]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)

    def raw(self, *words: str | int):
        """One command on a connection of its own."""
        host, port = self.url.removeprefix("redis://").split("/")[0].split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            encoded = [str(word).encode() for word in words]
            parts = [b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded]
            connection.sendall(b"*%d\r\n%s" % (len(parts), b"".join(parts)))
            return answer(connection.makefile("rb"))

    def describe(self, api: str, rpcs: dict, events: dict):
        """Stores a schema as a worker does."""
        self.raw("SET", f"schema:{api}", json.dumps({"rpcs": rpcs, "events": events}))
        self.raw("SADD", "schemas", api)


def answer(file):
    kind, rest = file.read(1), file.readline().strip()
    if kind in b"+:":
        return int(rest) if kind == b":" else rest.decode()
    if kind == b"-":
        raise RuntimeError(rest.decode())
    if int(rest) < 0:
        return None
    if kind == b"$":
        return file.read(int(rest) + 2)[:-2].decode()
    return [answer(file) for _ in range(int(rest))]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("bus"))
    yield broker
    broker.stop()


@pytest.fixture(scope="module")
def service(broker: Broker) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [AUTH, "serve", broker.url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert "serving" in process.stdout.readline()
    yield process
    process.send_signal(signal.SIGINT)
    process.wait(30)


@pytest.fixture
def bus(broker: Broker) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `tutti bus`."""

    def run(*arguments: str, code: int = 0, **options) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["tutti", "bus", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ | {"TUTTI_BUS_URL": broker.url},
            **options,
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    return run


@pytest.fixture
def start(broker: Broker) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `tutti bus`, with stdout to read."""
    processes = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["tutti", "bus", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"TUTTI_BUS_URL": broker.url},
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], object]):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.05)


def test_calls(service, bus):
    call = ("call", f"{API}.check_password")
    assert bus(*call, "username=ann", "password=secret").stdout == "true\n"
    assert bus(*call, "username=ann", "password=12").stdout == "false\n"
    assert bus(*call, '{"username": "ann", "password": "secret"}').stdout == "true\n"
    assert bus(*call, "-", input='{"username": "a", "password": "b"}').stdout == "false\n"


def test_what_does_not_fit_is_refused_before_it_is_sent(service, bus):
    call = ("call", f"{API}.check_password", "username=ann")
    for arguments, words in [
        (call, ["password is missing", f"tutti bus schema {API}.check_password"]),
        ((*call, "pasword=x"), ['no parameter "pasword"', 'did you mean "password"']),
        (("call", f"{API}.check_pasword"), ['did you mean "check_password"']),
        (("call", "my_company.auht.check_password"), ["no API", f'did you mean "{API}"']),
        (("fire", f"{API}.came_in", '{"username": 1}'), ["username must be a string"]),
        (("fire", f"{API}.came_out"), ['did you mean "came_in"']),
    ]:
        done = bus(*arguments, code=1)
        assert done.stdout == ""
        assert all(word in done.stderr for word in words), done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_bus_that_is_not_there(bus):
    done = bus("apis", "--url", "redis://127.0.0.1:1", code=1)
    for words in ("127.0.0.1:1", "cannot be reached", "bus serve", "--url"):
        assert words in done.stderr
    assert bus("apis", "--url", "ftp://x", code=2).stderr.count("--url")


def test_a_failure_comes_with_its_trace(broker: Broker, bus):
    broker.describe("their.api", {"fail": {"parameters": {"type": "object"}, "response": {}}}, {})

    def work():
        _, blob = broker.raw("BLPOP", "their.api:rpc_queue", 30)
        metadata = json.loads(blob)["metadata"]
        broker.raw("DEL", f"rpc_expiry_key:{metadata['id']}")
        result = {
            "kwargs": {"result": "ValueError('no')"},
            "metadata": {
                "id": "1",
                "rpc_message_id": metadata["id"],
                "error": True,
                "trace": "Traceback:\n  File x\nValueError: no",
            },
        }
        broker.raw("LPUSH", metadata["return_path"].removeprefix("redis+key://"), json.dumps(result))

    worker = threading.Thread(target=work)
    worker.start()
    done = bus("call", "their.api.fail", code=1)
    worker.join()
    assert "their.api.fail failed: ValueError('no')" in done.stderr
    assert "File x" in done.stderr
    silent = bus("call", "their.api.fail", "--timeout", "200ms", code=1)
    assert "no answer from their.api.fail within 200ms" in silent.stderr


def test_events_are_watched_and_looked_up(service, bus, start):
    follower = start("listen", f"{API}.*", "--format", "json", "--count", "2", "--since", "$")
    history = start("inspect", "--api", API, "--follow", "--where", "username=bob", "--limit", "5")
    time.sleep(2)
    fired = bus("fire", f"{API}.came_in", "username=bob").stdout.split()
    bus("fire", f"{API}.came_in", "username=eve")
    seen = [json.loads(follower.stdout.readline()) for _ in range(2)]
    assert follower.wait(30) == 0
    assert [event["parameters"]["username"] for event in seen] == ["bob", "eve"]
    assert [seen[0]["id"], seen[0]["native_id"]] == fired

    def inspect(*arguments: str) -> list[dict]:
        lines = bus("inspect", "--format", "json", *arguments).stdout.splitlines()
        return [json.loads(line) for line in lines]

    newest = inspect("--api", "my_*", "--limit", "2")
    assert [event["parameters"]["username"] for event in newest] == ["eve", "bob"]
    assert inspect("--native-id", fired[1]) == inspect("--id", fired[0]) == [seen[0]]
    assert inspect("--event", "gone") == inspect("--version", "7") == []
    assert inspect("--json-path", "$.username=bob", "--limit", "1") == [seen[0]]
    assert len(inspect("--since", fired[1], "--api", API)) == 2
    assert "username=bob" in history.stdout.readline()
    bus("fire", f"{API}.came_in", "username=bob")
    assert fired[1] not in history.stdout.readline()
    history.send_signal(signal.SIGINT)
    assert history.wait(30) == 0


def test_a_listener_goes_on_where_it_was(service, bus):
    listen = ("listen", f"{API}.came_in", "--listener", "here", "--format", "json")
    for name in ("one", "two", "three"):
        bus("fire", f"{API}.came_in", f"username={name}")
    (oldest,) = json.loads("[" + bus(*listen, "--since", "0", "--count", "1").stdout + "]")
    rest = bus(*listen, "--count", "2").stdout.splitlines()
    assert [json.loads(line)["native_id"] for line in rest] > [oldest["native_id"]]
    stats = json.loads(bus("stats", API, "--format", "json").stdout)
    (stream,) = stats["streams"]
    groups = {group["group"]: group for group in stream["groups"]}
    assert groups["tutti-cli-here"]["read"] >= 3
    assert "auth-log" in bus("stats", "--consumers").stdout
    assert stats["calls_waiting"] == {API: 0}
    assert "wildcards" in bus("listen", "my*.came_in", "--listener", "x", code=2).stderr


def test_dead_letters(service, broker: Broker, bus):
    event = ("id", "dead", "api_name", API, "event_name", "came_in", "version", 1)
    native_id = broker.raw("XADD", f"{API}.*:stream", "*", *event, ":username", 7)

    def letters() -> list[dict]:
        return json.loads(bus("dead-letters", "list", "--format", "json").stdout)

    wait_until(letters)
    (letter,) = letters()
    assert (letter["group"], letter["event"], letter["native_id"]) == ("auth-log", "came_in", native_id)
    assert letter["parameters"] == {"username": 7}
    assert "username" in letter["error"]
    checked = bus("inspect", "--validate", "--native-id", native_id).stdout
    assert "username must be a string" in checked
    shown = json.loads(bus("dead-letters", "show", "auth-log", letter["id"]).stdout)
    assert shown == letter
    # It comes back, because it still cannot be handled.
    bus("dead-letters", "replay", "auth-log", letter["id"])
    wait_until(lambda: [one["id"] for one in letters()] > [letter["id"]])
    (again,) = letters()
    stats = json.loads(bus("stats", "--format", "json").stdout)
    assert stats["dead_letters"] == {"auth-log": 1}
    done = bus("dead-letters", "drop", "auth-log", "1-0", "x", again["id"], code=1).stderr
    for words in ("1 event of auth-log dropped", "2 events of auth-log not dropped", "no dead letter 1-0", "  x: "):
        assert words in done, done
    assert letters() == []
    broker.raw("XADD", f"{API}.*:stream", "*", *event, ":username", 7)
    wait_until(letters)
    done = bus("dead-letters", "replay", "auth-log", "1-0", code=1).stderr
    assert "0 events of auth-log given back" in done and "no dead letter 1-0" in done
    assert 'did you mean "auth-log"' in bus("dead-letters", "list", "auth-lgo", code=1).stderr
    bus("dead-letters", "drop", "auth-log", "--all", "--no-prompt")
    assert letters() == []


def test_an_event_is_acknowledged_for_everybody(service, broker: Broker, bus):
    stream = "their.events.*:stream"
    for group in ("a-one", "b-two"):
        broker.raw("XGROUP", "CREATE", stream, group, "$", "MKSTREAM")
    fields = ("id", "1", "api_name", "their.events", "event_name", "e", "version", "x", ":p", "{")
    native_id = broker.raw("XADD", stream, "*", *fields)
    for group in ("a-one", "b-two"):
        broker.raw("XREADGROUP", "GROUP", group, "c", "STREAMS", stream, ">")
    assert "(the parameter p" in bus("inspect", "--api", "their.events").stdout
    assert "2 groups" in bus("ack", "their.events.e", native_id).stderr
    assert "no group holds" in bus("ack", "their.events.e", native_id, code=1).stderr


def test_schemas_and_configuration(service, bus, tmp_path: pathlib.Path):
    assert API in bus("apis").stdout
    signature = bus("schema", f"{API}.check_password").stdout
    assert "check_password(password: string, username: string) -> boolean" in signature
    document = json.loads(bus("schema", API, "--format", "json").stdout)
    bus("dumpschema", "--out", str(tmp_path))
    assert json.loads((tmp_path / f"{API}.json").read_text()) == {API: document}
    bus("dumpschema", "--out", str(tmp_path / "all.json"))
    assert json.loads((tmp_path / "all.json").read_text())[API] == document
    assert json.loads(bus("dumpconfigschema").stdout)["title"] == "RootConfig"
    config = tmp_path / "lightbus.yaml"
    config.write_text("service_name: shop\napis: {default: {rpc_timeout: 3}}\n")
    assert "nothing is wrong" in bus("check-config", str(config)).stderr
    config.write_text("service_nmae: shop\n")
    assert "service_name" in bus("check-config", str(config), code=1).stderr


def test_the_shell_runs_a_script(service, bus):
    script = f"""
        # what people type
        apis
        {API}.check_password username=ann password="secret"
        call {API}.check_password {{"username": "ann", "password": "no"}}
        listen {API}.*
        fire {API}.came_in username='from a script'
        sleep 1s
        history --limit 1
    """
    lines = bus("shell", input=script).stdout.splitlines()
    assert [line for line in lines if line in ("true", "false")] == ["true", "false"]
    assert sum('username="from a script"' in line for line in lines) == 2
    failed = bus("shell", input=f"{API}.nothing\napis\n", code=1)
    assert "no procedure" in failed.stderr and failed.stdout == ""


def test_a_broker_keeps_events_and_ends_when_told(tmp_path: pathlib.Path):
    broker = Broker(tmp_path)
    native_id = broker.raw("XADD", "a.*:stream", "*", "api_name", "a", "event_name", "e", ":x", 1)
    assert broker.stop() == 0
    assert not (tmp_path / "bus.sock").exists()
    broker.start()
    environment = os.environ | {"TUTTI_BUS_URL": str(tmp_path / "bus.sock")}
    run = ["tutti", "bus", "inspect", "--format", "json"]
    found = subprocess.run(run, capture_output=True, text=True, env=environment, check=True)
    assert json.loads(found.stdout)["native_id"] == native_id
    again = ["tutti", "bus", "serve", "--listen", "127.0.0.1:0", "--data", str(tmp_path)]
    second = subprocess.run(again, capture_output=True, text=True, timeout=60)
    assert second.returncode == 1 and "in use by another process" in second.stderr
    assert broker.stop(signal.SIGINT) == 0


def test_the_controller_has_a_bus(controller: pathlib.Path, tutti):
    tutti("models")
    wait_until((controller / "bus.sock").is_socket)
    environment = {name: value for name, value in os.environ.items() if name != "TUTTI_BUS_URL"}
    wait_until(lambda: "tutti.unit" in tutti("bus", "apis", env=environment).stdout)
    tutti("add-model", "announced")
    inspect = ["bus", "inspect", "--api", "tutti.model", "--where", "model=announced"]
    inspect += ["--validate", "--format", "json"]
    wait_until(lambda: tutti(*inspect, env=environment).stdout)
    event = json.loads(tutti(*inspect, env=environment).stdout)
    assert (event["event"], event["parameters"]["model"]) == ("created", "announced")
    assert event["id"].endswith(f":{event['parameters']['seq']}") and not event.get("problem")


def test_a_password_is_used_by_who_looks_on_this_machine(tmp_path: pathlib.Path):
    environment = os.environ | {"TUTTI_DATA": str(tmp_path), "TUTTI_BUS_PASSWORD": "a secret/@"}
    environment.pop("TUTTI_BUS_URL", None)
    socket = tmp_path / "bus.sock"
    with subprocess.Popen(
        ["tutti", "bus", "serve", "--unix", str(socket)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    ) as process:
        assert str(socket) in process.stdout.readline()
        for password, code in (("a secret/@", 0), ("another", 1), ("", 1)):
            looking = environment | {"TUTTI_BUS_PASSWORD": password}
            done = subprocess.run(["tutti", "bus", "apis"], env=looking, capture_output=True, text=True, timeout=60)
            assert done.returncode == code, f"{password}: {done.stderr}"
        process.terminate()


def test_a_place_for_the_data_that_is_a_file(tmp_path: pathlib.Path):
    (tmp_path / "file").write_text("")
    command = ["tutti", "bus", "serve", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"cannot make the directory {tmp_path}/file for the bus" in done.stderr
