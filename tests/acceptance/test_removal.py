"""Removal always ends."""

from __future__ import annotations

import pathlib
import shutil
import time

import jubilant


def gone(name: str):
    return lambda status: name not in status.apps


def test_a_unit_in_error(juju: jubilant.Juju, charm):
    probe = charm("sick", hooks={"config-changed": "exit 1"})
    juju.deploy(probe)
    juju.wait(lambda status: jubilant.all_error(status, "sick"))
    juju.remove_application("sick")
    juju.wait(gone("sick"))
    assert probe.events("sick/0")[-1] == "remove"


def test_every_hook_fails(juju: jubilant.Juju, charm):
    hooks = {name: "exit 1" for name in ("start", "stop", "remove")}
    probe = charm("hopeless", hooks=hooks)
    juju.deploy(probe)
    juju.wait(lambda status: jubilant.all_error(status, "hopeless"))
    juju.remove_application("hopeless")
    juju.wait(gone("hopeless"))


def test_in_the_middle_of_a_hook(juju: jubilant.Juju, charm):
    probe = charm("busy", hooks={"start": "sleep 1; status-set active"})
    juju.deploy(probe)
    juju.wait(lambda _: "start" in probe.events("busy/0"), delay=0.05, successes=1)
    juju.remove_application("busy")
    juju.wait(gone("busy"))
    assert probe.events("busy/0")[-2:] == ["stop", "remove"], "the hook was let finish"


def test_a_hung_hook_and_force(juju: jubilant.Juju, charm):
    probe = charm("hung", hooks={"start": "sleep 1000"})
    juju.deploy(probe)
    juju.wait(lambda _: "start" in probe.events("hung/0"), delay=0.05, successes=1)
    juju.cli("remove-application", "hung", "--no-prompt", "--force", "--no-wait")
    juju.wait(gone("hung"))


def test_a_missing_charm_directory(juju: jubilant.Juju, charm, controller: pathlib.Path):
    juju.deploy(charm("homeless", hooks={"start": "status-set active"}))
    juju.wait(lambda status: jubilant.all_active(status, "homeless"))
    (directory,) = controller.glob("models/*/agents/unit-homeless-0")
    shutil.rmtree(directory / "charm")
    shutil.rmtree(directory / "charms")
    juju.remove_application("homeless")
    juju.wait(gone("homeless"))
    assert not directory.exists()


def test_before_anything_has_run(juju: jubilant.Juju, charm):
    juju.deploy(charm("brief", hooks={"install": "sleep 0.2"}), num_units=3)
    juju.remove_application("brief")
    juju.wait(gone("brief"))


def test_destroying_a_model_in_any_state(charm, tutti):
    juju = jubilant.Juju()
    juju.add_model("doomed")
    juju.deploy(charm("fine", hooks={"start": "status-set active"}))
    juju.deploy(charm("bad", hooks={"install": "exit 1"}))
    hung = charm("stuck", hooks={"start": "sleep 1000"})
    juju.deploy(hung)
    juju.wait(lambda status: jubilant.all_error(status, "bad"), delay=0.1)
    juju.wait(lambda _: "start" in hung.events("stuck/0"), delay=0.05, successes=1)
    started = time.monotonic()
    juju.destroy_model("doomed", destroy_storage=True, force=True, no_wait=True)
    assert time.monotonic() - started < 30
    assert "doomed" not in tutti("models", "--format", "json").stdout


def test_nothing_is_left_running(juju: jubilant.Juju, charm):
    """A forced removal ends the processes of the hook it gave up on."""
    mark = f"sleep 98765{int(time.time()) % 1000}"
    probe = charm("noisy", hooks={"start": mark})
    juju.deploy(probe)
    juju.wait(lambda _: running(mark), delay=0.05, successes=1)
    juju.cli("remove-application", "noisy", "--no-prompt", "--force", "--no-wait")
    juju.wait(gone("noisy"))
    juju.wait(lambda _: not running(mark), delay=0.1, timeout=20)


def running(command: str) -> bool:
    wanted = command.replace(" ", "\0").encode()
    for process in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if wanted in process.read_bytes():
                return True
        except OSError:
            continue
    return False
