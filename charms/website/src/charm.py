#!/usr/bin/env python3
"""A website that shows what its database says."""

import contextlib
import html
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import ops

PORT = 8080


class Website(ops.CharmBase):
    """Writes the page and keeps the server running."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        directory = pathlib.Path(self.charm_dir).parent / "website"
        directory.mkdir(exist_ok=True)
        self.page = directory / "index.html"
        self.process = directory / "server.pid"
        for event in (
            self.on.start,
            self.on.config_changed,
            self.on.upgrade_charm,
            self.on.update_status,
            self.on.database_relation_changed,
            self.on.database_relation_broken,
        ):
            framework.observe(event, self._reconcile)
        framework.observe(self.on.stop, self._stop)
        framework.observe(self.on.visit_action, self._visit)
        framework.observe(self.on.collect_unit_status, self._status)

    def _reconcile(self, _: ops.EventBase):
        title = html.escape(str(self.config["title"]))
        message = html.escape(self._message() or "no database")
        # Whoever reads the page meanwhile sees the old one or the new one, never a part.
        written = self.page.with_suffix(".new")
        written.write_text(f"<title>{title}</title><h1>{title}</h1><p>{message}</p>\n")
        written.replace(self.page)
        self._start()
        self.unit.set_ports(PORT)

    def _message(self) -> str | None:
        relation = self.model.get_relation("database")
        if relation is None or relation.app is None:
            return None
        name = relation.data[relation.app].get("database")
        greetings = [relation.data[unit].get("greeting", "") for unit in relation.units]
        return f"{name}: {' '.join(greetings)}" if name else None

    def _status(self, event: ops.CollectStatusEvent):
        message = self._message()
        if self.model.get_relation("database") is None:
            event.add_status(ops.BlockedStatus("needs a database"))
        elif message is None:
            event.add_status(ops.WaitingStatus("for the database"))
        event.add_status(ops.ActiveStatus(f"http://{self._address()}:{PORT}/"))

    def _visit(self, event: ops.ActionEvent):
        with urllib.request.urlopen(f"http://{self._address()}:{PORT}/", timeout=5) as answer:
            event.set_results({"page": answer.read().decode()})

    def _address(self) -> str:
        binding = self.model.get_binding("database")
        return str(binding.network.bind_address) if binding else "127.0.0.1"

    def _running(self) -> int | None:
        try:
            pid = int(self.process.read_text())
            command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if b"http.server" in command else None

    def _start(self):
        if self._running():
            return
        command = [sys.executable, "-m", "http.server", "--bind", self._address(), str(PORT)]
        server = subprocess.Popen(
            command,
            cwd=self.page.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.process.write_text(str(server.pid))
        self._wait_until_listening()

    def _wait_until_listening(self):
        for _ in range(100):
            with contextlib.suppress(OSError):
                socket.create_connection((self._address(), PORT), timeout=1).close()
                return
            time.sleep(0.05)

    def _stop(self, _: ops.EventBase):
        if pid := self._running():
            os.kill(pid, signal.SIGTERM)


if __name__ == "__main__":
    ops.main(Website)
