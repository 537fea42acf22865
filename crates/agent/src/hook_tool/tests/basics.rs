//! Everything that is neither a relation nor a secret.

use super::*;
use tutti_model::agent::{LogLine, Report};

#[test]
fn model() {
    let mut charm = Charm::follower();
    charm.check(&[
        ("config-get --format=json", "{\"debug\":false,\"name\":\"web\",\"port\":8080}\n"),
        (
            "config-get --all --format=json",
            "{\"debug\":false,\"name\":\"web\",\"port\":8080,\"unset\":null}\n",
        ),
        ("config-get", "debug: false\nname: web\nport: 8080\n"),
        ("config-get name", "web\n"),
        ("config-get port", "8080\n"),
        ("config-get debug", "False\n"),
        ("config-get unset --format=json", "null\n"),
        ("config-get unset", ""),
        ("config-get missing --format=json", "null\n"),
        ("is-leader", "False\n"),
        ("is-leader --format=json", "false\n"),
        ("leader-get", "old: \"1\"\n"),
        ("leader-get old", "1\n"),
        ("leader-get none", ""),
        ("unit-get private-address", "127.1.0.1\n"),
        ("unit-get public-address --format=json", "\"127.1.0.1\"\n"),
        (
            "goal-state --format=json",
            "{\"relations\":{\"db\":{\"pg\":{\"since\":\"2026-01-01T00:00:00Z\",\
             \"status\":\"joined\"}}},\"units\":{\"web/0\":{\"since\":\"2026-01-01T00:00:00Z\",\
             \"status\":\"active\"}}}\n",
        ),
        ("state-get", "k: v\n"),
        ("state-get k", "v\n"),
        ("state-get none", ""),
        ("storage-list", "data/0\n"),
        ("storage-list data --format=json", "[\"data/0\"]\n"),
        ("storage-list logs --format=json", "[]\n"),
        ("storage-get -s data/0", "kind: filesystem\nlocation: /srv/data\n"),
        ("storage-get -s data/0 location", "/srv/data\n"),
        ("storage-get -s data/0 kind --format=json", "\"filesystem\"\n"),
        ("payload-register docker monitor id1", ""),
        ("payload-status-set monitor id1 started", ""),
    ]);
    assert_eq!(charm.tools.finish(), Outcome::default());
}

#[test]
fn refusals() {
    let mut charm = Charm::follower();
    charm.check_refusals(&[
        (1, "leader-set a=1", "cannot write leadership settings: this unit is not the leader"),
        (1, "status-get --application", "this unit is not the leader"),
        (1, "status-set --application=true active", "this unit is not the leader"),
        (
            1,
            "credential-get --format=json",
            "cannot access cloud credentials: application \"web\" is not trusted",
        ),
        (
            1,
            "resource-get empty",
            "could not download resource: nothing was uploaded for resource \"empty\"",
        ),
        (
            1,
            "resource-get none",
            "could not download resource: the charm declares no resource \"none\"",
        ),
        (1, "state-get --strict none", "\"none\" not found"),
        (2, "storage-get -s data/7", "invalid value \"data/7\" for option -s: storage not found"),
        (2, "storage-get", "storage requires -s with a storage ID outside of storage hooks"),
        (1, "storage-get -s data/0 size", "invalid storage attribute \"size\""),
        (1, "storage-add logs", "charm storage \"logs\" not found"),
        (1, "action-get", "not running an action"),
        (1, "action-set a=1", "not running an action"),
        (1, "action-fail", "not running an action"),
        (1, "action-log x", "not running an action"),
        (1, "payload-unregister web id1", "payload \"web\" not found in metadata.yaml"),
        (1, "add-metric users=5", "cannot record metric: metrics disabled"),
    ]);
    assert_eq!(charm.tools.finish(), Outcome::default());
}

