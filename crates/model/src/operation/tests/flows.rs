//! The order of hooks in everyday flows.

use super::simulation::{End, Simulation, members, peer, relation};
use crate::agent::{ConsumedSecret, Hook, NoticeHook, Resolved, SecretHook};
use crate::api::Life;
use crate::operation::Next;

#[test]
fn first_unit_on_a_machine() {
    let mut unit = Simulation::new();
    unit.store("data/0", Life::Alive);
    unit.store("logs/1", Life::Alive);
    unit.relate(4, relation("db", "postgres"));
    unit.relate(1, peer());
    assert_eq!(
        unit.flow(),
        [
            "deploy 1",
            "data-storage-attached data/0",
            "logs-storage-attached logs/1",
            "install",
            "cluster-relation-created",
            "db-relation-created",
            "leader-elected",
            "config-changed",
            "start",
        ]
    );
    assert_eq!((unit.agent.as_str(), unit.workload.as_str()), ("idle", "unknown"));
    assert_eq!(unit.observed, 1);
}

#[test]
fn first_unit_on_kubernetes_gets_storage_after_start() {
    let mut unit = Simulation::kubernetes();
    unit.store("data/0", Life::Alive);
    unit.relate(1, peer());
    assert_eq!(
        unit.flow(),
        [
            "deploy 1",
            "install",
            "cluster-relation-created",
            "leader-elected",
            "config-changed",
            "start",
            "data-storage-attached data/0",
        ]
    );
}

#[test]
fn added_unit_meets_its_peers_after_start() {
    let mut unit = Simulation::new();
    unit.snapshot.unit = "web/2".into();
    unit.snapshot.leader = false;
    unit.relate(1, peer());
    unit.related(1).members = members(&[("web/1", 1), ("web/0", 3)]);
    assert_eq!(
        unit.flow(),
        [
            "deploy 1",
            "install",
            "cluster-relation-created",
            "config-changed",
            "start",
            "cluster-relation-joined web/0",
            "cluster-relation-changed web/0",
            "cluster-relation-joined web/1",
            "cluster-relation-changed web/1",
        ]
    );
}

#[test]
fn status_follows_the_hooks() {
    let mut unit = Simulation::new();
    let mut seen = Vec::new();
    while unit.agent != "idle" {
        unit.advance(End::Success);
        seen.push(format!("{} | {}", unit.agent, unit.workload));
    }
    seen.dedup();
    assert_eq!(
        seen,
        [
            "executing deploying charm local:web-1 | ",
            "executing running install hook | maintenance installing charm software",
            "executing running leader-elected hook | maintenance installing charm software",
            "executing running config-changed hook | maintenance installing charm software",
            "executing running start hook | unknown",
            "idle | unknown",
        ]
    );
}

#[test]
fn a_status_of_the_charm_is_kept() {
    let mut unit = Simulation::new();
    unit.end_hook("install", End::Success);
    unit.local.status_set = true;
    unit.workload = "active".into();
    unit.settle();
    assert_eq!(unit.workload, "active");
    assert!(unit.snapshot.journal.status_set);
}

#[test]
fn integrate() {
    let mut unit = Simulation::started();
    unit.relate(7, relation("db", "postgres"));
    assert_eq!(unit.flow(), ["db-relation-created"]);
    unit.related(7).applications = members(&[("postgres", 1)]);
    unit.related(7).members = members(&[("postgres/1", 1), ("postgres/0", 1)]);
    assert_eq!(
        unit.flow(),
        [
            "db-relation-changed",
            "db-relation-joined postgres/0",
            "db-relation-changed postgres/0",
            "db-relation-joined postgres/1",
            "db-relation-changed postgres/1",
        ]
    );
    unit.related(7).members = members(&[("postgres/0", 9), ("postgres/1", 1)]);
    assert_eq!(unit.flow(), ["db-relation-changed postgres/0"]);
    assert!(unit.flow().is_empty());
}

#[test]
fn an_application_databag_never_written_is_no_change() {
    let mut unit = Simulation::started();
    unit.relate(7, relation("db", "postgres"));
    unit.related(7).applications = members(&[("postgres", 0)]);
    assert_eq!(unit.flow(), ["db-relation-created"]);
}

#[test]
fn changed_follows_joined_before_anything_else_of_the_relation() {
    let mut unit = Simulation::started();
    unit.relate(7, relation("db", "postgres"));
    unit.related(7).members = members(&[("postgres/0", 1)]);
    unit.end_hook("db-relation-joined", End::Success);
    unit.related(7).members.clear();
    unit.related(7).life = Life::Dying;
    assert_eq!(
        unit.flow(),
        ["db-relation-changed postgres/0", "db-relation-departed postgres/0", "db-relation-broken"]
    );
}

