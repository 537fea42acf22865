//! Refresh, in every state a unit can be in.

use super::simulation::{End, Simulation, charm, relation};
use crate::agent::{Operation, Resolved};
use crate::operation::{Next, begin_deploy};

fn refresh(unit: &mut Simulation, revision: i64, force: bool) {
    unit.snapshot.charm = charm(revision);
    unit.snapshot.charm_modified = revision;
    unit.snapshot.force_upgrade = force;
}

fn failed(hook: &str) -> Simulation {
    let mut unit = Simulation::started();
    unit.relate(7, relation("db", "postgres"));
    unit.snapshot.config_hash = "config-2".into();
    unit.end_hook(hook, End::Failure);
    unit
}

#[test]
fn a_running_unit() {
    let mut unit = Simulation::started();
    refresh(&mut unit, 2, false);
    assert_eq!(unit.flow(), ["deploy 2", "upgrade-charm", "config-changed"]);
    assert_eq!(unit.snapshot.journal.charm, Some(charm(2)));
    assert!(unit.flow().is_empty());
}

#[test]
fn a_resource_alone() {
    let mut unit = Simulation::started();
    unit.snapshot.charm_modified = 2;
    unit.snapshot.leader = false;
    unit.local.boot_id = "boot-2".into();
    assert_eq!(unit.flow(), ["start", "deploy 1", "upgrade-charm", "config-changed"]);
}

#[test]
fn a_unit_that_was_never_installed_takes_the_new_charm() {
    let mut unit = Simulation::new();
    unit.advance(End::Success);
    refresh(&mut unit, 2, false);
    assert_eq!(
        unit.flow(),
        ["deploy 1", "deploy 2", "install", "leader-elected", "config-changed", "start"]
    );
}

#[test]
fn a_failed_install_takes_the_new_charm_when_it_is_tried_again() {
    let mut unit = Simulation::new();
    unit.end_hook("install", End::Failure);
    refresh(&mut unit, 2, false);
    assert_eq!(unit.settle(), Next::WaitRetry);
    unit.local.retry_due = true;
    let fixed = ["deploy 2", "install", "leader-elected", "config-changed", "start"];
    assert_eq!(unit.flow(), fixed);
    assert_eq!(unit.trouble, "");

    let mut unit = Simulation::new();
    unit.end_hook("install", End::Failure);
    refresh(&mut unit, 2, true);
    assert_eq!(unit.flow(), fixed, "forced: at once");

    let mut unit = Simulation::new();
    unit.end_hook("install", End::Failure);
    refresh(&mut unit, 2, false);
    unit.snapshot.retry_hooks = false;
    unit.snapshot.resolved = Resolved::Retry;
    assert_eq!(unit.flow(), fixed, "resolved");
    assert_eq!(unit.snapshot.resolved, Resolved::None);

    let mut unit = Simulation::new();
    unit.end_hook("install", End::Failure);
    refresh(&mut unit, 2, false);
    unit.snapshot.resolved = Resolved::Skip;
    assert_eq!(
        unit.flow(),
        ["skip install", "leader-elected", "deploy 2", "upgrade-charm", "config-changed", "start"],
        "installed by the operator's word"
    );
}

#[test]
fn a_failed_storage_hook_before_install_takes_the_new_charm_too() {
    let mut unit = Simulation::new();
    unit.store("data/0", crate::api::Life::Alive);
    unit.end_hook("data-storage-attached", End::Failure);
    refresh(&mut unit, 2, true);
    assert_eq!(unit.flow()[..3], ["deploy 2", "data-storage-attached data/0", "install"]);
}

#[test]
fn a_unit_in_error_waits_unless_forced() {
    let mut unit = failed("db-relation-created");
    refresh(&mut unit, 2, false);
    assert!(unit.flow().is_empty());
    unit.snapshot.resolved = Resolved::Retry;
    assert_eq!(
        unit.flow(),
        ["retry db-relation-created", "deploy 2", "upgrade-charm", "config-changed"]
    );
}

