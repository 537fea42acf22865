//! Queues: one for each resource, in the order of tickets.
//!
//! Tickets are drawn in the transaction that queues a flow, so all queues agree on one order; a flow waits only for smaller
//! tickets, and no cycle of waiting can arise. Only the head of a queue is ever looked at.

use std::collections::BTreeSet;

use tutti_store::Tx;
use uuid::Uuid;

use crate::{FlowState, Result, TOPIC, boundary::counted, change, sql};

/// Whether a new entry at the end of a queue is granted at once.
pub(crate) fn is_free(tx: &mut Tx<'_>, resource: &str, exclusive: bool) -> Result<bool> {
    let conflict: Option<i64> = tx.maybe(sql::QUEUE_CONFLICT, (resource, exclusive))?;
    Ok(conflict.is_none())
}

/// Grants what moved up in the queues of `released`, and lets flows begin that have all they need.
pub(crate) fn grant(tx: &mut Tx<'_>, released: Vec<String>, now: i64) -> Result<()> {
    if released.is_empty() {
        return Ok(());
    }
    let resources: BTreeSet<String> = released.into_iter().collect();
    let flows: Vec<Uuid> =
        tx.all_many(sql::QUEUE_GRANT, resources.into_iter().map(|resource| (resource,)))?;
    if flows.is_empty() {
        return Ok(());
    }
    let granted: Vec<sql::Granted> = tx.all_many(sql::FLOW_GRANTED, counted(flows))?;
    for flow in granted {
        if flow.state == FlowState::Ready {
            tx.ring(TOPIC);
        }
        if flow.passive && flow.ungranted == 0 && flow.state == FlowState::Blocked {
            change::begin(tx, flow.id, now)?;
        }
    }
    Ok(())
}
