//! Machines: the numbered places units of machine models live on.
//!
//! A machine is made with the unit that needs it and goes with its last unit, unless it was added
//! by hand. Every machine is a record served by the agent of this host ([`HOST_AGENT`]).

mod api;
pub(crate) mod sql;

use std::collections::BTreeMap;

use serde_json::Value;
use tutti_model::api::{Life, MachineInfo, StatusInfo};
use tutti_model::application::DEFAULT_BASE;
use tutti_model::convergence::{self, AgentFacts, Facts, Progress, Said};
use tutti_store::{Json, Tx};

use crate::agents::Heard;
use crate::models::Model;
use crate::state::Vantage;
use crate::time::status_time;
use crate::{Error, events, flows};

pub(crate) use api::routes;
pub(crate) use sql::Machine;

/// The agent that serves every machine for now: the one of the controller's host.
pub(crate) const HOST_AGENT: &str = "0";

/// What a new machine is like.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewMachine {
    /// `ubuntu@24.04`, or empty.
    pub(crate) base: String,
    /// Constraints by name.
    pub(crate) constraints: BTreeMap<String, Value>,
    /// Added by hand: stays without units.
    pub(crate) manual: bool,
}

/// Adds a machine and returns its number.
pub(crate) fn create(
    tx: &mut Tx<'_>,
    model: &Model,
    machine: &NewMachine,
    now: i64,
) -> Result<i64, Error> {
    let number: i64 = tx.one(sql::NEXT_NUMBER, (&model.id,))?;
    let base = if machine.base.is_empty() { DEFAULT_BASE } else { &machine.base };
    let row = Machine {
        model: model.id.clone(),
        number,
        life: Json(Life::Alive),
        base: base.to_owned(),
        constraints: Json(machine.constraints.clone()),
        agent: HOST_AGENT.to_owned(),
        manual: machine.manual,
        created: now,
    };
    sql::insert(tx, &row)?;
    events::machine(tx, model, number, "created")?;
    Ok(number)
}

/// The machine a placement names.
pub(crate) fn find(tx: &mut Tx<'_>, model: &Model, number: &str) -> Result<Machine, Error> {
    let not_found = || Error::NotFound(format!("machine {number} not found"));
    let number: i64 = number.parse().map_err(|_| not_found())?;
    tx.maybe(sql::FIND, (&model.id, number))?.ok_or_else(not_found)
}

/// A unit has left: removes the machine if that was the last one and nobody asked for it by hand.
pub(crate) fn release(tx: &mut Tx<'_>, model: &Model, number: i64) -> Result<(), Error> {
    let Some(machine) = tx.maybe::<Machine>(sql::FIND, (&model.id, number))? else {
        return Ok(());
    };
    let kept = machine.manual && machine.life.0 == Life::Alive;
    if kept || tx.one::<i64>(sql::COUNT_UNITS, (&model.id, number))? > 0 {
        return Ok(());
    }
    remove(tx, model, number)
}

/// The machine goes with its last unit, also if it was added by hand; at once if it has none.
pub(crate) fn dying(tx: &mut Tx<'_>, model: &Model, number: i64) -> Result<(), Error> {
    tx.exec(sql::SET_DYING, (&model.id, number))?;
    release(tx, model, number)
}

/// Removes the record.
fn remove(tx: &mut Tx<'_>, model: &Model, number: i64) -> Result<(), Error> {
    tx.exec(sql::DELETE, (&model.id, number))?;
    events::machine(tx, model, number, "removed")
}

/// Every machine of a model.
pub(crate) fn list(tx: &mut Tx<'_>, model: &Model) -> Result<Vec<Machine>, Error> {
    Ok(tx.all(sql::LIST, (&model.id,))?)
}

