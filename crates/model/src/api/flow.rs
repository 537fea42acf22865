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
    /// Desired generation it converges to.
    pub generation: Option<i64>,
    /// RFC 3339.
    pub created: String,
    /// RFC 3339, or empty.
    pub started: String,
    /// RFC 3339, or empty.
    pub finished: String,
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
    /// The flow that holds it.
    pub flow: String,
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
    /// Executions so far.
    pub attempts: u32,
    /// Why it failed or is being retried.
    pub message: String,
    /// What it produced.
    pub output: Value,
    /// RFC 3339, or empty.
    pub started: String,
    /// RFC 3339, or empty.
    pub finished: String,
}
