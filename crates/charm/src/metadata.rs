//! What a charm declares about itself: `metadata.yaml`.
//!
//! [`Metadata::from_yaml`] reads the author's form (shorthands, empty sections, keys of every Juju
//! release) and answers the one form used everywhere else, which is also its JSON in the store and in the API. Reading
//! is lenient about keys nobody needs (they become warnings) and strict about what a deployment relies on: names,
//! roles, ranges and sizes. All problems of a file are reported together.
//!
//! The JSON form is stable: a field added later has a default, so old documents stay readable, and an old reader
//! ignores fields it does not know.

mod written;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::assumes::Assumption;
use crate::error::Result;
use crate::version::{Requirement, Version};

/// Name and interface of the endpoint that every charm provides without declaring it.
pub const JUJU_INFO: &str = "juju-info";

static IMPLICIT: LazyLock<Endpoint> = LazyLock::new(|| Endpoint {
    interface: JUJU_INFO.to_owned(),
    role: Role::Provider,
    scope: Scope::Global,
    limit: None,
    optional: true,
});

/// A charm's metadata.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// The charm's name; an application takes it unless told otherwise.
    pub name: String,
    /// The name shown to people.
    pub display_name: Option<String>,
    /// One line.
    pub summary: String,
    /// Several lines.
    pub description: String,
    /// Units of a subordinate live beside units of another application.
    pub subordinate: bool,
    /// Endpoints whose role is [`Role::Provider`], by name; without the implicit one.
    pub provides: BTreeMap<String, Endpoint>,
    /// Endpoints whose role is [`Role::Requirer`], by name.
    pub requires: BTreeMap<String, Endpoint>,
    /// Endpoints whose role is [`Role::Peer`], by name.
    pub peers: BTreeMap<String, Endpoint>,
    /// Storage each unit asks for, by name.
    pub storage: BTreeMap<String, Storage>,
    /// Files and images delivered apart from the charm, by name.
    pub resources: BTreeMap<String, Resource>,
    /// Workload containers, by name; a charm that has any is Kubernetes-like.
    pub containers: BTreeMap<String, Container>,
    /// Workload payload classes, by name (hook tools `payload-…`).
    pub payloads: BTreeMap<String, Payload>,
    /// Names that can be bound to a network besides the endpoints.
    pub extra_bindings: Vec<String>,
    /// What the charm expects of the model.
    pub assumes: Vec<Assumption>,
    /// Series of old charms, such as `jammy` or `kubernetes`.
    pub series: Vec<String>,
    /// The oldest Juju the charm runs with.
    pub min_juju_version: Option<Version>,
    /// The user the charm's code runs as.
    pub charm_user: CharmUser,
    /// Which versions of itself the charm can take over from (`>=5,<8`); everything if absent.
    pub upgrades_from: Option<Requirement>,
    /// Bus events that reach its units as notices (Tutti: `x-tutti`).
    pub bus_events: Vec<BusEvent>,
    /// What an old Kubernetes charm says about its pods; a charm with it speaks an interface that is gone.
    pub pod_spec: bool,
}

/// Bus events a charm listens to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BusEvent {
    /// The API, dots included.
    pub api: String,
    /// The event, or `*` for all of the API.
    pub event: String,
}

/// A named end of a relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The protocol spoken over the relation; both ends must have the same.
    pub interface: String,
    /// Which end this is.
    pub role: Role,
    /// Who sees whom over the relation.
    #[serde(default)]
    pub scope: Scope,
    /// How many relations the endpoint takes; any number if absent.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Whether the charm works without a relation here.
    #[serde(default)]
    pub optional: bool,
}

/// The part an endpoint plays in a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Offers the interface.
    Provider,
    /// Uses the interface.
    Requirer,
    /// Talks to the other units of its own application.
    Peer,
}

impl Role {
    /// The section of `metadata.yaml` in which such endpoints stand.
    pub fn section(self) -> &'static str {
        match self {
            Role::Provider => "provides",
            Role::Requirer => "requires",
            Role::Peer => "peers",
        }
    }
}

/// Who sees whom over a relation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Every unit sees every unit of the other side.
    #[default]
    Global,
    /// A unit sees only the units beside it: between a subordinate and its principal.
    Container,
}

