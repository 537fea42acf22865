//! Failing, dying and interrupted hooks and tasks.

use super::simulation::{End, Simulation, charm, relation};
use crate::Error;
use crate::agent::{Hook, HookStep, Journal, Operation, RelationJournal, Resolved};
use crate::operation::Next;

fn in_error(name: &str) -> Simulation {
    let mut unit = Simulation::started();
    unit.snapshot.config_hash = "config-2".into();
    unit.end_hook(name, End::Failure);
    unit
}

#[test]
fn a_failed_hook_shows_and_waits_for_the_timer() {
    let mut unit = in_error("config-changed");
    assert_eq!(unit.agent, "error hook failed: \"config-changed\"");
    assert_eq!(unit.trouble, "hook failed: \"config-changed\"");
    assert_eq!(unit.settle(), Next::WaitRetry);
    unit.local.retry_due = true;
    unit.advance(End::Failure);
    assert_eq!(unit.snapshot.journal.failures, 2);
    unit.local.retry_due = true;
    assert_eq!(unit.settle(), Next::Idle);
    assert_eq!((unit.agent.as_str(), unit.trouble.as_str()), ("idle", ""));
    assert_eq!(unit.snapshot.journal.failures, 0);
}

#[test]
fn without_automatic_retry_the_operator_decides() {
    let mut unit = in_error("config-changed");
    unit.snapshot.retry_hooks = false;
    unit.local.retry_due = true;
    assert_eq!(unit.settle(), Next::Wait);
    unit.snapshot.resolved = Resolved::Retry;
    unit.advance(End::Failure);
    assert_eq!(unit.snapshot.resolved, Resolved::None);
    assert_eq!(unit.settle(), Next::Wait);
    unit.snapshot.resolved = Resolved::Skip;
    unit.log.clear();
    assert_eq!(unit.flow(), ["skip config-changed"]);
    assert_eq!(unit.snapshot.resolved, Resolved::None);
}

#[test]
fn a_skipped_config_changed_does_not_hide_a_newer_change() {
    let mut unit = in_error("config-changed");
    unit.snapshot.config_hash = "config-3".into();
    unit.snapshot.resolved = Resolved::Skip;
    assert_eq!(unit.flow(), ["skip config-changed", "config-changed"]);
}

#[test]
fn skipping_start_still_starts() {
    let mut unit = Simulation::new();
    unit.end_hook("start", End::Failure);
    unit.snapshot.resolved = Resolved::Skip;
    assert_eq!(unit.flow(), ["skip start"]);
    assert_eq!(unit.workload, "unknown");
}

#[test]
fn tasks_run_in_error_and_the_error_stays() {
    let mut unit = in_error("config-changed");
    unit.task(1);
    assert_eq!(unit.flow(), ["task action-1"]);
    assert_eq!(unit.agent, "error hook failed: \"config-changed\"");
    unit.task(2);
    unit.advance(End::Crash);
    assert_eq!(unit.snapshot.journal.operation, Operation::RunAction { task: 2 });
    assert_eq!(unit.flow(), ["task action-2", "fail task 2: action terminated"]);
    assert_eq!(unit.snapshot.journal.failures, 1);
    assert_eq!(unit.next(), Next::WaitRetry);
}

#[test]
fn no_other_hook_runs_in_error() {
    let mut unit = in_error("config-changed");
    unit.relate(7, relation("db", "postgres"));
    unit.snapshot.leader = false;
    unit.local.update_status_due = true;
    assert!(unit.flow().is_empty());
    assert_eq!(unit.next(), Next::WaitRetry);
}

#[test]
fn a_kill_runs_the_hook_again_until_the_third() {
    let mut unit = Simulation::started();
    unit.snapshot.config_hash = "config-2".into();
    for _ in 0..2 {
        assert_eq!(unit.next(), Next::RunHook(Hook::ConfigChanged));
        unit.advance(End::Killed);
        assert_eq!(unit.trouble, "");
    }
    unit.advance(End::Killed);
    assert_eq!(unit.next(), Next::WaitRetry);
    assert_eq!(unit.trouble, "hook failed: \"config-changed\"");
    unit.local.retry_due = true;
    unit.advance(End::Killed);
    assert_eq!(unit.next(), Next::RunHook(Hook::ConfigChanged), "counted anew");
    unit.advance(End::Failure);
    assert_eq!(unit.snapshot.journal.failures, 2);
}