#[test]
fn remove_relation() {
    let mut unit = Simulation::started();
    unit.relate(7, relation("db", "postgres"));
    unit.related(7).members = members(&[("postgres/0", 1), ("postgres/1", 1)]);
    unit.settle();
    unit.log.clear();
    unit.related(7).life = Life::Dying;
    let departing = match unit.next() {
        Next::RunHook(Hook::RelationDeparted(hook)) => hook.departing_unit,
        other => panic!("{other:?}"),
    };
    assert_eq!(departing.as_deref(), Some("postgres/0"));
    assert_eq!(
        unit.flow(),
        [
            "db-relation-departed postgres/0",
            "db-relation-departed postgres/1",
            "db-relation-broken"
        ]
    );
    assert!(unit.snapshot.relations.is_empty());
}

#[test]
fn a_relation_that_ends_before_created_runs_no_hook() {
    let mut unit = Simulation::started();
    unit.relate(7, relation("db", "postgres"));
    assert_eq!(unit.advance(End::Success), Next::EnterScopes(vec![7]));
    unit.related(7).life = Life::Dying;
    assert_eq!(unit.flow(), ["drop [7]"]);
    assert!(unit.snapshot.relations.is_empty());
}

#[test]
fn a_suspended_relation_breaks_and_comes_back() {
    let mut unit = Simulation::started();
    unit.relate(7, relation("db", "postgres"));
    unit.related(7).members = members(&[("postgres/0", 1)]);
    unit.settle();
    unit.log.clear();
    unit.related(7).suspended = true;
    assert_eq!(unit.flow(), ["db-relation-departed postgres/0", "db-relation-broken"]);
    unit.related(7).suspended = false;
    assert_eq!(
        unit.flow(),
        ["db-relation-created", "db-relation-joined postgres/0", "db-relation-changed postgres/0"]
    );
}

#[test]
fn implicit_endpoints_have_scope_but_no_hooks() {
    let mut unit = Simulation::started();
    unit.relate(7, relation("juju-info", "monitor"));
    unit.related(7).implicit = true;
    unit.related(7).members = members(&[("monitor/0", 1)]);
    assert!(unit.flow().is_empty());
    assert!(unit.related(7).in_scope);
    unit.related(7).life = Life::Dying;
    assert_eq!(unit.flow(), ["drop [7]"]);
}

#[test]
fn a_relation_removed_by_force_is_forgotten_with_its_failed_hook() {
    let mut unit = Simulation::started();
    unit.relate(7, relation("db", "postgres"));
    unit.end_hook("db-relation-created", End::Failure);
    unit.snapshot.relations.clear();
    assert_eq!(unit.flow(), ["drop [7]", "skip db-relation-created"]);
    assert_eq!((unit.agent.as_str(), unit.trouble.as_str()), ("idle", ""));
}

#[test]
fn config_changes_coalesce() {
    let mut unit = Simulation::started();
    for hash in ["config-2", "config-3"] {
        unit.snapshot.config_hash = hash.into();
    }
    assert_eq!(unit.flow(), ["config-changed"]);
    unit.snapshot.trust_hash = "trust-2".into();
    unit.snapshot.address_hash = "address-2".into();
    assert_eq!(unit.flow(), ["config-changed"]);
    assert!(unit.flow().is_empty());
}

#[test]
fn a_change_during_config_changed_runs_it_again() {
    let mut unit = Simulation::started();
    unit.snapshot.config_hash = "config-2".into();
    unit.apply(crate::operation::begin_hook(&unit.snapshot, &Hook::ConfigChanged));
    unit.snapshot.config_hash = "config-3".into();
    let step = crate::operation::commit_hook(&unit.snapshot, &Hook::ConfigChanged, &unit.local);
    assert!(step.refresh_addresses);
    unit.apply(step);
    assert_eq!(unit.flow(), ["config-changed"]);
}

#[test]
fn config_comes_before_relations_and_update_status_last() {
    let mut unit = Simulation::started();
    unit.relate(7, relation("db", "postgres"));
    unit.settle();
    unit.log.clear();
    unit.local.update_status_due = true;
    unit.related(7).members = members(&[("postgres/0", 1)]);
    unit.snapshot.config_hash = "config-2".into();
    unit.advance(End::Success);
    unit.local.update_status_due = true;
    unit.advance(End::Success);
    unit.advance(End::Success);
    unit.local.update_status_due = true;
    assert_eq!(
        unit.flow(),
        [
            "config-changed",
            "db-relation-joined postgres/0",
            "db-relation-changed postgres/0",
            "update-status"
        ]
    );
    unit.local.deferred_due = true;
    assert_eq!(unit.flow(), ["update-status"]);
}

#[test]
fn leadership_moves() {
    let mut unit = Simulation::started();
    unit.snapshot.leader = false;
    assert!(unit.flow().is_empty());
    assert!(!unit.snapshot.journal.leader);
    unit.snapshot.leader_settings = 4;
    assert_eq!(unit.flow(), ["leader-settings-changed"]);
    unit.snapshot.leader = true;
    assert_eq!(unit.flow(), ["leader-elected"]);
}

