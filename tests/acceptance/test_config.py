"""Charm and model configuration."""

from __future__ import annotations

import jubilant
import pytest

OPTIONS = {
    "word": {"type": "string", "default": "", "description": "A word."},
    "count": {"type": "int", "default": 3},
    "ratio": {"type": "float"},
    "loud": {"type": "boolean", "default": False},
}


@pytest.fixture(scope="module")
def probe(juju: jubilant.Juju, tmp_path_factory: pytest.TempPathFactory):
    from charms import Charm

    probe = Charm(
        tmp_path_factory.mktemp("config") / "probe",
        "probe",
        hooks={"config-changed": 'status-set active "$(config-get word)/$(config-get count)"'},
        config=OPTIONS,
    )
    juju.deploy(probe, config={"count": 4})
    juju.wait(jubilant.all_active)
    return probe


def message(juju: jubilant.Juju, text: str):
    juju.wait(lambda status: status.apps["probe"].app_status.message == text, delay=0.1)


def test_values_and_defaults(juju: jubilant.Juju, probe):
    assert juju.config("probe") == {"word": "", "count": 4, "loud": False}


def test_change_reaches_the_charm(juju: jubilant.Juju, probe):
    juju.config("probe", {"word": "hello", "loud": True, "ratio": 0.5})
    message(juju, "hello/4")
    assert juju.config("probe") == {"word": "hello", "count": 4, "loud": True, "ratio": 0.5}


def test_reset(juju: jubilant.Juju, probe):
    juju.config("probe", {"count": 9}, reset=["word"])
    message(juju, "/9")
    juju.config("probe", reset=["count"])
    message(juju, "/3")


def test_the_same_value_is_no_event(juju: jubilant.Juju, probe):
    juju.config("probe", {"word": "same"})
    message(juju, "same/3")
    juju.wait(jubilant.all_agents_idle)
    before = probe.events("probe/0")
    juju.config("probe", {"word": "same"})
    juju.wait(jubilant.all_agents_idle)
    assert probe.events("probe/0") == before


def test_bad_keys_and_values(juju: jubilant.Juju, probe):
    before = juju.config("probe")
    with pytest.raises(jubilant.CLIError) as error:
        juju.config("probe", {"wrod": "x"})
    assert 'unknown option "wrod"' in error.value.stderr
    with pytest.raises(jubilant.CLIError) as error:
        juju.config("probe", {"count": "many"})
    assert "count" in error.value.stderr and "many" in error.value.stderr
    assert juju.config("probe") == before


def test_trust_is_a_config_change(juju: jubilant.Juju, probe):
    juju.wait(jubilant.all_agents_idle)
    before = len(probe.events("probe/0"))
    juju.trust("probe", scope="cluster")
    assert juju.config("probe", app_config=True)["trust"] is True
    juju.wait(jubilant.all_agents_idle)
    assert probe.events("probe/0")[before:] == ["config-changed"]


def test_model_config(juju: jubilant.Juju):
    assert juju.model_config()["update-status-hook-interval"] == "5m"
    juju.model_config({"update-status-hook-interval": "10s"})
    assert juju.model_config()["update-status-hook-interval"] == "10s"
    juju.model_config(reset=["update-status-hook-interval"])
    assert juju.model_config()["update-status-hook-interval"] == "5m"


def test_update_status_comes_when_nothing_else_does(juju: jubilant.Juju, probe):
    juju.model_config({"update-status-hook-interval": "1s"})
    juju.wait(lambda _: "update-status" in probe.events("probe/0"), delay=0.2, timeout=10)
    juju.model_config(reset=["update-status-hook-interval"])
