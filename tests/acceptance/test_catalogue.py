"""A local catalogue stands in for a charm store."""

from __future__ import annotations

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
