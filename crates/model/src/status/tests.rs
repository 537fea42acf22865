use std::cmp::Ordering;

use jiff::tz::{Offset, offset};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::agent::OpenPort;
use crate::api::{Life, ModelKind};

/// 11 Aug 2026 10:00:09 UTC.
const TIME: i64 = 1_786_442_409_000_000;

fn value(status: &str, message: &str) -> StatusValue {
    StatusValue { status: status.into(), message: message.into(), since: TIME }
}

fn unit(name: &str, workload: &str) -> UnitRow {
    UnitRow {
        name: name.into(),
        application: name.split('/').next().unwrap().into(),
        agent: value("idle", ""),
        workload: value(workload, name),
        charm: "local:testdb-0".into(),
        address: "192.0.2.10".into(),
        machine: "0".into(),
        generation: 4,
        observed_generation: 4,
        ..UnitRow::default()
    }
}

fn application(name: &str) -> ApplicationRow {
    ApplicationRow {
        name: name.into(),
        charm: "local:testdb-0".into(),
        charm_origin: "local".into(),
        charm_name: "testdb".into(),
        base: "ubuntu@24.04".into(),
        scale: 1,
        created: TIME,
        ..ApplicationRow::default()
    }
}

fn port(from: u16, to: u16, protocol: &str) -> OpenPort {
    OpenPort { endpoint: String::new(), protocol: protocol.into(), from, to }
}

fn rows() -> StatusRows {
    StatusRows {
        model: ModelRow {
            name: "demo".into(),
            controller: "local".into(),
            cloud: "local".into(),
            region: "localhost".into(),
            version: "3.6.9".into(),
            since: TIME,
            ..ModelRow::default()
        },
        now: TIME,
        applications: vec![application("testdb"), application("testapp")],
        units: vec![unit("testdb/0", "active"), unit("testapp/0", "waiting")],
        ..StatusRows::default()
    }
}

/// The fields of the contract's sample that a real client parses.
#[test]
fn looks_as_jujus() {
    let mut rows = rows();
    rows.applications[0].leader = Some("testdb/0".into());
    rows.applications[0].bindings = [("".into(), "alpha".into())].into();
    rows.units[0].ports = vec![port(8080, 8080, "tcp")];
    rows.relations = vec![RelationRow {
        interface: "dbi".into(),
        scope: "global".into(),
        ends: vec![("testapp".into(), "db".into()), ("testdb".into(), "db".into())],
    }];
    rows.machines = vec![MachineRow {
        number: "0".into(),
        agent: value("started", ""),
        instance: value("running", "Running"),
        hostname: "box".into(),
        addresses: vec!["192.0.2.10".into()],
        instance_id: "host".into(),
        base: "ubuntu@24.04".into(),
        constraints: "arch=amd64".into(),
        hardware: "arch=amd64 cores=2 mem=4096M".into(),
        ..MachineRow::default()
    }];
    let status = serde_json::to_value(build(&rows, Offset::UTC)).unwrap();
    let since = "11 Aug 2026 10:00:09Z";
    assert_eq!(
        status["model"],
        json!({"name": "demo", "type": "iaas", "controller": "local", "cloud": "local",
               "region": "localhost", "version": "3.6.9",
               "model-status": {"current": "available", "since": since}})
    );
    assert_eq!(
        status["applications"]["testdb"],
        json!({"charm": "local:testdb-0", "base": {"name": "ubuntu", "channel": "24.04"},
               "charm-origin": "local", "charm-name": "testdb", "charm-rev": 0, "scale": 1,
               "exposed": false,
               "application-status": {"current": "active", "message": "testdb/0", "since": since},
               "relations": {"db": [
                   {"related-application": "testapp", "interface": "dbi", "scope": "global"}]},
               "units": {"testdb/0": {
                   "workload-status": {"current": "active", "message": "testdb/0", "since": since},
                   "juju-status": {"current": "idle", "since": since, "version": "3.6.9"},
                   "leader": true, "machine": "0", "open-ports": ["8080/tcp"],
                   "public-address": "192.0.2.10", "address": "192.0.2.10"}},
               "endpoint-bindings": {"": "alpha"}})
    );
    assert_eq!(status["machines"]["0"]["machine-status"]["current"], "running");
    assert_eq!(status["machines"]["0"]["modification-status"]["current"], "applied");
    assert_eq!(status["machines"]["0"]["dns-name"], "192.0.2.10");
    assert_eq!(status["storage"], json!({}));
    assert_eq!(status["controller"], json!({"timestamp": "10:00:09Z"}));
}

