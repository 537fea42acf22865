//! Versions that go: by name, or because a repository keeps only its newest ones.
//!
//! Memberships are intervals, so what remains says the same without the version in between: its row goes, and what it added
//! and removed counts as added and removed by the version after it (Pulp calls it squashing). Only memberships that no
//! version holds any more go as well, and where the newest version goes, what it ended is open again. That takes as many
//! transactions as it takes; each leaves every version as it was.
//!
//! A version that is served is protected.

use std::collections::BTreeSet;

use tutti_store::{Json, Store, Tx, sql};

use super::{Repository, difference, version};
use crate::{Error, publication};

/// Memberships changed in one transaction.
const CHANGED_AT_ONCE: u32 = 1_000;

sql! {
    /// Versions that distributions name, that publications they name are of, and the newest one and the newest published one of a
    /// repository they name.
    PROTECTED = "SELECT version FROM distribution WHERE repository = $1 AND version IS NOT NULL \
        UNION SELECT p.version FROM publication p JOIN distribution d ON d.publication = p.id WHERE p.repository = $1 \
        UNION SELECT r.version FROM repository r WHERE r.id = $1 AND EXISTS ( \
            SELECT 1 FROM distribution d WHERE d.repository = r.id AND d.version IS NULL) \
        UNION SELECT max(p.version) FROM publication p WHERE p.repository = $1 AND EXISTS ( \
            SELECT 1 FROM distribution d WHERE d.repository = p.repository AND d.version IS NULL) \
            GROUP BY p.repository";
    BEFORE = "SELECT max(number) FROM repository_version WHERE repository = $1 AND number < $2";
    BEHIND = "SELECT min(number) FROM repository_version WHERE repository = $1 AND number > $2";
    FORGET = "DELETE FROM repository_version WHERE repository = $1 AND number = $2";
    FORGET_BASES = "UPDATE repository_version SET base = NULL WHERE repository = $1 AND base = $2";
    RECOUNT = "UPDATE repository_version SET counts = $3 WHERE repository = $1 AND number = $2";
    NEWEST = "UPDATE repository SET version = $2 WHERE id = $1";
    DEAD = "SELECT c.path, c.added FROM repository_content c WHERE c.repository = $1 AND c.removed IS NOT NULL \
            AND c.removed > $2 AND c.removed <= $3 AND c.added > $2 LIMIT $4";
    ADDED_AFTER = "SELECT path, added FROM repository_content WHERE repository = $1 AND added > $2 LIMIT $3";
    REMOVED_AFTER = "SELECT path, added FROM repository_content WHERE repository = $1 AND removed > $2 LIMIT $3";
    DROP = "DELETE FROM repository_content {rows} WHERE repository = $1 AND path = $2 AND added = $3";
    REOPEN = "UPDATE repository_content SET removed = NULL {rows} WHERE repository = $1 AND path = $2 AND added = $3";
    RETAINED = "SELECT number FROM repository_version WHERE repository = $1 ORDER BY number DESC LIMIT 10000";
    CONTENT_LEFT = "SELECT path, added FROM repository_content WHERE repository = $1 LIMIT $2";
}

/// The versions before and behind a number, if there are any.
pub(crate) type Around = (Option<i64>, Option<i64>);

/// The versions that are served.
///
/// # Errors
/// [`Error::Store`].
pub fn protected(tx: &mut Tx<'_>, repository: i64) -> Result<BTreeSet<i64>, Error> {
    Ok(tx.all::<i64>(PROTECTED, (repository,))?.into_iter().collect())
}

/// Whether a version may go.
///
/// # Errors
/// [`Error::NoVersion`]; [`Error::Protected`] if it is served; [`Error::OnlyVersion`]; [`Error::Store`].
pub fn check(tx: &mut Tx<'_>, repository: &Repository, number: i64) -> Result<(), Error> {
    version::required(tx, repository, number)?;
    let name = || repository.name.clone();
    if protected(tx, repository.id)?.contains(&number) {
        return Err(Error::Protected { repository: name(), number });
    }
    match neighbours(tx, repository.id, number)? {
        (None, None) => Err(Error::OnlyVersion { repository: name() }),
        _ => Ok(()),
    }
}

/// Deletes a version; one that is gone is cleared up after. Nothing else may change the repository meanwhile.
///
/// # Errors
/// As [`check`].
pub async fn delete(store: &Store, repository: i64, number: i64) -> Result<(), Error> {
    let forgotten = store.write(move |tx| forget(tx, repository, number)).await?;
    let (before, behind) = match forgotten {
        Some(around) => around,
        None => store.read(move |tx| neighbours(tx, repository, number)).await?,
    };
    // Memberships that began and ended between two versions that are left.
    if let Some(behind) = behind {
        let bounds = (before.unwrap_or(-1), behind);
        while store.write(move |tx| drop_dead(tx, repository, bounds)).await? {}
    }
    while store.write(move |tx| close_after_newest(tx, repository)).await? {}
    Ok(())
}

