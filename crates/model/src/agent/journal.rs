//! What a unit has done, persisted by the controller in one transaction with the state it
//! describes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Hook;

/// A relation's number in its model.
pub type RelationId = i64;

/// One revision of a charm, and the bytes it stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CharmReference {
    /// `local:NAME-REVISION`.
    pub url: String,
    /// SHA-256 of the charm's archive, 64 hexadecimal digits.
    pub digest: String,
    /// The revision, strictly growing per name and model.
    pub revision: i64,
}

/// A unit's journal. The default is a unit that has not done anything.
///
/// Persisted as JSON: a field may be added with `#[serde(default)]`, never renamed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Journal {
    /// What is in progress.
    pub operation: Operation,
    /// A failed hook a forced upgrade came in between of: returned to, still failed, after
    /// `upgrade-charm` and what follows it.
    pub interrupted: Option<Hook>,
    /// The hook in error beside which a task runs: failed again when the task ends.
    pub failed: Option<Hook>,
    /// Hooks owed after the one in progress and before anything else, in order: follow-ups of a
    /// committed hook, or the `install` that storage hooks came in between of.
    pub queue: Vec<Hook>,
    /// `install` was committed.
    pub installed: bool,
    /// `start` was committed.
    pub started: bool,
    /// `stop` was committed.
    pub stopped: bool,
    /// `remove` was committed.
    pub removed: bool,
    /// The charm has set its status at least once.
    pub status_set: bool,
    /// The unit accepted leadership and has not resigned.
    pub leader: bool,
    /// Version of the leader settings when the last `leader-settings-changed` began.
    pub leader_settings: i64,
    /// The charm in the charm directory; none before the first deploy on disk.
    pub charm: Option<CharmReference>,
    /// The application's charm-modified version that goes with `charm`.
    pub charm_modified: i64,
    /// Hash of the configuration when the last `config-changed` began. A failed one stays in
    /// `operation` until it was committed or skipped, so nothing is lost by writing it early.
    pub config_hash: String,
    /// Hash of the trust flag at that time.
    pub trust_hash: String,
    /// Hash of the addresses at that time.
    pub address_hash: String,
    /// Relations this unit has entered.
    pub relations: BTreeMap<RelationId, RelationJournal>,
    /// Storage ids whose `attached` hook was committed.
    pub storage: BTreeMap<String, bool>,
    /// Secrets: revision announced by `secret-changed`, by bare id.
    pub secrets_consumed: BTreeMap<String, i64>,
    /// Secrets: obsolete revisions announced by `secret-remove`, by bare id.
    pub secrets_obsolete: BTreeMap<String, Vec<i64>>,
    /// Consecutive failures of the pending hook; 0 when none is pending.
    pub failures: u32,
    /// Consecutive deaths by signal of the queued hook.
    pub kills: u32,
    /// The failed hook had its one more run since the unit is dying: next time it is skipped.
    pub last_chance: bool,
    /// The machine's boot id when `start` was last committed.
    pub boot_id: String,
}

/// What a unit is in the middle of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "kebab-case")]
pub enum Operation {
    /// Nothing: the next operation follows from the snapshot.
    #[default]
    Continue,
    /// The charm directory is being switched to this charm (first time: installed).
    Deploy {
        /// The charm to switch to.
        charm: CharmReference,
        /// The application's charm-modified version that goes with it.
        charm_modified: i64,
    },
    /// A hook.
    RunHook {
        /// Which.
        hook: Hook,
        /// How far it is.
        step: HookStep,
    },
    /// An action or an `exec`.
    RunAction {
        /// Task number in the model.
        task: i64,
    },
}

/// How far a hook is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookStep {
    /// To be run next.
    Queued,
    /// Started: found after a crash, or after a failure, it counts as failed.
    Pending,
    /// Failed and waiting for a retry, a resolution or removal.
    Failed,
}

/// What a unit has seen of one relation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RelationJournal {
    /// Local endpoint.
    pub endpoint: String,
    /// `relation-created` was committed (or is not due: implicit endpoints).
    pub created: bool,
    /// `relation-broken` was committed.
    pub broken: bool,
    /// Joined remote units and the databag version last announced.
    pub members: BTreeMap<String, i64>,
    /// Applications and the application databag version last announced.
    pub applications: BTreeMap<String, i64>,
    /// A unit that has joined and whose `changed` is due at once.
    pub changed_pending: Option<String>,
}
