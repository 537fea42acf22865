//! What the world is told of flows, in the transaction in which it happens.

use serde::Serialize;
use tutti_store::Tx;
use uuid::Uuid;

use crate::{ENDED, FailureClass, FlowState, Result, TaskState, graph::Label};

/// Tells the world how a flow ended.
pub(crate) fn flow_ended(
    tx: &mut Tx<'_>,
    flow: Uuid,
    label: &Label,
    state: FlowState,
    error: Option<&str>,
) -> Result<()> {
    tx.ring(ENDED);
    let Label { kind, title, model, .. } = label;
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

/// Tells the world that a task failed for good, or could not be undone.
pub(crate) fn task_failed(tx: &mut Tx<'_>, failed: &TaskFailed<'_>) -> Result<()> {
    Ok(tx.outbox("task.failed", failed)?)
}

/// The outbox event of a task that failed for good. Readers ignore members they do not know.
#[derive(Serialize)]
pub(crate) struct TaskFailed<'a> {
    pub(crate) task: Uuid,
    pub(crate) flow: Uuid,
    pub(crate) model: Option<&'a str>,
    pub(crate) name: &'a str,
    pub(crate) resource: Option<&'a str>,
    pub(crate) state: TaskState,
    pub(crate) class: Option<FailureClass>,
    pub(crate) error: Option<&'a str>,
}
