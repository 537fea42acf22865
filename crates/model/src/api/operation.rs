//! Operations: actions and commands run on units and machines.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Run an action or a command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RunOperation {
    /// Units: `app/0` or `app/leader`.
    pub units: Vec<String>,
    /// All units of these applications.
    pub applications: Vec<String>,
    /// Machine numbers (commands only).
    pub machines: Vec<String>,
    /// Action name; empty for a command.
    pub action: String,
    /// Parameters of the action.
    pub parameters: Value,
    /// Command line for `/bin/bash -c`; empty for an action.
    pub command: String,
    /// Deadline per task, milliseconds; 0 = none.
    pub timeout_ms: u64,
}

/// An operation: the tasks of one command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct OperationInfo {
    /// Number in the model, shared with tasks.
    pub id: String,
    /// What was asked.
    pub summary: String,
    /// Status over all tasks.
    pub status: String,
    /// Its tasks.
    pub tasks: Vec<OperationTask>,
    /// Targets for which no task could be scheduled, and why.
    pub refused: Vec<String>,
    /// The flow behind it.
    pub flow: Option<String>,
    /// `2006-01-02 15:04:05 +0000 UTC`.
    pub enqueued: String,
    /// Same, or empty.
    pub completed: String,
}

/// One task of an operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct OperationTask {
    /// Number in the model.
    pub id: String,
    /// Its operation's number.
    pub operation: String,
    /// Unit name, or machine number.
    pub receiver: String,
    /// Action name, or `juju-exec`.
    pub name: String,
    /// `pending running completed failed cancelled aborting aborted error`.
    pub status: String,
    /// Message of a failure.
    pub message: String,
    /// Results.
    pub results: Value,
    /// `2006-01-02 15:04:05 +0000 UTC message`.
    pub log: Vec<String>,
    /// `2006-01-02 15:04:05 +0000 UTC`, or empty.
    pub enqueued: String,
    /// Same, or empty.
    pub started: String,
    /// Same, or empty.
    pub completed: String,
}
