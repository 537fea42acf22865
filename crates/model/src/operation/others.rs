//! The steps of tasks, leadership, relation scopes, storage, and of a unit that is idle or
//! finished.

use serde_json::Value;

use crate::agent::Hook;
use crate::agent::{
    HookStep, Operation, PendingTask, RelationId, RelationJournal, Snapshot, Step, TaskReport,
};

use super::hooks::{step, with_trouble};
use super::{Next, executing};

/// Writes down that a task begins. A hook in error waits beside it.
#[must_use]
pub fn begin_task(snapshot: &Snapshot, task: &PendingTask) -> Step {
    let mut journal = snapshot.journal.clone();
    if let Operation::RunHook { hook, step: HookStep::Failed } = journal.operation {
        journal.failed = Some(hook);
    }
    journal.operation = Operation::RunAction { task: task.task };
    Step {
        agent_status: executing(&Next::RunTask(task.clone())),
        task: Some(report(task.task, "running", "")),
        want_context: true,
        ..step(snapshot, journal)
    }
}

/// Writes down how a task ended. The agent adds what it changed.
#[must_use]
pub fn commit_task(snapshot: &Snapshot, report: TaskReport) -> Step {
    let mut journal = snapshot.journal.clone();
    journal.operation = match journal.failed.take() {
        Some(hook) => Operation::RunHook { hook, step: HookStep::Failed },
        None => Operation::Continue,
    };
    with_trouble(Step { task: Some(report), ..step(snapshot, journal) })
}

/// Ends a task whose agent died.
#[must_use]
pub fn fail_task(snapshot: &Snapshot, task: i64, message: &str) -> Step {
    commit_task(snapshot, report(task, "failed", message))
}

/// Ends a task that was cancelled before it began.
#[must_use]
pub fn cancel_task(snapshot: &Snapshot, task: i64) -> Step {
    Step { task: Some(report(task, "cancelled", "")), ..step(snapshot, snapshot.journal.clone()) }
}

fn report(task: i64, status: &str, message: &str) -> TaskReport {
    TaskReport { task, status: status.into(), message: message.into(), results: Value::Null }
}

/// Becomes the leader; `leader-elected` is run next.
#[must_use]
pub fn accept_leadership(snapshot: &Snapshot) -> Step {
    let mut journal = snapshot.journal.clone();
    journal.leader = true;
    journal.operation = Operation::RunHook { hook: Hook::LeaderElected, step: HookStep::Queued };
    step(snapshot, journal)
}

/// Stops being the leader.
#[must_use]
pub fn resign_leadership(snapshot: &Snapshot) -> Step {
    let mut journal = snapshot.journal.clone();
    journal.leader = false;
    step(snapshot, journal)
}

/// Enters the scope of relations: the controller makes the unit's databags.
#[must_use]
pub fn enter_scopes(snapshot: &Snapshot, relations: &[RelationId]) -> Step {
    let mut journal = snapshot.journal.clone();
    let mut enter = Vec::new();
    for id in relations {
        if let Some(relation) = snapshot.relations.get(id) {
            let state = RelationJournal {
                endpoint: relation.endpoint.clone(),
                created: relation.implicit,
                ..RelationJournal::default()
            };
            journal.relations.insert(*id, state);
            enter.push(*id);
        }
    }
    Step { enter, ..step(snapshot, journal) }
}

/// Forgets relations without a hook and leaves the scope of those that still exist.
#[must_use]
pub fn drop_relations(snapshot: &Snapshot, relations: &[RelationId]) -> Step {
    let mut journal = snapshot.journal.clone();
    journal.relations.retain(|id, _| !relations.contains(id));
    let leave = (relations.iter().copied())
        .filter(|id| snapshot.relations.get(id).is_some_and(|relation| relation.in_scope))
        .collect();
    Step { leave, ..step(snapshot, journal) }
}

/// Storage is available: id → where the charm finds it.
#[must_use]
pub fn provisioned(snapshot: &Snapshot, storage: Vec<(String, String)>) -> Step {
    Step { provisioned: storage, ..step(snapshot, snapshot.journal.clone()) }
}

/// Storage is gone that the charm was never told of, or can no longer be told of.
#[must_use]
pub fn detach_storage(snapshot: &Snapshot, storage: &[String]) -> Step {
    let mut journal = snapshot.journal.clone();
    journal.storage.retain(|id, _| !storage.contains(id));
    Step { detached: storage.to_vec(), ..step(snapshot, journal) }
}

/// Everything the snapshot wants is done.
#[must_use]
pub fn idle(snapshot: &Snapshot) -> Step {
    Step {
        agent_status: executing(&Next::Idle),
        observed_generation: Some(snapshot.generation),
        trouble: Some(String::new()),
        ..step(snapshot, snapshot.journal.clone())
    }
}

/// The unit is finished: it leaves every scope and its records may go.
#[must_use]
pub fn finish(snapshot: &Snapshot) -> Step {
    let relations: Vec<_> = snapshot.journal.relations.keys().copied().collect();
    Step {
        observed_generation: Some(snapshot.generation),
        trouble: Some(String::new()),
        dead: true,
        ..drop_relations(snapshot, &relations)
    }
}
