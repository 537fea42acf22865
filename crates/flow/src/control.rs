//! What people do to flows: cancel, suspend, resume, retry, revert, skip, abandon.

use std::collections::BTreeSet;

use tutti_store::Tx;
use uuid::Uuid;

use crate::{
    Error, Fate, FlowState, Result, TOPIC, TaskState,
    announce::{self, Change},
    change,
    change::News,
    child_id,
    graph::{Head, Whose},
    offer, queue,
    sql::{self, Flow},
    task_id,
};

/// Cancels a flow. One that has no running task ends at once; running tasks are told and the flow ends with them. What was
/// done is undone if a task of the flow asks for reverting; by one that was retried and waits for resources, when it has them.
/// Cancelling twice is the same.
///
/// # Errors
/// [`Error::NoFlow`]; [`Error::Ended`]; [`Error::Reverting`]; storage errors.
pub fn cancel(tx: &mut Tx<'_>, id: Uuid) -> Result<()> {
    let now = tx.now()?;
    cancel_at(tx, id, now)
}

pub(crate) fn cancel_at(tx: &mut Tx<'_>, id: Uuid, now: i64) -> Result<()> {
    let flow = unfinished(tx, id)?;
    if flow.ending == Some(FlowState::Cancelled) {
        return Ok(());
    }
    if flow.reverting {
        return Err(Error::Reverting { id });
    }
    let left = flow.revertible && tx.one(sql::SOMETHING_DONE, (id,))?;
    if flow.started.is_none() && !left {
        return end_unstarted(tx, flow, FlowState::Cancelled, None, now);
    }
    if flow.state == FlowState::Blocked {
        tx.exec(sql::FLOW_CANCELLED, (id,))?;
        return Ok(());
    }
    change::tell(tx, id, vec![News::Cancel], now)
}

/// Lets nothing of a flow begin until it is resumed, nor of the flows it waits for; running tasks end. It keeps its resources.
///
/// # Errors
/// [`Error::NoFlow`]; [`Error::Ended`]; [`Error::Reverting`]; storage errors.
pub fn suspend(tx: &mut Tx<'_>, id: Uuid) -> Result<()> {
    let now = tx.now()?;
    suspend_at(tx, id, true, now)
}

/// Lets a suspended flow go on, with the flows it waits for.
///
/// # Errors
/// [`Error::NoFlow`]; [`Error::Ended`]; [`Error::Reverting`]; storage errors.
pub fn resume(tx: &mut Tx<'_>, id: Uuid) -> Result<()> {
    let now = tx.now()?;
    suspend_at(tx, id, false, now)
}

pub(crate) fn suspend_at(tx: &mut Tx<'_>, id: Uuid, suspended: bool, now: i64) -> Result<()> {
    let flow = unfinished(tx, id)?;
    if flow.reverting {
        return Err(Error::Reverting { id });
    }
    if flow.state == FlowState::Blocked {
        tx.exec(sql::FLOW_SUSPENDED, (id, suspended))?;
        let (whose, head) = flow.parts();
        let after = Head { suspended, ..head.clone() };
        return announce(tx, &whose, &head, &after);
    }
    change::tell(tx, id, vec![News::Suspend(suspended)], now)
}

fn unfinished(tx: &mut Tx<'_>, id: Uuid) -> Result<Flow> {
    let flow: Flow = tx.maybe(sql::FLOW, (id,))?.ok_or(Error::NoFlow { id })?;
    if flow.finished.is_some() {
        return Err(Error::Ended { id, state: flow.state });
    }
    Ok(flow)
}

/// Tells the world what somebody made of a flow.
fn announce(tx: &mut Tx<'_>, whose: &Whose, before: &Head, after: &Head) -> Result<()> {
    let (from, to, error) = (before.told(), after.told(), after.error.as_deref());
    let change = Change { from, to, error, superseded_by: after.superseded_by };
    announce::flow_changed(tx, whose.id, &whose.label, change)
}

/// Ends a flow that has not begun, or not again.
pub(crate) fn end_unstarted(
    tx: &mut Tx<'_>,
    flow: Flow,
    state: FlowState,
    superseded_by: Option<Uuid>,
    now: i64,
) -> Result<()> {
    let left = match state {
        FlowState::Cancelled => TaskState::Cancelled,
        _ => TaskState::Skipped,
    };
    tx.exec(sql::TASKS_LEFT, (flow.id, left, now))?;
    tx.exec(sql::FLOW_END_UNSTARTED, (flow.id, state, superseded_by, now))?;
    let (whose, before) = flow.parts();
    let head = Head { state, superseded_by, ..before.clone() };
    announce(tx, &whose, &before, &head)?;
    if let Some((parent, task, Fate::Joined)) = whose.parent {
        change::child_ended(tx, (parent, task), whose.id, &head, None, now)?;
    }
    let released = queue::leave(tx, [whose.id].into_iter())?;
    queue::grant(tx, released, now)
}

