//! Flows, their tasks, and how far a resource is in sync.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Problem;

/// The answer to an accepted mutation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Accepted {
    /// The flow that makes it so; none when nothing had to change.
    pub flow: Option<FlowInfo>,
    /// What was created or changed: names of units, the relation, the application.
    pub resource: Value,
    /// Sentences for a person, e.g. `will remove unit db/1`.
    pub messages: Vec<String>,
}

/// The answer to a mutation whose client waited for the flow (`Prefer: wait`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Settled {
    /// As without waiting; its flow has ended.
    #[serde(flatten)]
    pub accepted: Accepted,
    /// How far the resource is.
    pub sync: Sync,
    /// Why the flow failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Whether the world matches a resource's desired state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Sync {
    /// `in_sync`, `pending`, `syncing`, `retrying`, `failed`, `drifted`, `unknown`.
    pub state: String,
    /// Newest generation a flow has finished handling, whatever the outcome.
    pub observed_generation: i64,
    /// Newest generation known to be fully in the world.
    pub applied_generation: i64,
    /// The flow now responsible.
    pub flow: Option<String>,
    /// The task that failed or is waiting.
    pub task: Option<String>,
    /// Machine word.
    pub reason: String,
    /// One sentence.
    pub message: String,
    /// When `state` last changed, RFC 3339.
    pub since: String,
}

/// One thing that is so of a resource, or is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Condition {
    /// `AgentReporting`, `Installed`, `Converged`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// `true`, `false` or `unknown`.
    pub status: String,
    /// Machine word.
    pub reason: String,
    /// One sentence, or empty.
    pub message: String,
    /// The newest generation of the resource that was handled when this was found.
    pub observed_generation: i64,
    /// When `status` last changed, RFC 3339; empty if that is not known.
    pub since: String,
}

/// One flow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct FlowInfo {
    /// UUIDv7.
    pub id: String,
    /// `deploy`, `configure`, `refresh`, `integrate`, …
    pub kind: String,
    /// One sentence.
    pub title: String,
    /// Short name of the model.
    pub model: String,
    /// Resources it works on, `application/db`.
    pub resources: Vec<String>,
    /// `blocked`, `ready`, `running`, `waiting`, `reverting`, `parked`, `succeeded`, `failed`,
    /// `reverted`, `cancelled`, `superseded`, `stuck`.
    pub state: String,
    /// Why it failed or what it waits for.
    pub message: String,
    /// What is ahead of it in the queues of its resources.
    pub waiting_for: Vec<WaitingFor>,
    /// Whether somebody cancelled it; it ends with its running tasks.
    pub cancelling: bool,
    /// Whether what it did is being undone, or is to be undone once it has its resources.
    pub reverting: bool,
    /// Whether somebody suspended it; nothing of it begins until it is resumed.
    pub suspended: bool,
    /// What can be asked of it now: `cancel`, `suspend`, `resume`, `retry`, `revert`, `abandon`; in lists
    /// left out.
    pub verbs: Vec<String>,
    /// The flow that took its place.
    pub superseded_by: Option<String>,
    /// The flow that submitted it.
    pub parent: Option<String>,
    /// The flows its tasks submitted; in lists left out.
    pub children: Vec<ChildFlow>,
    /// Its tasks in all.
    pub task_count: i64,
    /// Those that have not ended.
    pub tasks_open: i64,
    /// Desired generation it converges to.
    pub generation: Option<i64>,
    /// RFC 3339.
    pub created: String,
    /// When it was last told to go on after it had ended, RFC 3339, or empty.
    pub retried: String,
    /// When it began, since it was retried, RFC 3339, or empty.
    pub started: String,
    /// RFC 3339, or empty.
    pub finished: String,
    /// When something of it is due, RFC 3339, or empty.
    pub next: String,
    /// For what it was submitted: the `traceparent` of the request, or one made for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// Its tasks; in lists left out.
    pub tasks: Vec<TaskInfo>,
}