/// Machines as the API shows them.
pub(crate) fn infos(
    tx: &mut Tx<'_>,
    model: &Model,
    vantage: Vantage,
) -> Result<Vec<MachineInfo>, Error> {
    let heard = Heard::read(tx, vantage)?;
    let mut units: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for (number, unit) in tx.all::<(i64, String)>(sql::UNITS, (&model.id,))? {
        units.entry(number).or_default().push(unit);
    }
    let mut infos = Vec::new();
    for machine in list(tx, model)? {
        let units = units.remove(&machine.number).unwrap_or_default();
        infos.push(shown(tx, model, &machine, units, &heard)?);
    }
    Ok(infos)
}

/// A machine as the API shows it.
pub(crate) fn info(
    tx: &mut Tx<'_>,
    model: &Model,
    number: &str,
    vantage: Vantage,
) -> Result<MachineInfo, Error> {
    let machine = find(tx, model, number)?;
    let units = tx.all(sql::NAMES_OF, (&model.id, machine.number))?;
    let heard = Heard::read(tx, vantage)?;
    shown(tx, model, &machine, units, &heard)
}

/// How far the machine of that number is.
pub(crate) fn progress_of(
    tx: &mut Tx<'_>,
    model: &Model,
    number: &str,
    vantage: Vantage,
) -> Result<Progress, Error> {
    let machine = find(tx, model, number)?;
    let heard = Heard::read(tx, vantage)?;
    progress(tx, model, &machine, &heard)
}

/// How far a machine is: it is there once its agent was heard of, and going until its last unit is
/// gone.
fn progress(
    tx: &mut Tx<'_>,
    model: &Model,
    machine: &Machine,
    heard: &Heard,
) -> Result<Progress, Error> {
    let mut facts = facts(machine, heard);
    if facts.behind.is_some() {
        facts.work = flows::at_work(tx, model, &[format!("machine/{}", machine.number)])?;
    }
    Ok(convergence::progress(facts))
}

/// What the machine's row and its agent tell.
pub(crate) fn facts(machine: &Machine, heard: &Heard) -> Facts {
    let agent = heard.of(&machine.agent);
    let is_there = agent.heard.is_some();
    let is_alive = machine.life.0 == Life::Alive;
    let said = |message: &str| Said { message: message.to_owned(), since: machine.created };
    Facts {
        generation: generation(machine),
        observed: i64::from(is_there),
        applied: i64::from(is_there),
        silent: agent.silent,
        behind: match (is_alive, is_there) {
            (true, true) => None,
            (true, false) => Some(said("its agent has not been heard of yet")),
            (false, _) => Some(said("it goes with its last unit")),
        },
        has_begun: is_there,
        settled: agent.heard.unwrap_or_default().max(machine.created),
        ..Facts::default()
    }
}

/// A machine is wished for when it is made, and wished away once.
fn generation(machine: &Machine) -> i64 {
    if machine.life.0 == Life::Alive { 1 } else { 2 }
}

fn shown(
    tx: &mut Tx<'_>,
    model: &Model,
    machine: &Machine,
    units: Vec<String>,
    heard: &Heard,
) -> Result<MachineInfo, Error> {
    let agent = heard.of(&machine.agent);
    let progress = progress(tx, model, machine, heard)?;
    let connected = convergence::agent_heard("AgentConnected", &agent);
    Ok(MachineInfo {
        number: machine.number.to_string(),
        life: machine.life.0,
        status: StatusInfo {
            current: status(&agent).into(),
            since: status_time(machine.created),
            ..StatusInfo::default()
        },
        address: "127.0.0.1".into(),
        units,
        generation: generation(machine),
        conditions: crate::convergence::conditions([connected], progress.observed),
        sync: crate::convergence::shown(progress),
    })
}

/// The word `status` has for a machine, by its agent.
pub(crate) fn status(agent: &AgentFacts) -> &'static str {
    match (agent.heard, &agent.silent) {
        (None, _) => "pending",
        (Some(_), Some(_)) => "down",
        (Some(_), None) => "started",
    }
}
