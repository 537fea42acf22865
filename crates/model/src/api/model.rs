//! Controllers and models.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Condition, StatusInfo, Sync};

/// `alive → dying → dead`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Life {
    /// In use.
    #[default]
    Alive,
    /// Finishing its business.
    Dying,
    /// Finished; its records are about to go.
    Dead,
}

/// Machine-like or Kubernetes-like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// Machine-like: units live on numbered machines.
    #[default]
    Iaas,
    /// Kubernetes-like: units have no machine.
    Caas,
}

/// The controller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ControllerInfo {
    /// Name.
    pub name: String,
    /// UUID.
    pub uuid: String,
    /// Version of the Juju behaviour spoken, e.g. `3.6.9`.
    pub agent_version: String,
    /// Version of Tutti.
    pub version: String,
    /// `sqlite` or `postgresql`.
    pub database: String,
    /// Process id.
    pub pid: u32,
    /// Where the HTTP API listens besides the unix socket, `127.0.0.1:17070`, or empty.
    pub address: String,
    /// Path of the unix socket.
    pub socket: String,
    /// Data directory.
    pub data: String,
    /// Cloud that new models get when none is named.
    pub default_cloud: String,
}

/// A new model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ModelCreate {
    /// Short name.
    pub name: String,
    /// `localhost` (machine-like) or `local-k8s` (Kubernetes-like); empty: the default.
    pub cloud: String,
    /// Region, or empty.
    pub region: String,
    /// Owner, `admin` if empty.
    pub owner: String,
    /// Model config.
    pub config: BTreeMap<String, String>,
}

/// A model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ModelInfo {
    /// UUID.
    pub uuid: String,
    /// Short name.
    pub name: String,
    /// Owner.
    pub owner: String,
    /// Kind.
    pub kind: ModelKind,
    /// Cloud.
    pub cloud: String,
    /// Region.
    pub region: String,
    /// Life.
    pub life: Life,
    /// `available`, `destroying`.
    pub status: StatusInfo,
    /// Units, applications and machines.
    pub units: u32,
    /// Applications.
    pub applications: u32,
    /// Machine numbers and their cores.
    pub machines: BTreeMap<String, u32>,
    /// Version of the Juju behaviour spoken.
    pub agent_version: String,
    /// Bumped by each accepted change.
    pub generation: i64,
    /// Whether its own settings are in force.
    pub sync: Sync,
    /// `Available`, `AgentsReporting`.
    pub conditions: Vec<Condition>,
}

/// Model config by key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct ModelConfig(pub BTreeMap<String, ModelConfigValue>);

/// One model config value. The capital letters are Juju's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelConfigValue {
    /// The value.
    #[serde(rename = "Value")]
    pub value: Value,
    /// `default`, `controller` or `model`.
    #[serde(rename = "Source")]
    pub source: String,
}

/// Settings to set and to reset, as text; the schema gives the types.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ConfigChange {
    /// Key → value.
    pub set: BTreeMap<String, String>,
    /// Keys to return to their defaults.
    pub reset: Vec<String>,
}

/// Constraints by name: `{"cores": 4, "mem": 1024}` (memory and disks in MiB).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Constraints(pub BTreeMap<String, Value>);

/// Stored bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ArtifactInfo {
    /// SHA-256, 64 hexadecimal digits.
    pub digest: String,
    /// Bytes.
    pub size: u64,
}

/// One page of a model's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct LogPage {
    /// Lines, oldest first.
    pub lines: Vec<LogEntry>,
    /// Cursor for the next page.
    pub after: i64,
    /// Whether the page is full before it holds what was asked for: go on after it, or, of the
    /// newest lines, ask for fewer.
    pub more: bool,
}

/// One log line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct LogEntry {
    /// Position in the log.
    pub sequence: i64,
    /// UTC microseconds.
    pub time: i64,
    /// `unit-db-0`, `machine-0`, `controller-0`.
    pub entity: String,
    /// `DEBUG`, `INFO`, …
    pub level: String,
    /// `unit.db/0.juju-log`.
    pub logger: String,
    /// Text.
    pub message: String,
}
