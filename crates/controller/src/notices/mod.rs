//! Notices: what units are to be told besides what the model tells them. A bus event its charm listens to is one, and so is
//! what a workload raises itself.
//!
//! A notice waits until the unit's hook `bus-notice` has been committed, in whose transaction it goes. Notices of a unit come one after
//! another, in the order in which they arrived.

mod sql;

use tutti_model::agent::{ContextNotice, NoticeHook};
use tutti_store::Tx;

use crate::{Error, sequence};

pub(crate) use sql::STATEMENTS;

/// Notices that may wait for a unit; further ones are dropped, which the log tells.
const WAITING_MAX: i64 = 1000;

/// Adds a notice for a unit, by id, unless too many wait already. The caller touches the unit.
pub(crate) fn add(
    tx: &mut Tx<'_>,
    unit: &str,
    notice: &ContextNotice,
    now: i64,
) -> Result<(), Error> {
    if tx.one::<i64>(sql::COUNT, (unit,))? >= WAITING_MAX {
        let (id, key) = (&notice.id, &notice.key);
        tracing::error!(unit, id, key, "a notice is dropped: {WAITING_MAX} wait for the unit");
        return Ok(());
    }
    let number = sequence::next(tx, "notice", 1)?;
    let ContextNotice { id, kind, key, data } = notice;
    tx.exec(sql::ADD, (unit, number, id, kind, key, data, now))?;
    Ok(())
}

/// The notice a unit has to be told of next.
pub(crate) fn next(tx: &mut Tx<'_>, unit: &str) -> Result<Option<NoticeHook>, Error> {
    let oldest: Option<i64> = tx.one(sql::OLDEST, (unit,))?;
    Ok(oldest.map(|notice| NoticeHook { notice }))
}

/// What a notice says.
pub(crate) fn content(
    tx: &mut Tx<'_>,
    unit: &str,
    hook: &NoticeHook,
) -> Result<Option<ContextNotice>, Error> {
    let found: Option<sql::Content> = tx.maybe(sql::CONTENT, (unit, hook.notice))?;
    Ok(found.map(|sql::Content { id, kind, key, data }| ContextNotice { id, kind, key, data }))
}

/// A unit has been told.
pub(crate) fn told(tx: &mut Tx<'_>, unit: &str, hook: &NoticeHook) -> Result<(), Error> {
    tx.exec(sql::REMOVE, (unit, hook.notice))?;
    Ok(())
}

/// Forgets the notices of a unit that is gone.
pub(crate) fn unit_gone(tx: &mut Tx<'_>, unit: &str) -> Result<(), Error> {
    tx.exec(sql::REMOVE_ALL, (unit,))?;
    Ok(())
}
