"""Secrets of users and of charms."""

from __future__ import annotations

import jubilant
import pytest


def test_user_secrets(juju: jubilant.Juju):
    uri = juju.add_secret("login", {"username": "me", "password": "one"}, info="to log in")
    secret = juju.show_secret(uri, reveal=True)
    assert secret.content == {"username": "me", "password": "one"}
    assert (secret.name, secret.revision, secret.description) == ("login", 1, "to log in")
    assert secret.created == secret.updated
    juju.update_secret(uri, {"username": "me", "password": "two"})
    assert juju.show_secret("login", reveal=True).content["password"] == "two"
    assert juju.show_secret("login", reveal=True, revision=1).content["password"] == "one"
    assert [revision.revision for revision in juju.show_secret("login", revisions=True).revisions] == [1, 2]
    with pytest.raises(jubilant.CLIError):
        juju.add_secret("login", {"username": "again"})
    juju.remove_secret("login", revision=1)
    juju.remove_secret("login")
    assert not juju.secrets()


def test_a_granted_secret_is_read(juju: jubilant.Juju, charm):
    probe = charm("reader", hooks={"start": "status-set active"})
    juju.deploy(probe)
    juju.wait(lambda status: jubilant.all_active(status, "reader"))
    uri = juju.add_secret("key", {"value": "s3cret"})
    with pytest.raises(jubilant.TaskError) as error:
        juju.exec(f"secret-get {uri}", unit="reader/0")
    assert "permission denied" in error.value.task.stderr or "not found" in error.value.task.stderr
    juju.grant_secret("key", "reader")
    assert juju.exec(f"secret-get {uri} value", unit="reader/0").stdout.strip() == "s3cret"
    juju.update_secret("key", {"value": "newer"})
    assert juju.exec(f"secret-get {uri} value", unit="reader/0").stdout.strip() == "s3cret"
    assert juju.exec(f"secret-get --peek {uri} value", unit="reader/0").stdout.strip() == "newer"
    juju.wait(lambda _: "secret-changed" in probe.events("reader/0"), delay=0.1)
    assert juju.exec(f"secret-get --refresh {uri} value", unit="reader/0").stdout.strip() == "newer"
    assert juju.exec(f"secret-get {uri} value", unit="reader/0").stdout.strip() == "newer"


def test_a_charm_shares_a_secret(juju: jubilant.Juju, charm):
    giver = charm(
        "giver",
        metadata={"provides": {"source": {"interface": "token"}}},
        hooks={
            "source-relation-created": (
                "id=$(secret-add password=hidden); secret-grant --relation $JUJU_RELATION_ID $id; "
                "relation-set --app secret=$id"
            ),
            "start": "status-set active",
        },
    )
    taker = charm(
        "taker",
        metadata={"requires": {"sink": {"interface": "token"}}},
        hooks={
            "sink-relation-changed": (
                "id=$(relation-get --app secret giver); "
                '[ -z "$id" ] || status-set active "$(secret-get $id password)"'
            )
        },
    )
    juju.deploy(giver)
    juju.deploy(taker)
    juju.integrate("giver", "taker")
    juju.wait(lambda status: status.apps["taker"].app_status.message == "hidden", delay=0.1)
    (secret,) = [secret for secret in juju.secrets() if secret.owner == "giver"]
    assert secret.revision == 1


def test_a_follower_may_not_write(juju: jubilant.Juju, charm):
    juju.deploy(charm("pair", hooks={"start": "status-set active"}), num_units=2)
    status = juju.wait(lambda status: jubilant.all_active(status, "pair"))
    follower = next(name for name, unit in status.apps["pair"].units.items() if not unit.leader)
    with pytest.raises(jubilant.TaskError) as error:
        juju.exec("secret-add --owner application token=value", unit=follower)
    assert "this unit is not the leader" in error.value.task.stderr
