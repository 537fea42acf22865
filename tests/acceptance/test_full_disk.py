"""A full disk: commands say so, nothing is lost, and it goes on when there is room again."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import time

import pytest

from conftest import ROOT


@pytest.fixture
def small_disk(tmp_path: pathlib.Path):
    """A file system of 32 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small file system")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk(small_disk: pathlib.Path, charm):
    environment = os.environ | {"TUTTI_DATA": str(small_disk), "JUJU_DATA": str(small_disk / "client")}

    def tutti(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["tutti", *arguments], env=environment, capture_output=True, text=True, timeout=60
        )

    def message() -> str:
        status = json.loads(tutti("status", "--format", "json").stdout)
        unit = status["applications"]["database"]["units"]["database/0"]
        return f"{unit['juju-status']['current']}: {unit['workload-status'].get('message')}"

    def until(wanted: str):
        deadline = time.monotonic() + 30
        while message() != wanted:
            assert time.monotonic() < deadline, message()
            time.sleep(0.1)

    try:
        assert tutti("add-model", "full").returncode == 0
        assert tutti("deploy", str(ROOT / "charms/database")).returncode == 0
        until("idle: welcome")
        filler = small_disk / "filler"
        # Unbuffered: closing it must not try again to write what did not fit.
        with open(filler, "wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(bytes(1 << 16))
        failures = [tutti("config", "database", f"greeting={'x' * 20000}{n}") for n in range(5)]
        failures.append(tutti("deploy", str(charm("other"))))
        for failure in failures[-2:]:
            assert failure.returncode == 1
            assert "no space left" in failure.stderr.lower(), failure.stderr
        assert "database/0" in tutti("status").stdout, "what is known can still be read"
        filler.unlink()
        assert tutti("config", "database", "greeting=again").returncode == 0
        until("idle: again")
    finally:
        tutti("stop")
