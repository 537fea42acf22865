"""Fixtures: a broker of each kind, and a bus on it whose peers end with the test."""

import pytest

from brokers import BROKERS
from peers import Bus


@pytest.fixture(scope="module", params=BROKERS)
def shared_broker(request):
    """A broker for all tests of a file."""
    broker = BROKERS[request.param]()
    yield broker
    broker.stop()


@pytest.fixture(params=BROKERS)
def bus(request, tmp_path):
    """An empty bus, for one test."""
    broker = BROKERS[request.param]()
    bus = Bus(broker, tmp_path)
    try:
        yield bus
    finally:
        try:
            bus.close()
        finally:
            broker.stop()


@pytest.fixture(params=BROKERS)
def lasting_bus(request, tmp_path):
    """An empty bus whose broker keeps on disk what it has acknowledged."""
    data = tmp_path / "data"
    data.mkdir()
    broker = BROKERS[request.param](directory=data)
    bus = Bus(broker, tmp_path)
    try:
        yield bus
    finally:
        try:
            bus.close()
        finally:
            broker.stop()
