//! A unit as `juju show-unit` prints it.

use tutti_model::agent::Resolved;
use tutti_model::api::{Condition, Life, UnitInfo};
use tutti_model::convergence::{self, Facts, Progress, Said};
use tutti_model::status::open_ports;
use tutti_store::Tx;

use super::{Unit, by_id, find};
use crate::agents::{self, Heard};
use crate::models::Model;
use crate::models::config::retry_hooks;
use crate::relations::view::{View, Viewer};
use crate::state::Vantage;
use crate::{Error, applications, flows};

/// How far the unit of that name is.
pub(crate) fn progress_of(
    tx: &mut Tx<'_>,
    model: &Model,
    name: &str,
    vantage: Vantage,
) -> Result<Progress, Error> {
    let unit = find(tx, model, name)?;
    let heard = Heard::read(tx, vantage)?;
    progress(tx, model, &unit, &heard)
}

/// How far a unit is. What it should be is its application's wish, and its agent follows that by
/// comparing, whether or not a flow waits for it; so the numbers of the newest change that concerns it
/// and of the newest it has handled tell.
fn progress(tx: &mut Tx<'_>, model: &Model, unit: &Unit, heard: &Heard) -> Result<Progress, Error> {
    let mut facts = facts(unit.into(), retry_hooks(model), heard);
    let application = unit.name.split('/').next().unwrap_or_default();
    let mut resources = vec![format!("unit/{}", unit.name)];
    // Only a unit that has something to do has a part in what is done for its application.
    resources.extend(facts.behind.is_some().then(|| format!("application/{application}")));
    facts.work = flows::at_work(tx, model, &resources)?;
    Ok(convergence::progress(facts))
}

/// What of a unit's row decides how far it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing<'u> {
    pub(crate) name: &'u str,
    pub(crate) life: Life,
    pub(crate) agent: &'u str,
    pub(crate) version: i64,
    pub(crate) generation: i64,
    pub(crate) observed_generation: i64,
    pub(crate) resolved: Resolved,
    pub(crate) trouble: &'u str,
    pub(crate) agent_since: i64,
    pub(crate) drift: &'u str,
    pub(crate) drift_since: i64,
}

impl<'u> From<&'u Unit> for Standing<'u> {
    fn from(unit: &'u Unit) -> Self {
        Self {
            name: &unit.name,
            life: unit.life.0,
            agent: &unit.agent,
            version: unit.version,
            generation: unit.generation,
            observed_generation: unit.observed_generation,
            resolved: unit.resolved.0,
            trouble: &unit.trouble,
            agent_since: unit.agent_since,
            drift: &unit.drift,
            drift_since: unit.drift_since,
        }
    }
}

/// What a unit's own row tells, and its agent.
pub(crate) fn facts(unit: Standing<'_>, retries: bool, heard: &Heard) -> Facts {
    let is_alive = unit.life == Life::Alive;
    let is_behind = unit.observed_generation < unit.generation || !is_alive;
    let said = |message: &str| Said { message: message.to_owned(), since: unit.agent_since };
    let behind = if is_alive { "has not caught up" } else { "is going" };
    Facts {
        generation: unit.generation,
        observed: unit.observed_generation,
        applied: unit.observed_generation,
        work: None,
        silent: heard.silent(unit.agent),
        // A hook that fails with nothing new to follow is the workload's trouble alone.
        stuck: (is_behind && !unit.trouble.is_empty()).then(|| said(unit.trouble)),
        is_retried: retries || !is_alive || unit.resolved != Resolved::None,
        behind: is_behind.then(|| said(&format!("{} {behind}", unit.name))),
        has_begun: unit.version > 0,
        drift: (!unit.drift.is_empty()).then(|| Said {
            message: format!("{} {}", unit.name, unit.drift),
            since: unit.drift_since,
        }),
        settled: unit.agent_since,
    }
}

/// What is so of a unit, beside how far it is.
fn conditions(tx: &mut Tx<'_>, unit: &Unit, heard: &Heard) -> Result<Vec<Condition>, Error> {
    let agent = heard.of(&unit.agent);
    let is_installed = agents::is_installed(tx, &unit.id)?;
    let trouble = Said { message: unit.trouble.clone(), since: unit.agent_since };
    let stuck = (!unit.trouble.is_empty()).then_some(&trouble);
    let workload = Said { message: unit.workload_message.clone(), since: unit.workload_since };
    let found = [
        convergence::agent_heard("AgentReporting", &agent),
        convergence::installed(is_installed, stuck),
        convergence::workload_active(&unit.workload_status, &workload, &agent),
    ];
    Ok(crate::convergence::conditions(found, unit.observed_generation))
}

/// The unit with its relations.
pub(crate) fn info(
    tx: &mut Tx<'_>,
    model: &Model,
    name: &str,
    vantage: Vantage,
) -> Result<UnitInfo, Error> {
    let unit = find(tx, model, name)?;
    let application = applications::by_id(tx, &unit.application)?
        .ok_or_else(|| Error::NotFound(format!("the application of {} is gone", unit.name)))?;
    let principal = match &unit.principal {
        Some(principal) => by_id(tx, principal)?,
        None => None,
    };
    let leader = application.leader.as_deref() == Some(&unit.id);
    let beside = principal.as_ref().map(|unit| (unit.id.as_str(), unit.application.as_str()));
    let viewer = Viewer {
        unit: &unit.id,
        application: &unit.application,
        model: &model.id,
        principal: beside,
        leader,
    };
    let relation_info = View::load(tx, viewer)?.unit_relations(&unit.name)?;
    let heard = Heard::read(tx, vantage)?;
    let progress = progress(tx, model, &unit, &heard)?;
    let conditions = conditions(tx, &unit, &heard)?;
    Ok(UnitInfo {
        generation: unit.generation,
        sync: crate::convergence::shown(progress),
        conditions,
        workload_version: unit.workload_version,
        machine: unit.machine.map(|number| number.to_string()).unwrap_or_default(),
        opened_ports: open_ports(&unit.ports.0),
        public_address: unit.address.clone(),
        address: unit.address,
        charm: if unit.charm.is_empty() { application.charm } else { unit.charm },
        leader,
        life: unit.life.0,
        provider_id: unit.provider_id,
        relation_info,
    })
}