#[test]
fn forced_upgrade_runs_its_hooks_before_the_failed_one() {
    let mut unit = failed("db-relation-created");
    refresh(&mut unit, 2, true);
    assert_eq!(unit.flow(), ["deploy 2", "upgrade-charm", "config-changed"]);
    assert_eq!(unit.agent, "error hook failed: \"db-relation-created\"");
    assert_eq!(unit.next(), Next::WaitRetry);
    unit.local.retry_due = true;
    assert_eq!(unit.flow(), ["retry db-relation-created"]);
    assert_eq!((unit.agent.as_str(), unit.trouble.as_str()), ("idle", ""));
}

#[test]
fn hooks_the_upgrade_repeats_are_not_returned_to() {
    let mut unit = failed("config-changed");
    refresh(&mut unit, 2, true);
    assert_eq!(unit.flow(), ["deploy 2", "upgrade-charm", "config-changed"]);

    let mut unit = Simulation::new();
    unit.end_hook("start", End::Failure);
    refresh(&mut unit, 2, true);
    assert_eq!(unit.flow(), ["deploy 2", "upgrade-charm", "config-changed", "start"]);

    let mut unit = Simulation::started();
    refresh(&mut unit, 2, false);
    unit.end_hook("upgrade-charm", End::Failure);
    refresh(&mut unit, 3, true);
    assert_eq!(unit.flow(), ["deploy 3", "upgrade-charm", "config-changed"]);
    assert_eq!(unit.trouble, "");
}

#[test]
fn a_second_forced_upgrade_still_returns_to_the_first_error() {
    let mut unit = failed("db-relation-created");
    refresh(&mut unit, 2, true);
    unit.end_hook("upgrade-charm", End::Failure);
    unit.task(1);
    refresh(&mut unit, 3, true);
    assert_eq!(unit.flow(), ["task action-1", "deploy 3", "upgrade-charm", "config-changed"]);
    unit.local.retry_due = true;
    assert_eq!(unit.flow(), ["retry db-relation-created"]);
}

#[test]
fn a_switch_in_progress_goes_on_to_the_newest() {
    let mut unit = Simulation::started();
    refresh(&mut unit, 2, false);
    unit.advance(End::Crash);
    refresh(&mut unit, 3, false);
    assert_eq!(unit.flow(), ["deploy 2", "deploy 3", "upgrade-charm", "config-changed"]);
}

#[test]
fn a_switch_crashed_while_in_error_is_resumed() {
    let mut unit = failed("db-relation-created");
    refresh(&mut unit, 2, true);
    unit.advance(End::Crash);
    assert!(matches!(unit.snapshot.journal.operation, Operation::Deploy { .. }));
    refresh(&mut unit, 3, false);
    assert_eq!(unit.flow(), ["deploy 2", "deploy 2", "upgrade-charm", "config-changed"]);
    unit.local.retry_due = true;
    assert_eq!(
        unit.flow(),
        ["retry db-relation-created", "deploy 3", "upgrade-charm", "config-changed"]
    );
}

#[test]
fn the_new_charm_is_written_only_when_the_switch_is_committed() {
    let mut unit = Simulation::started();
    refresh(&mut unit, 2, false);
    let step = begin_deploy(&unit.snapshot, &charm(2), 2);
    assert_eq!(step.journal.charm, Some(charm(1)));
    unit.advance(End::Success);
    assert_eq!(unit.snapshot.journal.charm, Some(charm(2)));
}

#[test]
fn a_new_endpoint_is_entered_with_the_charm_that_knows_it() {
    let mut unit = Simulation::started();
    refresh(&mut unit, 2, false);
    unit.relate(9, relation("cache", "redis"));
    assert_eq!(
        unit.flow(),
        ["deploy 2", "upgrade-charm", "config-changed", "cache-relation-created"]
    );
}
