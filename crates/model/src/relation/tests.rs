use tutti_charm::metadata::{Metadata, Scope};

use super::*;
use crate::{Error, Result};

fn charm(application: &str, yaml: &str) -> (String, Metadata) {
    let text = format!("name: {application}\nsummary: s\ndescription: d\n{yaml}");
    (application.to_owned(), Metadata::from_yaml("metadata.yaml", &text).unwrap().0)
}

fn integrate(
    one: &(String, Metadata),
    left: &str,
    other: &(String, Metadata),
    right: &str,
) -> Result<Pair> {
    infer(
        (&left.parse()?, &endpoints(&one.0, &one.1)),
        (&right.parse()?, &endpoints(&other.0, &other.1)),
    )
}

fn database() -> (String, Metadata) {
    charm(
        "db",
        "provides:\n  db: {interface: sql}\n  admin: {interface: sql}\npeers:\n  cluster: {interface: c}\n",
    )
}

fn website() -> (String, Metadata) {
    charm("web", "requires:\n  db: {interface: sql, limit: 1}\n  cache: {interface: redis}\n")
}

fn monitor() -> (String, Metadata) {
    charm(
        "monitor",
        "subordinate: true\nrequires:\n  host: {interface: juju-info, scope: container}\n",
    )
}

#[test]
fn the_requirer_comes_first() {
    for (left, right) in [("web", "db:db"), ("web:db", "db:db")] {
        let pair = integrate(&website(), left, &database(), right).unwrap();
        assert_eq!(pair.key(), "web:db db:db");
        let pair = integrate(&database(), right, &website(), left).unwrap();
        assert_eq!(pair.key(), "web:db db:db");
        assert_eq!((pair.kind(), pair.scope()), ("regular", Scope::Global));
        assert_eq!(pair.subordinate(), None);
    }
}

#[test]
fn refusals_have_jujus_texts() {
    let text =
        |left, right| integrate(&website(), left, &database(), right).unwrap_err().to_string();
    assert_eq!(
        text("web", "db"),
        r#"ambiguous relation: "web db" could refer to "web:db db:admin"; "web:db db:db""#
    );
    assert_eq!(text("web:cache", "db"), "no relations found");
    assert_eq!(text("web:nothing", "db"), r#"application "web" has no "nothing" relation"#);
    assert_eq!(text("web", "db:cluster"), r#"application "db" has no "cluster" relation"#);
    assert!(text("web:", "db").starts_with("invalid endpoint \"web:\""));
    assert!(text("web:a:b", "db").starts_with("invalid endpoint"));
    let same = integrate(&database(), "db", &database(), "db").unwrap_err();
    assert_eq!(same, Error::NoRelation);
}

#[test]
fn implicit_endpoints_count_only_when_nothing_else_fits() {
    let pair = integrate(&monitor(), "monitor", &website(), "web").unwrap();
    assert_eq!(pair.key(), "monitor:host web:juju-info");
    assert_eq!((pair.kind(), pair.scope()), ("subordinate", Scope::Container));
    assert!(pair.provider.as_ref().unwrap().implicit);
    assert_eq!(pair.subordinate().unwrap().application, "monitor");

    let beats = charm(
        "beats",
        "subordinate: true\nrequires:\n  host: {interface: juju-info, scope: container}\n  logs: \
         {interface: logs, scope: container}\n",
    );
    let both = charm("web", "provides:\n  logs: {interface: logs, scope: container}\n");
    let pair = integrate(&beats, "beats", &both, "web").unwrap();
    assert_eq!(pair.key(), "beats:logs web:logs");
}

#[test]
fn container_scope_needs_a_subordinate() {
    let principal = charm("agent", "requires:\n  host: {interface: juju-info, scope: container}\n");
    assert_eq!(integrate(&principal, "agent", &website(), "web"), Err(Error::NoRelation));
    let other =
        charm("other", "subordinate: true\nrequires:\n  x: {interface: y, scope: container}\n");
    let pair = integrate(&monitor(), "monitor", &other, "other").unwrap();
    assert_eq!(pair.subordinate(), None, "two subordinates meet beside their principal");
}

fn existing(key: &str) -> Existing {
    let ends = (key.split(' '))
        .map(|end| end.split_once(':').unwrap())
        .map(|(application, endpoint)| (application.to_owned(), endpoint.to_owned()))
        .collect();
    Existing { key: key.into(), ends }
}

#[test]
fn a_relation_is_added_once_and_within_limits() {
    let pair = integrate(&website(), "web", &database(), "db:db").unwrap();
    assert_eq!(
        check_new(&pair, &[existing("web:cache redis:cache"), existing("db:cluster")]),
        Ok(())
    );
    assert_eq!(
        check_new(&pair, &[existing("web:db db:db")]).unwrap_err().to_string(),
        r#"cannot add relation "web:db db:db": relation web:db db:db already exists"#
    );
    assert_eq!(
        check_new(&pair, &[existing("web:db db:admin")]).unwrap_err().to_string(),
        "cannot add relation \"web:db db:db\": establishing a new relation for web:db would exceed \
         its maximum relation limit of 1"
    );
}

#[test]
fn an_existing_relation_is_found_by_either_end() {
    let relations = [
        existing("db:cluster"),
        existing("web:db db:db"),
        existing("web:cache redis:cache"),
        existing("web:db db:admin"),
    ];
    let found = |left: &str, right: &str| {
        find(&left.parse().unwrap(), &right.parse().unwrap(), &relations)
            .map_err(|error| error.to_string())
    };
    assert_eq!(found("web", "redis"), Ok(2));
    assert_eq!(found("redis:cache", "web"), Ok(2));
    assert_eq!(found("web", "db:db"), Ok(1));
    assert_eq!(
        found("web", "db").unwrap_err(),
        r#"ambiguous relation: "web db" could refer to "web:db db:admin"; "web:db db:db""#
    );
    assert_eq!(found("a", "b").unwrap_err(), r#"relation matching "a b" not found"#);
    assert_eq!(
        found("web:cache", "db").unwrap_err(),
        r#"relation matching "web:cache db" not found"#
    );
    assert!(found("db", "db").unwrap_err().contains("peer relation"));
}

#[test]
fn peers_are_relations_of_their_own() {
    let (name, metadata) = database();
    let peers = peers(&name, &metadata);
    let pair = Pair::peer(peers[0].clone());
    assert_eq!((peers.len(), pair.key().as_str(), pair.kind()), (1, "db:cluster", "peer"));
    assert!(endpoints(&name, &metadata).iter().any(|end| end.implicit));
}

#[test]
fn databags() {
    // name, bag, readable by leader, minion, minion of peers; writable by leader, minion
    let cases = [
        ("web/0", Bag::OwnUnit, [true, true, true], [true, true]),
        ("web/1", Bag::RemoteUnit, [true, true, true], [false, false]),
        ("db/0", Bag::RemoteUnit, [true, true, true], [false, false]),
        ("web", Bag::OwnApplication, [true, false, true], [true, false]),
        ("db", Bag::RemoteApplication, [true, true, true], [false, false]),
    ];
    for (name, bag, readable, writable) in cases {
        assert_eq!(Bag::of("web/0", name), bag, "{name}");
        let read = [(true, false), (false, false), (false, true)]
            .map(|(leader, peer)| bag.readable(leader, peer));
        assert_eq!(read, readable, "{name}");
        assert_eq!([true, false].map(|leader| bag.writable(leader)), writable, "{name}");
    }
}
