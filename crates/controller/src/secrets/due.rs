//! Secrets that are due: for rotation, or because a revision expired.
//!
//! The owner's unit is woken once when the time comes; what is due is told in its snapshot until
//! the hook was committed.

use tutti_model::agent::SecretHook;
use tutti_store::Tx;

use super::{Secret, content, sql};
use crate::Error;
use crate::relations::Touched;

/// When a charm that did not act is asked again, microseconds: 5 min (Juju).
const ASK_AGAIN: i64 = 5 * 60 * 1_000_000;

/// Adds the units that own something that became due after `since` and up to `now`.
pub(crate) fn wake_due(
    tx: &mut Tx<'_>,
    since: i64,
    now: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    for statement in [sql::ROTATION_DUE, sql::EXPIRY_DUE] {
        touched.extend(tx.all::<String>(statement, (since, now))?);
    }
    Ok(())
}

/// `secret-rotate` was committed: the next rotation is planned, soon if the charm has not rotated.
pub(crate) fn rotated(
    tx: &mut Tx<'_>,
    model: &str,
    hook: &SecretHook,
    now: i64,
) -> Result<(), Error> {
    let Some(secret) = tx.maybe::<Secret>(sql::BY_ID, (model, &hook.secret))? else {
        return Ok(());
    };
    let planned = content::next_rotation(&secret.rotation, now).map_err(Error::Invalid)?;
    let again = if secret.latest > hook.revision { planned } else { Some(now + ASK_AGAIN) };
    let rotates = planned.and(again);
    tx.exec(sql::SET_ROTATES, (&secret.id, rotates))?;
    Ok(())
}

/// `secret-expired` was committed: the charm is asked again unless it removed the revision.
pub(crate) fn expired(tx: &mut Tx<'_>, hook: &SecretHook, now: i64) -> Result<(), Error> {
    tx.exec(sql::SET_EXPIRES, (&hook.secret, hook.revision, Some(now + ASK_AGAIN)))?;
    Ok(())
}
