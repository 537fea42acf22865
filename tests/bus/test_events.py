"""Events between the languages, on each broker."""


import pytest

from peers import API, STREAM
from processes import eventually

REGISTERED = {"username": "ann", "email": "ann@example.com"}


def fire(peer, arguments=None, **options):
    answer = peer.fire("user_registered", arguments or {**REGISTERED, "is_admin": True}, **options)
    assert "native_id" in answer, answer
    return answer["id"]


def test_every_listener_hears_every_event_of_both_languages(bus):
    worker = bus.python_worker(listen="one=user_registered all=*")
    rust = bus.rust("rust")
    rust.listen("typed", "user_registered", typed=True)
    rust.listen("all", "*")
    python_client = bus.python_client()
    fired = [
        fire(python_client),
        fire(rust, typed=True),
        # Python must be given every parameter; what is left out here is filled in by the schema.
        fire(rust, REGISTERED),
    ]
    for number, event in enumerate(fired):
        is_admin = number < 2
        for _ in ("one", "all"):
            heard = worker.next(heard=event)
            assert heard["parameters"]["username"] == "'ann'"
            assert heard["parameters"]["is_admin"] == repr(is_admin)
        for listener in ("typed", "all"):
            heard = rust.next(listener=listener, id=event)
            assert heard["parameters"] == {**REGISTERED, "is_admin": is_admin}
            assert heard["event"] == "user_registered" and heard["version"] == 1
            assert heard["deliveries"] == 1
    for group in ("python-one", "python-all", "rust-typed", "rust-all"):
        eventually(f"{group} has acknowledged all", lambda: bus.pending(group) == 0)
    assert not worker.said(heard=...) and not rust.said(listener=...), "no event is heard twice"


def test_only_wildcards_hear_other_events(bus):
    worker = bus.python_worker(listen="one=user_registered all=*")
    rust = bus.rust("rust")
    rust.listen("one", "user_registered")
    rust.listen("all", "*")
    other = rust.fire("untyped", {"a": 1, "b": {"c": [None]}})["id"]
    wanted = fire(rust)
    assert worker.next(heard=other)["parameters"] == {"a": "1", "b": "{'c': [None]}"}
    assert rust.next(id=other)["listener"] == "all"
    for _ in ("one", "all"):
        worker.next(heard=wanted)
        rust.next(id=wanted)
    assert not worker.said(heard=other) and not rust.said(id=other)
    eventually("what was not wanted is acknowledged", lambda: bus.pending("rust-one") == 0)


def test_parameters_of_every_type(bus):
    worker = bus.python_worker(listen="types=typed")
    rust = bus.rust("rust")
    rust.listen("types", "typed", typed=True)
    fired = [bus.python_client().fire("typed", "typed"), rust.fire("typed", typed=True)]
    for event in fired:
        heard = worker.next(heard=event["id"])["parameters"]
        uid = "12345678-1234-5678-1234-567812345678"
        # Lightbus 1.1.2 leaves UUIDs as they came from Python 3.10 on, and decimals from 3.13 on.
        assert heard.pop("uid") in (f"UUID('{uid}')", repr(uid))
        assert heard.pop("price") in ("Decimal('12.50')", "'12.50'")
        assert heard == {
            "when": "datetime.datetime(2024, 2, 29, 13, 5, 7, 250000, tzinfo=datetime.timezone.utc)",
            "day": "datetime.date(2024, 2, 29)",
            "blob": r"b'\x00\xffhi'",
            "colour": "<Colour.RED: 'red'>",
            "point": "Point(x=1, y=2)",
            "user": "User(username='ann', admin=True)",
            "tags": "['a', 'é', '😀']",
            "pair": "(1, 'x')",
            "mapping": "{'k': 1}",
            "nothing": "None",
            "num": "0.5",
            "big": "1180591620717411303424",
            "anything": "[1, None]",
            "either": "'x'",
            "money": "Money('9.99')",
            "phase": "(1+2j)",
            "names": "{'only-one'}",
        }
        heard = rust.next(listener="types", id=event["id"])["parameters"]
        assert heard == {
            "when": "2024-02-29T13:05:07.250000+00:00",
            "day": "2024-02-29",
            "price": "12.50",
            "uid": uid,
            "blob": "AP9oaQ==",
            "colour": "red",
            "point": {"x": 1, "y": 2},
            "user": {"username": "ann", "admin": True},
            "tags": ["a", "é", "😀"],
            "pair": [1, "x"],
            "mapping": {"k": 1},
            "nothing": None,
            "num": 0.5,
            "big": heard["big"],
            "anything": [1, None],
            "either": "x",
            "money": "9.99",
            "phase": "(1+2j)",
            "names": ["only-one"],
        }
        assert int(heard["big"]) == 2**70


def test_a_new_group_begins_where_it_wants_to(bus):
    rust = bus.rust("rust")
    old = [fire(rust, typed=True) for _ in range(3)]
    worker = bus.python_worker(listen="old=user_registered", since="0")
    rust.listen("old", "user_registered", since="0")
    rust.listen("new", "user_registered")
    new = fire(rust)
    for event in [*old, new]:
        worker.next(heard=event)
        rust.next(listener="old", id=event)
    assert rust.next(listener="new")["id"] == new


def test_a_rust_listener_takes_up_what_it_held(bus):
    listener = bus.rust("rust", "1")
    listener.listen("slow", "user_registered", takes_s=60.0)
    event = fire(bus.rust("other"), typed=True)
    listener.next(id=event)
    listener.kill()
    assert bus.pending("rust-slow") == 1
    again = bus.rust("rust", "1")
    again.listen("slow", "user_registered")
    assert again.next(id=event)["deliveries"] == 2
    eventually("it is acknowledged", lambda: bus.pending("rust-slow") == 0)


