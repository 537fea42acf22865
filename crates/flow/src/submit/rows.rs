//! The rows of new flows.

use std::collections::BTreeSet;

use tutti_store::{Json, ToValue, Tx, Value};
use uuid::Uuid;

use super::{Parent, place::Placed};
use crate::{
    FlowState, NewFlow, NewTask, Result, Then, Wait, Work, graph::Row, plan::Spec, sql::Flow,
    task_id,
};

/// The columns of a new flow's row: behind the first [`FLOW_COLUMNS_USED`], those that most flows leave empty.
const FLOW_COLUMNS: &[&str] = &[
    "id",
    "ticket",
    "kind",
    "title",
    "state",
    "reverting",
    "revertible",
    "converge",
    "resources",
    "ungranted",
    "tasks",
    "epoch",
    "losses",
    "nudged",
    "created",
    "priority",
    "pass",
    "worker",
    "started",
    "passive",
    "model",
    "generation",
    "parent",
    "parent_task",
    "fate",
    "trace",
];

const FLOW_COLUMNS_USED: usize = 19;

/// The columns of a new task's row: behind the first [`TASK_COLUMNS_USED`], those that most tasks leave empty.
pub(crate) const TASK_COLUMNS: &[&str] = &[
    "flow",
    "number",
    "id",
    "name",
    "title",
    "input",
    "needs",
    "attempts_max",
    "or_revert",
    "state",
    "attempt",
    "revert_attempt",
    "resource",
    "spec",
    "wait_key",
    "wait_at_least",
];

const TASK_COLUMNS_USED: usize = 12;

const QUEUE_COLUMNS: &[&str] = &["resource", "ticket", "flow", "exclusive", "granted"];

const RESOURCE_COLUMNS: &[&str] = &["flow", "resource", "ticket", "exclusive"];

/// Writes flows with their places in queues and their tasks; nobody has to wait for it.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    placed: &[Placed<'_>],
    parent: Option<Parent>,
    now: i64,
) -> Result<()> {
    let flows = placed.iter().map(|one| flow_row(one, parent, now)).collect();
    send(tx, "flow", FLOW_COLUMNS, FLOW_COLUMNS_USED, flows)?;
    // Who runs under its parent's resources stands in no queue.
    let queued = placed.iter().filter(|one| !one.joined).flat_map(queue_rows).collect::<Vec<_>>();
    if !queued.is_empty() {
        tx.send_rows("flow_queue", QUEUE_COLUMNS, queued)?;
    }
    let history = placed.iter().flat_map(history_rows).collect::<Vec<_>>();
    if !history.is_empty() {
        tx.send_rows("flow_resource", RESOURCE_COLUMNS, history)?;
    }
    let tasks = placed.iter().flat_map(|one| {
        let tasks = one.flow.tasks.iter().enumerate();
        tasks.map(|(at, task)| task_row(one.flow.id, at, task))
    });
    send(tx, "flow_task", TASK_COLUMNS, TASK_COLUMNS_USED, tasks.collect())
}

/// Writes rows, without the columns behind the first `used` if they are empty in all of them: each costs the server about as much
/// as a row.
fn send(
    tx: &mut Tx<'_>,
    table: &'static str,
    columns: &'static [&'static str],
    used: usize,
    mut rows: Vec<Vec<Value>>,
) -> Result<()> {
    let is_empty = |value: &Value| matches!(value, Value::Null | Value::Bool(false));
    let mut columns = columns;
    if rows.iter().all(|row| row.iter().skip(used).all(is_empty)) {
        columns = columns.split_at(used).0;
        rows.iter_mut().for_each(|row| row.truncate(used));
    }
    Ok(tx.send_rows(table, columns, rows)?)
}

fn flow_row(placed: &Placed<'_>, parent: Option<Parent>, now: i64) -> Vec<Value> {
    let flow = placed.flow;
    let state = match (placed.owner, placed.is_ready()) {
        (Some(_), _) => FlowState::Running,
        (None, true) => FlowState::Ready,
        (None, false) => FlowState::Blocked,
    };
    let (parent, task, fate) = match parent {
        Some((parent, task, fate)) => (Some(parent), Some(task), Some(fate)),
        None => (None, None, None),
    };
    vec![
        flow.id.to_value(),
        placed.ticket.to_value(),
        flow.kind.to_value(),
        flow.title.to_value(),
        state.to_value(),
        false.to_value(),
        is_revertible(flow).to_value(),
        flow.converge.to_value(),
        names(placed).to_value(),
        placed.ungranted().to_value(),
        flow.tasks.len().to_value(),
        i64::from(placed.owner.is_some()).to_value(),
        0.to_value(),
        false.to_value(),
        now.to_value(),
        flow.priority.to_value(),
        placed.pass.to_value(),
        placed.owner.to_value(),
        placed.owner.map(|_| now).to_value(),
        placed.is_passive().to_value(),
        flow.model.to_value(),
        flow.generation.to_value(),
        parent.to_value(),
        task.to_value(),
        fate.to_value(),
        flow.trace.to_value(),
    ]
}

