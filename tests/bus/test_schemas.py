"""Schemas: what one language stores, the other checks by."""

import json

from peers import API, QUEUE, STREAM
from processes import eventually


def schema(bus):
    return json.loads(eventually("the schema is stored", lambda: bus.redis.get(f"schema:{API}")))


def comparable(value, key=None):
    """Without descriptions, which Lightbus has none of, and with names in one order: Python's come from a set."""
    if isinstance(value, dict):
        return {name: comparable(each, name) for name, each in value.items() if name not in ("description", "title")}
    if isinstance(value, list):
        values = [comparable(each) for each in value]
        return sorted(values) if key == "required" else values
    return value


def test_both_languages_describe_the_api_alike(bus):
    worker = bus.python_worker()
    python = comparable(schema(bus))
    worker.stop()
    bus.redis.flushall()
    bus.rust(serve=True)
    rust = comparable(schema(bus))
    for kind in ("rpcs", "events"):
        assert rust[kind].keys() == python[kind].keys()
        for name in rust[kind]:
            for part in rust[kind][name]:
                assert rust[kind][name][part] == python[kind][name][part], f"{name}, {part}"


def test_schemas_live_as_long_as_they_are_kept(bus):
    worker = bus.rust(serve=True, schema_ttl=2)
    assert 0 < bus.redis.ttl(f"schema:{API}") <= 2
    bus.redis.delete(f"schema:{API}")
    eventually("it is stored again", lambda: bus.redis.exists(f"schema:{API}"))
    worker.stop()
    eventually("it expires", lambda: not bus.redis.exists(f"schema:{API}"))
    assert API in bus.redis.smembers("schemas")


def test_a_rust_client_finds_the_schema_of_a_service_that_came_later(bus):
    rust = bus.rust()
    # It looks for a schema, and there is none.
    assert rust.call("add", {"a": 1}, timeout_s=0.1)["kind"] == "timeout"
    bus.python_worker()
    assert rust.call("add", {"a": "x"})["kind"] == "invalid"
    assert rust.call("add", {"a": 1}).get("result") == 8


def test_what_is_refused_does_not_reach_the_bus(bus):
    worker = bus.rust("auth", serve=True)
    python, rust = bus.python_client(owner=False), bus.rust("client")
    for client in (python, rust):
        assert client.call("add", {"a": 1}).get("result") == 8
    worker.stop()
    for client in (python, rust):
        assert client.call("add", {"a": "x"})["kind"] == "invalid"
    assert rust.fire("user_registered", {"username": 1})["kind"] == "invalid"
    assert bus.redis.llen(QUEUE) == 0 and not bus.redis.exists(STREAM)
