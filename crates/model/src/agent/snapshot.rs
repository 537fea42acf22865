//! What the controller wants of a unit and knows about its surroundings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CharmReference, Journal, NoticeHook, RelationId, SecretHook};
use crate::api::{Life, ModelKind};

/// Everything the next operation of a unit is decided from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The unit, `app/0`.
    pub unit: String,
    /// The unit's id at the controller.
    pub unit_id: String,
    /// The unit's model.
    pub model: ModelIdentity,
    /// What the unit has done.
    pub journal: Journal,
    /// The journal's version; a [`super::Step`] must name it.
    pub version: i64,
    /// The newest desired generation that concerns this unit.
    pub generation: i64,
    /// Life of the unit.
    pub life: Life,
    /// Life of the unit's application.
    pub application_life: Life,
    /// The application's charm: what the unit should run.
    pub charm: CharmReference,
    /// Grows when the charm or one of its resources changes.
    pub charm_modified: i64,
    /// Upgrade even when a hook is in error.
    pub force_upgrade: bool,
    /// What the operator said about a failed hook.
    pub resolved: Resolved,
    /// Hash of the effective configuration.
    pub config_hash: String,
    /// Hash of the trust flag.
    pub trust_hash: String,
    /// Hash of the unit's addresses.
    pub address_hash: String,
    /// Whether this unit is the leader.
    pub leader: bool,
    /// Grows when leader settings change.
    pub leader_settings: i64,
    /// Relations of the application (and, for subordinates, only those with the own principal).
    pub relations: BTreeMap<RelationId, RelationSnapshot>,
    /// Storage attached or to be attached, by `name/number`.
    pub storage: BTreeMap<String, StorageSnapshot>,
    /// Tasks waiting for this unit, oldest first.
    pub tasks: Vec<PendingTask>,
    /// Owned secrets that are due for rotation now; the committing [`super::Step`] says `rotated`.
    #[serde(default)]
    pub secrets_rotate: Vec<SecretHook>,
    /// Expired revisions of owned secrets; the committing [`super::Step`] says `expired`.
    #[serde(default)]
    pub secrets_expired: Vec<SecretHook>,
    /// Latest revision of each consumed secret, by bare id.
    pub secrets_consumed: BTreeMap<String, ConsumedSecret>,
    /// Obsolete revisions of each owned secret this unit may remove, by bare id.
    pub secrets_obsolete: BTreeMap<String, Vec<i64>>,
    /// The notice to tell next; the committing [`super::Step`] says `noticed`.
    #[serde(default)]
    pub notice: Option<NoticeHook>,
    /// Names of subordinate units that still exist.
    pub subordinates: Vec<String>,
    /// The principal, for a subordinate.
    pub principal: Option<String>,
    /// The machine's number, on machine models.
    pub machine: Option<String>,
    /// The unit's own loopback address.
    pub address: String,
    /// Model config `automatically-retry-hooks`.
    pub retry_hooks: bool,
    /// Model config `update-status-hook-interval`, milliseconds; 0 = never.
    pub update_status_interval_ms: u64,
    /// Deferred notices are brought back early (the default), instead of with the next event.
    pub deferral_retries: bool,
}

/// The model a unit belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelIdentity {
    /// UUID.
    pub uuid: String,
    /// Short name.
    pub name: String,
    /// Machine-like or Kubernetes-like.
    pub kind: ModelKind,
}

/// An operator's word on a failed hook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolved {
    /// Nothing said.
    #[default]
    None,
    /// Run it again.
    Retry,
    /// Take it as done.
    Skip,
}

/// One relation as the controller knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationSnapshot {
    /// Local endpoint.
    pub endpoint: String,
    /// The application at the other end.
    pub remote_application: String,
    /// Whether it is a peer relation.
    pub peer: bool,
    /// Whether the local endpoint is implicit (`juju-info`): no hooks.
    pub implicit: bool,
    /// Whether units relate only within one machine (subordinates).
    pub container_scoped: bool,
    /// Life of the relation.
    pub life: Life,
    /// Suspended relations look empty and broken.
    pub suspended: bool,
    /// Whether this unit is in scope at the controller.
    pub in_scope: bool,
    /// Remote units in scope and the version of their databag.
    pub members: BTreeMap<String, i64>,
    /// Remote application databags and their version; 0 = never written.
    pub applications: BTreeMap<String, i64>,
}

/// One storage instance of the unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageSnapshot {
    /// `filesystem` or `block`.
    pub kind: String,
    /// Life of the attachment.
    pub life: Life,
    /// Where the charm finds it; empty while the agent has not provisioned it.
    pub location: String,
    /// Provider: `rootfs` or `tmpfs`.
    pub pool: String,
    /// Size in MiB.
    pub size_mib: u64,
    /// Whether it is ready to be announced.
    pub provisioned: bool,
}

/// A task for the unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingTask {
    /// Number in the model.
    pub task: i64,
    /// Action name, or `juju-exec`.
    pub name: String,
    /// What to run.
    pub work: TaskWork,
    /// May run beside hooks (`parallel: true` in the charm).
    pub parallel: bool,
    /// Cancelled by the operator.
    pub cancelled: bool,
}

/// What a task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskWork {
    /// An action of the charm.
    Action,
    /// A shell command in a hook context.
    Exec,
}

/// The newest revision of a secret this unit consumes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumedSecret {
    /// Latest revision.
    pub latest: i64,
    /// The revision this unit tracks.
    pub tracked: i64,
    /// The label this unit gave it.
    pub label: String,
}
