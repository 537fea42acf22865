//! Workers that take tasks over HTTP.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What a worker can do, and how much of it it wants now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ClaimRequest {
    /// The names of the tasks it has handlers for.
    pub handlers: Vec<String>,
    /// What else it has, such as `gpu` or `zone=a`. A task is given only to a worker that has all its labels.
    pub labels: Vec<String>,
    /// At most so many claims; 1 if absent, 100 at most.
    pub max: usize,
    /// How long to wait for the first one; five minutes at most.
    pub wait_ms: u64,
    /// How long each is the worker's until it is heard of again; 30 s if absent, from 1 s to 10 min.
    pub lease_ms: u64,
}

impl Default for ClaimRequest {
    fn default() -> Self {
        Self { handlers: Vec::new(), labels: Vec::new(), max: 1, wait_ms: 0, lease_ms: 30_000 }
    }
}

/// An attempt at a task, the worker's as long as the lease lasts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ClaimInfo {
    /// Names this attempt in `/v1/claims/{id}`; another attempt has another one.
    pub id: String,
    /// The flow.
    pub flow: String,
    /// The task.
    pub task: String,
    /// The name of its handler.
    pub name: String,
    /// What the task is given.
    pub input: Value,
    /// Whether it is to be undone, and what came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// Which attempt this is, from 1; of this direction.
    pub attempt: u32,
    /// With the attempt, a fence: the pair grows with each attempt at the task, so a backend that remembers the greatest can
    /// refuse a worker that lost its claim without knowing.
    pub epoch: i64,
    /// The same for every attempt at the task in this direction: a backend can tell a repetition by it.
    pub idempotency_key: String,
    /// For how long it is the worker's from now on.
    pub lease_ms: u64,
    /// The time that is left for the attempt, if it is limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_left_ms: Option<u64>,
    /// For what the flow was submitted, usually a W3C `traceparent`: spans of the attempt belong under it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// What came of a task that is to be undone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Undo {
    /// `succeeded`, `failed`, or `unknown` if its worker was lost.
    pub outcome: String,
    /// What it answered.
    pub output: Value,
    /// Why it failed.
    pub error: String,
}

/// A sign of life, with what there is to say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ClaimBeat {
    /// How long the claim is the worker's from now on; as with the claim.
    pub lease_ms: Option<u64>,
    /// How far the task is, from 0 to 1.
    pub progress: Option<f64>,
    /// Lines for whoever looks at the task; 100 at most.
    pub log: Vec<String>,
}

/// How a claim stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ClaimStanding {
    /// For how long it is the worker's from now on.
    pub lease_ms: u64,
    /// The flow was cancelled: stop soon, and say how it ended.
    pub cancelled: bool,
}

/// What came of an attempt: an output, unless there is an error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ClaimResult {
    /// What the task answers; 1 MiB of JSON at most.
    pub output: Value,
    /// Why it failed.
    pub error: Option<String>,
    /// Whether another attempt may succeed.
    pub retryable: bool,
}

/// A worker that has been heard of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct WorkerInfo {
    /// Its name, or the id of one that has flows.
    pub name: String,
    /// Whether it takes tasks over HTTP.
    pub remote: bool,
    /// The tasks it has handlers for.
    pub handlers: Vec<String>,
    /// What else it has.
    pub labels: Vec<String>,
    /// Flows it has now.
    pub flows: i64,
    /// Tasks it has claimed.
    pub claims: i64,
}
