//! Queues: one for each resource, in the order of tickets.
//!
//! Tickets are drawn in the transaction that queues a flow, so all queues agree on one order; a flow waits only for smaller
//! tickets, and no cycle of waiting can arise. Only the head of a queue is ever looked at.

use std::collections::VecDeque;

use tutti_store::Tx;
use uuid::Uuid;

use crate::{
    FlowState, Result, TOPIC,
    progress::{Hands, Progress},
    sql::{self, Entry, Flow},
};

/// Whether a new entry at the end of a queue is granted at once.
pub(crate) fn is_free(tx: &mut Tx<'_>, resource: &str, exclusive: bool) -> Result<bool> {
    let conflict: Option<i64> = tx.maybe(sql::QUEUE_CONFLICT, (resource, exclusive))?;
    Ok(conflict.is_none())
}

/// Grants what moved up in the queues of `released`, and lets flows begin that have all they need.
pub(crate) fn grant(tx: &mut Tx<'_>, released: Vec<String>, now: i64) -> Result<()> {
    let mut resources = VecDeque::from(released);
    // A loop and not a recursion: a flow of nothing but satisfied waits ends at once and releases others.
    while let Some(resource) = resources.pop_front() {
        for flow in grant_head(tx, &resource)? {
            let flow: Flow = tx.one(sql::FLOW_GRANTED, (flow,))?;
            if flow.ungranted == 0 && flow.state == FlowState::Blocked {
                resources.extend(begin(tx, flow, now)?);
            }
        }
    }
    Ok(())
}

/// Lets a flow begin that has all its resources; answers what it released by ending at once.
pub(crate) fn begin(tx: &mut Tx<'_>, flow: Flow, now: i64) -> Result<Vec<String>> {
    tx.ring(TOPIC);
    let mut progress = Progress::new(tx, flow, Hands::Free, now);
    progress.flow.state = FlowState::Waiting;
    progress.resume()?;
    Ok(progress.settle()?.released)
}

/// Newly granted flows at the head of a queue.
fn grant_head(tx: &mut Tx<'_>, resource: &str) -> Result<Vec<Uuid>> {
    let Some(head) = tx.maybe::<Entry>(sql::QUEUE_HEAD, (resource,))? else {
        return Ok(Vec::new());
    };
    if head.exclusive {
        if head.granted {
            return Ok(Vec::new());
        }
        tx.exec(sql::QUEUE_GRANT, (resource, head.ticket))?;
        return Ok(vec![head.flow]);
    }
    let mut granted: Vec<Entry> = tx.all(sql::QUEUE_GRANT_SHARED, (resource,))?;
    granted.sort_by_key(|entry| entry.ticket);
    Ok(granted.into_iter().map(|entry| entry.flow).collect())
}