/// One page of flows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct FlowPage {
    /// Flows without their tasks, newest first.
    pub flows: Vec<FlowInfo>,
    /// Address of the next page; none when there are no more.
    pub next: Option<String>,
}

/// One page of tasks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TaskPage {
    /// Tasks, newest first; of one flow in its order.
    pub tasks: Vec<TaskInfo>,
    /// Address of the next page; none when there are no more.
    pub next: Option<String>,
}

/// One thing a blocked flow waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitingFor {
    /// The resource.
    pub resource: String,
    /// The flow next before it in the resource's queue.
    pub flow: String,
    /// Its place in the queue; who has the resource is the first.
    pub position: Option<u32>,
}

/// A flow that a task of another one submitted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ChildFlow {
    /// UUIDv7.
    pub id: String,
    /// `deploy`, `configure`, …
    pub kind: String,
    /// One sentence.
    pub title: String,
    /// As of any flow.
    pub state: String,
    /// The task that submitted it.
    pub task: Option<String>,
}

/// A flow as a picture's data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct FlowGraph {
    /// The flow.
    pub flow: String,
    /// One sentence.
    pub title: String,
    /// The flow's state.
    pub state: String,
    /// Its tasks.
    pub nodes: Vec<FlowNode>,
    /// From each task to those that need it.
    pub edges: Vec<FlowEdge>,
}

/// A task in a picture.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct FlowNode {
    /// The task.
    pub id: String,
    /// Its name.
    pub name: String,
    /// One sentence.
    pub title: String,
    /// As of any task.
    pub state: String,
}

/// An arrow in a picture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct FlowEdge {
    /// The task that comes first.
    pub from: String,
    /// The task that needs it.
    pub to: String,
}

/// A line that a task left while it ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct FlowLogLine {
    /// RFC 3339.
    pub time: String,
    /// The task.
    pub task: String,
    /// The task's title.
    pub title: String,
    /// What it said.
    pub line: String,
}

/// An attempt at a task that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TaskFailure {
    /// Which attempt it was, from 1; 0 of a task that only waits.
    pub attempt: u32,
    /// Whether it was one to undo the task.
    pub undoing: bool,
    /// When it failed, RFC 3339.
    pub time: String,
    /// What sort of failure it was.
    pub class: String,
    /// Why it failed.
    pub message: String,
    /// The worker that made it, if one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
}

/// One task of a flow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TaskInfo {
    /// Id.
    pub id: String,
    /// Its flow.
    pub flow: String,
    /// Short name of the model.
    pub model: String,
    /// Handler name, e.g. `unit.converge`.
    pub name: String,
    /// One sentence.
    pub title: String,
    /// The resource it works on, `unit/db/0`.
    pub resource: String,
    /// `pending`, `running`, `retrying`, `waiting`, `succeeded`, `failed`, `reverting`,
    /// `reverted`, `revert_failed`, `cancelled`, `skipped`.
    pub state: String,
    /// Tasks of the flow that it needs; in lists left out.
    pub needs: Vec<String>,
    /// Executions so far.
    pub attempts: u32,
    /// Executions in all, at most.
    pub attempts_max: u32,
    /// How far it is, from 0 to 1, if it says so.
    pub progress: Option<f64>,
    /// Whether its worker died meanwhile: it runs again, and may have had its effect already.
    pub recovering: bool,
    /// When the next attempt is due, RFC 3339, or empty.
    pub next: String,
    /// Why it failed or is being retried.
    pub message: String,
    /// What sort of failure that is: `retryable`, `terminal`, `timeout`, `bug`, `lost`, `cancelled` or
    /// `refused`; none if nothing failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The newest attempts that failed, ten at most in each direction, oldest first; in lists left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<TaskFailure>,
    /// What it produced.
    pub output: Value,
    /// RFC 3339, or empty.
    pub started: String,
    /// RFC 3339, or empty.
    pub finished: String,
}
