//! A new flow: checked, numbered, queued.

use std::collections::BTreeSet;

use tutti_store::{ToValue, Tx, Value};

use crate::{
    Access, Error, FlowRow, FlowState, NewFlow, Result, Then, Work,
    progress::{Hands, Progress},
    query, queue,
    sql::{self, Flow},
    task_id,
};

/// Tasks of one flow; more belong into flows of their own.
const TASKS_MAX: usize = 100_000;

/// Queues a flow in the caller's transaction, so that desired state and the flow that brings it about are one commit. The
/// first tasks begin once it has all its resources, which may be at once. `now` is in microseconds since 1970, UTC.
///
/// # Errors
/// [`Error::Plan`] if a task needs one that is not before it, or a resource is named twice; storage errors.
pub fn submit(tx: &mut Tx<'_>, flow: NewFlow, now: i64) -> Result<FlowRow> {
    check(&flow)?;
    let mut resources = flow.resources.clone();
    resources.sort_by(|one, other| one.0.cmp(&other.0));
    let names = resources.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join("\n");
    if flow.converge {
        supersede(tx, &flow, &names, now)?;
    }
    let ticket: i64 = tx.one(sql::TICKET, ())?;
    let mut ungranted = 0_i64;
    let mut entries = Vec::with_capacity(resources.len());
    for (name, access) in &resources {
        let exclusive = *access == Access::Exclusive;
        let granted = queue::is_free(tx, name, exclusive)?;
        ungranted += i64::from(!granted);
        entries.push((name.as_str(), exclusive, granted));
    }
    insert(tx, &flow, &names, ticket, ungranted, now)?;
    insert_queue(tx, &flow, ticket, &entries)?;
    insert_tasks(tx, &flow)?;
    if ungranted == 0 {
        let row: Flow = tx.one(sql::FLOW, (flow.id,))?;
        let released = queue::begin(tx, row, now)?;
        queue::grant(tx, released, now)?;
    }
    query::flow(tx, flow.id)?.ok_or(Error::NoFlow { id: flow.id })
}

fn check(flow: &NewFlow) -> Result<()> {
    let refused = |reason: String| Err(Error::Plan { kind: flow.kind.clone(), reason });
    let mut names = BTreeSet::new();
    for (name, _) in &flow.resources {
        if name.is_empty() || name.contains('\n') {
            return refused(format!("`{}` is no name of a resource", name.escape_debug()));
        }
        if !names.insert(name) {
            return refused(format!("resource `{name}` is named twice"));
        }
    }
    if flow.tasks.len() > TASKS_MAX {
        return refused(format!("more than {TASKS_MAX} tasks"));
    }
    for (at, task) in flow.tasks.iter().enumerate() {
        if let Some(need) = task.needs.iter().find(|need| **need >= at) {
            return refused(format!("task {at} needs task {need}, which is not before it"));
        }
    }
    Ok(())
}

/// Ends the unstarted flows this one makes superfluous: those of the same kind for the same resources, unless a flow
/// queued behind them relies on what they do.
fn supersede(tx: &mut Tx<'_>, flow: &NewFlow, names: &str, now: i64) -> Result<()> {
    let older: Vec<Flow> = tx.all(sql::FLOWS_UNSTARTED, (names, &flow.kind))?;
    for one in older {
        let entries: Vec<(String, i64)> = tx.all(sql::QUEUE_TICKETS, (one.id,))?;
        for (resource, ticket) in entries {
            let last: Option<i64> = tx.one(sql::QUEUE_LAST, (resource,))?;
            if last != Some(ticket) {
                return Ok(());
            }
        }
        let mut progress = Progress::new(tx, one, Hands::Free, now);
        progress.flow.ending = Some(FlowState::Superseded);
        progress.flow.superseded_by = Some(flow.id);
        let settled = progress.settle()?;
        queue::grant(tx, settled.released, now)?;
    }
    Ok(())
}

fn insert(
    tx: &mut Tx<'_>,
    flow: &NewFlow,
    names: &str,
    ticket: i64,
    ungranted: i64,
    now: i64,
) -> Result<()> {
    let revertible = flow.tasks.iter().any(|task| task.retry.then == Then::Revert);
    tx.exec(
        sql::FLOW_INSERT,
        (
            flow.id,
            ticket,
            &flow.kind,
            &flow.title,
            &flow.model,
            FlowState::Blocked,
            revertible,
            flow.converge,
            flow.generation,
            names,
            ungranted,
            flow.tasks.len(),
            now,
        ),
    )?;
    Ok(())
}

fn insert_queue(
    tx: &mut Tx<'_>,
    flow: &NewFlow,
    ticket: i64,
    entries: &[(&str, bool, bool)],
) -> Result<()> {
    let queue = entries.iter().map(|(name, exclusive, granted)| {
        let (ticket, id) = (ticket.to_value(), flow.id.to_value());
        vec![name.to_value(), ticket, id, exclusive.to_value(), granted.to_value()]
    });
    let columns = &["resource", "ticket", "flow", "exclusive", "granted"];
    tx.insert_many("flow_queue", columns, queue)?;
    let history = entries.iter().map(|(name, exclusive, _)| {
        vec![flow.id.to_value(), name.to_value(), ticket.to_value(), exclusive.to_value()]
    });
    tx.insert_many("flow_resource", &["flow", "resource", "ticket", "exclusive"], history)?;
    Ok(())
}

fn insert_tasks(tx: &mut Tx<'_>, flow: &NewFlow) -> Result<()> {
    let needs: Vec<BTreeSet<usize>> =
        flow.tasks.iter().map(|task| task.needs.iter().copied().collect()).collect();
    let tasks = flow.tasks.iter().zip(&needs).enumerate().map(|(at, (task, needs))| {
        let wait = match &task.work {
            Work::Wait(wait) => Some(wait),
            _ => None,
        };
        vec![
            flow.id.to_value(),
            at.to_value(),
            task_id(flow.id, at).to_value(),
            task.name.to_value(),
            task.title.to_value(),
            task.resource.to_value(),
            // JSON has no NUL: it is escaped.
            Value::Text(task.input.to_string()),
            wait.map(|wait| wait.key.as_str()).to_value(),
            wait.map(|wait| wait.at_least).to_value(),
            task.retry.attempts_max.to_value(),
            (task.retry.then == Then::Revert).to_value(),
            "pending".to_value(),
            needs.len().to_value(),
            0.to_value(),
            0.to_value(),
        ]
    });
    const COLUMNS: &[&str] = &[
        "flow",
        "number",
        "id",
        "name",
        "title",
        "resource",
        "input",
        "wait_key",
        "wait_at_least",
        "attempts_max",
        "or_revert",
        "state",
        "blockers",
        "attempt",
        "revert_attempt",
    ];
    tx.insert_many("flow_task", COLUMNS, tasks)?;
    let edges = needs.iter().enumerate().flat_map(|(at, needs)| {
        needs.iter().map(move |need| vec![flow.id.to_value(), need.to_value(), at.to_value()])
    });
    tx.insert_many("flow_edge", &["flow", "number", "successor"], edges)?;
    Ok(())
}
