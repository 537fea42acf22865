//! What the world is told of flows, in the transaction in which it happens.
//!
//! Told is what somebody may have to act on: that a flow ended, is to be undone, was suspended, resumed or begun again. That it was
//! submitted, begins or waits is left out: whoever submits a flow knows, and a row more for each of these would cost every flow
//! what now only rare changes cost. [`Follower`](crate::Follower) reads it again.

use serde::{Serialize, Serializer};
use tutti_store::Tx;
use uuid::Uuid;

use crate::{ENDED, FailureClass, FlowState, Result, TaskState, graph::Label};

/// The topic of a flow's end.
pub(crate) const FLOW_ENDED: &str = "flow.ended";

/// The topic of other changes of a flow.
pub(crate) const FLOW_CHANGED: &str = "flow.changed";

/// The topic of a task that failed for good.
pub(crate) const TASK_FAILED: &str = "task.failed";

/// Where a flow stands now.
#[derive(Clone, Copy)]
pub(crate) struct Change<'a> {
    /// Where it stood, as far as others were told.
    pub(crate) from: FlowState,
    pub(crate) to: FlowState,
    pub(crate) error: Option<&'a str>,
    pub(crate) superseded_by: Option<Uuid>,
}

/// Tells the world that a flow stands elsewhere, or how it ended, unless nobody need act on that.
pub(crate) fn flow_changed(
    tx: &mut Tx<'_>,
    flow: Uuid,
    label: &Label,
    change: Change<'_>,
) -> Result<()> {
    let Change { from, to, error, superseded_by } = change;
    let Label { kind, title, model, resources, .. } = label;
    let state = to.is_ended().then_some(to);
    let (model, resources) = (model.as_deref(), Names(resources));
    let event =
        FlowChanged { flow, kind, title, model, resources, from, to, state, error, superseded_by };
    if to.is_ended() {
        tx.ring(ENDED);
        tx.outbox(FLOW_ENDED, &event)?;
    } else if from.is_told_to(to) {
        tx.outbox(FLOW_CHANGED, &event)?;
    }
    Ok(())
}

/// The outbox event of a flow that stands elsewhere. Readers ignore members they do not know.
#[derive(Serialize)]
struct FlowChanged<'a> {
    flow: Uuid,
    kind: &'a str,
    title: &'a str,
    model: Option<&'a str>,
    resources: Names<'a>,
    from: FlowState,
    to: FlowState,
    /// As `to`, where it is an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<FlowState>,
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    superseded_by: Option<Uuid>,
}

/// The names of resources as a flow's row has them.
struct Names<'a>(&'a str);

impl Serialize for Names<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.split('\n').filter(|name| !name.is_empty()))
    }
}

/// Tells the world that a task failed for good, or could not be undone.
pub(crate) fn task_failed(tx: &mut Tx<'_>, failed: &TaskFailed<'_>) -> Result<()> {
    Ok(tx.outbox(TASK_FAILED, failed)?)
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