/// Runs a flow again from where it failed: what succeeded stays, the rest starts over, at the end of the queues. What an attempt
/// before may have left is undone with the flow, also if there is no other attempt. A stuck flow goes on undoing.
///
/// # Errors
/// [`Error::NoFlow`]; [`Error::NotRetryable`]; storage errors.
pub fn retry(tx: &mut Tx<'_>, id: Uuid) -> Result<()> {
    let now = tx.now()?;
    retry_at(tx, id, now)
}

pub(crate) fn retry_at(tx: &mut Tx<'_>, id: Uuid, now: i64) -> Result<()> {
    let flow: Flow = tx.maybe(sql::FLOW, (id,))?.ok_or(Error::NoFlow { id })?;
    match flow.state {
        FlowState::Stuck => {
            tx.exec(sql::TASKS_REVERT_AGAIN, (id,))?;
            let ending = FlowState::Reverted;
            requeue(tx, flow, Some(ending), now)
        }
        FlowState::Failed | FlowState::Reverted | FlowState::Cancelled | FlowState::Parked => {
            tx.exec(sql::TASKS_AGAIN, (id,))?;
            requeue(tx, flow, None, now)
        }
        state => Err(Error::NotRetryable { id, state }),
    }
}

/// The handlers that [`revert`] would ask to undo something, by name; none: it would change nothing. Waits, and what never began,
/// leave nothing behind; a flow that was waited for is undone with its parent.
///
/// # Errors
/// [`Error::NoFlow`]; storage errors.
pub fn undoers(tx: &mut Tx<'_>, id: Uuid) -> Result<BTreeSet<String>> {
    let now = tx.now()?;
    let Some(flow) = change::row(tx, id, now)? else { return Ok(BTreeSet::new()) };
    let Some(graph) = change::load_one(tx, flow, now)? else { return Ok(BTreeSet::new()) };
    let mut undoers = graph.undoers();
    for number in graph.children_done() {
        match self::undoers(tx, child_id(task_id(id, number))) {
            // It was pruned.
            Err(Error::NoFlow { .. }) => {}
            more => undoers.extend(more?),
        }
    }
    Ok(undoers)
}

/// Undoes what a flow did that has ended without being reverted, and the flows it waited for, last task first.
///
/// # Errors
/// [`Error::NoFlow`]; [`Error::NotRetryable`]; [`Error::NothingDone`]; storage errors.
pub fn revert(tx: &mut Tx<'_>, id: Uuid) -> Result<()> {
    let now = tx.now()?;
    let flow: Flow = tx.maybe(sql::FLOW, (id,))?.ok_or(Error::NoFlow { id })?;
    if is_revertible(flow.state) && undoers(tx, id)?.is_empty() {
        return Err(Error::NothingDone { id });
    }
    revert_at(tx, id, now)
}

/// Whether a flow in a state can be undone as a whole.
fn is_revertible(state: FlowState) -> bool {
    use FlowState::{Cancelled, Failed, Parked, Succeeded};
    matches!(state, Succeeded | Failed | Parked | Cancelled)
}

/// Undoes a flow, also if that comes to nothing: its parent waits for its being undone.
pub(crate) fn revert_at(tx: &mut Tx<'_>, id: Uuid, now: i64) -> Result<()> {
    let flow: Flow = tx.maybe(sql::FLOW, (id,))?.ok_or(Error::NoFlow { id })?;
    match flow.state {
        state if is_revertible(state) => {
            // What a controller could not undo before the flow ended still stands, and relies on what is undone now.
            tx.exec(sql::TASKS_REVERT_AGAIN, (id,))?;
            requeue(tx, flow, Some(FlowState::Reverted), now)
        }
        FlowState::Stuck => retry_at(tx, id, now),
        state => Err(Error::NotRetryable { id, state }),
    }
}

/// Says that a task of a failed, parked or stuck flow was taken care of by hand, and lets the flow go on: a failed task counts
/// as skipped, one that could not be undone as reverted.
///
/// # Errors
/// [`Error::NoTask`]; [`Error::NotFailed`]; [`Error::NotRetryable`]; storage errors.
pub fn skip(tx: &mut Tx<'_>, task: Uuid) -> Result<()> {
    let now = tx.now()?;
    let found: Option<(Uuid, i64, TaskState, Option<String>)> =
        tx.maybe(sql::TASK_OF_ID, (task,))?;
    let (id, number, state, _) = found.ok_or(Error::NoTask { id: task })?;
    let flow: Flow = tx.maybe(sql::FLOW, (id,))?.ok_or(Error::NoFlow { id })?;
    match (flow.state, state) {
        (FlowState::Stuck, TaskState::RevertFailed) => {
            tx.exec(sql::TASKS_REVERT_AGAIN, (id,))?;
            tx.exec(sql::TASK_OVERRIDE, (id, number, TaskState::Reverted, now))?;
            requeue(tx, flow, Some(FlowState::Reverted), now)
        }
        (FlowState::Failed | FlowState::Parked, TaskState::Failed | TaskState::MaybeRan) => {
            tx.exec(sql::TASKS_AGAIN, (id,))?;
            tx.exec(sql::TASK_OVERRIDE, (id, number, TaskState::Skipped, now))?;
            requeue(tx, flow, None, now)
        }
        (FlowState::Stuck | FlowState::Failed | FlowState::Parked, state) => {
            Err(Error::NotFailed { id: task, state })
        }
        (state, _) => Err(Error::NotRetryable { id, state }),
    }
}

