//! Units, machines and storage.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Condition, Life, StatusInfo, Sync};

/// More units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct AddUnits {
    /// How many.
    pub count: u32,
    /// Placement per unit: a machine number.
    pub to: Vec<String>,
}

/// Fewer units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RemoveUnits {
    /// These units.
    pub units: Vec<String>,
    /// Or: so many of this application, highest numbers first.
    pub application: String,
    /// How many.
    pub count: u32,
    /// Do not wait for agents that do not answer.
    pub force: bool,
    /// Do not wait at all.
    pub no_wait: bool,
    /// Also destroy their storage.
    pub destroy_storage: bool,
}

/// A word on a failed hook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Resolve {
    /// Take the hook as done instead of running it again.
    pub skip: bool,
}

/// A unit, as `juju show-unit` prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct UnitInfo {
    /// Workload version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub workload_version: String,
    /// Machine number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub machine: String,
    /// Open ports.
    pub opened_ports: Vec<String>,
    /// Address.
    pub public_address: String,
    /// Address.
    pub address: String,
    /// Charm URL.
    pub charm: String,
    /// Leader.
    pub leader: bool,
    /// Life.
    pub life: Life,
    /// Kubernetes-like: provider id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider_id: String,
    /// Relations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relation_info: Vec<UnitRelation>,
    /// The newest change that concerns it; what it should be follows from its application.
    pub generation: i64,
    /// Whether it has followed.
    pub sync: Sync,
    /// `AgentReporting`, `Installed`, `WorkloadActive`.
    pub conditions: Vec<Condition>,
}

/// One relation of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct UnitRelation {
    /// Number.
    pub relation_id: i64,
    /// Local endpoint.
    pub endpoint: String,
    /// Remote endpoint.
    pub related_endpoint: String,
    /// The remote application's databag.
    pub application_data: BTreeMap<String, String>,
    /// Own databag; leaders of peer relations see the application's too.
    pub local_unit: UnitRelationData,
    /// Remote units.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub related_units: BTreeMap<String, UnitRelationData>,
}

/// A unit's databag in a relation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct UnitRelationData {
    /// In scope.
    pub in_scope: bool,
    /// Data.
    pub data: BTreeMap<String, String>,
}

/// One past status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct StatusLogEntry {
    /// `workload` or `juju-unit`.
    pub kind: String,
    /// Status.
    pub status: String,
    /// Message.
    pub message: String,
    /// UTC microseconds.
    pub since: i64,
}

/// More machines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct AddMachines {
    /// How many.
    pub count: u32,
    /// Base, or empty.
    pub base: String,
    /// Constraints as text.
    pub constraints: BTreeMap<String, String>,
}

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct MachineInfo {
    /// Number.
    pub number: String,
    /// Life.
    pub life: Life,
    /// Status.
    pub status: StatusInfo,
    /// Address.
    pub address: String,
    /// Units on it.
    pub units: Vec<String>,
    /// 1: it shall be; 2: it shall be gone.
    pub generation: i64,
    /// Whether it is.
    pub sync: Sync,
    /// `AgentConnected`.
    pub conditions: Vec<Condition>,
}

/// Storage to add to a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct AddStorage {
    /// Storage name in the charm's metadata.
    pub name: String,
    /// `pool,count,size` in any order, or empty.
    pub directive: String,
}

/// A storage instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct StorageInfo {
    /// `name/number`.
    pub id: String,
    /// `filesystem` or `block`.
    pub kind: String,
    /// Pool.
    pub pool: String,
    /// MiB.
    pub size_mib: u64,
    /// Unit it is attached to.
    pub unit: String,
    /// Path.
    pub location: String,
    /// Status.
    pub status: String,
    /// Life.
    pub life: Life,
}

/// A deferred notice, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct DeferredInfo {
    /// Unit.
    pub unit: String,
    /// Position in the charm's queue.
    pub sequence: i64,
    /// Event, e.g. `config_changed`.
    pub event: String,
    /// Observer and method, e.g. `MyCharm._on_config_changed`.
    pub handler: String,
    /// How often it came back.
    pub attempts: u32,
    /// First seen, RFC 3339.
    pub since: String,
    /// Comes back at the latest, RFC 3339.
    pub next: String,
}