/// The names of its resources, one a line.
fn names(placed: &Placed<'_>) -> String {
    let names: Vec<&str> = placed.entries.iter().map(|entry| entry.resource).collect();
    names.join("\n")
}

/// A flow that a worker has from the beginning, and its tasks, as they would be loaded.
pub(super) fn begun(placed: &Placed<'_>, now: i64) -> Option<(Flow, Vec<Row>)> {
    let new = placed.flow;
    let flow = Flow {
        id: new.id,
        epoch: 1,
        kind: new.kind.clone(),
        title: new.title.clone(),
        model: new.model.clone(),
        revertible: is_revertible(new),
        passive: placed.is_passive(),
        state: FlowState::Running,
        ending: None,
        reverting: false,
        suspended: false,
        losses: 0,
        superseded_by: None,
        error: None,
        wake_at: None,
        started: Some(now),
        finished: None,
        worker: Some(placed.owner?),
        nudged: false,
        ungranted: 0,
        parent: None,
        parent_task: None,
        fate: None,
        pass: placed.pass,
        trace: new.trace.clone(),
        resources: names(placed),
    };
    let tasks = (0..).zip(&new.tasks).map(|(number, task)| Row {
        resource: task.resource.clone(),
        needs: needs(task).and_then(|needs| serde_json::to_string(&needs.0).ok()),
        spec: Spec::of(task).stored(),
        wait_key: wait(task).map(|wait| wait.key.clone()),
        wait_at_least: wait(task).map(|wait| wait.at_least),
        ..Row::pending(new.id, number, task.name.clone(), task.input.to_string(), &task.retry)
    });
    Some((flow, tasks.collect()))
}

/// Whether it is undone when it is cancelled.
fn is_revertible(flow: &NewFlow) -> bool {
    let reverts =
        |task: &NewTask| task.retry.then == Then::Revert || matches!(task.work, Work::Retry(_));
    flow.tasks.iter().any(reverts)
}

fn queue_rows<'a>(placed: &'a Placed<'_>) -> impl Iterator<Item = Vec<Value>> + 'a {
    placed.entries.iter().map(|entry| {
        vec![
            entry.resource.to_value(),
            placed.ticket.to_value(),
            placed.flow.id.to_value(),
            entry.exclusive.to_value(),
            entry.granted.to_value(),
        ]
    })
}

fn history_rows<'a>(placed: &'a Placed<'_>) -> impl Iterator<Item = Vec<Value>> + 'a {
    placed.entries.iter().map(|entry| {
        vec![
            placed.flow.id.to_value(),
            entry.resource.to_value(),
            placed.ticket.to_value(),
            entry.exclusive.to_value(),
        ]
    })
}

/// Every task one needs, in order.
fn needs(task: &NewTask) -> Option<Json<BTreeSet<usize>>> {
    let bound = task.bindings.iter().map(|binding| binding.task);
    let asked = task.when.iter().map(|when| when.task);
    let needs: BTreeSet<usize> = task.needs.iter().copied().chain(bound).chain(asked).collect();
    (!needs.is_empty()).then_some(Json(needs))
}

fn wait(task: &NewTask) -> Option<&Wait> {
    match &task.work {
        Work::Wait(wait) => Some(wait),
        _ => None,
    }
}

fn task_row(flow: Uuid, at: usize, task: &NewTask) -> Vec<Value> {
    let wait = wait(task);
    vec![
        flow.to_value(),
        at.to_value(),
        task_id(flow, at).to_value(),
        task.name.to_value(),
        task.title.to_value(),
        // JSON has no NUL: it is escaped.
        Value::Text(task.input.to_string()),
        needs(task).to_value(),
        task.retry.attempts_max.to_value(),
        (task.retry.then == Then::Revert).to_value(),
        "pending".to_value(),
        0.to_value(),
        0.to_value(),
        task.resource.to_value(),
        Spec::of(task).stored().to_value(),
        wait.map(|wait| wait.key.as_str()).to_value(),
        wait.map(|wait| wait.at_least).to_value(),
    ]
}
