//! Sessions of agents, and which of their units changed.

use tutti_model::agent::{Session, SessionRequest, UnitChange, UnitChanges};
use tutti_store::Tx;

use super::sql;
use crate::sequence::{self, UNITS_BELL};
use crate::{Error, clock};

/// How often a sign of life is written down at most, microseconds.
const SEEN_EVERY: i64 = 5_000_000;

/// An agent of a machine, in one of its sessions.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    /// The machine it serves.
    pub(super) machine: String,
    /// The session it was given.
    pub(super) session: i64,
}

/// Opens a session, but for the controller's name: from now on calls of older ones are refused, and their long polls end.
pub(super) fn open(
    tx: &mut Tx<'_>,
    machine: &str,
    request: &SessionRequest,
    lease: i64,
) -> Result<Session, Error> {
    let now = clock::now();
    let session = sequence::next(tx, "session", 1)?;
    let SessionRequest { hostname, version, architecture, pid } = request;
    let row = (machine, session, hostname, architecture, version, *pid, now, now - lease);
    tx.exec(sql::OPEN, row)?;
    // What is gone is not among the units answered here; nobody has to be told again.
    tx.exec(sql::FORGET_GONE, (machine, i64::MAX))?;
    tx.ring(UNITS_BELL);
    let units: Vec<sql::Changed> = tx.all(sql::CHANGED, (machine, -1))?;
    let after = tx.one(sql::LAST_GENERATION, ())?;
    let units = units.into_iter().map(|row| change(row, false)).collect();
    Ok(Session { session, units, after, ..Session::default() })
}

/// Refuses an agent whose session was replaced.
pub(super) fn check(tx: &mut Tx<'_>, agent: &Agent) -> Result<(), Error> {
    match tx.maybe::<i64>(sql::SESSION, (&agent.machine,))? {
        Some(current) if current == agent.session => Ok(()),
        _ => Err(Error::StaleSession(agent.session)),
    }
}

/// Whether a sign of life of the agent is to be written down: often enough for its lease.
pub(super) fn is_due(tx: &mut Tx<'_>, agent: &Agent, lease: i64) -> Result<bool, Error> {
    check(tx, agent)?;
    let seen: i64 = tx.one(sql::LAST_SEEN, (&agent.machine,))?;
    Ok(seen < clock::now() - SEEN_EVERY.min(lease / 4))
}

/// Writes down that an agent is alive and has heard of everything up to `after`.
pub(super) fn seen(tx: &mut Tx<'_>, agent: &Agent, after: i64, lease: i64) -> Result<(), Error> {
    check(tx, agent)?;
    let now = clock::now();
    tx.exec(sql::SEEN, (&agent.machine, now, now - lease))?;
    tx.exec(sql::FORGET_GONE, (&agent.machine, after))?;
    Ok(())
}

/// The agent's units with something newer than `after`; nothing if there are none.
pub(super) fn changes(
    tx: &mut Tx<'_>,
    agent: &Agent,
    after: i64,
) -> Result<Option<UnitChanges>, Error> {
    check(tx, agent)?;
    let changed: Vec<sql::Changed> = tx.all(sql::CHANGED, (&agent.machine, after))?;
    let gone: Vec<sql::Changed> = tx.all(sql::GONE, (&agent.machine, after))?;
    let units: Vec<_> = (changed.into_iter().map(|row| change(row, false)))
        .chain(gone.into_iter().map(|row| change(row, true)))
        .collect();
    let newest = units.iter().map(|unit| unit.generation).max();
    Ok(newest.map(|newest| UnitChanges { units, after: newest }))
}

fn change(row: sql::Changed, gone: bool) -> UnitChange {
    UnitChange {
        id: row.id,
        name: row.name,
        model: row.model_name,
        model_uuid: row.model,
        generation: row.generation,
        gone,
    }
}
