"""Tutti on the bus: Python Lightbus hears what the controller announces."""

import json
import os
import subprocess
import sys

from brokers import EXAMPLES
from peers import python
from processes import Process, eventually

TUTTI = os.path.join(EXAMPLES, "../tutti")

LISTENER = """
import json
import traceback

import lightbus

_format_exception = traceback.format_exception
traceback.format_exception = lambda *a, etype=None, **k: _format_exception(*((etype,) if etype else ()), *a, **k)

bus = lightbus.create()


def tell(event, model: str, unit: str, seq: int, at: str):
    said = {"event": event.event_name, "id": event.id, "model": model, "unit": unit, "seq": seq, "at": str(at)}
    print(json.dumps(said), flush=True)


@bus.client.on_start()
def start(client):
    bus.client.listen_for_events([("tutti.unit", "*")], tell, listener_name="tell")
"""

CHARM = """#!/bin/sh
case "$JUJU_DISPATCH_PATH" in
hooks/start) status-set active ready ;;
esac
"""


def test_python_hears_of_units_in_order(bus, tmp_path):
    data = tmp_path / "tutti"
    environment = {**os.environ, "TUTTI_DATA": str(data), "JUJU_DATA": str(data / "client")}

    def tutti(*arguments):
        done = subprocess.run([TUTTI, *arguments], capture_output=True, text=True, timeout=120, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start():
        serve = [TUTTI, "serve", "--listen", "127.0.0.1:0", "--bus-url", bus.broker.url]
        controller = Process("tutti", serve, env=environment)
        bus.peers.append(controller)
        controller.wait_for("controller ready")
        return controller

    controller = start()
    eventually("the schema is on the bus", lambda: bus.redis.exists("schema:tutti.unit"))
    service = tmp_path / "service"
    service.mkdir()
    (service / "bus.py").write_text(LISTENER)
    lightbus = os.path.join(os.path.dirname(sys.executable), "lightbus")
    command = [lightbus, "run", "--service-name", "watch"]
    listener = Process("listener", command, cwd=service, env={**python(bus, {}, {}), "PYTHONPATH": str(service)})
    bus.peers.append(listener)
    bus.wait_for_group("watch-tell", "tutti.unit.*:stream")

    charm = tmp_path / "charm"
    charm.mkdir()
    (charm / "metadata.yaml").write_text("name: db\nsummary: s\n")
    (charm / "dispatch").write_text(CHARM)
    (charm / "dispatch").chmod(0o755)
    tutti("add-model", "m")
    tutti("deploy", str(charm), "-n", "2")
    tutti("wait-for", "application", "db", "--timeout", "60s")
    controller.kill()
    controller = start()
    tutti("remove-application", "db", "--no-prompt")

    first = listener.next(event="created", unit="db/0")
    assert first["model"] == "m" and first["id"].endswith(f":{first['seq']}") and first["at"][:2] == "20"
    listener.next(event="status", unit="db/0")
    listener.next(event="removed", unit="db/0")
    listener.next(event="removed", unit="db/1")
    said = [json.loads(line) for line in listener.output if line.startswith('{"event"')]
    numbers = []
    for one in said:
        if one["seq"] not in numbers:
            numbers.append(one["seq"])
    assert numbers == sorted(numbers)
    assert said[0]["event"] == "created" and said[-1]["event"] == "removed"
    assert listener.is_running()