/// Gives a flow up as it is, whoever has it: its worker can change nothing any more and drops what it runs when it next
/// renews its lease, its resources are released, and its children that must not outlive it are cancelled. For a flow that
/// waits for it, it has failed. One that cannot be read is set aside first.
///
/// # Errors
/// [`Error::NoFlow`]; [`Error::Ended`] unless it is stuck or parked; storage errors.
pub fn abandon(tx: &mut Tx<'_>, id: Uuid) -> Result<()> {
    let now = tx.now()?;
    let Some(flow) = change::row(tx, id, now)? else { return Ok(()) };
    let set_aside = matches!(flow.state, FlowState::Stuck | FlowState::Parked);
    if flow.finished.is_some() && !set_aside {
        return Err(Error::Ended { id, state: flow.state });
    }
    tx.exec(sql::TASKS_LEFT, (id, TaskState::Skipped, now))?;
    tx.exec(sql::FLOW_ABANDON, (id, now))?;
    tx.exec(sql::WAITS_END, (id,))?;
    offer::forget(tx, id)?;
    let (whose, head) = flow.parts();
    let abandoned = Head { state: FlowState::Abandoned, ..head.clone() };
    announce(tx, &whose, &head, &abandoned)?;
    change::cancel_children(tx, id, now)?;
    // Who waited for one that was set aside has been told.
    if let Some((parent, task, Fate::Joined)) = whose.parent.filter(|_| !set_aside) {
        let error = abandoned.error.clone().or_else(|| Some("somebody gave it up".into()));
        let head = Head { error, ..abandoned };
        change::child_ended(tx, (parent, task), id, &head, None, now)?;
    }
    let released = queue::leave(tx, [id].into_iter())?;
    queue::grant(tx, released, now)
}

/// Whether somebody above waits for the flow and holds its resources.
fn runs_under_parent(tx: &mut Tx<'_>, flow: &Flow) -> Result<bool> {
    let Some(parent) = flow.parent.filter(|_| flow.fate == Some(Fate::Joined)) else {
        return Ok(false);
    };
    let parent: Option<Flow> = tx.maybe(sql::FLOW, (parent,))?;
    Ok(parent.is_some_and(|parent| parent.finished.is_none()))
}

/// Puts a flow that has ended to the end of its queues; with an ending, it is reverted there.
fn requeue(tx: &mut Tx<'_>, flow: Flow, ending: Option<FlowState>, now: i64) -> Result<()> {
    let id = flow.id;
    // What came too late for it to hear is not meant for it now.
    tx.exec(sql::INBOX_CLEAR, (id,))?;
    let (ticket, _): (i64, i64) = tx.one(sql::TICKET, ())?;
    let mut resources: Vec<(String, bool)> = tx.all(sql::RESOURCES, (id,))?;
    tx.exec(sql::RESOURCES_TICKET, (id, ticket))?;
    if runs_under_parent(tx, &flow)? {
        resources.clear();
    }
    let mut ungranted = 0_i64;
    for (name, exclusive) in resources {
        let granted = queue::is_free(tx, &name, exclusive)?;
        ungranted += i64::from(!granted);
        tx.exec(sql::QUEUE_ENTER, (name, ticket, id, exclusive, granted))?;
    }
    // What has no worker's task can go on without one, but undoing starts with a worker's look.
    let at_once = ungranted == 0 && flow.passive && ending.is_none();
    let state = if ungranted > 0 || at_once { FlowState::Blocked } else { FlowState::Ready };
    tx.exec(sql::FLOW_REQUEUE, (id, ticket, state, ungranted, ending, ending.is_some(), now))?;
    let (whose, head) = flow.parts();
    let (reverting, suspended, error) = (ending.is_some(), false, None);
    let again = Head { state, reverting, suspended, error, ..head.clone() };
    announce(tx, &whose, &head, &again)?;
    tx.ring(TOPIC);
    if at_once { change::begin(tx, id, now) } else { Ok(()) }
}
