//! What a flow leaves behind when it ends: what it held, and the news of it.

use tutti_store::Tx;

use super::Boundary;
use crate::{
    Fate, FlowState, Result,
    announce::{self, Change, TaskFailed},
    change,
    graph::Head,
    queue, sql,
};

/// Releases what flows that ended held, and tells whoever wants to know.
pub(super) fn end(tx: &mut Tx<'_>, done: &[&Boundary], now: i64) -> Result<()> {
    let ended: Vec<(&Boundary, &Head)> =
        done.iter().filter_map(|boundary| Some((*boundary, boundary.ended()?))).collect();
    for (child, _) in done.iter().flat_map(|boundary| &boundary.cancels) {
        change::cancel_child(tx, *child, now)?;
    }
    if ended.is_empty() {
        return Ok(());
    }
    let released = queue::leave(tx, ended.iter().map(|(boundary, _)| boundary.flow))?;
    let waited = ended.iter().filter(|(boundary, _)| boundary.waits);
    let waited: Vec<_> = waited.map(|(boundary, _)| (boundary.flow,)).collect();
    if !waited.is_empty() {
        tx.exec_many(sql::WAITS_END, waited)?;
    }
    for (boundary, head) in &ended {
        if head.state != FlowState::Succeeded {
            change::cancel_children(tx, boundary.flow, now)?;
        }
        if let Some((parent, task, Fate::Joined)) = boundary.parent {
            let output = boundary.output.as_deref();
            change::child_ended(tx, (parent, task), boundary.flow, head, output, now)?;
        }
    }
    queue::grant(tx, released, now)
}

/// Tells whoever watches that a flow stands elsewhere. What is written again is told again only if it was let go with it: if that
/// had been written, it would be another's.
pub(super) fn announce_change(tx: &mut Tx<'_>, boundary: &Boundary, before: bool) -> Result<()> {
    let Some(head) = boundary.head.as_ref().filter(|_| !before || !boundary.held) else {
        return Ok(());
    };
    let (error, superseded_by) = (head.error.as_deref(), head.superseded_by);
    let change = Change { from: boundary.from, to: head.told(), error, superseded_by };
    announce::flow_changed(tx, boundary.flow, &boundary.label, change)
}

pub(super) fn announce_failures(tx: &mut Tx<'_>, boundary: &Boundary) -> Result<()> {
    for failed in &boundary.failures {
        let event = TaskFailed {
            task: failed.task,
            flow: boundary.flow,
            model: boundary.label.model.as_deref(),
            name: &failed.name,
            resource: failed.resource.as_deref(),
            state: failed.state,
            class: failed.class,
            error: failed.error.as_deref(),
        };
        announce::task_failed(tx, &event)?;
    }
    Ok(())
}
