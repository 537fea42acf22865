"""Wrong input: a clear error, and nothing changes."""

from __future__ import annotations

import io
import pathlib
import stat
import subprocess
import tarfile
import zipfile

import jubilant
import pytest


def refused(juju: jubilant.Juju, path, *words: str, options: tuple[str, ...] = ()):
    with pytest.raises(jubilant.CLIError) as error:
        juju.cli("deploy", str(path), *options)
    stderr = error.value.stderr
    assert error.value.returncode in (1, 2), stderr
    assert "ERROR" in stderr and "panicked" not in stderr
    for word in words:
        assert word in stderr, stderr
    assert not juju.status().apps


def zipped(path: pathlib.Path, entries: dict[str, str], links: dict[str, str] | None = None):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.yaml", "name: hostile\nsummary: hostile\n")
        for name, text in entries.items():
            archive.writestr(name, text)
        for name, target in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, target)
    return path


def test_hostile_archives(juju: jubilant.Juju, tmp_path: pathlib.Path):
    file = tmp_path / "hostile.charm"
    refused(juju, zipped(file, {"../escape": "x"}), "../escape")
    refused(juju, zipped(file, {"/etc/owned": "x"}), "/etc/owned")
    refused(juju, zipped(file, {}, {"way-out": "../../etc"}), "way-out")
    refused(juju, zipped(file, {}, {"way-out": "/etc/passwd"}), "way-out")
    refused(juju, zipped(file, {"bomb": "0" * 2_000_000_000}), "bomb")
    file.write_bytes(b"this is not a zip archive")
    refused(juju, file, "zip")
    file.write_bytes(b"")
    refused(juju, file, "hostile.charm")


def test_a_tar_is_no_charm(juju: jubilant.Juju, tmp_path: pathlib.Path):
    file = tmp_path / "wrong.charm"
    with tarfile.open(file, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("metadata.yaml"), io.BytesIO(b""))
    refused(juju, file, "zip")


def test_broken_metadata(juju: jubilant.Juju, charm):
    broken = charm("broken")
    for text, words in [
        ("name: [", ("metadata.yaml", "line")),
        ("summary: no name\n", ("metadata.yaml", "name")),
        ("name: Not A Name\nsummary: x\n", ("Not A Name",)),
        ("name: broken\nsummary: x\nprovides: {db: {}}\n", ("interface", "line")),
        ("name: broken\nsummary: x\nsubordinate: true\n", ("subordinate", "container")),
    ]:
        broken.write("metadata.yaml", text)
        refused(juju, broken, *words)
    broken.write("metadata.yaml", {"name": "broken", "summary": "x"})
    broken.write("config.yaml", "options: {word: {type: colour}}\n")
    refused(juju, broken, "config.yaml", "colour")


def test_charms_that_cannot_run_here(juju: jubilant.Juju, charm):
    probe = charm("foreign")
    bases = [{"name": "ubuntu", "channel": "24.04", "architectures": ["s390x"]}]
    probe.write("manifest.yaml", {"bases": bases})
    refused(juju, probe, "s390x")
    probe.write("manifest.yaml", {"bases": []})
    probe.write("metadata.yaml", {"name": "foreign", "summary": "x", "assumes": ["juju >= 4.0"]})
    refused(juju, probe, "juju >= 4.0")


def test_names_numbers_and_config(juju: jubilant.Juju, charm):
    probe = charm("probe", config={"count": {"type": "int", "default": 1}})
    refused(juju, probe, "Wrong_Name", options=("Wrong_Name",))
    refused(juju, probe, "wrong-9", options=("wrong-9",))
    refused(juju, probe, 'unknown option "nope"', options=("--config", "nope=1"))
    refused(juju, probe, "count", "many", options=("--config", "count=many"))
    refused(juju, probe, "mem", options=("--constraints", "mem=lots"))
    refused(juju, probe, "colour", options=("--constraints", "colour=red"))
    refused(juju, probe, "disk", options=("--storage", "disk=1G"))
    refused(juju, probe, "picture", options=("--resource", "picture=/dev/null"))
    refused(juju, "./no-such-charm", "no-such-charm")
    refused(juju, "no-such-charm", "no-such-charm")


def test_several_reasons_at_once(juju: jubilant.Juju, charm):
    probe = charm("probe")
    with pytest.raises(jubilant.CLIError) as error:
        juju.cli("deploy", str(probe), "--config", "nope=1", "--storage", "disk=1G")
    assert "nope" in error.value.stderr and "disk" in error.value.stderr


def test_a_subordinate_has_no_units_of_its_own(juju: jubilant.Juju, charm):
    metadata = {
        "subordinate": True,
        "requires": {"host": {"interface": "juju-info", "scope": "container"}},
    }
    probe = charm("alone", metadata=metadata)
    refused(juju, probe, "subordinate", options=("--num-units", "2"))
    juju.deploy(probe)
    assert not juju.status().apps["alone"].units
    juju.remove_application("alone")
    juju.wait(lambda status: not status.apps)


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "--colour"),
        ("deploy",),
        ("frobnicate",),
        ("config",),
        ("run", "unit"),
        ("add-unit", "probe", "--num-units", "few"),
        ("run", "probe/0", "act", "--wait", "soon"),
    ],
)
def test_parse_errors_are_exit_2(tutti, arguments: tuple[str, ...]):
    done = tutti(*arguments, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("ERROR ") and done.stdout == ""


def test_unknown_model(tutti):
    done = tutti("status", "--model", "nowhere", check=False)
    assert done.returncode == 1 and "nowhere" in done.stderr


def test_the_same_model_twice(juju: jubilant.Juju, tutti):
    done = tutti("add-model", "--no-switch", str(juju.model), check=False)
    assert done.returncode == 1 and "already exists" in done.stderr


def test_two_controllers_on_one_file(controller: pathlib.Path, juju: jubilant.Juju):
    command = ["tutti", "serve", "--data", str(controller), "--socket", str(controller / "second.sock")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert "tutti.db" in done.stderr and "panicked" not in done.stderr
    juju.status()


def test_clouds_come_later(tutti):
    for command in (("add-cloud", "x"), ("add-credential", "x"), ("add-ssh-key", "x"), ("offer", "a:b")):
        done = tutti(*command, check=False)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, command
