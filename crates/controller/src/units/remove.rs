//! The end of a unit.
//!
//! A unit that is asked to go becomes dying, and its agent runs the hooks that are due. A unit
//! whose agent has not begun goes at once. With force, its records go at a set time whatever its
//! agent says.

use std::time::Duration;

use tutti_model::api::Life;
use tutti_store::{Json, Tx};

use super::{Unit, by_id, sql};
use crate::models::{self, Model};
use crate::relations::Touched;
use crate::sequence::{self, UNITS_BELL};
use crate::{
    Error, applications, deferred, events, flows, leadership, machines, notices, operations,
    relations, secrets, storage,
};

/// How something is removed. Storage goes with its unit, whether or not that is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Removal {
    /// When records are removed whatever agents say; none: never.
    pub(crate) force_at: Option<i64>,
    /// Now, in microseconds.
    pub(crate) now: i64,
}

impl Removal {
    /// A removal as asked for; `wait` is how long force waits for agents.
    pub(crate) fn new(force: bool, no_wait: bool, wait: Duration, now: i64) -> Self {
        let wait = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
        let wait = if no_wait { 0 } else { wait };
        let force_at = force.then(|| now.saturating_add(wait));
        Self { force_at, now }
    }
}

/// Asks a unit to go; its subordinates go with it.
pub(crate) fn remove(
    tx: &mut Tx<'_>,
    model: &Model,
    unit: &Unit,
    removal: Removal,
    touched: &mut Touched,
) -> Result<(), Error> {
    let subordinates: Vec<Unit> = tx.all(sql::SUBORDINATES, (&unit.id,))?;
    for subordinate in &subordinates {
        remove(tx, model, subordinate, removal, touched)?;
    }
    if let Some(force_at) = removal.force_at {
        tx.exec(sql::SET_FORCE_AT, (&unit.id, force_at))?;
    }
    if removal.force_at.is_some_and(|at| at <= removal.now) {
        return finished(tx, unit, removal.now, touched);
    }
    if unit.life.0 == Life::Alive {
        tx.exec(sql::SET_LIFE, (&unit.id, Json(Life::Dying)))?;
        storage::dying_for_unit(tx, &unit.id)?;
        events::unit(tx, model, &unit.name, "dying")?;
    }
    let begun = unit.version > 0 || tx.one::<i64>(sql::HAS_STORAGE, (&unit.id,))? > 0;
    if begun || !subordinates.is_empty() {
        touched.insert(unit.id.clone());
        return Ok(());
    }
    finished(tx, unit, removal.now, touched)
}

/// The unit, by id, is dead, unless it has gone already: its records go. A principal that lost a
/// subordinate may get another one.
pub(crate) fn dead(
    tx: &mut Tx<'_>,
    unit: &str,
    now: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    let Some(unit) = by_id(tx, unit)? else { return Ok(()) };
    finished(tx, &unit, now, touched)?;
    match &unit.principal {
        Some(principal) => relations::ensure_subordinates(tx, principal, now, touched),
        None => Ok(()),
    }
}

/// Removes a unit's records, and what only lived with it. Units that see it are added to
/// `touched`.
fn finished(tx: &mut Tx<'_>, unit: &Unit, now: i64, touched: &mut Touched) -> Result<(), Error> {
    // Subordinates cannot outlive their principal, dead or forced.
    for subordinate in tx.all::<Unit>(sql::SUBORDINATES, (&unit.id,))? {
        finished(tx, &subordinate, now, touched)?;
    }
    let model = models::find(tx, &unit.model)?;
    relations::unit_gone(tx, &unit.id, now, touched)?;
    secrets::remove_owned(tx, &unit.id, touched)?;
    operations::cancel_for_unit(tx, &unit.id, now)?;
    storage::unit_gone(tx, &unit.id)?;
    deferred::unit_gone(tx, &unit.id)?;
    notices::unit_gone(tx, &unit.id)?;
    for statement in [sql::DELETE_STATE, sql::DELETE_HISTORY, sql::DELETE] {
        tx.exec(statement, (&unit.id,))?;
    }
    leadership::unit_gone(tx, &unit.application, &unit.id, touched)?;
    if let Some(machine) = unit.machine {
        machines::release(tx, &model, machine)?;
    }
    let generation = sequence::next(tx, "generation", 1)?;
    let gone = (&unit.id, &unit.name, &model.id, &model.name, &unit.agent, generation);
    tx.exec(sql::ADD_GONE, gone)?;
    tx.ring(UNITS_BELL);
    touched.remove(&unit.id);
    // A dying principal waits for its subordinates.
    touched.extend(unit.principal.clone());
    flows::gone(tx, &format!("unit/{}", unit.id), now)?;
    events::unit(tx, &model, &unit.name, "removed")?;
    applications::finish_if_done(tx, &unit.application, now, touched)
}

/// Removes units whose time is up, whatever their agents say.
pub(crate) fn remove_overdue(
    tx: &mut Tx<'_>,
    now: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    for unit in tx.all::<Unit>(sql::FORCED, (now,))? {
        // Gone already, with its principal? Its model may be gone, too.
        if by_id(tx, &unit.id)?.is_some() {
            sequence::lock_model(tx, &unit.model)?;
            dead(tx, &unit.id, now, touched)?;
        }
    }
    Ok(())
}

/// When the next forced removal of a unit is due.
pub(crate) fn next_overdue(tx: &mut Tx<'_>) -> Result<Option<i64>, Error> {
    Ok(tx.one(sql::NEXT_FORCED, ())?)
}
