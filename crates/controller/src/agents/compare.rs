//! Whether a unit that has followed everything has what its application wants.
//!
//! Asked in the transaction in which its agent says so: then both sides are at hand, and nobody can have
//! wished anew in between. What is found stays written down until the agent says so again, and is repaired
//! once by a flow of its own; if that does not help either, it stays to be seen.

use tutti_model::agent::{Followed, Step};
use tutti_model::api::Life;
use tutti_model::convergence::drift;
use tutti_store::Tx;

use super::{snapshot, sql, unit};
use crate::{Error, applications, events, models, units};

/// Compares after a step, if it says that nothing is left to do.
pub(super) fn compare(
    tx: &mut Tx<'_>,
    id: &str,
    step: &Step,
    followed: &Followed,
    now: i64,
) -> Result<(), Error> {
    let is_idle = matches!(followed, Followed::Idle(_));
    if step.observed_generation.is_none() && !is_idle {
        return Ok(());
    }
    let Some(unit) = units::by_id(tx, id)? else { return Ok(()) };
    // What the controller found idle itself it has compared already.
    let is_known = is_idle && unit.drift.is_empty();
    let has_news = unit.observed_generation < unit.generation;
    if is_known || has_news || unit.life.0 != Life::Alive {
        return Ok(());
    }
    let Some(application) = applications::by_id(tx, &unit.application)? else { return Ok(()) };
    let wanted = snapshot::wanted(&application, &*unit::charm(tx, &application)?)?;
    let stored: sql::Stored = tx.one(sql::JOURNAL, (id,))?;
    let found = drift(&stored.journal.0, &wanted).unwrap_or_default();
    if found == unit.drift {
        return Ok(());
    }
    let since = if found.is_empty() { 0 } else { now };
    tx.exec(sql::SET_DRIFT, (id, &found, since))?;
    let model = models::find(tx, &unit.model)?;
    events::unit(tx, &model, &unit.name, if found.is_empty() { "repaired" } else { "drifted" })?;
    if unit.drift.is_empty() {
        applications::repair(tx, &model, &application, now)?;
    }
    Ok(())
}
