//! Secrets: content that only some may read, in revisions.
//!
//! A secret belongs to a user (`model`), an application or a unit. Those granted it *consume* it:
//! each unit tracks one revision until it asks for the latest. A revision that is neither the
//! latest nor tracked is *obsolete*; its owner hears of it, or it goes by itself (`auto_prune`).
//!
//! - [`user`]: what operators do; [`charm`]: what hooks do, with their permissions;
//! - [`revisions`]: new ones, obsolete ones, and the end of a secret;
//! - [`due`]: rotation and expiry; [`view`]: what a unit and an operator see;
//! - [`content`]: ids, content, policies.

mod api;
mod charm;
mod content;
mod due;
mod revisions;
mod sql;
mod user;
pub(crate) mod view;

use tutti_store::Tx;

use crate::Error;
use crate::relations::Touched;

pub(crate) use api::routes;
pub(crate) use charm::{create, grant, remove, revoke, track, update};
pub(crate) use due::{expired, rotated, wake_due};
pub(crate) use sql::{STATEMENTS, Secret};
pub(crate) use view::shown;

/// An owner's records (by id: a unit, an application, a model) are gone: so are its secrets, what
/// it tracked and what it was granted.
pub(crate) fn remove_owned(
    tx: &mut Tx<'_>,
    owner: &str,
    touched: &mut Touched,
) -> Result<(), Error> {
    for secret in tx.all::<Secret>(sql::OWNED, (owner,))? {
        revisions::remove(tx, &secret, touched)?;
    }
    let mut shared: Touched = tx.all::<String>(sql::CONSUMED_BY, (owner,))?.into_iter().collect();
    shared.extend(tx.all::<String>(sql::GRANTED_TO, (owner,))?);
    tx.exec(sql::FORGET_CONSUMER, (owner,))?;
    tx.exec(sql::REVOKE_TARGET, (owner,))?;
    for secret in &shared {
        revisions::access_changed(tx, secret, touched)?;
    }
    Ok(())
}

/// A relation is gone: so are the grants it scoped.
pub(crate) fn relation_gone(
    tx: &mut Tx<'_>,
    relation: &str,
    touched: &mut Touched,
) -> Result<(), Error> {
    let secrets: Vec<String> = tx.all(sql::GRANTED_OVER, (relation,))?;
    tx.exec(sql::REVOKE_RELATION, (relation,))?;
    for secret in &secrets {
        revisions::access_changed(tx, secret, touched)?;
    }
    Ok(())
}
