"""A local catalogue stands in for a charm store."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess

import jubilant

PAGE = "<title>Catalogued</title>"
SERVE = f"""
mkdir -p ../page; echo '{PAGE}' > ../page/index.html
cd ../page
setsid python3 -m http.server --bind "$(unit-get private-address)" 5000 > /dev/null 2>&1 < /dev/null &
echo $! > ../page.pid
status-set active
"""


def test_deploy_and_refresh_by_name(juju: jubilant.Juju, charm, tutti):
    probe = charm("catalogued", hooks={"start": SERVE, "stop": "kill $(cat ../page.pid)"})
    tutti("publish", str(probe))
    juju.deploy("catalogued", channel="latest/stable", base="ubuntu@22.04")
    status = juju.wait(jubilant.all_active)
    app = status.apps["catalogued"]
    assert (app.charm, app.charm_origin) == ("catalogued", "charmhub")
    first = app.charm_rev
    done = tutti("refresh", "--model", str(juju.model), "catalogued")
    assert "already up-to-date" in done.stderr
    probe.hook("upgrade-charm", "status-set active newer")
    tutti("publish", str(probe))
    juju.refresh("catalogued")
    status = juju.wait(lambda status: status.apps["catalogued"].app_status.message == "newer")
    assert status.apps["catalogued"].charm_rev == first + 1


def test_an_unknown_name(juju: jubilant.Juju, tutti):
    done = tutti("deploy", "--model", str(juju.model), "nobody-published-this", check=False)
    assert done.returncode == 1
    assert "nobody-published-this" in done.stderr and "publish" in done.stderr


def test_the_catalogue_lists_what_was_published(charm, tutti):
    probe = charm("listed")
    for revision in (0, 1):
        assert tutti("publish", str(probe)).stdout == f'Published "listed", revision {revision}\n'
    charms = json.loads(tutti("catalogue", "--format", "json").stdout)
    assert [one["revision"] for one in charms if one["name"] == "listed"] == [0, 1]


def test_built_under_charmcrafts_name(juju: jubilant.Juju, charm, tmp_path: pathlib.Path):
    """Suites call `charmcraft pack` in the charm's directory and expect charmcraft's file name."""
    probe = charm("crafted", hooks={"start": "status-set active"})
    probe.write("charmcraft.yaml", "type: charm\nplatforms:\n  ubuntu@24.04:amd64:\n  ubuntu@24.04:arm64:\n")
    charmcraft = tmp_path / "charmcraft"
    charmcraft.symlink_to(shutil.which("tutti"))
    subprocess.run([charmcraft, "pack", "--verbose"], cwd=probe.directory, check=True, capture_output=True)
    (packed,) = probe.directory.glob("*.charm")
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    assert packed.name == f"crafted_ubuntu-24.04-{architecture}.charm"
    juju.deploy(packed)
    juju.wait(lambda status: jubilant.all_active(status, "crafted"))
    done = subprocess.run([charmcraft, "upload", packed], capture_output=True, text=True)
    assert done.returncode == 1 and "charmcraft upload" in done.stderr
