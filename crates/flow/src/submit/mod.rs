//! New flows: checked, numbered, queued.

mod check;
mod place;
mod rows;

use tutti_store::Tx;
use uuid::Uuid;

use crate::{
    Error, Fate, FlowRow, FlowState, NewFlow, Result, TOPIC, change, control,
    graph::Row,
    query,
    sql::{self, Flow},
};

pub(crate) use rows::TASK_COLUMNS;

use check::check;
use place::{Placed, place};

/// A flow to be queued.
#[derive(Clone, Copy)]
pub(crate) struct New<'a> {
    pub(crate) flow: &'a NewFlow,
    /// The worker that begins it at once if it can; in one call they are the same.
    pub(crate) worker: Option<Uuid>,
}

impl<'a> New<'a> {
    fn of(flow: &'a NewFlow) -> Self {
        Self { flow, worker: None }
    }
}

/// The task of another flow that submits one.
type Parent = (Uuid, usize, Fate);

/// Queues a flow in the caller's transaction, so that desired state and the flow that brings it about are one commit. The
/// first tasks begin once it has all its resources, which may be at once. `now` is in microseconds since 1970, UTC.
///
/// # Errors
/// [`Error::Plan`] if a task needs one that is not before it, a resource is named twice, or the plan is otherwise senseless;
/// storage errors.
pub fn submit(tx: &mut Tx<'_>, flow: NewFlow, now: i64) -> Result<FlowRow> {
    let id = flow.id;
    match enqueue(tx, &[New::of(&flow)], None, now)?.first() {
        Some(placed) if placed.is_ready() => Ok(ready(placed, now)),
        _ => query::flow(tx, id)?.ok_or(Error::NoFlow { id }),
    }
}

/// Queues flows as [`submit`] does, in this order, at little more than the cost of one.
///
/// # Errors
/// As [`submit`], for all of them together.
pub fn submit_many(tx: &mut Tx<'_>, flows: &[NewFlow], now: i64) -> Result<()> {
    submit_at(tx, &flows.iter().map(New::of).collect::<Vec<_>>(), now).map(drop)
}

/// As [`submit_many`]; answers the flows that a worker has with that, as it would load them.
pub(crate) fn submit_at(
    tx: &mut Tx<'_>,
    flows: &[New<'_>],
    now: i64,
) -> Result<Vec<(Flow, Vec<Row>)>> {
    let mut begun = Vec::new();
    let mut rest = flows;
    while !rest.is_empty() {
        // One that may supersede those before it looks at what is written.
        let plain = rest.iter().take_while(|new| !new.flow.converge).count();
        let (next, after) = rest.split_at(plain.max(1));
        let placed = enqueue(tx, next, None, now)?;
        begun.extend(placed.iter().filter_map(|one| rows::begun(one, now)));
        rest = after;
    }
    Ok(begun)
}

/// Queues the flow of a task. One its parent waits for runs under the parent's resources and enters no queue.
pub(crate) fn submit_child(tx: &mut Tx<'_>, flow: NewFlow, parent: Parent, now: i64) -> Result<()> {
    enqueue(tx, &[New::of(&flow)], Some(parent), now).map(drop)
}

fn enqueue<'a>(
    tx: &mut Tx<'_>,
    flows: &[New<'a>],
    parent: Option<Parent>,
    now: i64,
) -> Result<Vec<Placed<'a>>> {
    for New { flow, .. } in flows {
        check(flow)?;
        if flow.converge && parent.is_none() {
            supersede(tx, flow, now)?;
        }
    }
    let joined = parent.is_some_and(|(_, _, fate)| fate == Fate::Joined);
    let placed = place(tx, flows, joined)?;
    rows::insert(tx, &placed, parent, now)?;
    for one in &placed {
        if one.is_ready() {
            if one.owner.is_none() {
                tx.ring(TOPIC);
            }
        } else if one.ungranted() == 0 {
            change::begin(tx, one.flow.id, now)?;
        }
    }
    Ok(placed)
}

/// A new flow that any worker may take, as a query would show it.
fn ready(placed: &Placed<'_>, now: i64) -> FlowRow {
    let flow = placed.flow.clone();
    let tasks = i64::try_from(flow.tasks.len()).unwrap_or(i64::MAX);
    let mut resources = flow.resources;
    resources.sort_by(|one, other| one.0.cmp(&other.0));
    FlowRow {
        id: flow.id,
        ticket: placed.ticket,
        kind: flow.kind,
        title: flow.title,
        model: flow.model,
        state: FlowState::Ready,
        cancelling: false,
        reverting: false,
        converge: flow.converge,
        generation: flow.generation,
        tasks,
        tasks_open: tasks,
        superseded_by: None,
        error: None,
        created: now,
        requeued: None,
        started: None,
        finished: None,
        resources,
        waiting_for: Vec::new(),
        priority: flow.priority,
        parent: None,
        suspended: false,
        wake_at: None,
        trace: flow.trace,
    }
}

/// Ends the unstarted flows this one makes superfluous: those of the same kind for the same resources, unless a flow
/// queued behind them relies on what they do.
fn supersede(tx: &mut Tx<'_>, flow: &NewFlow, now: i64) -> Result<()> {
    let mut names: Vec<&str> = flow.resources.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let older: Vec<Flow> = tx.all(sql::FLOWS_UNSTARTED, (names.join("\n"), &flow.kind))?;
    for one in older {
        let entries: Vec<(String, i64)> = tx.all(sql::QUEUE_TICKETS, (one.id,))?;
        for (resource, ticket) in entries {
            let last: Option<i64> = tx.one(sql::QUEUE_LAST, (resource,))?;
            if last != Some(ticket) {
                return Ok(());
            }
        }
        control::end_unstarted(tx, one, FlowState::Superseded, Some(flow.id), now)?;
    }
    Ok(())
}
