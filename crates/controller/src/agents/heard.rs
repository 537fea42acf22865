//! Who has been heard of. An agent gives signs of life by asking for changes; who has been silent for
//! longer than the lease is not known to do anything any more, and what depends on it is *unknown*.
//! That needs no event: it follows from the time of the last sign whenever somebody looks.

use std::collections::BTreeMap;

use tutti_model::convergence::{AgentFacts, Said};
use tutti_store::Tx;

use super::sql;
use crate::Error;
use crate::state::Vantage;
use crate::time::rfc3339;

/// Every agent there is, as heard of when it is looked at.
#[derive(Debug)]
pub(crate) struct Heard {
    agents: BTreeMap<String, sql::Known>,
    vantage: Vantage,
}

impl Heard {
    /// Reads the few rows of agents.
    pub(crate) fn read(tx: &mut Tx<'_>, vantage: Vantage) -> Result<Self, Error> {
        let known: Vec<sql::Known> = tx.all(sql::KNOWN, ())?;
        let agents = known.into_iter().map(|agent| (agent.machine.clone(), agent)).collect();
        Ok(Self { agents, vantage })
    }

    /// What is known of an agent.
    pub(crate) fn of(&self, agent: &str) -> AgentFacts {
        let heard = self.agents.get(agent).map(|agent| agent.since);
        AgentFacts { heard, silent: self.silent(agent) }
    }

    /// That an agent is silent. A controller that has just started gives it the time to come back.
    pub(crate) fn silent(&self, agent: &str) -> Option<Said> {
        let known = self.agents.get(agent)?;
        let since = known.seen.max(self.vantage.started) + self.vantage.lease;
        let message = || format!("agent {agent} was last heard of at {}", rfc3339(known.seen));
        (self.vantage.now > since).then(|| Said { message: message(), since })
    }

    /// The name of an agent's host.
    pub(crate) fn hostname(&self, agent: &str) -> Option<&str> {
        self.agents.get(agent).map(|agent| agent.hostname.as_str())
    }
}
