//! Units: their records, statuses and end.
//!
//! A unit is created with its application or later ([`create`]), asked to go ([`remove`]), and
//! gone when its agent says it is dead, or when nobody has to be asked ([`dead`]). Its end
//! takes along what only lived with it: its machine, its application if that was dying and this
//! was the last unit, its model in turn.

mod api;
mod remove;
mod resync;
mod show;
pub(crate) mod sql;

use tutti_model::address::{UNIT_ADDRESSES, unit_address};
use tutti_model::agent::Resolved;
use tutti_model::api::{Constraints, Life, ModelKind};
use tutti_model::application::merged_constraints;
use tutti_store::{Json, Tx};
use uuid::Uuid;

use crate::applications::{self, Application};
use crate::machines::{self, HOST_AGENT, NewMachine};
use crate::models::{self, Model};
use crate::sequence;
use crate::{Error, events, leadership, storage};

pub(crate) use api::routes;
pub(crate) use remove::{Removal, dead, next_overdue, remove, remove_overdue};
pub(crate) use show::{Standing, facts, info, progress_of};
pub(crate) use sql::Unit;

/// Where a new unit lives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Placement<'a> {
    /// On a machine of its own, made with it.
    NewMachine,
    /// On this machine.
    Machine(i64),
    /// Beside its principal, as a subordinate.
    Beside(&'a Unit),
    /// Nowhere in particular: Kubernetes-like models.
    Nowhere,
}

/// The unit with this id.
pub(crate) fn by_id(tx: &mut Tx<'_>, id: &str) -> Result<Option<Unit>, Error> {
    Ok(tx.maybe(sql::BY_ID, (id,))?)
}

/// The unit of that name, `app/0`.
pub(crate) fn find(tx: &mut Tx<'_>, model: &Model, name: &str) -> Result<Unit, Error> {
    tx.maybe(sql::BY_NAME, (&model.id, name))?
        .ok_or_else(|| Error::NotFound(format!("unit \"{name}\" not found")))
}

/// The units of an application, by number.
pub(crate) fn of_application(tx: &mut Tx<'_>, application: &str) -> Result<Vec<Unit>, Error> {
    Ok(tx.all(sql::OF_APPLICATION, (application,))?)
}

/// Adds a unit to an application: record, machine, address, storage, and leadership if nobody
/// leads. The caller touches it.
pub(crate) fn create(
    tx: &mut Tx<'_>,
    model: &Model,
    application: &Application,
    placement: Placement<'_>,
    now: i64,
) -> Result<Unit, Error> {
    let number = sequence::next_counter(tx, &model.id, &counter(&application.name))?;
    let machine = match placement {
        Placement::NewMachine => {
            let ours = Constraints(model.constraints.0.clone());
            let own = Constraints(application.constraints.0.clone());
            let constraints = merged_constraints(&ours, &own).0;
            let machine = NewMachine { base: application.base.clone(), constraints, manual: false };
            Some(machines::create(tx, model, &machine, now)?)
        }
        Placement::Machine(number) => Some(number),
        Placement::Beside(principal) => principal.machine,
        Placement::Nowhere => None,
    };
    let principal = match placement {
        Placement::Beside(principal) => Some(principal.id.clone()),
        _ => None,
    };
    // Round and round: after sixteen million units the first ones are gone.
    let drawn = (sequence::next(tx, "address", 1)? - 1).rem_euclid(i64::from(UNIT_ADDRESSES));
    let address = u32::try_from(drawn)
        .ok()
        .and_then(unit_address)
        .ok_or_else(|| Error::Conflict("every loopback address has been given to a unit".into()))?;
    let caas = model.kind.0 == ModelKind::Caas;
    let unit = Unit {
        id: Uuid::now_v7().to_string(),
        model: model.id.clone(),
        application: application.id.clone(),
        name: format!("{}/{number}", application.name),
        number,
        life: Json(Life::Alive),
        machine,
        agent: HOST_AGENT.to_owned(),
        principal,
        address: address.to_string(),
        provider_id: if caas { format!("{}-{number}", application.name) } else { String::new() },
        version: 0,
        generation: 0,
        observed_generation: 0,
        charm: String::new(),
        resolved: Json(Resolved::None),
        trouble: String::new(),
        agent_status: "allocating".into(),
        agent_message: String::new(),
        agent_since: now,
        workload_status: "waiting".into(),
        workload_message: if caas { "installing agent" } else { "waiting for machine" }.into(),
        workload_since: now,
        workload_version: String::new(),
        ports: Json(Vec::new()),
        force_at: None,
        created: now,
        drift: String::new(),
        drift_since: 0,
    };
    sql::insert(tx, &unit)?;
    log_status(tx, &unit.id, "juju-unit", (&unit.agent_status, ""), now)?;
    let workload = (unit.workload_status.as_str(), unit.workload_message.as_str());
    log_status(tx, &unit.id, "workload", workload, now)?;
    storage::create_for_unit(tx, model, application, &unit, now)?;
    leadership::elect_if_none(tx, &application.id)?;
    events::unit(tx, model, &unit.name, "created")?;
    Ok(unit)
}

/// Adds a unit of a subordinate application beside a principal, both by id; answers its id. The
/// caller touches it.
pub(crate) fn create_subordinate(
    tx: &mut Tx<'_>,
    application: &str,
    principal: &str,
    now: i64,
) -> Result<String, Error> {
    let gone = |what: &str| Error::NotFound(format!("the {what} is gone"));
    let application = applications::by_id(tx, application)?.ok_or_else(|| gone("application"))?;
    let principal = by_id(tx, principal)?.ok_or_else(|| gone("principal"))?;
    let model = models::find(tx, &application.model)?;
    let unit = create(tx, &model, &application, Placement::Beside(&principal), now)?;
    Ok(unit.id)
}

/// Name of the counter that numbers an application's units. It belongs to the name, so that a
/// second `mysql` starts where the first one ended.
pub(crate) fn counter(application: &str) -> String {
    format!("unit/{application}")
}

/// Sets the workload's status, and remembers it, if it differs.
pub(crate) fn set_workload_status(
    tx: &mut Tx<'_>,
    unit: &str,
    status: &str,
    message: &str,
    now: i64,
) -> Result<(), Error> {
    if tx.exec(sql::SET_WORKLOAD_STATUS, (unit, status, message, now))? > 0 {
        log_status(tx, unit, "workload", (status, message), now)?;
    }
    Ok(())
}

/// Sets the agent's status, and remembers it, if it differs.
pub(crate) fn set_agent_status(
    tx: &mut Tx<'_>,
    unit: &str,
    status: &str,
    message: &str,
    now: i64,
) -> Result<(), Error> {
    if tx.exec(sql::SET_AGENT_STATUS, (unit, status, message, now))? > 0 {
        log_status(tx, unit, "juju-unit", (status, message), now)?;
    }
    Ok(())
}

fn log_status(
    tx: &mut Tx<'_>,
    entity: &str,
    kind: &str,
    (status, message): (&str, &str),
    now: i64,
) -> Result<(), Error> {
    let id = Uuid::now_v7().to_string();
    tx.exec(sql::LOG_STATUS, (id, entity, kind, status, message, now))?;
    Ok(())
}

/// Forgets statuses set before a time.
pub(crate) fn forget_statuses(tx: &mut Tx<'_>, before: i64) -> Result<(), Error> {
    tx.exec(sql::PRUNE_HISTORY, (before,))?;
    Ok(())
}