#[test]
fn the_worst_unit_speaks_unless_the_leader_did() {
    let mut rows = rows();
    rows.units = ["active", "blocked", "waiting", "blocked"]
        .iter()
        .enumerate()
        .map(|(number, workload)| unit(&format!("testdb/{number}"), workload))
        .collect();
    let status = build(&rows, Offset::UTC);
    let derived = &status.applications["testdb"].application_status;
    assert_eq!((derived.current.as_str(), derived.message.as_str()), ("blocked", "testdb/1"));
    assert_eq!(status.applications["testapp"].application_status.current, "unknown");

    rows.applications[0].status = Some(value("active", "ready"));
    assert_eq!(
        build(&rows, Offset::UTC).applications["testdb"].application_status.message,
        "ready"
    );

    rows.model.kind = ModelKind::Caas;
    assert_eq!(
        build(&rows, Offset::UTC).applications["testapp"].application_status.current,
        "waiting"
    );
    rows.applications[1].scale = 0;
    assert_eq!(
        build(&rows, Offset::UTC).applications["testapp"].application_status.current,
        "unknown"
    );
}

#[test]
fn severities() {
    let order =
        ["error", "blocked", "maintenance", "waiting", "active", "terminated", "unknown", ""];
    assert!(order.is_sorted_by(|worse, better| severity(worse) > severity(better)));
}

#[test]
fn what_is_shown_of_a_unit() {
    let behind = |row: UnitRow| UnitRow { observed_generation: 3, ..row };
    let failed = |row: UnitRow| UnitRow { agent: value("error", "hook failed: \"start\""), ..row };
    let running = |row: UnitRow| UnitRow { agent: value("executing", "running start hook"), ..row };
    let lost = |row: UnitRow| UnitRow { lost: true, ..row };
    let active = || unit("testdb/0", "active");
    // unit, workload, workload message, agent, agent message
    let cases = [
        (active(), "active", "testdb/0", "idle", ""),
        (behind(active()), "active", "testdb/0", "executing", ""),
        (behind(running(active())), "active", "testdb/0", "executing", "running start hook"),
        (failed(active()), "error", "hook failed: \"start\"", "idle", ""),
        (behind(failed(active())), "error", "hook failed: \"start\"", "idle", ""),
        (
            lost(active()),
            "unknown",
            "agent lost, see 'juju show-status-log testdb/0'",
            "lost",
            "agent is not communicating with the server",
        ),
        (
            lost(failed(active())),
            "error",
            "hook failed: \"start\"",
            "lost",
            "agent is not communicating with the server",
        ),
        (
            lost(unit("testdb/0", "terminated")),
            "terminated",
            "testdb/0",
            "lost",
            "agent is not communicating with the server",
        ),
    ];
    for (row, workload, workload_message, agent, agent_message) in cases {
        let (shown_workload, shown_agent) = shown(&row);
        assert_eq!(shown_workload.status, workload, "{row:?}");
        assert_eq!(shown_workload.message, workload_message, "{row:?}");
        assert_eq!(
            (shown_agent.status.as_str(), shown_agent.message.as_str()),
            (agent, agent_message)
        );
    }
}

#[test]
fn subordinates_live_under_their_principals() {
    let mut rows = rows();
    let mut agent = unit("monitor/0", "blocked");
    agent.principal = Some("testdb/0".into());
    rows.units.push(agent);
    rows.applications.push(ApplicationRow { subordinate: true, ..application("monitor") });
    rows.relations = vec![RelationRow {
        interface: "juju-info".into(),
        scope: "container".into(),
        ends: vec![("monitor".into(), "host".into()), ("testdb".into(), "juju-info".into())],
    }];
    let status = build(&rows, Offset::UTC);
    let monitor = &status.applications["monitor"];
    assert!(monitor.units.is_empty());
    assert_eq!(monitor.subordinate_to, ["testdb"]);
    assert_eq!(monitor.application_status.current, "blocked");
    assert!(status.applications["testdb"].subordinate_to.is_empty());
    assert!(status.applications["testdb"].units["testdb/0"].subordinates.contains_key("monitor/0"));
    assert_eq!(status.applications["testdb"].application_status.current, "active");
}

#[test]
fn peers_are_their_own_partners_and_partners_are_sorted() {
    let mut rows = rows();
    let to = |name: &str| RelationRow {
        interface: "i".into(),
        scope: "global".into(),
        ends: vec![(name.into(), "x".into()), ("testdb".into(), "db".into())],
    };
    rows.relations = vec![
        to("zebra"),
        to("ant"),
        RelationRow { ends: vec![("testdb".into(), "cluster".into())], ..to("") },
        RelationRow::default(),
    ];
    let relations = &build(&rows, Offset::UTC).applications["testdb"].relations;
    let partners: Vec<_> =
        relations["db"].iter().map(|partner| partner.related_application.as_str()).collect();
    assert_eq!(partners, ["ant", "zebra"]);
    assert_eq!(relations["cluster"][0].related_application, "testdb");
}

