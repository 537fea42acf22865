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
use tutti_store::{Json, Tx};

use crate::models::Model;
use crate::time::status_time;
use crate::{Error, events};

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
pub(crate) fn infos(tx: &mut Tx<'_>, model: &Model) -> Result<Vec<MachineInfo>, Error> {
    let mut units: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for (number, unit) in tx.all::<(i64, String)>(sql::UNITS, (&model.id,))? {
        units.entry(number).or_default().push(unit);
    }
    let of = |machine: Machine| {
        let units = units.remove(&machine.number).unwrap_or_default();
        shown(&machine, units)
    };
    Ok(list(tx, model)?.into_iter().map(of).collect())
}

/// A machine as the API shows it.
pub(crate) fn info(tx: &mut Tx<'_>, model: &Model, number: &str) -> Result<MachineInfo, Error> {
    let machine = find(tx, model, number)?;
    let units = tx.all(sql::NAMES_OF, (&model.id, machine.number))?;
    Ok(shown(&machine, units))
}

fn shown(machine: &Machine, units: Vec<String>) -> MachineInfo {
    MachineInfo {
        number: machine.number.to_string(),
        life: machine.life.0,
        status: StatusInfo {
            current: "started".into(),
            since: status_time(machine.created),
            ..StatusInfo::default()
        },
        address: "127.0.0.1".into(),
        units,
    }
}
