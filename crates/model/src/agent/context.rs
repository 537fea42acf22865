//! What a hook can read: a stable picture taken when the hook begins.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RelationId;
use crate::redacted::Keys;

/// A databag: strings by key.
pub type Databag = BTreeMap<String, String>;

/// Everything the hook tools of one hook run answer from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    /// Whether this unit is the leader.
    pub leader: bool,
    /// Effective configuration: set values and defaults; `null` for options without either.
    pub config: BTreeMap<String, Value>,
    /// The unit's workload status.
    pub unit_status: ContextStatus,
    /// The application's status as set or derived.
    pub application_status: ContextStatus,
    /// Workload status of every unit of the application.
    pub unit_statuses: BTreeMap<String, ContextStatus>,
    /// Relations the application has, by number.
    pub relations: BTreeMap<RelationId, ContextRelation>,
    /// Ports this unit has opened.
    pub ports: Vec<OpenPort>,
    /// Server-side state (`state-set`).
    pub state: BTreeMap<String, String>,
    /// Storage by `name/number`.
    pub storage: BTreeMap<String, ContextStorage>,
    /// Storage names the charm declares.
    pub storage_names: Vec<String>,
    /// Resources by name.
    pub resources: BTreeMap<String, ContextResource>,
    /// Secrets this unit owns, may manage or may read, by bare id.
    pub secrets: BTreeMap<String, ContextSecret>,
    /// `goal-state` units of the own application: status and since.
    pub goal_units: BTreeMap<String, GoalStatus>,
    /// `goal-state` relations: endpoint → application or unit → status.
    pub goal_relations: BTreeMap<String, BTreeMap<String, GoalStatus>>,
    /// Names that `network-get` accepts: endpoints and extra bindings.
    pub bindings: Vec<String>,
    /// The unit's own loopback address.
    pub address: String,
    /// Leader settings (`leader-get`).
    pub leader_settings: BTreeMap<String, String>,
    /// The cloud credential, for trusted applications.
    pub credential: Option<Value>,
    /// The action, for tasks that are one.
    pub action: Option<ContextAction>,
    /// Payload classes the charm declares.
    pub payload_classes: Vec<String>,
    /// The unit's charm defines these proxies through the model: `http`, `https`, `ftp`, `no`.
    pub proxies: BTreeMap<String, String>,
    /// Addresses of the controller's API, `host:port`.
    pub api_addresses: Vec<String>,
    /// The notice a `bus-notice` hook is about.
    pub notice: Option<ContextNotice>,
    /// URL of the bus, or empty.
    pub bus: String,
}

/// What a notice says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextNotice {
    /// Of the bus event: the same at every delivery.
    pub id: String,
    /// `bus` for an event the charm listens to, `custom` for what the workload raised.
    pub kind: String,
    /// The event, `auth.user_registered`, or the key the workload gave.
    pub key: String,
    /// A JSON object.
    pub data: String,
}

/// A status a charm sees or sets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextStatus {
    /// `active`, `blocked`, `maintenance`, `waiting`, `unknown`, `error`, `terminated`.
    pub status: String,
    /// Free text.
    pub message: String,
}

/// One relation with the databags the unit may read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContextRelation {
    /// Local endpoint.
    pub endpoint: String,
    /// Remote application.
    pub remote_application: String,
    /// Whether it is a peer relation.
    pub peer: bool,
    /// Whether the relation is being removed.
    pub dying: bool,
    /// This unit's databag.
    pub unit: Databag,
    /// The own application's databag. Only the leader, and every unit of a peer relation, may
    /// read it.
    pub application: Databag,
    /// The remote application's databag.
    pub remote: Databag,
    /// Databags of every remote unit that is or was in scope of the relation.
    pub units: BTreeMap<String, Databag>,
    /// The remote application's model, a UUID.
    pub remote_model: String,
}

/// An open port range.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OpenPort {
    /// Endpoint, or empty for all.
    pub endpoint: String,
    /// `tcp`, `udp` or `icmp`.
    pub protocol: String,
    /// First port; 0 for icmp.
    pub from: u16,
    /// Last port, inclusive; 0 for icmp.
    pub to: u16,
}

/// One storage instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextStorage {
    /// `filesystem` or `block`.
    pub kind: String,
    /// Mount path or device.
    pub location: String,
}

/// One resource: bytes the agent fetches when the charm asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextResource {
    /// SHA-256 of the content; empty when nothing was uploaded.
    pub digest: String,
    /// File name the charm declared.
    pub filename: String,
}

/// A secret as one unit sees it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContextSecret {
    /// `application` or `unit` for secrets of this application or unit; `model` for a user's; the
    /// owner's name for another application's or unit's.
    pub owner: String,
    /// Whether this unit owns it (itself, or as a member of the owning application).
    pub owned: bool,
    /// The owner's label, or the label this consumer gave.
    pub label: String,
    /// Description.
    pub description: String,
    /// Rotation policy: `never`, `hourly`, …
    pub rotation: String,
    /// Expiry, RFC 3339 with zone, or empty.
    pub expiry: String,
    /// Latest revision.
    pub latest: i64,
    /// Revision this unit tracks; 0 = none yet.
    pub tracked: i64,
    /// Content by revision, for the revisions this unit may read (tracked and latest at least).
    pub revisions: BTreeMap<i64, BTreeMap<String, String>>,
    /// Grants, for owners.
    pub access: Vec<SecretAccess>,
}

impl fmt::Debug for ContextSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            owner,
            owned,
            label,
            description,
            rotation,
            expiry,
            latest,
            tracked,
            revisions,
            access,
        } = self;
        formatter
            .debug_struct("ContextSecret")
            .field("owner", owner)
            .field("owned", owned)
            .field("label", label)
            .field("description", description)
            .field("rotation", rotation)
            .field("expiry", expiry)
            .field("latest", latest)
            .field("tracked", tracked)
            .field(
                "revisions",
                &revisions
                    .iter()
                    .map(|(number, content)| (number, Keys(content)))
                    .collect::<BTreeMap<_, _>>(),
            )
            .field("access", access)
            .finish()
    }
}

/// A grant on a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretAccess {
    /// `application-NAME` or `unit-NAME-N`.
    pub target: String,
    /// `relation-KEY`.
    pub scope: String,
    /// `view`.
    pub role: String,
}

/// A status in `goal-state`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoalStatus {
    /// Word.
    pub status: String,
    /// RFC 3339.
    pub since: String,
}

/// The action a task runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContextAction {
    /// Number in the model.
    pub task: i64,
    /// Action name, or `juju-exec`.
    pub name: String,
    /// Parameters with the schema's defaults filled in.
    pub parameters: Value,
    /// The command line, for `exec`.
    pub command: String,
    /// Deadline of the task in milliseconds from now; 0 = none.
    pub timeout_ms: u64,
}
