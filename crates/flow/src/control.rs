//! What people do to flows: cancel and retry.

use tutti_store::Tx;
use uuid::Uuid;

use crate::{
    Error, FlowState, Result,
    progress::{Hands, Progress},
    queue,
    sql::{self, Flow},
};

/// Cancels a flow. One that has no running task ends at once; running tasks are told and the flow ends with them. What was
/// done is undone if a task of the flow asks for reverting. Cancelling twice is the same.
///
/// # Errors
/// [`Error::NoFlow`]; [`Error::Ended`]; [`Error::Reverting`]; storage errors.
pub fn cancel(tx: &mut Tx<'_>, id: Uuid) -> Result<()> {
    let now = tx.now()?;
    let flow: Flow = tx.maybe(sql::FLOW, (id,))?.ok_or(Error::NoFlow { id })?;
    if flow.state.is_ended() {
        return Err(Error::Ended { id, state: flow.state });
    }
    if flow.ending == Some(FlowState::Cancelled) {
        return Ok(());
    }
    if flow.reverting {
        return Err(Error::Reverting { id });
    }
    let mut progress = Progress::new(tx, flow, Hands::Free, now);
    progress.flow.ending = Some(FlowState::Cancelled);
    progress.flow.nudged = progress.flow.worker.is_some();
    let settled = progress.settle()?;
    queue::grant(tx, settled.released, now)
}

/// Runs a flow again from where it failed: what succeeded stays, the rest starts over, at the end of the queues. A stuck flow
/// goes on undoing.
///
/// # Errors
/// [`Error::NoFlow`]; [`Error::NotRetryable`]; storage errors.
pub fn retry(tx: &mut Tx<'_>, id: Uuid) -> Result<()> {
    let now = tx.now()?;
    let flow: Flow = tx.maybe(sql::FLOW, (id,))?.ok_or(Error::NoFlow { id })?;
    let stuck = flow.state == FlowState::Stuck;
    match flow.state {
        FlowState::Stuck => {
            tx.exec(sql::TASKS_REVERT_AGAIN, (id,))?;
        }
        FlowState::Failed | FlowState::Reverted | FlowState::Cancelled | FlowState::Parked => {
            tx.exec(sql::TASKS_AGAIN, (id,))?;
            tx.exec(sql::TASKS_AGAIN_BLOCKERS, (id,))?;
        }
        state => return Err(Error::NotRetryable { id, state }),
    }
    let ticket: i64 = tx.one(sql::TICKET, ())?;
    let ungranted = enqueue_again(tx, id, ticket)?;
    let open: i64 = tx.one(sql::TASKS_OPEN, (id,))?;
    let ending = stuck.then_some(FlowState::Reverted);
    let flow: Flow = tx.one(sql::FLOW_REQUEUE, (id, ticket, ungranted, ending, stuck, open))?;
    if ungranted == 0 {
        let released = queue::begin(tx, flow, now)?;
        queue::grant(tx, released, now)?;
    }
    Ok(())
}

fn enqueue_again(tx: &mut Tx<'_>, id: Uuid, ticket: i64) -> Result<i64> {
    let resources: Vec<(String, bool)> = tx.all(sql::RESOURCES, (id,))?;
    tx.exec(sql::RESOURCES_TICKET, (id, ticket))?;
    let mut ungranted = 0;
    for (name, exclusive) in resources {
        let granted = queue::is_free(tx, &name, exclusive)?;
        ungranted += i64::from(!granted);
        tx.exec(sql::QUEUE_ENTER, (name, ticket, id, exclusive, granted))?;
    }
    Ok(ungranted)
}
