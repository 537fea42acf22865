"""Connections, groups, streams and servers that go away while peers use them."""

import time

import pytest

from brokers import RedisServer
from peers import STREAM, Bus
from processes import eventually


def fire(peer, **options):
    answer = peer.fire("user_registered", {"username": "ann", "email": "e"}, **options)
    assert "native_id" in answer, answer
    return answer["id"]


@pytest.fixture
def on_redis(tmp_path):
    """A bus on Redis alone: for what only Redis can be made to do."""
    broker = RedisServer()
    bus = Bus(broker, tmp_path)
    try:
        yield bus
    finally:
        bus.close()
        broker.stop()


def test_connections_that_are_killed(bus):
    worker = bus.rust("auth", serve=True)
    listener, client = bus.rust("rust"), bus.rust("client")
    listener.listen("all", "*")
    for _ in range(5):
        slow = client.ask("call", name="slow", arguments={"seconds": 0.3})
        # Had it not arrived, it would not be sent again: a call runs at most once.
        worker.next(slow=0.3)
        bus.redis.client_kill_filter(_type="normal", skipme=True)
        assert client.next(number=slow).get("result") == "done", "the result comes over another connection"
        listener.next(id=fire(client))
        assert client.call("add", {"a": 1}).get("result") == 8
    assert worker.is_running()


def test_python_peers_come_back_after_their_connections_are_killed(bus):
    worker = bus.python_worker(listen="all=*")
    rust = bus.rust("rust")
    bus.redis.client_kill_filter(_type="normal", skipme=True)
    worker.next(heard=fire(rust), within=12)
    assert rust.call("add", {"a": 1}, timeout_s=8).get("result") == 8


def test_a_server_that_comes_back_empty(bus):
    rust_worker, python_worker = bus.rust("auth", serve=True), bus.python_worker(service="auth", listen="all=*")
    listener, client = bus.rust("rust"), bus.rust("client")
    listener.listen("all", "*")
    fired = fire(client)
    listener.next(id=fired)
    python_worker.next(heard=fired)
    # A Python worker ends if it is just acknowledging, or looking for what others left.
    eventually("Python has acknowledged", lambda: bus.pending("auth-all") == 0)
    time.sleep(0.5)
    bus.broker.kill()
    time.sleep(0.5)
    bus.broker.start()
    fired = fire(client)
    assert listener.next(id=fired)["deliveries"] == 1
    assert client.call("add", {"a": 1}).get("result") == 8
    # Lightbus looks again every 5 s, and makes its group for what is fired after that.
    bus.wait_for_group("auth-all")
    python_worker.next(heard=fire(client))
    assert rust_worker.is_running() and python_worker.is_running()


def test_a_group_that_is_destroyed(bus):
    rust = bus.rust("rust")
    rust.listen("all", "*")
    rust.next(id=fire(rust, typed=True))
    bus.redis.xgroup_destroy(STREAM, "rust-all")
    # Those fired before the group is there again are not missed.
    for event in [fire(rust) for _ in range(20)]:
        rust.next(id=event)
    eventually("all are acknowledged", lambda: bus.pending("rust-all") == 0)
    assert not rust.said(listener=...), "and none is heard twice"


def test_a_stream_that_is_deleted(bus):
    rust = bus.rust("rust")
    rust.listen("all", "*")
    rust.next(id=fire(rust, typed=True))
    bus.redis.delete(STREAM)
    for event in [fire(rust) for _ in range(20)]:
        rust.next(id=event)
    eventually("all are acknowledged", lambda: bus.pending("rust-all") == 0)


def test_a_stream_that_is_trimmed_below_what_is_held(bus):
    rust = bus.rust("rust")
    rust.listen("slow", "user_registered", takes_s=0.3)
    fired = [fire(rust, typed=True) for _ in range(10)]
    bus.redis.xtrim(STREAM, maxlen=0, approximate=False)
    eventually("nothing is held for ever", lambda: bus.pending("rust-slow") == 0)
    after = fire(rust)
    rust.next(id=after)
    assert len(fired) == 10 and rust.is_running()


def test_no_acknowledged_event_is_lost_when_the_server_is_killed(lasting_bus, capsys):
    """Killed twice while eight fire and two hear: whatever was acknowledged to who fired it is heard."""
    bus = lasting_bus
    one, two = bus.rust("rust", "1"), bus.rust("rust", "2")
    client = bus.rust("client")
    for listener in (one, two):
        listener.listen("count", "*", counts=True)
    client.do("load", in_flight=8)
    for _ in range(2):
        time.sleep(2.0)
        bus.broker.kill()
        time.sleep(0.5)
        bus.broker.start()
    time.sleep(2.0)
    fired = client.do("stop_load", within=30)
    assert fired["errors"] == []
    heard, gaps = {}, []

    def missing():
        heard.clear()
        gaps.clear()
        for listener in (one, two):
            counted = listener.do("counted")
            gaps.append(counted["longest_gap_s"])
            for event, times in counted["times"].items():
                heard[event] = heard.get(event, 0) + times
        return set(fired["ids"]) - heard.keys()

    eventually("every event is heard", lambda: not missing(), within=20)
    eventually("every event is acknowledged", lambda: bus.pending("rust-count") == 0)
    again = sum(times - 1 for times in heard.values())
    unknown = len(heard.keys() - set(fired["ids"]))
    assert len(fired["ids"]) > 500, "the load was no load"
    with capsys.disabled():
        print(
            f"\n{bus.broker.name}, killed twice: {len(fired['ids'])} events fired, none lost, {again} delivered again, "
            f"{unknown} delivered whose firing was not acknowledged; longest gap {fired['longest_gap_s']:.2f} s firing, "
            f"{max(gaps):.2f} s hearing"
        )
