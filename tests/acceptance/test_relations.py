"""Relations: events, databags, endpoints."""

from __future__ import annotations

import jubilant
import pytest

from conftest import ROOT

SOURCE = {"provides": {"source": {"interface": "token"}}}
SINK = {"requires": {"sink": {"interface": "token"}}}


def settled(status: jubilant.Status) -> bool:
    return jubilant.all_active(status) and jubilant.all_agents_idle(status)


def test_integrate_and_remove(either: jubilant.Juju):
    either.deploy(ROOT / "charms/database")
    either.deploy(ROOT / "charms/client")
    either.integrate("client", "database")
    status = either.wait(settled)
    assert status.apps["client"].relations["database"][0].related_app == "database"
    assert status.apps["database"].relations["database"][0].related_app == "client"
    assert status.apps["client"].app_status.message == "client: welcome"
    info = either.show_unit("client/0")
    (relation,) = info.relation_info
    assert relation.endpoint == relation.related_endpoint == "database"
    assert relation.app_data == {"database": "client"}
    data = relation.related_units["database/0"].data
    assert data["greeting"] == "welcome"
    assert data["ingress-address"] == data["private-address"]
    assert data["egress-subnets"] == data["ingress-address"] + "/32"

    either.config("database", {"greeting": "hello"})
    either.wait(lambda status: status.apps["client"].app_status.message == "client: hello", delay=0.1)

    either.remove_relation("client", "database")
    either.wait(lambda status: not status.apps["client"].relations)
    status = either.wait(jubilant.all_agents_idle)
    assert not status.apps["database"].relations
    assert status.apps["client"].app_status.current == "blocked"


def test_event_order(juju: jubilant.Juju, charm):
    source = charm("source", metadata=SOURCE, hooks={"start": "status-set active"})
    sink = charm("sink", metadata=SINK, hooks={"start": "status-set active"})
    juju.deploy(source)
    juju.deploy(sink, num_units=2)
    juju.wait(settled)
    started = len(source.events("source/0"))
    juju.integrate("source", "sink")
    juju.wait(settled)
    assert source.events("source/0")[started:] == [
        "source-relation-created",
        "source-relation-joined sink/0",
        "source-relation-changed sink/0",
        "source-relation-joined sink/1",
        "source-relation-changed sink/1",
    ]
    joined = len(source.events("source/0"))
    juju.remove_relation("source", "sink")
    juju.wait(lambda status: settled(status) and not status.apps["sink"].relations)
    assert source.events("source/0")[joined:] == [
        "source-relation-departed sink/0",
        "source-relation-departed sink/1",
        "source-relation-broken",
    ]


def test_a_failed_hook_changes_nothing(juju: jubilant.Juju, charm):
    source = charm(
        "careless",
        metadata=SOURCE,
        hooks={
            "start": "status-set active",
            "source-relation-created": "relation-set token=half; relation-set --app token=half; exit 1",
        },
    )
    sink = charm("careful", metadata=SINK, hooks={"start": "status-set active"})
    juju.deploy(source)
    juju.deploy(sink)
    juju.wait(lambda status: jubilant.all_active(status, "careless", "careful"))
    juju.integrate("careless", "careful")
    status = juju.wait(lambda status: jubilant.all_error(status, "careless"))
    unit = status.apps["careless"].units["careless/0"]
    assert unit.workload_status.message == 'hook failed: "source-relation-created"'
    (relation,) = juju.show_unit("careful/0").relation_info
    assert relation.app_data == {}
    juju.cli("resolve", "careless/0", "--no-retry")
    juju.wait(lambda status: jubilant.all_active(status, "careless"))


def test_inference(juju: jubilant.Juju, charm):
    two = charm(
        "two",
        metadata={"requires": {"one": {"interface": "token"}, "other": {"interface": "token"}}},
    )
    juju.deploy(charm("single", metadata=SOURCE))
    juju.deploy(two)
    for endpoints, message in [
        (("single", "two"), 'ambiguous relation: "single two" could refer to'),
        (("single", "single"), "no relations found"),
        (("single", "nobody"), "nobody"),
        (("single:sauce", "two"), "sauce"),
    ]:
        with pytest.raises(jubilant.CLIError) as error:
            juju.integrate(*endpoints)
        assert message in error.value.stderr
    juju.integrate("single", "two:other")
    with pytest.raises(jubilant.CLIError) as error:
        juju.integrate("single", "two:other")
    assert "already exists" in error.value.stderr
    with pytest.raises(jubilant.CLIError) as error:
        juju.remove_relation("single", "two:one")
    assert "not found" in error.value.stderr


def test_an_oversized_databag_is_refused(juju: jubilant.Juju, charm):
    big = charm(
        "big",
        metadata=SOURCE,
        hooks={
            "start": "status-set active",
            "source-relation-created": (
                "head -c 70000000 /dev/zero | tr '\\0' x > big; (echo -n 'token: '; cat big) > bag; "
                "relation-set --file bag"
            ),
        },
    )
    juju.deploy(big)
    juju.deploy(charm("small", metadata=SINK))
    juju.wait(lambda status: jubilant.all_active(status, "big"))
    juju.integrate("big", "small")
    juju.wait(lambda status: jubilant.all_error(status, "big"))
    assert "larger than" in juju.debug_log()
    juju.cli("resolve", "big/0", "--no-retry")
    juju.wait(lambda status: jubilant.all_active(status, "big"))


def test_subordinates_follow_their_principal(juju: jubilant.Juju, charm):
    principal = charm(
        "principal",
        metadata={"provides": {"log": {"interface": "log"}}},
        hooks={"start": "status-set active"},
    )
    collector = charm(
        "collector",
        metadata={
            "subordinate": True,
            "requires": {"host": {"interface": "juju-info", "scope": "container"}},
        },
        hooks={"start": "status-set active"},
    )
    juju.deploy(principal, num_units=2)
    juju.deploy(collector)
    juju.integrate("collector", "principal")
    juju.wait(
        lambda status: all(
            len(unit.subordinates) == 1 for unit in status.apps["principal"].units.values()
        )
    )
    juju.wait(lambda status: jubilant.all_active(status, "principal", "collector"))
    juju.remove_application("collector")
    juju.wait(lambda status: "collector" not in status.apps)