/// Deletes the oldest versions of which a repository keeps no more, except those that are served; answers which.
///
/// # Errors
/// [`Error::Store`].
pub async fn retain(store: &Store, repository: i64) -> Result<Vec<i64>, Error> {
    let surplus = store.read(move |tx| surplus(tx, repository)).await?;
    for number in &surplus {
        delete(store, repository, *number).await?;
    }
    Ok(surplus)
}

/// Drops some of what a repository holds in any version, whose [`drop`](super::drop) comes then; whether there may be more.
///
/// # Errors
/// [`Error::Store`].
pub fn drop_content(tx: &mut Tx<'_>, repository: i64) -> Result<bool, Error> {
    let rows: Vec<(String, i64)> = tx.all(CONTENT_LEFT, (repository, CHANGED_AT_ONCE))?;
    change(tx, repository, DROP, rows)
}

/// The versions before and behind a number that are there.
pub(crate) fn neighbours(tx: &mut Tx<'_>, repository: i64, number: i64) -> Result<Around, Error> {
    let before: Option<i64> = tx.one(BEFORE, (repository, number))?;
    Ok((before, tx.one(BEHIND, (repository, number))?))
}

fn surplus(tx: &mut Tx<'_>, repository: i64) -> Result<Vec<i64>, Error> {
    let found = super::by_id(tx, repository)?;
    let Some(retain) = found.and_then(|found| found.retain) else { return Ok(Vec::new()) };
    let served = protected(tx, repository)?;
    let numbers: Vec<i64> = tx.all(RETAINED, (repository,))?;
    let kept = usize::try_from(retain.max(1)).unwrap_or(usize::MAX);
    Ok(numbers.into_iter().skip(kept).filter(|number| !served.contains(number)).rev().collect())
}

/// Forgets the version's row, and what is published of it; answers its neighbours, or nothing if it has gone before.
fn forget(tx: &mut Tx<'_>, id: i64, number: i64) -> Result<Option<Around>, Error> {
    let Some(repository) = super::by_id(tx, id)? else { return Ok(None) };
    match check(tx, &repository, number) {
        Err(Error::NoVersion { .. }) => return Ok(None),
        checked => checked?,
    }
    let (before, behind) = neighbours(tx, id, number)?;
    publication::drop_of_version(tx, id, number)?;
    tx.exec(FORGET, (id, number))?;
    tx.exec(FORGET_BASES, (id, number))?;
    match (before, behind) {
        (before, Some(behind)) => {
            let next = version::required(tx, &repository, behind)?;
            // Before the first version there was nothing.
            let mut counts = difference::counts(tx, id, (before.unwrap_or(-1), behind))?;
            for (content_type, count) in &next.counts.0 {
                counts.entry(content_type.clone()).or_default().present = count.present;
            }
            tx.exec(RECOUNT, (id, behind, Json(counts)))?;
        }
        (Some(before), None) => {
            tx.exec(NEWEST, (id, before))?;
        }
        (None, None) => {}
    }
    Ok(Some((before, behind)))
}

fn drop_dead(
    tx: &mut Tx<'_>,
    repository: i64,
    (before, behind): (i64, i64),
) -> Result<bool, Error> {
    let rows: Vec<(String, i64)> = tx.all(DEAD, (repository, before, behind, CHANGED_AT_ONCE))?;
    change(tx, repository, DROP, rows)
}

/// Takes back what versions behind the newest one did, unless one is being made.
fn close_after_newest(tx: &mut Tx<'_>, repository: i64) -> Result<bool, Error> {
    let Some(found) = super::by_id(tx, repository)? else { return Ok(false) };
    let bounds = (repository, found.version, CHANGED_AT_ONCE);
    let added: Vec<(String, i64)> = tx.all(ADDED_AFTER, bounds)?;
    if change(tx, repository, DROP, added)? {
        return Ok(true);
    }
    let removed: Vec<(String, i64)> = tx.all(REMOVED_AFTER, bounds)?;
    change(tx, repository, REOPEN, removed)
}

fn change(
    tx: &mut Tx<'_>,
    repository: i64,
    statement: &'static str,
    rows: Vec<(String, i64)>,
) -> Result<bool, Error> {
    let any = !rows.is_empty();
    tx.exec_many(statement, rows.into_iter().map(|(path, added)| (repository, path, added)))?;
    Ok(any)
}