/// Storage that every unit of the charm gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// A mounted directory or a bare device.
    pub kind: StorageKind,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Where it is mounted; below it if there may be several. Chosen by the agent if absent.
    #[serde(default)]
    pub location: Option<String>,
    /// How many instances a unit may have.
    #[serde(default)]
    pub multiple: Multiple,
    /// Smallest acceptable size, in MiB.
    #[serde(default)]
    pub minimum_size: Option<u64>,
    /// One instance for all units of the application.
    #[serde(default)]
    pub shared: bool,
    /// Mounted read-only.
    #[serde(default)]
    pub read_only: bool,
}

/// How storage appears to the charm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StorageKind {
    /// A mounted directory.
    Filesystem,
    /// A block device.
    Block,
}

/// How many instances of a storage a unit has: from `min` to `max`, or without upper bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multiple {
    /// At least so many; 0 means that the storage is optional.
    pub min: u32,
    /// At most so many.
    pub max: Option<u32>,
}

impl Default for Multiple {
    /// Exactly one: what a storage without `multiple` gets.
    fn default() -> Multiple {
        Multiple { min: 1, max: Some(1) }
    }
}

/// Something delivered apart from the charm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// A file or a container image.
    pub kind: ResourceKind,
    /// The file's name on the unit; `None` for images.
    #[serde(default)]
    pub filename: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Where the author takes it from when testing.
    #[serde(default)]
    pub upstream_source: Option<String>,
}

/// What a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceKind {
    /// A file; `resource-get` answers its path.
    File,
    /// A container image; `resource-get` answers the path of a file with its registry details.
    OciImage,
}

/// A workload container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Container {
    /// The resource that holds its image.
    pub resource: Option<String>,
    /// Storage mounted into it.
    pub mounts: Vec<Mount>,
    /// The user its processes run as.
    pub uid: Option<u32>,
    /// The group its processes run as.
    pub gid: Option<u32>,
}

/// Storage mounted into a workload container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Name of the storage.
    pub storage: String,
    /// Directory in the container.
    #[serde(default)]
    pub location: Option<String>,
}

/// A class of payload that the charm registers at run time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// The technology, such as `docker` or `kvm`.
    pub kind: String,
}

/// The user a charm's code runs as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CharmUser {
    /// The superuser.
    #[default]
    Root,
    /// An ordinary user who may become the superuser.
    Sudoer,
    /// An ordinary user.
    NonRoot,
}

impl Metadata {
    /// Reads `metadata.yaml`, or the same keys in another file of the charm; `file` is the name used in errors. Also
    /// answers a warning for each key that is not known.
    pub fn from_yaml(file: &str, text: &str) -> Result<(Metadata, Vec<String>)> {
        written::read(file, text)
    }

    /// All endpoints by name, the implicit [`JUJU_INFO`] included unless the charm declares that name itself.
    pub fn endpoints(&self) -> impl Iterator<Item = (&str, &Endpoint)> {
        let declared = [&self.provides, &self.requires, &self.peers];
        let implicit = declared
            .iter()
            .all(|section| !section.contains_key(JUJU_INFO))
            .then(|| (JUJU_INFO, &*IMPLICIT));
        declared
            .into_iter()
            .flat_map(|section| section.iter().map(|(name, endpoint)| (name.as_str(), endpoint)))
            .chain(implicit)
    }

    /// The endpoint of that name, the implicit one included.
    pub fn endpoint(&self, name: &str) -> Option<&Endpoint> {
        self.endpoints().find(|(candidate, _)| *candidate == name).map(|(_, endpoint)| endpoint)
    }

    /// Whether the charm expects a Kubernetes-like model: it has workload containers.
    pub fn is_kubernetes(&self) -> bool {
        !self.containers.is_empty()
    }
}

impl Endpoint {
    /// Whether two endpoints can be joined by a relation: same interface, opposite roles.
    pub fn matches(&self, other: &Endpoint) -> bool {
        let opposite = matches!(
            (self.role, other.role),
            (Role::Provider, Role::Requirer) | (Role::Requirer, Role::Provider)
        );
        opposite && self.interface == other.interface
    }
}

#[cfg(test)]
mod tests;
