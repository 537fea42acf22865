"""Processes of the tests, each ended by its test, and lines of JSON read from them."""

import json
import os
import signal
import socket
import subprocess
import threading
import time

SOON = 15.0
"""Seconds after which what should have happened will not happen any more."""


class Process:
    """A process that prints lines of JSON among others; every line is kept for failures' sake."""

    def __init__(self, name, command, **options):
        self.name = name
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            **options,
        )
        self.output = []
        self._said = []
        self._news = threading.Condition()
        self._ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            said = parsed(line)
            with self._news:
                self.output.append(line.rstrip("\n"))
                if said is not None:
                    self._said.append(said)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def next(self, within=SOON, **members):
        """Takes the first JSON object not taken yet that has these members; waits for it."""
        return self._wait(lambda: self._take(members), f"a line with {members}", within)

    def wait_for(self, text, within=SOON):
        """Waits until a line holds `text`."""
        self._wait(lambda: any(text in line for line in self.output) or None, repr(text), within)

    def _take(self, members):
        for number, said in enumerate(self._said):
            if all(name in said and (value is ... or said[name] == value) for name, value in members.items()):
                return self._said.pop(number)
        return None

    def _wait(self, look, what, within):
        end = time.monotonic() + within
        with self._news:
            while (found := look()) is None:
                if self._ended:
                    raise AssertionError(f"{self.name} ended before it said {what}:\n{self.text()}")
                if not self._news.wait(end - time.monotonic()) and time.monotonic() >= end:
                    raise AssertionError(f"{self.name} did not say {what} in {within} s:\n{self.text()}")
        return found

    def said(self, **members):
        """Takes all JSON objects not taken yet that have these members, without waiting."""
        found = []
        with self._news:
            while (said := self._take(members)) is not None:
                found.append(said)
        return found

    def write(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def is_running(self):
        return self.process.poll() is None

    def text(self):
        return "\n".join(self.output[-60:])

    def stop(self, how=signal.SIGTERM, within=10.0):
        """Ends the process; answers its exit code."""
        if self.is_running():
            os.killpg(self.process.pid, how)
            try:
                self.process.wait(within)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
        code = self.process.wait()
        self.process.stdin.close()
        return code

    def kill(self):
        return self.stop(signal.SIGKILL)


def parsed(line):
    """The JSON object of a line, or nothing for any other line."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def eventually(what, holds, within=SOON):
    """Asks again and again until something holds; answers it."""
    end = time.monotonic() + within
    while not (answer := holds()):
        assert time.monotonic() < end, f"after {within} s it still does not hold that {what}"
        time.sleep(0.02)
    return answer


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
