//! The messages of the agent's API.
//!
//! | call | meaning |
//! |---|---|
//! | `POST /v1/agents/{machine}/sessions` [`SessionRequest`] → [`Session`] | an agent starts (or comes back): it owns its machine's units from now on |
//! | `GET /v1/agents/{machine}/changes?session=S&after=N&wait_ms=M` → [`UnitChanges`] | long poll: which units have something new |
//! | `GET /v1/agents/{machine}/units/{unit id}?session=S` → [`Snapshot`] | one unit |
//! | `POST /v1/agents/{machine}/units/{unit id}/steps?session=S` [`Step`] → [`StepAnswer`] | begin or commit, one transaction |
//! | `POST /v1/agents/{machine}/units/{unit id}/reports?session=S` [`Vec<Report>`] → 204 | immediate effects: status, logs, action messages |
//! | `GET /v1/artifacts/{sha256}` → bytes | charms and resources |
//!
//! Refusals are problem documents ([`crate::api::Problem`]): 409 `stale-session` when a newer agent
//! serves the machine; 404 `unit-not-found` when the unit is gone, so that its agent removes its
//! directory, as no other refusal makes it; 422 `refused` when a hook's changes cannot be applied
//! (`cannot apply changes: …`; nothing of the step was done); 409 `stale-journal` when the journal
//! moved on, and then the document has the fields of the current [`Snapshot`] too.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Changes, Context, ContextStatus, Hook, Journal, NoticeHook, RelationId, SecretHook, Snapshot,
};
use crate::operation::Local;

/// An agent introduces itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRequest {
    /// Host name, for people.
    pub hostname: String,
    /// Version of the agent.
    pub version: String,
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// Process id.
    pub pid: u32,
}

/// An agent's session; a newer session of the same machine fences older ones off (409).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Number to give with every call.
    pub session: i64,
    /// UUID of the controller: another one knows nothing of the units the machine has.
    pub controller: String,
    /// Every unit of the machine.
    pub units: Vec<UnitChange>,
    /// Where to continue with `changes`.
    pub after: i64,
}

/// Units with something new.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitChanges {
    /// Changed units, each once.
    pub units: Vec<UnitChange>,
    /// The cursor for the next call.
    pub after: i64,
}

/// One unit with something new.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitChange {
    /// The unit's id.
    pub id: String,
    /// The unit's name.
    pub name: String,
    /// The short name of its model.
    pub model: String,
    /// UUID of its model.
    pub model_uuid: String,
    /// Its newest desired generation.
    pub generation: i64,
    /// Its records are gone: stop its loop, remove its directory.
    pub gone: bool,
}

/// One durable step of a unit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Step {
    /// The journal version this step builds on; another one at the controller answers 409 with
    /// the current [`Snapshot`].
    pub version: i64,
    /// What the journal becomes.
    pub journal: Journal,
    /// The agent's own status (`executing`, `idle`, …), if it changes.
    pub agent_status: Option<ContextStatus>,
    /// The workload status, if the agent sets it (`installing charm software`, error, …).
    pub workload_status: Option<ContextStatus>,
    /// The unit handled everything up to this desired generation.
    pub observed_generation: Option<i64>,
    /// Why the unit is stuck (a failed hook), for the flows that wait for it; `Some("")` clears.
    pub trouble: Option<String>,
    /// Relations whose scope the unit enters: its databag is created with its addresses.
    pub enter: Vec<RelationId>,
    /// Relations whose scope the unit leaves.
    pub leave: Vec<RelationId>,
    /// What the hook changed.
    pub changes: Option<Changes>,
    /// How a task ended or that it started.
    pub task: Option<TaskReport>,
    /// Clear the operator's `resolved` mark.
    pub clear_resolved: bool,
    /// Storage the agent has provisioned: id → location.
    pub provisioned: Vec<(String, String)>,
    /// Storage that is detached for good.
    pub detached: Vec<String>,
    /// `secret-rotate` was committed for this secret: plan its next rotation.
    pub rotated: Option<SecretHook>,
    /// `secret-expired` was committed for this revision: ask again later if it still exists.
    pub expired: Option<SecretHook>,
    /// `bus-notice` was committed: the notice is done with.
    pub noticed: Option<NoticeHook>,
    /// `config-changed` was committed: refresh the addresses in the unit's databags.
    pub refresh_addresses: bool,
    /// The unit is finished: its records may go.
    pub dead: bool,
    /// Immediate effects (status, logs …) not sent as reports of their own yet: applied first, in
    /// the same transaction, so that a step's outcome is never seen before them.
    pub reports: Vec<Report>,
    /// Also return the [`Context`] for a hook; for a task, of that task.
    pub want_context: bool,
    /// Go on with what needs nothing of the machine, in the same transaction.
    pub follow: Option<Follow>,
}

