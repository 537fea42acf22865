"""The guide in docs/bus.md does what it says."""

import os
import re
import sys

from brokers import EXAMPLES
from peers import python
from processes import Process

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
with open(os.path.join(ROOT, "docs/bus.md")) as file:
    BLOCKS = re.findall(r"```(\w+)\n(.*?)```", file.read(), re.DOTALL)


def test_the_rust_in_the_guide_is_that_of_the_example():
    with open(os.path.join(ROOT, "crates/bus/examples/stock.rs")) as file:
        example = without_indentation(file.read())
    blocks = [text for language, text in BLOCKS if language == "rust"]
    assert blocks
    for block in blocks:
        assert without_indentation(block) in example, block


def without_indentation(text):
    return "\n".join(line.strip() for line in text.strip().splitlines())


def test_both_services_of_the_guide(bus, tmp_path):
    service = tmp_path / "service"
    service.mkdir()
    module = next(text for language, text in BLOCKS if text.startswith("# bus.py"))
    # Lightbus 1.1.2 on newer Pythons: see docs/bus-python.md.
    shim = next(text for language, text in python_page() if "format_exception" in text)
    (service / "bus.py").write_text(shim + module)

    environment = {**os.environ, "LIGHTBUS_CONFIG": bus.configuration()}
    stock = Process("stock", [os.path.join(EXAMPLES, "stock")], env=environment)
    bus.peers.append(stock)
    stock.wait_for("serving shop.stock")
    lightbus = os.path.join(os.path.dirname(sys.executable), "lightbus")
    command = [lightbus, "run", "--service-name", "orders"]
    environment = {**python(bus, {}, {}), "PYTHONPATH": str(service)}
    orders = Process("orders", command, cwd=service, env=environment)
    bus.peers.append(orders)
    orders.wait_for("on_start hooks was successful")
    bus.wait_for_group("orders-reorder", "shop.stock.*:stream")

    client = bus.rust("customer")
    order = {"api": "shop.orders", "name": "place"}
    assert client.do("call", **order, arguments={"article": "book", "count": 2}).get("result") == 1
    stock.wait_for("pack 2 × book")
    answer = client.do("call", **order, arguments={"article": "book", "count": 2})
    assert "only 1 of book are left" in answer["error"], answer
    assert client.do("call", **order, arguments={"article": "book"}).get("result") == 0
    stock.wait_for("pack 1 × book")
    orders.wait_for("order more of book")
    assert orders.is_running() and stock.is_running()


def python_page():
    with open(os.path.join(ROOT, "docs/bus-python.md")) as file:
        return re.findall(r"```(\w+)\n(.*?)```", file.read(), re.DOTALL)
