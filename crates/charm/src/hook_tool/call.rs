//! What a charm can ask for.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One call of one tool, with its arguments checked as far as that is possible without the model.
///
/// It goes from a tool to the agent that installed it, so both are always of one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Call {
    /// Relations of an endpoint; none = the endpoint of the relation hook.
    RelationIds {
        /// Local endpoint.
        endpoint: Option<String>,
    },
    /// Remote units, or the remote application.
    RelationList {
        /// None = the relation of the hook.
        relation: Option<RelationArgument>,
        /// Answer the remote application instead.
        application: bool,
    },
    /// The model at the other end.
    RelationModelGet {
        /// None = the relation of the hook.
        relation: Option<RelationArgument>,
    },
    /// Reads a databag.
    RelationGet {
        /// None = the relation of the hook.
        relation: Option<RelationArgument>,
        /// The application's databag instead of a unit's.
        application: bool,
        /// One key; none = all.
        key: Option<String>,
        /// Whose databag: a unit, or an application if `application`; none = the remote one of the hook.
        member: Option<String>,
    },
    /// Merges into the own databag; an empty value deletes its key.
    RelationSet {
        /// None = the relation of the hook.
        relation: Option<RelationArgument>,
        /// The application's databag instead of the unit's.
        application: bool,
        /// What to merge.
        settings: BTreeMap<String, String>,
    },

    /// Reads the configuration.
    ConfigGet {
        /// One option; none = all that have a value.
        key: Option<String>,
        /// Also those without a value.
        all: bool,
    },
    /// Whether this unit is the leader.
    IsLeader,
    /// Reads leader settings.
    LeaderGet {
        /// One key; none = all.
        key: Option<String>,
    },
    /// Writes leader settings at once; an empty value deletes its key.
    LeaderSet {
        /// What to merge.
        settings: BTreeMap<String, String>,
    },
    /// The units and relations the model should have.
    GoalState,
    /// The cloud credential of a trusted application.
    CredentialGet,
    /// The path of a resource's file.
    ResourceGet {
        /// Resource name.
        name: String,
    },
    /// The address of this unit, private and public alike.
    UnitGet {
        /// Which of them.
        address: UnitAddress,
    },
    /// Addresses for an endpoint or extra binding.
    NetworkGet {
        /// Endpoint or extra binding.
        binding: String,
        /// The relation to be seen from.
        relation: Option<RelationArgument>,
        /// What of it; empty = everything.
        parts: Vec<NetworkPart>,
    },

    /// Writes to the model's log.
    JujuLog {
        /// `TRACE`, `DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`.
        level: String,
        /// The message, possibly of several lines.
        message: String,
    },
    /// Reads a status.
    StatusGet {
        /// The application's instead of the unit's.
        application: bool,
        /// How much of it.
        detail: StatusDetail,
    },
    /// Sets a status at once.
    StatusSet {
        /// The application's instead of the unit's.
        application: bool,
        /// `maintenance`, `blocked`, `waiting` or `active`.
        status: String,
        /// Free text.
        message: String,
    },
    /// Says which version the workload has.
    ApplicationVersionSet {
        /// The version.
        version: String,
    },

    /// Opens ports.
    OpenPort {
        /// Which.
        ports: PortRange,
        /// For these endpoints only; empty = all.
        endpoints: Vec<String>,
    },
    /// Closes ports.
    ClosePort {
        /// Which.
        ports: PortRange,
        /// For these endpoints only; empty = all.
        endpoints: Vec<String>,
    },
    /// Lists the ports this unit has opened.
    OpenedPorts {
        /// Also say for which endpoints.
        endpoints: bool,
    },

    /// Asks for more storage.
    StorageAdd {
        /// How many more, by storage name.
        counts: BTreeMap<String, u32>,
    },
    /// One storage.
    StorageGet {
        /// `name/number`; none = the storage of the hook.
        storage: Option<String>,
        /// `kind` or `location`; none = both.
        attribute: Option<String>,
    },
    /// Lists storage.
    StorageList {
        /// Only of this name.
        name: Option<String>,
    },

    /// Reads the charm's state kept by the model.
    StateGet {
        /// One key; none = all.
        key: Option<String>,
        /// A missing key is an error.
        strict: bool,
    },
    /// Writes the charm's state kept by the model.
    StateSet {
        /// What to merge.
        values: BTreeMap<String, String>,
    },
    /// Deletes from the charm's state kept by the model.
    StateDelete {
        /// The key.
        key: String,
    },

    /// Creates a secret.
    SecretAdd {
        /// Owned by the application instead of the unit.
        application: bool,
        /// Everything but the owner.
        draft: SecretDraft,
    },
    /// Changes an owned secret.
    SecretSet {
        /// Bare id.
        id: String,
        /// What to change.
        draft: SecretDraft,
    },
    /// Reads a secret's content.
    SecretGet {
        /// Bare id.
        id: Option<String>,
        /// With an id: the label to give it; without: the label to find it by.
        label: Option<String>,
        /// One key of the content.
        key: Option<String>,
        /// That key's value in base64.
        base64: bool,
        /// Which revision.
        reading: SecretReading,
    },
    /// Reads what is known about an owned secret.
    SecretInfoGet {
        /// Bare id, if there is no label.
        id: Option<String>,
        /// Label, if there is no id.
        label: Option<String>,
    },
    /// Lists owned secrets.
    SecretIds,
    /// Removes a secret, or one revision of it.
    SecretRemove {
        /// Bare id.
        id: String,
        /// Only this revision.
        revision: Option<i64>,
    },
    /// Lets the other end of a relation read a secret.
    SecretGrant {
        /// Bare id.
        id: String,
        /// None = the relation of the hook.
        relation: Option<RelationArgument>,
        /// Only this unit of it.
        unit: Option<String>,
    },
    /// Takes a grant back.
    SecretRevoke {
        /// Bare id.
        id: String,
        /// None = the relation of the hook, unless an application or unit is given.
        relation: Option<RelationArgument>,
        /// From this application.
        application: Option<String>,
        /// From this unit.
        unit: Option<String>,
    },

    /// Reads the action's parameters.
    ActionGet {
        /// Path into them; empty = all.
        path: Vec<String>,
    },
    /// Sets results of the action.
    ActionSet {
        /// Path and value of each.
        results: Vec<(Vec<String>, String)>,
    },
    /// Marks the action as failed.
    ActionFail {
        /// Why.
        message: String,
    },
    /// Reports progress of the action.
    ActionLog {
        /// What to say.
        message: String,
    },

    /// Restarts the machine when the hook has ended, or at once.
    JujuReboot {
        /// End the hook now and run it again afterwards.
        now: bool,
    },
    /// Registers a payload.
    PayloadRegister {
        /// Kind of payload, such as `docker`.
        kind: String,
        /// Class declared by the charm.
        class: String,
        /// The payload's own id.
        id: String,
        /// Free tags.
        tags: Vec<String>,
    },
    /// Forgets a payload.
    PayloadUnregister {
        /// Class declared by the charm.
        class: String,
        /// The payload's own id.
        id: String,
    },
    /// Sets a payload's status.
    PayloadStatusSet {
        /// Class declared by the charm.
        class: String,
        /// The payload's own id.
        id: String,
        /// `starting`, `started`, `stopping` or `stopped`.
        status: String,
    },
    /// Records metrics. Juju: only in `collect-metrics`.
    AddMetric {
        /// Values by name.
        metrics: BTreeMap<String, String>,
    },
}

