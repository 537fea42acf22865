//! Relations and databags.

use super::*;
use tutti_model::agent::RelationSettings;

#[test]
fn reading() {
    let mut charm = Charm::follower();
    charm.check(&[
        ("relation-ids db", "db:7\n"),
        ("relation-ids db --format=json", "[\"db:7\"]\n"),
        ("relation-ids nothing --format=json", "[]\n"),
        ("relation-ids nothing", ""),
        ("relation-list -r db:7", "pg/0\npg/1\n"),
        ("relation-list -r 7 --format=json", "[\"pg/0\",\"pg/1\"]\n"),
        ("relation-list --format=json --app -r db:7", "\"pg\"\n"),
        ("relation-list -r peers:1 --format=json", "[\"web/1\"]\n"),
        ("relation-list --app -r 1", "web\n"),
        (
            "relation-model-get -r 7 --format=json",
            "{\"uuid\":\"11111111-2222-4333-8444-555555555555\"}\n",
        ),
        (
            "relation-get --format=json -r db:7 - pg/0",
            "{\"host\":\"h0\",\"private-address\":\"127.1.0.2\"}\n",
        ),
        ("relation-get -r 7 host pg/1", "h1\n"),
        ("relation-get -r 7 host pg/9", "gone\n"),
        ("relation-get -r 7 none pg/1", ""),
        ("relation-get -r 7 none pg/1 --format=json", "null\n"),
        ("relation-get -r 7 --app - pg --format=json", "{\"version\":\"16\"}\n"),
        ("relation-get -r 7 --app version pg/0", "16\n"),
        ("relation-get -r 7 mine web/0", "a\n"),
        ("relation-get -r 1 --app shared web", "1\n"),
        ("relation-get -r 1 ip web/1", "127.0.0.2\n"),
        ("relation-get -r 1 - web/0 --format=json", "{}\n"),
    ]);
}

#[test]
fn refusals() {
    let mut charm = Charm::follower();
    charm.check_refusals(&[
        (2, "relation-ids", "no endpoint name specified"),
        (2, "relation-list", "no relation id specified"),
        (2, "relation-get", "no relation id specified"),
        (2, "relation-set a=1", "no relation id specified"),
        (2, "relation-list -r db:9", "invalid value \"db:9\" for option -r: relation not found"),
        (2, "relation-get -r 8 - pg/0", "invalid value \"8\" for option -r: relation not found"),
        (
            2,
            "relation-set --relation 5 a=1",
            "invalid value \"5\" for option --relation: relation not found",
        ),
        (2, "relation-get -r 7", "no unit or application specified"),
        (2, "relation-get -r 7 --app", "no unit or application specified"),
        (1, "relation-get -r 7 - pg/5", "permission denied"),
        (1, "relation-get -r 7 - other/0", "permission denied"),
        (1, "relation-get -r 7 - web/1", "permission denied"),
        (1, "relation-get -r 7 --app - web", "permission denied"),
        (1, "relation-get -r 7 --app - other", "permission denied"),
        (1, "relation-set -r 7 --app a=1", "cannot write relation settings"),
    ]);
    assert!(charm.tools.finish().changes.is_empty());
}

#[test]
fn writes_are_read_back_and_merged() {
    let mut charm = Charm::leader();
    charm.run("relation-set -r 7 mine= new=1");
    charm.run("relation-set -r db:7 new=2 private-address=127.1.0.1");
    charm.run("relation-set -r 7 --app ours=c");
    charm.run("relation-set -r 1 ghost=");
    let (printed, _) =
        charm.call("relation-set -r 7 --file -", "{\"json\": \"x\", \"new\": \"3\"}");
    assert_eq!(printed, Ok(String::new()));
    charm.check(&[
        (
            "relation-get -r 7 - web/0 --format=json",
            "{\"json\":\"x\",\"new\":\"3\",\"private-address\":\"127.1.0.1\"}\n",
        ),
        ("relation-get -r 7 --app ours web", "c\n"),
    ]);
    let changes = charm.tools.finish().changes;
    let settings = |application, settings| RelationSettings { relation: 7, application, settings };
    // What is as it was before, and what was deleted without having been there, is not written.
    assert_eq!(
        changes.relations,
        [
            settings(false, pairs(&[("json", "x"), ("mine", ""), ("new", "3")])),
            settings(true, pairs(&[("ours", "c")])),
        ]
    );
}

#[test]
fn a_hook_has_defaults() {
    let changed = Hook::RelationChanged(about(7, "pg", Some("pg/0")));
    let mut charm = Charm::in_hook(&changed);
    charm.check(&[
        ("relation-ids", "db:7\n"),
        ("relation-list", "pg/0\npg/1\n"),
        ("relation-list --app", "pg\n"),
        ("relation-get host", "h0\n"),
        ("relation-get - pg/1 --format=json", "{\"host\":\"h1\"}\n"),
        ("relation-get --app version", "16\n"),
        ("relation-get -r db:7 host", "h0\n"),
    ]);
    charm.check_refusals(&[(2, "relation-get -r 1", "no unit or application specified")]);
    charm.run("relation-set a=1");
    assert_eq!(charm.tools.finish().changes.relations[0].relation, 7);

    // Without a remote unit, the remote application is meant.
    let mut charm = Charm::in_hook(&Hook::RelationChanged(about(7, "pg", None)));
    charm.check(&[("relation-get version", "16\n"), ("relation-get", "version: \"16\"\n")]);
}

#[test]
fn members_are_those_the_charm_was_told_of() {
    let joined = Hook::RelationJoined(about(7, "pg", Some("pg/2")));
    Charm::in_hook(&joined).check(&[("relation-list", "pg/0\npg/1\npg/2\n")]);
    // Its databag is gone already, but it was announced.
    Charm::in_hook(&joined).check(&[("relation-get --format=json", "{}\n")]);

    let departed = Hook::RelationDeparted(about(7, "pg", Some("pg/1")));
    let mut charm = Charm::in_hook(&departed);
    charm.check(&[("relation-list", "pg/0\n"), ("relation-get host", "h1\n")]);
}

#[test]
fn a_relation_is_known_from_created_to_broken() {
    let created = Hook::RelationCreated(about(8, "new", None));
    let mut charm = Charm::in_hook(&created);
    charm.check(&[
        ("relation-ids", "db:7\ndb:8\n"),
        ("relation-list", ""),
        ("relation-list --format=json", "[]\n"),
        ("relation-get --format=json", "{}\n"),
    ]);
    charm.run("relation-set a=1");

    let mut charm = Charm::in_hook(&Hook::RelationBroken(about(5, "old", None)));
    charm.check(&[
        ("relation-ids", "db:5\ndb:7\n"),
        ("relation-list --app", "old\n"),
        ("relation-get - web/0 --format=json", "{}\n"),
    ]);
}

#[test]
fn writes_have_a_limit() {
    let mut charm = Charm::leader();
    let value = "x".repeat((4 << 20) + 1);
    let (code, text) = charm.refusal(&format!("relation-set -r 7 big={value}"));
    assert_eq!(
        (code, text.as_str()),
        (1, "the value of \"big\" has 4194305 bytes; one value may have 4194304")
    );
    let value = "x".repeat(4 << 20);
    for key in ["a", "b", "c"] {
        charm.run(&format!("relation-set -r 7 {key}={value}"));
    }
    let (code, text) = charm.refusal(&format!("state-set d={value}"));
    assert_eq!(code, 1);
    assert!(text.starts_with("this run has written 16777"), "{text}");
}
