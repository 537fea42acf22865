"""The messages that showed what Python peers do not survive (`compat_matrix.json`), turned round: sent to Rust peers.

Each is answered if it can be, put aside if not, and ends nobody.
"""

import json
import os

import pytest

from peers import QUEUE, STREAM
from processes import eventually

MATRIX = os.path.join(os.path.dirname(__file__), "../../crates/bus/tests/vectors/compat_matrix.json")
with open(MATRIX) as file:
    CASES = json.load(file)

# Calls that a Rust worker answers well. More than Python does: what is not known is ignored, and moments are read in all forms.
GOOD_CALLS = {
    "plain message, compact JSON, keys in any order",
    "UTF-8 not escaped in the JSON",
    "extra key in metadata",
    "extra key at the top level of the blob",
    "return_path naming any other key",
    "1.0 for an int",
    # Here it has a default.
    "missing parameter",
    "typed: all good",
    "typed: datetime with Z",
    "typed: datetime with nanoseconds",
    "typed: datetime with one decimal",
    "typed: datetime without offset",
    "typed: base64 without padding",
    "typed: dataclass field omitted (has a default)",
    "typed: uuid in upper case without dashes",
}
DROPPED_CALLS = {
    "no expiry key",
    "no return_path",
    "empty return_path",
    "return_path of another scheme",
    "not JSON",
}
# Events that a Rust listener of `user_registered` hears, that it puts aside, and that are not for it.
HEARD_EVENTS = {
    "plain event",
    "fields in another order (kwargs first)",
    "no version",
    "empty version",
    "version 0",
    "version 1.0",
    "extra metadata field",
    "extra field with an empty name",
    "missing parameter that has a default",
    "metadata native_id",
}
BAD_EVENTS = {
    "unknown parameter",
    "missing parameter",
    "wrong type",
    "parameter is not JSON",
}
GOOD_RESULTS = {
    "plain result",
    "no error key",
    "extra metadata key",
    "extra top-level key",
    "extra kwarg",
    "no id",
}


def test_calls_to_a_rust_worker(bus):
    worker = bus.rust("auth", serve=True)
    for case in CASES["rpc_to_python_worker"]:
        name, blob = case["case"], case["sent"]
        if name != "no expiry key":
            bus.redis.set("rpc_expiry_key:rust-1", 1, ex=5)
        bus.redis.rpush(QUEUE, blob)
        if name in DROPPED_CALLS:
            eventually(f"{name} is taken", lambda: bus.redis.llen(QUEUE) == 0)
            bus.redis.delete("rpc_expiry_key:rust-1")
            continue
        answer = bus.redis.blpop(json.loads(blob)["metadata"]["return_path"][len("redis+key://") :], 5)
        assert answer, f"{name}: no answer"
        answer = json.loads(answer[1])
        assert answer["metadata"]["rpc_message_id"] == "rust-1", name
        assert answer["metadata"]["error"] == (name not in GOOD_CALLS), f"{name}: {answer}"
        assert set(answer["metadata"]) <= {"id", "rpc_message_id", "error", "trace"}, "more would end a Python caller's call"
    assert worker.is_running()
    assert bus.rust("client").call("add", {"a": 1}).get("result") == 8
    assert not bus.redis.keys("*result*"), "nobody was answered twice"


def test_events_to_rust_listeners(bus):
    bus.rust("owner", serve=True)
    listener = bus.rust("rust")
    listener.listen("one", "user_registered", typed=True)
    listener.listen("all", "*")
    for case in CASES["event_to_python_listener"]:
        name = case["case"]
        fields = dict(zip(case["sent"][::2], case["sent"][1::2]))
        sent = bus.redis.xadd(STREAM, fields)
        last = bus.redis.xadd(STREAM, {"id": "last", "api_name": "my_company.auth", "event_name": "untyped", "version": 1, ":a": 1, ":b": 2})
        # Whoever is through with this one is through with what came before.
        listener.next(listener="all", native_id=last)
        heard = {said["listener"] for said in listener.said(native_id=sent)}
        assert ("one" in heard) == (name in HEARD_EVENTS), f"{name}: {heard}"
        aside = eventually(
            f"{name} is dealt with",
            lambda: bus.pending("rust-one") == 0 and [listener.dead_letters("rust-one"), listener.dead_letters("rust-all")],
        )
        is_aside = any(letter["native_id"] == sent for letter in aside[0])
        assert is_aside == (name in BAD_EVENTS), f"{name}: {aside[0][-1:]}"
        if is_aside:
            assert any(letter["native_id"] == sent for letter in aside[1]), name
    eventually("all is acknowledged", lambda: bus.pending("rust-all") == 0)


@pytest.fixture
def rust_client(bus):
    """A Rust client that knows the schema of an API whose worker is gone."""
    worker = bus.rust("auth", serve=True)
    client = bus.rust("client")
    assert client.call("add", {"a": 1}).get("result") == 8
    worker.stop()
    return client


def test_results_to_a_rust_client(bus, rust_client):
    for case in CASES["result_to_python_client"]:
        name = case["case"]
        number = rust_client.ask("call", name="add", arguments={"a": 1, "b": 2}, timeout_s=0.7)
        call = json.loads(bus.redis.blpop(QUEUE, 5)[1])
        bus.redis.delete("rpc_expiry_key:" + call["metadata"]["id"])
        blob = case["sent"] if case["sent"] == "{nope" else json.dumps(case["sent"])
        results = call["metadata"]["return_path"][len("redis+key://") :]
        bus.redis.lpush(results, blob.replace('"@"', json.dumps(call["metadata"]["id"])))
        answer = rust_client.next(number=number)
        if name in GOOD_RESULTS:
            assert answer.get("result") == 3, f"{name}: {answer}"
        elif name in ("another rpc_message_id", "not JSON"):
            # It is nobody's: one list receives the results of all calls of a process.
            assert answer["kind"] == "timeout", f"{name}: {answer}"
        elif name.startswith("error"):
            assert answer["kind"] == "remote" and "Boom" in answer["error"], f"{name}: {answer}"
        else:
            assert answer["kind"] == "invalid", f"{name}: {answer}"
    assert rust_client.is_running()


def test_nothing_a_rust_peer_sends_ends_a_python_worker(bus):
    worker = bus.python_worker(listen="all=* one=user_registered")
    rust = bus.rust("rust")
    refused = [
        rust.call("nope"),
        rust.call("add", {}),
        rust.call("add", {"a": 1, "b": 2, "c": 3}),
        rust.call("add", {"a": "1", "b": []}),
        rust.call("typed_rpc", {"when": 1}),
        rust.fire("brand_new", {"z": 1}),
        rust.fire("user_registered", {"username": 1, "email": "e"}),
        rust.fire("untyped", {"a": 1}),
    ]
    assert {answer["kind"] for answer in refused} == {"invalid"}, refused
    # Answers of a Rust worker beside it, to calls of a Python client: failures with and without a trace.
    beside = bus.rust("python", "beside", serve=True)
    client = bus.python_client()
    for _ in range(4):
        assert client.call("fail", {"why": "x"})["kind"] == "remote"
        assert client.call("describe", "typed").get("result")
    for event in ("untyped", "typed"):
        rust.fire(event, {"a": None, "b": [1]}, typed=event == "typed")
    last = rust.fire("user_registered", {"username": "é\u0000😀", "email": "\ud83d\ude00"})
    for _ in ("all", "one"):
        worker.next(heard=last["id"])
    assert beside.is_running() and worker.is_running()