#[test]
fn network() {
    let mut charm = Charm::follower();
    let expected = json!({
        "bind-addresses": [{
            "mac-address": "00:00:00:00:00:00",
            "interface-name": "lo",
            "addresses": [{
                "hostname": "",
                "value": "127.1.0.1",
                "address": "127.1.0.1",
                "cidr": "127.0.0.0/8",
            }],
        }],
        "egress-subnets": ["127.1.0.1/32"],
        "ingress-addresses": ["127.1.0.1"],
    });
    for line in ["network-get db", "network-get -r 7 db", "network-get juju-info"] {
        assert_eq!(charm.json(line), expected, "{line}");
    }
    charm.check(&[
        ("network-get db --bind-address", "127.1.0.1\n"),
        ("network-get db --ingress-address", "127.1.0.1\n"),
        ("network-get db --primary-address", "127.1.0.1\n"),
        ("network-get db --egress-subnets", "127.1.0.1/32\n"),
        (
            "network-get db --bind-address --ingress-address",
            "bind-address: 127.1.0.1\ningress-address: 127.1.0.1\n",
        ),
    ]);
    charm.check_refusals(&[
        (1, "network-get nowhere", "no network config found for binding \"nowhere\""),
        (1, "network-get -r 9 db", "relation 9 not found"),
    ]);
}

#[test]
fn statuses() {
    let mut charm = Charm::leader();
    charm.check(&[
        ("status-get", "active\n"),
        ("status-get --format=json", "{\"status\":\"active\"}\n"),
        (
            "status-get --include-data --format=json --application=false",
            "{\"message\":\"fine\",\"status\":\"active\",\"status-data\":{}}\n",
        ),
        ("status-get --application", "waiting\n"),
        (
            "status-get --include-data --format=json --application=true",
            "{\"application-status\":{\"message\":\"so-so\",\"status\":\"waiting\",\
             \"status-data\":{},\"units\":{\"web/0\":{\"message\":\"fine\",\"status\":\"active\",\
             \"status-data\":{}}}}}\n",
        ),
    ]);
    let (printed, effect) = charm.call("status-set --application=True blocked -- no", "");
    assert_eq!(printed, Ok(String::new()));
    let blocked = Report::Status { application: true, status: status("blocked", "no") };
    assert_eq!(effect, Some(Effect::Report(blocked)));
    assert!(!charm.tools.status_set);
    let (_, effect) = charm.call("status-set --application=False active", "");
    let active = Report::Status { application: false, status: status("active", "") };
    assert_eq!(effect, Some(Effect::Report(active)));
    charm.check(&[("status-get --application", "blocked\n")]);
    let full = charm.json("status-get --include-data");
    assert_eq!(full["message"], "");
    assert!(charm.tools.finish().status_set);
}

#[test]
fn effects() {
    let mut charm = Charm::leader();
    let table = [
        (
            "application-version-set -- 1.2",
            Effect::Report(Report::WorkloadVersion { version: "1.2".into() }),
        ),
        (
            "juju-log --log-level WARNING -- hello",
            Effect::Report(Report::Log {
                lines: vec![LogLine {
                    time: 1_767_323_045_000_000,
                    level: "WARNING".into(),
                    logger: "unit.web/0.juju-log".into(),
                    message: "hello".into(),
                }],
            }),
        ),
        (
            "leader-set a=1 old=",
            Effect::Report(Report::LeaderSettings { settings: pairs(&[("a", "1"), ("old", "")]) }),
        ),
        ("resource-get image", Effect::FetchResource { name: "image".into() }),
        ("juju-reboot", Effect::Reboot { now: false }),
    ];
    for (line, expected) in table {
        assert_eq!(charm.call(line, ""), (Ok(String::new()), Some(expected)), "{line}");
    }
    charm.check(&[("leader-get --format=json", "{\"a\":\"1\"}\n"), ("is-leader", "True\n")]);
    assert_eq!(charm.tools.finish().reboot, Some(false));
}

#[test]
fn log_lines_name_the_relation() {
    let mut charm = Charm::in_hook(&Hook::RelationChanged(about(7, "pg", Some("pg/0"))));
    let (_, effect) = charm.call("juju-log hello", "");
    let Some(Effect::Report(Report::Log { lines })) = effect else { panic!() };
    assert_eq!(lines[0].message, "db:7: hello");
}

