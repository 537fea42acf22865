"""What the bus runs on: a Redis server, or the broker that is built into tutti-bus. Both on a port of their own."""

import os
import shutil
import time

import redis

from processes import SOON, Process, free_port

EXAMPLES = os.environ.get(
    "TUTTI_BUS_EXAMPLES", os.path.join(os.path.dirname(__file__), "../../target/debug/examples")
)


class Broker:
    """A server that can be killed and started again on its port. It keeps data only if given a directory."""

    def __init__(self, directory=None, database=0):
        self.directory = directory
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/{database}"
        self.process = None
        self.start()

    def command(self):
        raise NotImplementedError

    def start(self):
        """Starts the server and waits until it answers."""
        self.process = Process(self.name, self.command())
        end = time.monotonic() + SOON
        while True:
            try:
                self.client().ping()
                return
            except redis.RedisError:
                assert self.process.is_running(), f"{self.name} ended:\n{self.process.text()}"
                assert time.monotonic() < end, f"{self.name} does not answer:\n{self.process.text()}"
                time.sleep(0.02)

    def kill(self):
        """Ends it as a power cut would."""
        self.process.kill()

    def stop(self):
        self.process.stop()

    def client(self):
        return redis.Redis.from_url(self.url, decode_responses=True)


class RedisServer(Broker):
    """`redis-server`, which writes every change to disk before it answers, or nothing at all."""

    name = "redis"

    def command(self):
        command = [shutil.which("redis-server") or "/usr/bin/redis-server", "--port", str(self.port)]
        command += ["--bind", "127.0.0.1", "--save", ""]
        if self.directory:
            return command + ["--dir", str(self.directory), "--appendonly", "yes", "--appendfsync", "always"]
        return command + ["--appendonly", "no"]


class BuiltIn(Broker):
    """The broker of tutti-bus as a program of its own."""

    name = "built-in"

    def command(self):
        command = [os.path.join(EXAMPLES, "broker"), "--tcp", f"127.0.0.1:{self.port}"]
        if self.directory:
            command += ["--data", os.path.join(str(self.directory), "bus.db"), "--disk"]
        return command


BROKERS = {kind.name: kind for kind in (RedisServer, BuiltIn)}
