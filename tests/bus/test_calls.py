"""Calls between the languages: each client calls a worker of each language, on each broker."""

import dataclasses

import pytest

from peers import QUEUE, Bus

DESCRIBED = {
    "when": "2024-02-29T13:05:07.250000+00:00",
    "day": "2024-02-29",
    "price": "12.50",
    "uid": "12345678-1234-5678-1234-567812345678",
    "blob": "00ff6869",
    "colour": "RED",
    "point": [1, 2],
    "user": {"username": "ann", "admin": True},
    "tags": ["a", "é", "😀"],
    "mapping": {"k": 1},
    "nothing": None,
    "money": "9.99",
    "phase": "(1+2j)",
    "names": ["only-one"],
}


@dataclasses.dataclass
class Calls:
    """A worker and a client of each language."""

    language: str
    worker: object
    python: object
    rust: object

    def each(self, name, arguments=None, **options):
        """What each client is answered: Python's, and Rust's by schema and by type."""
        yield self.python.call(name, arguments, **options)
        yield self.rust.call(name, arguments, **options)
        yield self.rust.call(name, arguments, typed=True, **options)


@pytest.fixture(scope="module", params=["python", "rust"])
def calls(request, shared_broker, tmp_path_factory):
    shared_broker.client().flushall()
    bus = Bus(shared_broker, tmp_path_factory.mktemp("calls"))
    try:
        worker = bus.python_worker() if request.param == "python" else bus.rust("auth", serve=True)
        yield Calls(request.param, worker, bus.python_client(owner=False), bus.rust("rust_client"))
        assert worker.is_running()
    finally:
        bus.close()


def test_results_reach_the_caller(calls):
    for answer in calls.each("add", {"a": 1, "b": 2}):
        assert answer.get("result") == 3, answer
    for password, right in (("secret", True), ("other", False)):
        for answer in calls.each("check_password", {"username": "admin", "password": password}):
            assert answer.get("result") is right, answer
    for answer in calls.each("get_user", {"username": "ann"}):
        assert answer.get("result") == {"username": "ann", "admin": True}, answer


def test_an_argument_that_is_left_out_has_its_default(calls):
    for answer in calls.each("add", {"a": 1}):
        assert answer.get("result") == 8, answer


def test_arguments_of_every_type(calls):
    assert calls.python.call("describe", "typed").get("result") == DESCRIBED
    assert calls.rust.call("describe", typed=True).get("result") == DESCRIBED


def test_a_failure_brings_its_message_and_trace(calls):
    for answer in calls.each("fail", {"why": "no reason é"}):
        assert answer["kind"] == "remote", answer
        assert "failed: no reason é" in answer["error"]
    trace = "Traceback (most recent call last)" if calls.language == "python" else "because of x"
    answer = calls.rust.call("fail", {"why": "x"})
    assert trace in answer["failure"]["trace"], answer
    assert trace in calls.python.call("fail", {"why": "x"})["error"]


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("add", {}),
        ("add", {"a": "one"}),
        ("add", {"a": 1, "c": 2}),
        ("add", {"a": None}),
        ("typed_rpc", {"when": "2024-02-29T13:05:07+00:00"}),
        ("get_user", {"username": ["ann"]}),
    ],
)
def test_a_bad_call_is_refused_before_it_is_sent(calls, name, arguments):
    for answer in (calls.python.call(name, arguments), calls.rust.call(name, arguments)):
        assert answer["kind"] == "invalid", answer


def test_a_procedure_that_does_not_exist(calls):
    # Python would send it, and end a Python worker by it.
    assert calls.rust.call("nope")["kind"] == "invalid"


def test_a_slow_call_times_out_and_its_answer_bothers_no_other(calls):
    for answer in (
        calls.python.call("slow", {"seconds": 1.0}, timeout_s=0.5),
        calls.rust.call("slow", {"seconds": 1.0}, timeout_s=0.5),
    ):
        # A Rust worker stops at the caller's deadline and may say so just before the caller gives up.
        assert answer["kind"] == "timeout" or "ran longer than its caller waits" in answer["error"], answer
    for answer in calls.each("add", {"a": 20, "b": 1}):
        assert answer.get("result") == 21, answer


def test_many_calls_at_a_time(calls):
    numbers = [calls.rust.ask("call", name="add", arguments={"a": a, "b": 0}) for a in range(40)]
    answers = [calls.rust.next(number=number) for number in numbers]
    assert [answer.get("result") for answer in answers] == list(range(40)), answers


def test_an_api_that_nobody_serves(calls):
    answer = calls.rust.call("anything", api="no.such.api", timeout_s=0.3)
    assert answer["kind"] == "timeout", answer


def test_workers_of_both_languages_share_one_queue(bus):
    workers = [bus.python_worker(), bus.rust("python", "rust 1", serve=True)]
    clients = [bus.python_client(owner=False), bus.rust("client")]
    served = {}
    for _ in range(15):
        for client in clients:
            answer = client.call("who_serves")
            served.setdefault(answer.get("result"), []).append(answer)
    assert None not in served, served[None]
    assert len(served) == 2, f"one of the workers served nothing: {served.keys()}"
    assert all(worker.is_running() for worker in workers)
    assert bus.redis.llen(QUEUE) == 0


def test_a_rust_worker_that_stops_finishes_what_runs(bus):
    worker = bus.rust("auth", serve=True)
    client = bus.rust("client")
    slow = client.ask("call", name="slow", arguments={"seconds": 1.0})
    worker.next(slow=1.0)
    assert worker.stop() == 0
    assert client.next(number=slow).get("result") == "done"
