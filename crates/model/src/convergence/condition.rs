//! Conditions: single things that are so or not, each beside the one word of `sync.state`.

use super::{Progress, Said, SyncState};
use crate::api::Life;

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Truth {
    /// It does.
    True,
    /// It does not.
    False,
    /// Who could tell is not heard of.
    #[default]
    Unknown,
}

impl Truth {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::False => "false",
            Self::Unknown => "unknown",
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// One condition of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// What is said, in the singular and of what should be.
    pub kind: &'static str,
    /// Whether it holds.
    pub status: Truth,
    /// One word for machines.
    pub reason: String,
    /// One sentence for people, or empty.
    pub message: String,
    /// Since when, UTC microseconds; 0: not known.
    pub since: i64,
}

fn condition(kind: &'static str, status: Truth, reason: &str) -> Condition {
    Condition { kind, status, reason: reason.to_owned(), ..Condition::default() }
}

impl Condition {
    fn saying(self, message: impl Into<String>, since: i64) -> Self {
        Self { message: message.into(), since, ..self }
    }
}

/// What is known of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentFacts {
    /// Since when it is heard of without a silence longer than its lease, UTC microseconds; none: it
    /// never was.
    pub heard: Option<i64>,
    /// It is silent.
    pub silent: Option<Said>,
}

/// Whether an agent is heard of; `kind` is how that is called of the resource.
#[must_use]
pub fn agent_heard(kind: &'static str, agent: &AgentFacts) -> Condition {
    match (&agent.silent, agent.heard) {
        (Some(silent), _) => {
            condition(kind, Truth::False, "agent-silent").saying(&silent.message, silent.since)
        }
        (None, Some(since)) => condition(kind, Truth::True, "agent-heard").saying("", since),
        (None, None) => condition(kind, Truth::Unknown, "agent-never-heard")
            .saying("its agent has not been heard of yet", 0),
    }
}

/// Whether every agent that units of a model depend on is heard of.
#[must_use]
pub fn agents_heard(agents: &[AgentFacts]) -> Condition {
    let kind = "AgentsReporting";
    let silent = agents.iter().find(|agent| agent.silent.is_some());
    let unheard = agents.iter().find(|agent| agent.heard.is_none());
    match (silent.or(unheard), agents) {
        (Some(agent), _) => agent_heard(kind, agent),
        (None, []) => condition(kind, Truth::True, "no-units"),
        (None, agents) => {
            let since = agents.iter().filter_map(|agent| agent.heard).max();
            condition(kind, Truth::True, "agents-heard").saying("", since.unwrap_or_default())
        }
    }
}

/// Whether a unit's charm has been installed.
#[must_use]
pub fn installed(installed: bool, stuck: Option<&Said>) -> Condition {
    let kind = "Installed";
    match stuck {
        _ if installed => condition(kind, Truth::True, "installed"),
        Some(said) => {
            condition(kind, Truth::False, "hook-failed").saying(&said.message, said.since)
        }
        None => condition(kind, Truth::False, "not-yet"),
    }
}

/// Whether a unit's workload says it is active. What it said last is not known to be so any more once
/// its agent is silent.
#[must_use]
pub fn workload_active(status: &str, said: &Said, agent: &AgentFacts) -> Condition {
    let kind = "WorkloadActive";
    match &agent.silent {
        Some(silent) => condition(kind, Truth::Unknown, "agent-silent")
            .saying(format!("it was {status} when its agent was last heard of"), silent.since),
        None => condition(kind, Truth::from(status == "active"), status)
            .saying(&said.message, said.since),
    }
}

/// Whether an application is as wished.
#[must_use]
pub fn converged(progress: &Progress) -> Condition {
    let status = match progress.state {
        SyncState::InSync => Truth::True,
        SyncState::Unknown => Truth::Unknown,
        _ => Truth::False,
    };
    condition("Converged", status, progress.state.as_str())
        .saying(&progress.message, progress.since)
}

/// Whether a unit leads its application, and can be heard.
#[must_use]
pub fn leader_elected(leader: Option<&str>, units: usize, silent: Option<&Said>) -> Condition {
    let kind = "LeaderElected";
    match (leader, silent) {
        (Some(leader), Some(silent)) => condition(kind, Truth::Unknown, "agent-silent")
            .saying(format!("{leader} led when its agent was last heard of"), silent.since),
        (Some(leader), None) => {
            condition(kind, Truth::True, "elected").saying(format!("{leader} leads"), 0)
        }
        (None, _) if units == 0 => condition(kind, Truth::False, "no-units"),
        (None, _) => condition(kind, Truth::False, "none-elected"),
    }
}

/// Whether every unit of both ends is in a relation: so many of so many.
#[must_use]
pub fn joined(life: Life, inside: usize, units: usize, silent: Option<&Said>) -> Condition {
    let kind = "Joined";
    let message = format!("{inside} of {units} units are in it");
    match silent {
        Some(silent) => condition(kind, Truth::Unknown, "agent-silent")
            .saying(format!("{message}; {}", silent.message), silent.since),
        None if life != Life::Alive => condition(kind, Truth::False, "leaving").saying(message, 0),
        None if units == 0 => condition(kind, Truth::False, "no-units"),
        None if inside < units => condition(kind, Truth::False, "joining").saying(message, 0),
        None => condition(kind, Truth::True, "joined").saying(message, 0),
    }
}

/// Whether a model can be used.
#[must_use]
pub fn available(life: Life, since: i64) -> Condition {
    let reason = if life == Life::Alive { "available" } else { "destroying" };
    condition("Available", Truth::from(life == Life::Alive), reason).saying("", since)
}
