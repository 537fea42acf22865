//! How far the world is behind what is wished for a resource.
//!
//! One function, [`progress`], derives `sync` for every kind of resource. Who calls it collects
//! [`Facts`]: what the flows about the resource tell, what its units and their agents have reported.
//! [`Condition`]s say single things beside it, each by a function of its own.
//!
//! A resource whose wish is not its own is as far as what carries that wish out:
//!
//! | resource | its wish | who brings it about |
//! |---|---|---|
//! | model, application | its own, by generation | flows |
//! | unit | its application's | its agent, from what it compares (level-triggered); flows wait for it |
//! | relation | to be, and every unit in it; or to be gone | the agents of the units of both ends |
//! | machine | to be, with an agent; or to be gone | its agent |
//!
//! Nothing is under way without an owner: an application's change has a flow that has not ended, a unit's
//! an agent that is heard of. If that agent is silent, all that depends on it is *unknown*.

mod condition;
mod drift;
#[cfg(test)]
mod tests;

pub use condition::{
    AgentFacts, Condition, Truth, agent_heard, agents_heard, available, converged, installed,
    joined, leader_elected, workload_active,
};
pub use drift::{Wanted, drift};

/// Whether the world is as wished: the words of `sync.state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncState {
    /// Everything is in force.
    #[default]
    InSync,
    /// Nobody has begun.
    Pending,
    /// Somebody is at it.
    Syncing,
    /// Something failed and is tried again.
    Retrying,
    /// Something failed, and nobody tries again.
    Failed,
    /// It was in force, and an agent has reported otherwise since.
    Drifted,
    /// The agent it depends on has not been heard of for longer than its lease.
    Unknown,
}

impl SyncState {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InSync => "in_sync",
            Self::Pending => "pending",
            Self::Syncing => "syncing",
            Self::Retrying => "retrying",
            Self::Failed => "failed",
            Self::Drifted => "drifted",
            Self::Unknown => "unknown",
        }
    }

    /// Whether somebody has it in hand.
    #[must_use]
    pub fn is_under_way(self) -> bool {
        matches!(self, Self::Pending | Self::Syncing | Self::Retrying)
    }
}

/// What the flows about a resource tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// As far as flows can tell: never drifted or unknown.
    pub state: SyncState,
    /// The flow that answers for it.
    pub flow: Option<String>,
    /// The task that failed or is tried again.
    pub task: Option<String>,
    /// One word for machines.
    pub reason: String,
    /// One sentence for people.
    pub message: String,
    /// Since when, UTC microseconds.
    pub since: i64,
}

/// One thing that is so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// One sentence.
    pub message: String,
    /// Since when, UTC microseconds.
    pub since: i64,
}

/// All that decides how far a resource is. Generations are those of the resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The newest that is wished for.
    pub generation: i64,
    /// The newest that was handled, however that ended.
    pub observed: i64,
    /// The newest that is in force with all before it.
    pub applied: i64,
    /// What its flows tell.
    pub work: Option<Work>,
    /// Its agent is not heard of.
    pub silent: Option<Said>,
    /// Something of it failed on its machine.
    pub stuck: Option<Said>,
    /// Whether what is stuck is tried again by itself.
    pub is_retried: bool,
    /// Its agent has not followed yet.
    pub behind: Option<Said>,
    /// Whether its agent has ever begun with it.
    pub has_begun: bool,
    /// What an agent reported is other than what is wished for.
    pub drift: Option<Said>,
    /// Since when nothing of all that is so, as near as is known; UTC microseconds.
    pub settled: i64,
}

/// How far a resource is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// In a word.
    pub state: SyncState,
    /// The newest generation that was handled.
    pub observed: i64,
    /// The newest generation in force; never greater.
    pub applied: i64,
    /// The flow that answers for it.
    pub flow: Option<String>,
    /// The task that failed or is tried again.
    pub task: Option<String>,
    /// One word for machines.
    pub reason: String,
    /// One sentence for people.
    pub message: String,
    /// Since when, UTC microseconds; 0: never known.
    pub since: i64,
}

/// How far a resource is. What an agent's silence makes doubtful comes first, then what is stuck on a
/// machine, what its agent has never begun with, what flows are at, what they left undone, what an agent has still to follow, and what it
/// reported otherwise.
#[must_use]
pub fn progress(facts: Facts) -> Progress {
    let (state, reason, said) = decided(&facts);
    let observed = facts.observed.min(facts.generation);
    let (flow, task) = facts.work.map_or((None, None), |work| (work.flow, work.task));
    Progress {
        state,
        observed,
        applied: facts.applied.min(observed),
        flow,
        task,
        reason,
        message: said.message,
        since: said.since,
    }
}

fn decided(facts: &Facts) -> (SyncState, String, Said) {
    let is = |state: SyncState, reason: &str, said: &Said| (state, reason.to_owned(), said.clone());
    let by = |work: &Work| {
        let said = Said { message: work.message.clone(), since: work.since };
        (work.state, work.reason.clone(), said)
    };
    let open = facts.work.as_ref().filter(|work| work.state.is_under_way());
    let failed = facts.work.as_ref().filter(|work| work.state == SyncState::Failed);
    if let Some(silent) = &facts.silent {
        return is(SyncState::Unknown, "agent-silent", silent);
    }
    if let Some(stuck) = &facts.stuck {
        let state = if facts.is_retried { SyncState::Retrying } else { SyncState::Failed };
        return is(state, "hook-failed", stuck);
    }
    if let Some(behind) = facts.behind.as_ref().filter(|_| !facts.has_begun) {
        return is(SyncState::Pending, "agent-awaited", behind);
    }
    if let Some(work) = open.or(failed) {
        return by(work);
    }
    if let Some(behind) = &facts.behind {
        return is(SyncState::Syncing, "agent-working", behind);
    }
    if let Some(drift) = &facts.drift {
        return is(SyncState::Drifted, "drift", drift);
    }
    if facts.applied < facts.generation {
        let said = Said { message: "not in force".to_owned(), since: facts.settled };
        return is(SyncState::Failed, "not-applied", &said);
    }
    match &facts.work {
        Some(work) => by(work),
        None => is(SyncState::InSync, "none", &Said { since: facts.settled, ..Said::default() }),
    }
}