/// What a controller has to know to go on after a step as the agent would
/// ([`crate::operation::follow`]). It may also leave it: then the agent goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Follow {
    /// What only the agent knows, as it will be after the step.
    pub local: Local,
    /// Names of the hooks the charm has something to run for; none: it has a `dispatch` for all.
    pub handled: Option<BTreeSet<String>>,
}

/// What the controller answers to a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepAnswer {
    /// The unit as it is after the step; none once it is gone.
    pub snapshot: Option<Snapshot>,
    /// The hook's context, if wanted, or if a hook was begun.
    pub context: Option<Context>,
    /// How far the controller has gone on.
    #[serde(default)]
    pub followed: Followed,
}

/// How far a controller has gone on after a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Followed {
    /// The rest is the agent's.
    #[default]
    Nothing,
    /// This hook was begun: the agent runs it now.
    Begun(Hook),
    /// The unit is idle, having handled this generation.
    Idle(i64),
}

/// Progress of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskReport {
    /// Number in the model.
    pub task: i64,
    /// `running`, `completed`, `failed`, `cancelled`, `aborted`.
    pub status: String,
    /// Message of `action-fail`, `exit status N`, …
    pub message: String,
    /// What `action-set` collected, plus `return-code`, `stdout`, `stderr`.
    pub results: Value,
}

/// An effect that is not buffered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "kebab-case")]
pub enum Report {
    /// `status-set`.
    Status {
        /// The application's status (leader only) instead of the unit's.
        application: bool,
        /// What was set.
        status: ContextStatus,
    },
    /// `application-version-set`.
    WorkloadVersion {
        /// The version.
        version: String,
    },
    /// Log lines: `juju-log`, a hook's stdout and stderr, the agent itself.
    Log {
        /// The lines, oldest first.
        lines: Vec<LogLine>,
    },
    /// `action-log`.
    TaskLog {
        /// Number in the model.
        task: i64,
        /// The message.
        message: String,
    },
    /// `leader-set`.
    LeaderSettings {
        /// A value sets, an empty string deletes.
        settings: std::collections::BTreeMap<String, String>,
    },
    /// What the charm has deferred, after a hook.
    Deferred {
        /// The pending notices, oldest first; empty when nothing is deferred.
        notices: Vec<DeferredNotice>,
    },
}

/// One log line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// UTC microseconds.
    pub time: i64,
    /// `TRACE` … `CRITICAL`.
    pub level: String,
    /// `unit.app/0.juju-log`, …
    pub logger: String,
    /// One line, or several.
    pub message: String,
}

/// One deferred notice of a Python charm (ops): an event kept for one observer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeferredNotice {
    /// Position in the charm's queue.
    pub sequence: i64,
    /// Event path, e.g. `MyCharm/on/config_changed[76]`.
    pub event: String,
    /// Observer path.
    pub observer: String,
    /// Handler method.
    pub method: String,
    /// How often it has been re-emitted since it was first seen.
    pub attempts: u32,
    /// First seen, UTC microseconds.
    pub since: i64,
    /// When the agent will bring it back at the latest, UTC microseconds.
    pub next: i64,
}
