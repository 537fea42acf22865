"""Storage on rootfs and tmpfs."""

from __future__ import annotations

import json

import jubilant
import pytest

METADATA = {
    "storage": {
        "data": {"type": "filesystem", "minimum-size": "1M"},
        "spare": {"type": "filesystem", "multiple": {"range": "0-3"}},
    }
}


def test_storage_is_there_before_install(juju: jubilant.Juju, charm):
    probe = charm(
        "keeper",
        metadata=METADATA,
        hooks={"start": 'where=$(storage-get -s data/0 location); touch "$where/file"; status-set active "$where"'},
    )
    juju.deploy(probe, storage={"data": "rootfs,10M"})
    status = juju.wait(lambda status: jubilant.all_active(status, "keeper"))
    assert probe.events("keeper/0")[:2] == ["data-storage-attached", "install"]
    instance = status.storage.storage["data/0"]
    assert instance.kind == "filesystem"
    listed = json.loads(juju.cli("storage", "--format", "json"))
    assert "data/0" in json.dumps(listed)
    juju.cli("add-storage", "keeper/0", "spare=2")
    juju.wait(lambda _: probe.events("keeper/0").count("spare-storage-attached") == 2, delay=0.1)
    juju.remove_application("keeper", destroy_storage=True)
    juju.wait(lambda status: not status.apps)
    assert probe.events("keeper/0").count("data-storage-detaching") == 1
    assert probe.events("keeper/0")[-2:] == ["stop", "remove"]


def test_storage_that_cannot_be(juju: jubilant.Juju, charm):
    probe = charm("picky", metadata=METADATA)
    for directive, word in [("ebs,10G", "ebs"), ("rootfs,many", "many")]:
        with pytest.raises(jubilant.CLIError) as error:
            juju.deploy(probe, storage={"data": directive})
        assert word in error.value.stderr
