//! Removal always ends.

use super::simulation::{End, Simulation, charm, members, peer, relation};
use crate::agent::Hook;
use crate::api::Life;
use crate::operation::Next;

fn related() -> Simulation {
    let mut unit = Simulation::started();
    unit.store("data/0", Life::Alive);
    unit.relate(1, peer());
    unit.relate(7, relation("db", "postgres"));
    unit.related(1).members = members(&[("web/1", 1)]);
    unit.related(7).members = members(&[("postgres/0", 1)]);
    unit.settled()
}

const ORDER: [&str; 7] = [
    "data-storage-detaching data/0",
    "db-relation-departed postgres/0",
    "db-relation-broken",
    "cluster-relation-departed web/1",
    "drop [1]",
    "stop",
    "remove",
];

#[test]
fn a_unit_says_goodbye_in_order() {
    let mut unit = related();
    unit.remove();
    let mut expected = ORDER.to_vec();
    expected.push("dead");
    assert_eq!(unit.flow(), expected);
    assert!(unit.dead && unit.snapshot.relations.is_empty() && unit.snapshot.storage.is_empty());
    assert_eq!(unit.workload, "terminated");
    assert!(!unit.snapshot.journal.leader);
}

#[test]
fn the_departing_unit_is_the_local_one() {
    let mut unit = related();
    unit.remove();
    unit.snapshot.storage.clear();
    let Next::ResignLeadership = unit.advance(End::Success) else { panic!("leads no more") };
    let Next::RunHook(Hook::RelationDeparted(hook)) = unit.next() else { panic!("departed") };
    assert_eq!(hook.departing_unit.as_deref(), Some("web/0"));
    assert_eq!(hook.remote_unit.as_deref(), Some("postgres/0"));
    assert_eq!(hook.remote_application, "postgres");
}

#[test]
fn before_install_nothing_runs() {
    let mut unit = Simulation::new();
    unit.store("data/0", Life::Alive);
    unit.end_hook("data-storage-attached", End::Success);
    unit.remove();
    assert_eq!(unit.flow(), ["forget data/0", "dead"]);

    let mut unit = Simulation::new();
    unit.remove();
    assert_eq!(unit.flow(), ["dead"]);

    let mut unit = Simulation::new();
    unit.end_hook("install", End::Failure);
    unit.remove();
    assert_eq!(unit.flow(), ["dead"], "a failed install is not tried again");

    let mut unit = Simulation::new();
    unit.advance(End::Crash);
    unit.remove();
    unit.log.clear();
    assert_eq!(unit.flow(), ["dead"], "nor a switch of the directory");
}

#[test]
fn between_install_and_start_there_is_no_stop() {
    let mut unit = Simulation::new();
    unit.end_hook("leader-elected", End::Success);
    unit.remove();
    assert_eq!(unit.flow(), ["remove", "dead"]);
}

#[test]
fn a_follow_up_that_is_owed_still_runs() {
    let mut unit = Simulation::new();
    unit.end_hook("config-changed", End::Success);
    unit.remove();
    assert_eq!(unit.flow(), ["start", "stop", "remove", "dead"]);
}

#[test]
fn a_switch_that_was_cut_keeps_what_was_owed_before_it() {
    let mut unit = Simulation::started();
    unit.snapshot.charm = charm(2);
    unit.snapshot.charm_modified = 2;
    unit.end_hook("upgrade-charm", End::Success);
    unit.local.charm_missing = true;
    unit.advance(End::Crash);
    unit.local.charm_missing = false;
    unit.task(7);
    unit.remove();
    unit.log.clear();
    assert_eq!(unit.flow(), ["config-changed", "task action-7", "stop", "remove", "dead"]);
}

#[test]
fn a_unit_in_error_tries_once_more_and_goes_on() {
    let mut unit = related();
    unit.snapshot.config_hash = "config-2".into();
    unit.snapshot.retry_hooks = false;
    unit.end_hook("config-changed", End::Failure);
    unit.remove();
    unit.advance(End::Failure);
    while unit.next() == Next::ResignLeadership || unit.log.is_empty() {
        unit.advance(End::Failure);
    }
    let log = unit.flow();
    assert_eq!(log[..2], ["retry config-changed fails", "skip config-changed"]);
    assert_eq!(log[2..9], ORDER);
}

#[test]
fn every_hook_failing_does_not_stop_removal() {
    let mut unit = related();
    unit.remove();
    for _ in 0..100 {
        unit.advance(End::Failure);
    }
    assert!(unit.dead, "{:#?}", unit.log);
    assert!(unit.snapshot.relations.is_empty() && unit.snapshot.storage.is_empty());
}

#[test]
fn every_hook_killed_or_crashing_does_not_stop_removal() {
    for end in [End::Killed, End::Crash] {
        let mut unit = related();
        unit.remove();
        for _ in 0..200 {
            unit.advance(end);
        }
        assert!(unit.dead, "{end:?} {:#?}", unit.log);
    }
}

#[test]
fn a_missing_charm_directory_skips_hooks() {
    let mut unit = related();
    unit.remove();
    unit.local.charm_missing = true;
    let expected: Vec<_> = (ORDER.iter())
        .map(|line| if line.starts_with("drop") { (*line).into() } else { format!("skip {line}") })
        .chain(["dead".to_owned()])
        .collect();
    assert_eq!(unit.flow(), expected);
}

#[test]
fn a_dying_unit_leaves_a_forced_upgrade_alone() {
    let mut unit = related();
    unit.snapshot.config_hash = "config-2".into();
    unit.local.update_status_due = true;
    unit.end_hook("config-changed", End::Success);
    unit.local.update_status_due = true;
    unit.end_hook("update-status", End::Failure);
    unit.snapshot.charm = charm(2);
    unit.snapshot.force_upgrade = true;
    unit.advance(End::Crash);
    unit.remove();
    unit.log.clear();
    let log = unit.flow();
    assert_eq!(log[0], "update-status", "what the switch came between");
    assert_eq!(log[1..8], ORDER);
}

#[test]
fn a_principal_outlives_its_subordinates() {
    let mut unit = related();
    unit.snapshot.subordinates = vec!["logger/0".into()];
    unit.remove();
    assert_eq!(unit.settle(), Next::Wait);
    assert_eq!(unit.log.last().unwrap(), "remove");
    unit.snapshot.subordinates.clear();
    assert_eq!(unit.settle(), Next::Dead);
}

#[test]
fn a_unit_the_controller_buried_is_dead_at_once() {
    let mut unit = related();
    unit.snapshot.life = Life::Dead;
    assert_eq!(unit.next(), Next::Dead);
}