#[test]
fn ports() {
    let mut charm = Charm::follower();
    charm.check(&[
        ("open-port 80", ""),
        ("open-port 8000-8010/udp --endpoints db,admin", ""),
        ("open-port icmp", ""),
        ("close-port 443", ""),
        ("opened-ports", "icmp\n80/tcp\n8000-8010/udp\n"),
        (
            "opened-ports --endpoints --format=json",
            "[\"icmp (*)\",\"80/tcp (*)\",\"8000-8010/udp (admin, db)\"]\n",
        ),
        ("close-port 80/tcp --endpoints db", ""),
        ("close-port icmp", ""),
        (
            "opened-ports --endpoints --format=json",
            "[\"80/tcp (admin, peers)\",\"8000-8010/udp (admin, db)\"]\n",
        ),
        ("open-port 8000-8010/udp", ""),
    ]);
    charm.check_refusals(&[
        (
            1,
            "open-port 8010-8020/udp",
            "cannot open 8010-8020/udp (unit \"web/0\"): port range conflicts with 8000-8010/udp \
             (unit \"web/0\")",
        ),
        (
            1,
            "close-port 8005/udp",
            "cannot close 8005/udp (unit \"web/0\"): port range conflicts with 8000-8010/udp \
             (unit \"web/0\")",
        ),
        (1, "open-port 1 --endpoints x", "cannot open 1/tcp: the charm has no endpoint \"x\""),
    ]);
    let changes = charm.tools.finish().changes;
    assert_eq!(
        changes.open_ports,
        [port("", "udp", 8000, 8010), port("admin", "tcp", 80, 80), port("peers", "tcp", 80, 80),]
    );
    assert_eq!(changes.close_ports, [port("", "tcp", 80, 80)]);
}

#[test]
fn ports_opened_and_closed_are_no_change() {
    let mut charm = Charm::follower();
    for line in ["close-port 80", "open-port 80", "open-port 81", "close-port 81"] {
        charm.run(line);
    }
    assert!(charm.tools.finish().changes.is_empty());
}

#[test]
fn state_and_storage() {
    let mut charm = Charm::follower();
    charm.run("state-set a=1 b=");
    charm.run("state-delete k");
    charm.run("storage-add data=2");
    charm.run("storage-add data");
    charm.check(&[
        ("state-get --format=json", "{\"a\":\"1\",\"b\":\"\"}\n"),
        ("state-get k --format=json", "null\n"),
        ("storage-list", "data/0\n"),
    ]);
    let changes = charm.tools.finish().changes;
    let state = [("a", Some("1")), ("b", Some("")), ("k", None)];
    let state = state.map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
    assert_eq!(changes.state, state.into());
    assert_eq!(changes.storage, [("data".to_owned(), 3)].into());
}

#[test]
fn storage_hooks_have_a_default() {
    let attached =
        Hook::StorageAttached(tutti_model::agent::StorageHook { storage: "data/0".into() });
    Charm::in_hook(&attached).check(&[("storage-get location", "/srv/data\n")]);
}

#[test]
fn actions() {
    let mut charm = Charm::in_action();
    charm.check(&[
        ("action-get --format=json", "{\"keep\":{\"all\":false,\"days\":7},\"target\":\"s3\"}\n"),
        ("action-get target", "s3\n"),
        ("action-get keep.days", "7\n"),
        ("action-get keep.none.deeper", ""),
        ("action-set a=1 b.c=2 b.d.e=3", ""),
        ("action-set b.c=4 a.x=5", ""),
    ]);
    let (_, effect) = charm.call("action-log half way", "");
    let half = Report::TaskLog { task: 9, message: "half way".into() };
    assert_eq!(effect, Some(Effect::Report(half)));
    charm.run("action-fail");
    let rebooting = "juju-reboot is not supported when running an action.";
    assert_eq!(charm.refusal("juju-reboot --now"), (1, rebooting.into()));
    let outcome = charm.tools.finish();
    assert_eq!(
        Value::Object(outcome.results),
        json!({"a": {"x": "5"}, "b": {"c": "4", "d": {"e": "3"}}})
    );
    let failure = "action failed without reason given, check action for errors";
    assert_eq!(outcome.failure.as_deref(), Some(failure));
    assert_eq!(outcome.reboot, None);
}

#[test]
fn a_restricted_context_only_logs() {
    let run = Run { restricted: true, ..Run::task("web/0", &journal()) };
    let mut charm = Charm::new(run, context());
    for line in ["config-get", "relation-ids db", "open-port 80", "is-leader", "status-get"] {
        let refusal = (1, "not implemented for restricted context".to_owned());
        assert_eq!(charm.refusal(line), refusal, "{line}");
    }
    assert!(charm.call("juju-log x", "").1.is_some());
}
