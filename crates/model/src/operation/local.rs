//! What only an agent's memory and its machine know about a unit.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Facts beside the snapshot that the next operation depends on. None of it has to survive the
/// agent: the default is right for an agent that has just started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Local {
    /// The retry timer of the failed hook has fired.
    pub retry_due: bool,
    /// The update-status timer has fired. The agent starts it anew after every committed hook, so
    /// a busy unit never runs `update-status`.
    pub update_status_due: bool,
    /// The timer for deferred notices has fired: an `update-status` brings them back early.
    pub deferred_due: bool,
    /// The machine's boot id; empty when unknown.
    pub boot_id: String,
    /// A hook or task has called `status-set` for the unit since the agent started.
    pub status_set: bool,
    /// The charm directory is missing although the journal names a charm.
    pub charm_missing: bool,
    /// Tasks this agent has finished with, which a snapshot may still list.
    pub completed_tasks: BTreeSet<i64>,
}
