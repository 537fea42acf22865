//! What a flow leaves behind when it ends: what it held, and the news of it.

use serde::Serialize;
use tutti_store::Tx;
use uuid::Uuid;

use super::Boundary;
use crate::{
    ENDED, Fate, FlowState, Result, TaskState, change,
    graph::{Head, Label},
    queue, sql,
};

/// Releases what flows that ended held, and tells whoever wants to know.
pub(super) fn end(tx: &mut Tx<'_>, done: &[&Boundary], now: i64) -> Result<()> {
    let ended: Vec<(&Boundary, &Head)> =
        done.iter().filter_map(|boundary| Some((*boundary, boundary.ended()?))).collect();
    for child in done.iter().flat_map(|boundary| &boundary.cancels) {
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
        announce_end(tx, boundary.flow, &boundary.label, head.state, head.error.as_deref())?;
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

pub(super) fn announce_failures(tx: &mut Tx<'_>, boundary: &Boundary) -> Result<()> {
    for failed in &boundary.failures {
        let event = TaskFailed {
            task: failed.task,
            flow: boundary.flow,
            model: boundary.label.model.as_deref(),
            name: &failed.name,
            resource: failed.resource.as_deref(),
            state: failed.state,
            error: failed.error.as_deref(),
        };
        tx.outbox("task.failed", &event)?;
    }
    Ok(())
}

/// Tells the world how a flow ended.
pub(crate) fn announce_end(
    tx: &mut Tx<'_>,
    flow: Uuid,
    label: &Label,
    state: FlowState,
    error: Option<&str>,
) -> Result<()> {
    tx.ring(ENDED);
    let Label { kind, title, model } = label;
    let event = FlowEnded { flow, kind, title, model: model.as_deref(), state, error };
    Ok(tx.outbox("flow.ended", &event)?)
}

/// The outbox event of a flow's end. Readers ignore members they do not know.
#[derive(Serialize)]
struct FlowEnded<'a> {
    flow: Uuid,
    kind: &'a str,
    title: &'a str,
    model: Option<&'a str>,
    state: FlowState,
    error: Option<&'a str>,
}

/// The outbox event of a task that failed for good. Readers ignore members they do not know.
#[derive(Serialize)]
struct TaskFailed<'a> {
    task: Uuid,
    flow: Uuid,
    model: Option<&'a str>,
    name: &'a str,
    resource: Option<&'a str>,
    state: TaskState,
    error: Option<&'a str>,
}
