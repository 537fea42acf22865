//! Versions of repositories: immutable sets of content units.
//!
//! A version costs one row, content one row for each time it was added, whatever the size of the repository.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tutti_store::{Json, Tx, row, sql};

use super::Repository;
use crate::Error;

sql! {
    RECORD = "INSERT INTO repository_version (repository, number, base, counts, created) VALUES ($1, $2, $3, $4, $5)";
    FIND = "SELECT number, base, counts, created FROM repository_version WHERE repository = $1 AND number = $2";
    LIST = "SELECT number, base, counts, created FROM repository_version WHERE repository = $1 ORDER BY number";
    CONTENT = "SELECT u.id, u.content_type, c.path, u.identity, u.metadata, u.created \
               FROM repository_content c JOIN content_unit u ON u.id = c.unit \
               WHERE c.repository = $1 AND c.added <= $2 AND (c.removed IS NULL OR c.removed > $2) AND c.path > $3 \
               ORDER BY c.path LIMIT $4";
}

/// How many units of a content type a version added, removed and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Units that the version before it did not hold.
    pub added: u64,
    /// Units that the version before it held.
    pub removed: u64,
    /// Units it holds.
    pub present: u64,
}

/// Counts by content type.
pub type Counts = BTreeMap<String, Count>;

row! {
    /// A complete version.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Version {
        /// From 0, the empty one.
        pub number: i64,
        /// The version it was made from, if not from the one before it.
        pub base: Option<i64>,
        /// What it added, removed and holds.
        pub counts: Json<Counts>,
        /// UTC microseconds.
        pub created: i64,
    }
}

/// A version.
///
/// # Errors
/// [`Error::NoVersion`], [`Error::Store`].
pub fn required(tx: &mut Tx<'_>, repository: &Repository, number: i64) -> Result<Version, Error> {
    let found = tx.maybe(FIND, (repository.id, number))?;
    found.ok_or_else(|| Error::NoVersion { repository: repository.name.clone(), number })
}

/// All versions, oldest first.
///
/// # Errors
/// [`Error::Store`].
pub fn list(tx: &mut Tx<'_>, repository: i64) -> Result<Vec<Version>, Error> {
    Ok(tx.all(LIST, (repository,))?)
}

/// Up to `limit` units of a version, by path, after the path `after` (empty: from the first).
///
/// # Errors
/// [`Error::Store`].
pub fn content(
    tx: &mut Tx<'_>,
    repository: i64,
    number: i64,
    after: &str,
    limit: u32,
) -> Result<Vec<crate::Unit>, Error> {
    Ok(tx.all(CONTENT, (repository, number, after, limit))?)
}

pub(super) fn record(
    tx: &mut Tx<'_>,
    repository: i64,
    number: i64,
    base: Option<i64>,
    counts: &Counts,
    now: i64,
) -> Result<(), Error> {
    tx.exec(RECORD, (repository, number, base, Json(counts), now))?;
    Ok(())
}