#[test]
fn leader_elected_is_skipped_when_leadership_is_lost_meanwhile() {
    let mut unit = Simulation::started();
    unit.snapshot.leader = false;
    unit.settle();
    unit.snapshot.leader = true;
    assert_eq!(unit.advance(End::Success), Next::AcceptLeadership);
    unit.snapshot.leader = false;
    assert_eq!(unit.flow(), ["skip leader-elected"]);
    assert!(!unit.snapshot.journal.leader);
}

#[test]
fn secrets_in_their_order() {
    let mut unit = Simulation::started();
    let owned = |revision| SecretHook { secret: "own".into(), label: "key".into(), revision };
    unit.snapshot.secrets_expired = vec![owned(1)];
    unit.snapshot.secrets_rotate = vec![owned(2)];
    unit.snapshot.secrets_obsolete.insert("own".into(), vec![1, 2]);
    unit.snapshot
        .secrets_consumed
        .insert("other".into(), ConsumedSecret { latest: 3, tracked: 1, label: "theirs".into() });
    unit.snapshot
        .secrets_consumed
        .insert("tracked".into(), ConsumedSecret { latest: 3, tracked: 3, label: String::new() });
    assert_eq!(
        unit.flow(),
        [
            "secret-expired own:1",
            "secret-rotate own:2",
            "secret-changed other:3",
            "secret-remove own:1",
            "secret-remove own:2",
        ]
    );
    unit.snapshot.secrets_obsolete.clear();
    unit.snapshot.secrets_consumed.get_mut("other").unwrap().latest = 4;
    assert_eq!(unit.flow(), ["secret-changed other:4"]);
    assert!(unit.snapshot.journal.secrets_obsolete.is_empty());
    unit.snapshot.secrets_consumed.clear();
    unit.snapshot.config_hash = "config-2".into();
    unit.flow();
    assert!(unit.snapshot.journal.secrets_consumed.is_empty());
}

#[test]
fn tasks_run_between_hooks_in_their_order() {
    let mut unit = Simulation::new();
    unit.task(3);
    unit.task(5);
    unit.snapshot.tasks[1].cancelled = true;
    unit.task(8);
    assert_eq!(
        unit.flow()[..5],
        ["deploy 1", "install", "leader-elected", "task action-3", "cancel task 5"]
    );
    assert!(unit.snapshot.tasks.is_empty());
    let mut stored = Simulation::new();
    stored.store("data/0", Life::Alive);
    stored.task(1);
    assert_eq!(
        stored.flow()[..5],
        ["deploy 1", "data-storage-attached data/0", "install", "leader-elected", "task action-1"],
        "never before install"
    );
    unit.task(9);
    unit.local.completed_tasks.insert(9);
    assert!(unit.flow().is_empty());
}

#[test]
fn storage_comes_and_goes_after_deploy() {
    let mut unit = Simulation::started();
    unit.store("data/0", Life::Alive);
    assert_eq!(unit.flow(), ["data-storage-attached data/0"]);
    unit.snapshot.storage.get_mut("data/0").unwrap().life = Life::Dying;
    unit.store("data/1", Life::Dying);
    assert_eq!(unit.flow(), ["forget data/1", "data-storage-detaching data/0"]);
    assert!(unit.snapshot.storage.is_empty() && unit.snapshot.journal.storage.is_empty());
}

#[test]
fn a_rebooted_machine_starts_its_units_once() {
    let mut unit = Simulation::started();
    unit.local.boot_id = "boot-2".into();
    unit.snapshot.config_hash = "config-2".into();
    assert_eq!(unit.flow(), ["start", "config-changed"]);
    let mut young = Simulation::new();
    young.end_hook("install", End::Success);
    young.local.boot_id = "boot-2".into();
    assert_eq!(young.flow(), ["leader-elected", "config-changed", "start"]);
}

#[test]
fn a_notice_is_told_when_nothing_else_is_to_be_done() {
    let mut unit = Simulation::started();
    unit.snapshot.notice = Some(NoticeHook { notice: 7 });
    unit.snapshot.config_hash = "config-2".into();
    assert_eq!(unit.flow(), ["config-changed", "bus-notice"]);
    assert_eq!(unit.snapshot.notice, None);
}

#[test]
fn a_notice_that_is_skipped_is_done_with() {
    let mut unit = Simulation::started();
    unit.snapshot.notice = Some(NoticeHook { notice: 7 });
    unit.snapshot.retry_hooks = false;
    unit.end_hook("bus-notice", End::Failure);
    assert_eq!(unit.agent, "error hook failed: \"bus-notice\"");
    unit.snapshot.resolved = Resolved::Skip;
    unit.settle();
    assert_eq!((unit.agent.as_str(), unit.snapshot.notice), ("idle", None));
}