def test_a_python_listener_takes_up_what_it_held(bus):
    failing = bus.python_worker(listen="one=!user_registered")
    event = fire(bus.rust("rust"), typed=True)
    failing.next(failing=event)
    failing.process.wait(10)
    assert failing.stop() == 1, "Lightbus ends when a listener fails"
    again = bus.python_worker(listen="one=user_registered")
    again.next(heard=event)
    eventually("it is acknowledged", lambda: bus.pending("python-one") == 0)


def test_one_group_of_both_languages_shares_events(bus):
    python = bus.python_worker(service="shared", listen="group=user_registered")
    rust = bus.rust("shared", "2")
    rust.listen("group", "user_registered")
    fired = {fire(rust) for _ in range(60)}
    heard_here, heard_there = [], []

    def all_heard():
        heard_here.extend(said["id"] for said in rust.said(listener=...))
        heard_there.extend(said["heard"] for said in python.said(heard=...))
        return len(heard_here) + len(heard_there) >= len(fired)

    eventually("every event is heard", all_heard)
    assert sorted([*heard_here, *heard_there]) == sorted(fired), "each once"
    eventually("they are acknowledged", lambda: bus.pending("shared-group") == 0)


@pytest.mark.parametrize("abandons", ["python", "rust"])
def test_what_a_dead_consumer_held_is_taken_over_by_the_other_language(bus, abandons):
    if abandons == "rust":
        dead = bus.rust("shared", "dead")
        dead.listen("group", "user_registered", takes_s=60.0)
    else:
        dead = bus.python_worker(service="shared", process="dead", listen="group=!user_registered")
    event = fire(bus.rust("other"), typed=True)
    dead.next(**({"id": event} if abandons == "rust" else {"failing": event}))
    dead.kill()
    assert bus.pending("shared-group") == 1
    if abandons == "rust":
        bus.python_worker(
            service="shared", process="heir", listen="group=user_registered", acknowledgement_timeout=1
        ).next(heard=event)
    else:
        heir = bus.rust("shared", "heir", acknowledgement_timeout=1)
        heir.listen("group", "user_registered")
        assert heir.next(id=event)["deliveries"] == 2
    eventually("it is acknowledged", lambda: bus.pending("shared-group") == 0)


def test_an_event_that_always_fails_becomes_a_dead_letter_and_frees_its_group(bus):
    rust = bus.rust("rust")
    rust.listen("fails", "user_registered", failures=3, deliveries_max=3)
    bad = fire(bus.python_client())
    letter = eventually("it is given up", lambda: rust.dead_letters("rust-fails"))[0]
    assert (letter["deliveries"], letter["event"]) == (3, "user_registered"), letter
    assert "fails as it was told" in letter["error"]
    assert [said["deliveries"] for said in rust.said(id=bad)] == [1, 2, 3]
    assert bus.pending("rust-fails") == 0
    assert rust.do("replay", group="rust-fails", id=letter["id"])["replayed"]
    rust.next(id=bad)
    eventually("it is given up again", lambda: rust.dead_letters("rust-fails"))


def test_an_event_is_acknowledged_for_a_python_worker_that_it_ends(bus):
    worker = bus.python_worker(listen="one=user_registered")
    # What no peer of ours would send: without a version.
    fields = {"id": "x", "api_name": API, "event_name": "user_registered", ":username": '"ann"'}
    poison = bus.redis.xadd(STREAM, fields)
    worker.process.wait(10)
    assert worker.stop() == 1
    rust = bus.rust("rust")
    assert rust.do("acknowledge_everywhere", event="user_registered", native_id=poison)["groups"] == 1
    again = bus.python_worker(listen="one=user_registered")
    event = fire(rust, typed=True)
    again.next(heard=event)


def test_no_bad_event_is_fired(bus):
    worker = bus.python_worker(listen="all=*")
    rust = bus.rust("rust")
    for name, arguments in [
        ("user_registered", {"username": "ann"}),
        ("user_registered", {**REGISTERED, "other": 1}),
        ("user_registered", {**REGISTERED, "username": 1}),
        ("user_registered", []),
        ("brand_new", {}),
    ]:
        answer = rust.fire(name, arguments)
        assert answer["kind"] == "invalid", answer
    client = bus.python_client()
    assert client.fire("user_registered", {**REGISTERED, "is_admin": 5})["kind"] == "invalid"
    event = fire(rust)
    assert worker.next(heard=...)["heard"] == event


def test_what_a_rust_process_says_of_itself_ends_no_python_listener(bus):
    worker = bus.python_worker(serve=False, listen="state=internal.state:* metrics=internal.metrics:*")
    plugins = {
        "internal_state": {"enabled": True, "ping_enabled": True, "ping_interval": 1},
        "internal_metrics": {"enabled": True},
    }
    rust = bus.rust("rust", serve=True, plugins=plugins)
    assert bus.python_client(owner=False).call("add", {"a": 1}).get("result") == 8
    fire(rust)
    # A process that is stopped at once never says that it is alive.
    for event in ("worker_started", "worker_ping"):
        assert worker.next(event=event)["parameters"]["process_name"] == "'1'"
    rust.stop()
    assert worker.next(event="worker_stopped")["parameters"]["process_name"] == "'1'"
    for event in ("rpc_call_received", "rpc_response_sent", "event_fired"):
        assert worker.next(event=event)["parameters"]["api_name"] == f"'{API}'"
    assert worker.is_running()
