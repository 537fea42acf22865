"""Peers on a bus in both languages: services, clients and listeners of the API `my_company.auth`."""

import itertools
import json
import os
import sys
import time

from brokers import EXAMPLES
from processes import SOON, Process

API = "my_company.auth"
STREAM = f"{API}.*:stream"
QUEUE = f"{API}:rpc_queue"
SERVICE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "service")


class Bus:
    """All peers of one test on one broker. None of the Python workers may have ended when the test does."""

    def __init__(self, broker, directory):
        self.broker = broker
        self.directory = directory
        self.redis = broker.client()
        self.peers = []
        self._configurations = itertools.count()

    def python_worker(self, *, service="python", process="1", serve=True, listen="", since="", **options):
        """`lightbus run`; ready when it waits for calls and events. `listen` is as in service/bus.py."""
        worker = PythonWorker(self, service, process, serve, listen, since, options)
        self.peers.append(worker)
        return worker

    def python_client(self, service="python_client", *, owner=True, **options):
        """A Python program that calls and, as an owner of the API, fires. Who is none takes the schema on the bus."""
        client = PythonClient(self, service, owner, options)
        self.peers.append(client)
        return client

    def rust(self, service="rust", process="1", *, serve=False, **options):
        """A Rust program that does whatever it is asked to."""
        peer = RustPeer(self, service, process, options)
        self.peers.append(peer)
        if serve:
            peer.do("serve")
        return peer

    def configuration(self, acknowledgement_timeout=60, schema_ttl=60, plugins=None):
        """A lightbus.json; its path."""
        transport = {"redis": {"url": self.broker.url}}
        events = {"redis": {"url": self.broker.url, "acknowledgement_timeout": acknowledgement_timeout}}
        path = os.path.join(str(self.directory), f"lightbus{next(self._configurations)}.json")
        with open(path, "w") as file:
            json.dump(
                {
                    "bus": {"schema": {"ttl": schema_ttl, "transport": transport}},
                    "plugins": plugins or {},
                    "apis": {
                        "default": {
                            "rpc_timeout": 5,
                            "event_transport": events,
                            "rpc_transport": transport,
                            "result_transport": transport,
                        }
                    },
                },
                file,
            )
        return path

    def wait_for_group(self, name, stream=STREAM):
        """Waits until a listener has made its group."""
        end = time.monotonic() + SOON
        while time.monotonic() < end:
            if self.redis.exists(stream) and any(group["name"] == name for group in self.redis.xinfo_groups(stream)):
                return
            time.sleep(0.02)
        raise AssertionError(f"there is no group {name}:\n" + "\n".join(peer.text() for peer in self.peers))

    def pending(self, group, stream=STREAM):
        """How many events a group holds that it has not acknowledged."""
        return self.redis.xpending(stream, group)["pending"]

    def close(self):
        ended = [peer for peer in self.peers if isinstance(peer, PythonWorker) and not peer.was_stopped]
        ended = [worker for worker in ended if not worker.is_running()]
        for peer in reversed(self.peers):
            peer.stop()
        self.redis.close()
        assert not ended, "a Python worker ended:\n" + "\n".join(worker.text() for worker in ended)


class PythonWorker(Process):
    """`lightbus run` in service/."""

    def __init__(self, bus, service, process, serve, listen, since, options):
        self.was_stopped = False
        environment = {
            "SERVE": "1" if serve else "",
            "LISTEN": listen,
            "SINCE": since,
        }
        lightbus = os.path.join(os.path.dirname(sys.executable), "lightbus")
        command = [lightbus, "run", "--service-name", service, "--process-name", process]
        super().__init__(f"Python worker {service}", command, cwd=SERVICE, env=python(bus, options, environment))
        self.wait_for("on_start hooks was successful")
        for word in listen.split():
            listener, event = word.split("=")
            stream = f"{event.split(':')[0]}.*:stream" if ":" in event else STREAM
            bus.wait_for_group(f"{service}-{listener}", stream)

    def stop(self, *how):
        self.was_stopped = True
        return super().stop(*how)


class PythonClient(Process):
    """service/client.py"""

    def __init__(self, bus, service, owner, options):
        command = [sys.executable, "client.py"]
        environment = {
            "LIGHTBUS_SERVICE_NAME": service,
            "LIGHTBUS_PROCESS_NAME": "1",
            "SERVE": "1" if owner else "",
        }
        super().__init__(f"Python client {service}", command, cwd=SERVICE, env=python(bus, options, environment))
        self.next(ready=True)

    def ask(self, **request):
        self.write(request)
        return self.next(answer=True)

    def call(self, name, arguments=None, **options):
        """Arguments may be `"typed"`: one of each type."""
        return self.ask(call=name, arguments={} if arguments is None else arguments, **options)

    def fire(self, name, arguments=None):
        return self.ask(fire=name, arguments={} if arguments is None else arguments)


class RustPeer(Process):
    """`crates/bus/examples/peer`"""

    def __init__(self, bus, service, process, options):
        command = [os.path.join(EXAMPLES, "peer"), service, process]
        environment = {**os.environ, "LIGHTBUS_CONFIG": bus.configuration(**options), "NO_COLOR": "1"}
        super().__init__(f"Rust peer {service}", command, env=environment)
        self._numbers = itertools.count()
        self.next(ready=True)

    def ask(self, what, **request):
        """Begins to do something; the number by which to wait for its answer."""
        number = next(self._numbers)
        self.write({"number": number, what: request})
        return number

    def do(self, what, within=SOON, **request):
        return self.next(number=self.ask(what, **request), within=within)

    def call(self, name, arguments=None, **options):
        return self.do("call", name=name, arguments=arguments or {}, **options)

    def fire(self, name, arguments=None, **options):
        return self.do("fire", name=name, arguments=arguments or {}, **options)

    def listen(self, name, event, **options):
        answer = self.do("listen", name=name, event=event, **options)
        assert answer.get("listening") == name, answer

    def dead_letters(self, group):
        return self.do("dead_letters", group=group)["dead_letters"]


def python(bus, options, environment):
    """The environment of a Python process."""
    return {
        **os.environ,
        "LIGHTBUS_CONFIG": bus.configuration(**options),
        "PYTHONPATH": SERVICE,
        "PYTHONWARNINGS": "ignore",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        **environment,
    }