/// A relation named on the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationArgument {
    /// Its number.
    pub id: i64,
    /// What was given for which option, e.g. `"db:7" for option -r`: Juju's answer to a relation that does
    /// not exist repeats it.
    pub shown: String,
}

/// Which address of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitAddress {
    /// As seen from inside the model.
    Private,
    /// As seen from outside.
    Public,
}

/// One part of what `network-get` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkPart {
    /// Address to listen on.
    BindAddress,
    /// Address to announce.
    IngressAddress,
    /// Networks that this unit's connections come from.
    EgressSubnets,
    /// Old name of the address to listen on.
    PrimaryAddress,
}

/// How much of a status to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatusDetail {
    /// The word alone.
    Word,
    /// An object with the word.
    Short,
    /// An object with the word, the message and the data.
    Full,
}

/// A range of ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// `tcp`, `udp` or `icmp`.
    pub protocol: String,
    /// First port; 0 for icmp.
    pub from: u16,
    /// Last port, inclusive; 0 for icmp.
    pub to: u16,
}

impl fmt::Display for PortRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.to) {
            (0, _) => write!(formatter, "{}", self.protocol),
            (from, to) if from == to => write!(formatter, "{from}/{}", self.protocol),
            (from, to) => write!(formatter, "{from}-{to}/{}", self.protocol),
        }
    }
}

/// What `secret-add` and `secret-set` say about a secret. Absent fields are not changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretDraft {
    /// Label.
    pub label: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// `never`, `hourly`, `daily`, `weekly`, `monthly`, `quarterly` or `yearly`.
    pub rotation: Option<String>,
    /// When it expires.
    pub expiry: Option<Expiry>,
    /// Values by key.
    pub content: Option<SecretContent>,
}

/// When a secret expires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expiry {
    /// At this time: RFC 3339, UTC.
    At(String),
    /// After this many milliseconds.
    After(u64),
}

/// Secret values by key; `Debug` shows the keys only.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretContent(pub BTreeMap<String, String>);

impl fmt::Debug for SecretContent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// Which revision of a secret to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretReading {
    /// The one this unit tracks.
    Tracked,
    /// The latest, this once.
    Peek,
    /// The latest, from now on.
    Refresh,
}