#[test]
fn a_success_resets_the_count_of_kills() {
    let mut unit = Simulation::started();
    unit.snapshot.config_hash = "config-2".into();
    unit.advance(End::Killed);
    unit.settle();
    assert_eq!(unit.snapshot.journal.kills, 0);
}

/// What a restart finds, and what happens.
#[test]
fn crashes() {
    let mut unit = Simulation::new();
    unit.advance(End::Crash);
    assert_eq!(unit.flow()[..3], ["deploy 1", "deploy 1", "install"], "deploys again");

    let mut unit = Simulation::new();
    unit.advance(End::Success);
    assert_eq!(
        unit.snapshot.journal.operation,
        Operation::RunHook { hook: Hook::Install, step: HookStep::Queued }
    );

    let mut unit = Simulation::started();
    unit.snapshot.config_hash = "config-2".into();
    unit.advance(End::Crash);
    assert_eq!(unit.next(), Next::FailHook(Hook::ConfigChanged));
    assert_eq!(unit.settle(), Next::WaitRetry);
    unit.local.retry_due = true;
    assert_eq!(
        unit.flow(),
        ["config-changed crashes", "retry config-changed"],
        "never silently again"
    );

    let mut unit = Simulation::started();
    unit.task(1);
    unit.advance(End::Crash);
    assert_eq!(unit.flow(), ["task action-1", "fail task 1: action terminated"]);
}

#[test]
fn a_vanished_charm_directory_is_made_again() {
    let mut unit = in_error("config-changed");
    unit.local.charm_missing = true;
    unit.local.retry_due = true;
    assert_eq!(unit.advance(End::Success), Next::Deploy { charm: charm(1), charm_modified: 1 });
    assert_eq!(unit.agent, "error hook failed: \"config-changed\"");
    unit.log.clear();
    assert_eq!(unit.flow(), ["retry config-changed"], "and no upgrade-charm");
}

#[test]
fn impossible_journals() {
    let running = |hook| Operation::RunHook { hook, step: HookStep::Queued };
    let installed = Journal { installed: true, charm: Some(charm(1)), ..Journal::default() };
    let pending = RelationJournal {
        created: true,
        changed_pending: Some("db/0".into()),
        ..RelationJournal::default()
    };
    let early =
        RelationJournal { members: [("db/0".to_owned(), 1)].into(), ..RelationJournal::default() };
    let target = Default::default();
    let cases = [
        (
            Journal {
                operation: Operation::Deploy { charm: target, charm_modified: 0 },
                ..Journal::default()
            },
            "deploy without a charm",
        ),
        (
            Journal { operation: running(Hook::Install), ..Journal::default() },
            "an installed or running unit without a charm",
        ),
        (
            Journal { operation: running(Hook::Install), ..installed.clone() },
            "install of an installed unit",
        ),
        (
            Journal { operation: Operation::RunAction { task: 0 }, ..installed.clone() },
            "run-action without a task",
        ),
        (
            Journal { failed: Some(Hook::Start), ..installed.clone() },
            "a failed hook is kept although no task runs",
        ),
        (
            Journal { queue: vec![Hook::Start], ..installed.clone() },
            "nothing in progress although hooks are owed",
        ),
        (Journal { failures: 1, ..installed.clone() }, "failures without a hook in progress"),
        (Journal { started: true, ..Journal::default() }, "started or removed before install"),
        (
            Journal { relations: [(1, pending)].into(), ..installed.clone() },
            "relation-changed is owed for a unit that has not joined",
        ),
        (
            Journal { relations: [(1, early)].into(), ..installed.clone() },
            "a relation with members before it was created",
        ),
    ];
    for (journal, problem) in cases {
        assert_eq!(journal.check(), Err(Error::Journal { problem }), "{journal:?}");
    }
    assert_eq!(installed.check(), Ok(()));
    assert_eq!(Journal::default().check(), Ok(()));
}
