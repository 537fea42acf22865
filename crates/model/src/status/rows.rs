//! What a status is made from. Times are UTC microseconds; 0 is no time.

use std::collections::BTreeMap;

use crate::agent::OpenPort;
use crate::api::{Life, ModelKind, StatusInterface, Sync};

/// Everything `status` shows of one model. Units that are alike in severity are shown by the first,
/// so give them in the order of their numbers.
#[derive(Clone, Debug, Default)]
pub struct StatusRows {
    /// The model.
    pub model: ModelRow,
    /// Now.
    pub now: i64,
    /// Applications.
    pub applications: Vec<ApplicationRow>,
    /// Units, subordinates among them.
    pub units: Vec<UnitRow>,
    /// Machines.
    pub machines: Vec<MachineRow>,
    /// Relations.
    pub relations: Vec<RelationRow>,
    /// Storage instances.
    pub storage: Vec<StorageRow>,
}

/// A status as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusValue {
    /// The word.
    pub status: String,
    /// Free text.
    pub message: String,
    /// When it was set.
    pub since: i64,
}

/// The model.
#[derive(Clone, Debug, Default)]
pub struct ModelRow {
    /// Short name.
    pub name: String,
    /// Kind.
    pub kind: ModelKind,
    /// Controller name.
    pub controller: String,
    /// Cloud.
    pub cloud: String,
    /// Region, or empty.
    pub region: String,
    /// Version of the Juju behaviour spoken, shown for agents too.
    pub version: String,
    /// Life.
    pub life: Life,
    /// When its life last changed.
    pub since: i64,
}

/// One application.
#[derive(Clone, Debug, Default)]
pub struct ApplicationRow {
    /// Name.
    pub name: String,
    /// `local:NAME-REVISION`, or the bare name for catalogue charms.
    pub charm: String,
    /// `local` or `charmhub`.
    pub charm_origin: String,
    /// Charm name.
    pub charm_name: String,
    /// Charm revision.
    pub charm_revision: i64,
    /// Channel, or empty.
    pub charm_channel: String,
    /// The charm's `version` file, or empty.
    pub charm_version: String,
    /// `ubuntu@24.04`, or empty.
    pub base: String,
    /// Units wanted.
    pub scale: u32,
    /// Exposed.
    pub exposed: bool,
    /// Whether it is a subordinate.
    pub subordinate: bool,
    /// Life.
    pub life: Life,
    /// The status its leader has set; none: derived from its units.
    pub status: Option<StatusValue>,
    /// When it was created: the time of a status nobody has set.
    pub created: i64,
    /// Workload version.
    pub workload_version: String,
    /// Endpoint → space.
    pub bindings: BTreeMap<String, String>,
    /// Address of the service on Kubernetes-like models, or empty.
    pub address: String,
    /// Provider id on Kubernetes-like models, or empty.
    pub provider_id: String,
    /// The unit that leads.
    pub leader: Option<String>,
    /// Whether the world matches the desired state.
    pub sync: Option<Sync>,
    /// Why it could not be read, or empty. Nothing else of it is shown then.
    pub error: String,
}

/// One unit.
#[derive(Clone, Debug, Default)]
pub struct UnitRow {
    /// `app/0`.
    pub name: String,
    /// Its application.
    pub application: String,
    /// The unit it lives beside, for subordinates.
    pub principal: Option<String>,
    /// Machine number, or empty.
    pub machine: String,
    /// Life.
    pub life: Life,
    /// The agent's status as stored: `error` while a hook is in error.
    pub agent: StatusValue,
    /// The workload's status as stored.
    pub workload: StatusValue,
    /// The agent has not been heard of for too long.
    pub lost: bool,
    /// Newest desired generation.
    pub generation: i64,
    /// Newest generation it has handled.
    pub observed_generation: i64,
    /// The charm it runs; empty before the first deploy on disk.
    pub charm: String,
    /// Ports it has opened.
    pub ports: Vec<OpenPort>,
    /// Its address.
    pub address: String,
    /// Provider id on Kubernetes-like models, or empty.
    pub provider_id: String,
    /// Notices its charm has deferred.
    pub deferred: u32,
    /// How far it is, or empty if it is in sync.
    pub sync_state: String,
}

/// One machine.
#[derive(Clone, Debug, Default)]
pub struct MachineRow {
    /// Number.
    pub number: String,
    /// Life.
    pub life: Life,
    /// `pending`, `started`, `stopped`, `down`.
    pub agent: StatusValue,
    /// `running`, …
    pub instance: StatusValue,
    /// Host name.
    pub hostname: String,
    /// Addresses, the best first.
    pub addresses: Vec<String>,
    /// Instance id.
    pub instance_id: String,
    /// `ubuntu@24.04`, or empty.
    pub base: String,
    /// Interfaces by name.
    pub interfaces: BTreeMap<String, StatusInterface>,
    /// `arch=amd64`.
    pub constraints: String,
    /// `arch=amd64 cores=2 mem=4096M`.
    pub hardware: String,
    /// How far it is, or empty if it is in sync.
    pub sync_state: String,
}

/// One relation.
#[derive(Clone, Debug, Default)]
pub struct RelationRow {
    /// Interface.
    pub interface: String,
    /// `global` or `container`.
    pub scope: String,
    /// Application and endpoint of each end; one for peers.
    pub ends: Vec<(String, String)>,
}

/// One storage instance.
#[derive(Clone, Debug, Default)]
pub struct StorageRow {
    /// `name/0`.
    pub id: String,
    /// `filesystem` or `block`.
    pub kind: String,
    /// `pending`, `attached`, …
    pub status: StatusValue,
    /// Whether it outlives its unit.
    pub persistent: bool,
    /// Life.
    pub life: Life,
    /// The unit it is attached to, or empty.
    pub unit: String,
    /// The unit's machine, or empty.
    pub machine: String,
    /// Where it is, or empty.
    pub location: String,
}