#[test]
fn life_upgrade_and_a_row_that_cannot_be_read() {
    let mut rows = rows();
    rows.model.life = Life::Dying;
    rows.applications[0].life = Life::Dying;
    rows.units[0].life = Life::Dying;
    rows.units[0].charm = "local:testdb-7".into();
    rows.units[1].charm = String::new();
    rows.applications[1].error = "cannot read charm".into();
    let status = build(&rows, Offset::UTC);
    assert_eq!(status.model.model_status.current, "destroying");
    let testdb = &status.applications["testdb"];
    assert_eq!(testdb.life, "dying");
    assert_eq!(testdb.units["testdb/0"].juju_status.life, "dying");
    assert_eq!(testdb.units["testdb/0"].upgrading_from, "local:testdb-7");
    assert_eq!(status.applications["testapp"].status_error, "cannot read charm");
    assert_eq!(status.applications["testapp"].units["testapp/0"].upgrading_from, "");
}

#[test]
fn storage() {
    let mut rows = rows();
    rows.storage = vec![StorageRow {
        id: "data/0".into(),
        kind: "filesystem".into(),
        status: value("attached", ""),
        unit: "testdb/0".into(),
        machine: "0".into(),
        location: "/srv".into(),
        ..StorageRow::default()
    }];
    let storage = serde_json::to_value(build(&rows, Offset::UTC).storage).unwrap();
    assert_eq!(storage["storage"]["data/0"]["persistent"], false);
    assert_eq!(
        storage["storage"]["data/0"]["attachments"]["units"]["testdb/0"],
        json!({"machine": "0", "location": "/srv", "life": "alive"})
    );
}

#[test]
fn times() {
    assert_eq!(status_time(TIME, Offset::UTC), "11 Aug 2026 10:00:09Z");
    assert_eq!(status_time(TIME, offset(2)), "11 Aug 2026 12:00:09+02:00");
    let newfoundland = Offset::from_seconds(-(3 * 3600 + 30 * 60)).unwrap();
    assert_eq!(status_time(TIME, newfoundland), "11 Aug 2026 06:30:09-03:30");
    assert_eq!(status_time(0, Offset::UTC), "");
    assert_eq!(clock_time(TIME, offset(-11)), "23:00:09-11:00");
    assert_eq!(status_time(i64::MAX, Offset::UTC), "01 Jan 1970 00:00:00Z", "out of range");
}

#[test]
fn ports() {
    let ports =
        [port(9000, 9010, "udp"), port(80, 80, "tcp"), port(0, 0, "icmp"), port(80, 80, "tcp")];
    assert_eq!(open_ports(&ports), ["icmp", "80/tcp", "9000-9010/udp"]);
}

#[test]
fn names_in_the_order_people_expect() {
    let sorted = ["a", "a/2", "a/10", "a/010b", "a1", "a10", "b/0"];
    let mut names = sorted;
    names.reverse();
    names.sort_by(|left, right| natural_order(left, right));
    assert_eq!(names, ["a", "a/2", "a/10", "a/010b", "a1", "a10", "b/0"]);
    assert_eq!(natural_order("a/01", "a/1"), Ordering::Less);
}

proptest! {
    #[test]
    fn natural_order_is_an_order(mut names in prop::collection::vec("[ab/019]{0,5}", 0..8)) {
        names.sort_by(|left, right| natural_order(left, right));
        for (earlier, left) in names.iter().enumerate() {
            for right in &names[earlier..] {
                prop_assert!(natural_order(left, right).is_le());
                prop_assert_eq!(natural_order(left, right).is_eq(), left == right);
            }
        }
    }
}

#[test]
fn two_thousand_units_take_no_time() {
    let mut rows = rows();
    rows.applications = (0..50).map(|number| application(&format!("app-{number}x"))).collect();
    rows.units = (0..2_000).map(|n| unit(&format!("app-{}x/{n}", n % 50), "active")).collect();
    let begun = std::time::Instant::now();
    let status = build(&rows, Offset::UTC);
    let taken = begun.elapsed();
    assert_eq!(status.applications.values().map(|one| one.units.len()).sum::<usize>(), 2_000);
    assert!(taken.as_millis() < 500, "{taken:?} even without optimisation");
}
