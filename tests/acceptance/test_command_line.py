"""The command line as people and scripts meet it."""

from __future__ import annotations

import json
import re
import subprocess

import jubilant


def test_version(juju: jubilant.Juju, tutti):
    assert str(juju.version()) == juju.cli("version", include_model=False).strip()
    document = json.loads(juju.cli("version", "--format", "json", "--all", include_model=False))
    assert re.fullmatch(r"3\.6\.\d+-\w+-\w+", document["version"])


def test_model_names(juju: jubilant.Juju):
    info = juju.show_model()
    for name in (
        str(juju.model),
        info.name,
        f"{info.controller_name}:{info.name}",
        f"{info.controller_name}:{juju.model}",
        info.model_uuid,
    ):
        assert juju.show_model(name).model_uuid == info.model_uuid
        juju_named = jubilant.Juju(model=name)
        assert juju_named.status().model.name == juju.model


def test_tabular_status(juju: jubilant.Juju, charm, tutti):
    model = ("--model", str(juju.model))
    empty = tutti("status", *model)
    assert f'Model "{juju.model}" is empty.' in empty.stderr
    juju.deploy(charm("probe", hooks={"start": "open-port 8080; status-set active fine"}), num_units=2)
    juju.wait(jubilant.all_active)
    lines = tutti("status", *model).stdout.splitlines()
    assert lines[0].split()[:4] == ["Model", "Controller", "Cloud/Region", "Version"]
    table = "\n".join(lines)
    assert re.search(r"^probe +active +2 +probe +\S* *0 +no +fine", table, re.M), table
    assert re.search(r"^probe/0\* +active +idle +\d+ +127\.\S+ +8080/tcp +fine", table, re.M), table
    assert re.search(r"^Machine +State +Address", table, re.M), table
    assert "\x1b[" not in table


def test_other_formats(juju: jubilant.Juju, tutti):
    model = ("--model", str(juju.model))
    as_json = json.loads(tutti("status", *model, "--format", "json").stdout)
    assert "probe" in as_json["applications"]
    assert "probe:" in tutti("status", *model, "--format", "yaml").stdout
    for format in ("short", "line", "oneline", "summary"):
        assert "probe" in tutti("status", *model, "--format", format).stdout


def test_help_and_completion(tutti):
    assert "deploy" in tutti("--help").stdout
    for command in ("deploy", "status", "serve", "flows"):
        assert tutti(command, "--help").stdout
    for shell in ("bash", "zsh", "fish"):
        assert "tutti" in tutti("completion", shell).stdout


def test_debug_log_ends(juju: jubilant.Juju, charm):
    juju.deploy(charm("talker", hooks={"start": "juju-log -l WARNING 'a word'; echo aside; status-set active"}))
    juju.wait(lambda status: jubilant.all_active(status, "talker"))
    log = juju.debug_log(limit=0)
    assert re.search(r"^unit-talker-0: \d\d:\d\d:\d\d WARNING unit.talker/0.juju-log .*a word$", log, re.M)
    assert re.search(r"^unit-talker-0: \S+ DEBUG unit.talker/0.start .*aside$", log, re.M)


def test_json_is_alone_on_stdout(juju: jubilant.Juju, tutti):
    model = ("--model", str(juju.model))
    for command in (
        ("status", *model), ("models",), ("controllers",), ("whoami",), ("machines", *model),
        ("show-unit", *model, "talker/0"), ("show-application", *model, "talker"), ("config", *model, "talker"),
        ("model-config", *model), ("model-constraints", *model), ("secrets", *model), ("storage", *model),
        ("operations", *model), ("flows", *model), ("tasks", *model), ("deferred", *model),
        ("show-status-log", *model, "talker/0"), ("resources", *model, "talker"), ("actions", *model, "talker"),
    ):
        json.loads(tutti(*command, "--format", "json").stdout)


def test_a_closed_pipe_is_no_error(juju: jubilant.Juju):
    command = f"tutti status --model {juju.model} --format yaml | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and "panicked" not in done.stderr
