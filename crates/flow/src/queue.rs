//! Queues: one for each resource, in the order of tickets.
//!
//! Tickets are drawn in the transaction that queues a flow, so all queues agree on one order; a flow waits only for smaller
//! tickets, and no cycle of waiting can arise. Only the head of a queue is ever looked at.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use tutti_store::Tx;
use uuid::Uuid;

use crate::{FlowState, Result, TOPIC, change, sql};

/// Whether a new entry at the end of a queue is granted at once.
pub(crate) fn is_free(tx: &mut Tx<'_>, resource: &str, exclusive: bool) -> Result<bool> {
    let conflict: Option<i64> = tx.maybe(sql::QUEUE_CONFLICT, (resource, exclusive))?;
    Ok(conflict.is_none())
}

/// Takes flows out of all queues; answers the resources others wait for.
pub(crate) fn leave(tx: &mut Tx<'_>, flows: impl Iterator<Item = Uuid>) -> Result<Vec<String>> {
    let left: Vec<(String, bool)> = tx.all_many(sql::QUEUE_LEAVE, flows.map(|flow| (flow,)))?;
    Ok(left.into_iter().filter_map(|(resource, shared)| shared.then_some(resource)).collect())
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

/// Grants per flow, so that a flow is changed once however many of its resources moved.
fn counted(flows: Vec<Uuid>) -> BTreeMap<Uuid, i64> {
    let mut counts = BTreeMap::new();
    for flow in flows {
        *counts.entry(flow).or_default() += 1;
    }
    counts
}
