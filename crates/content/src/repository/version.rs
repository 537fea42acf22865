//! Versions of repositories: immutable sets of content units.
//!
//! A version costs one row, content one row for each time it was added, whatever the size of the repository.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tutti_store::{Json, Tx, row, sql};

use super::Repository;
use crate::{Error, Page, Window};

sql! {
    RECORD = "INSERT INTO repository_version (repository, number, base, counts, created) VALUES ($1, $2, $3, $4, $5)";
    FIND = "SELECT number, base, counts, created FROM repository_version WHERE repository = $1 AND number = $2";
    LIST = "SELECT number, base, counts, created FROM repository_version WHERE repository = $1 ORDER BY number";
    PAGE = "SELECT v.repository, v.number, v.base, v.counts, v.created, count(*) OVER () FROM repository_version v \
        JOIN repository r ON r.id = v.repository WHERE r.content_type IN (SELECT value FROM json_each($1)) \
        AND (CAST($2 AS BIGINT) IS NULL OR v.repository = $2) AND (CAST($3 AS BIGINT) IS NULL OR v.number = $3) \
        AND (CAST($4 AS BIGINT) IS NULL OR v.number >= $4) AND (CAST($5 AS BIGINT) IS NULL OR v.number <= $5) \
        AND (CAST($6 AS BIGINT) IS NULL OR EXISTS (SELECT 1 FROM repository_content c WHERE c.repository = v.repository \
            AND c.unit = $6 AND c.added <= v.number AND (c.removed IS NULL OR c.removed > v.number))) \
        ORDER BY CASE WHEN $9 THEN v.number END, v.created DESC, v.number DESC, v.repository DESC LIMIT $7 OFFSET $8";
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

/// Which versions.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of repositories of one of these content types.
    pub content_types: Vec<String>,
    /// Of this repository.
    pub repository: Option<i64>,
    /// With this number.
    pub number: Option<i64>,
    /// With this number or a greater one.
    pub from: Option<i64>,
    /// With this number or a smaller one.
    pub to: Option<i64>,
    /// That hold this unit.
    pub content: Option<i64>,
    /// Oldest first; else newest first.
    pub ascending: bool,
}

row! {
    struct Listed {
        repository: i64,
        number: i64,
        base: Option<i64>,
        counts: Json<Counts>,
        created: i64,
        count: u64,
    }
}

/// A page of the versions that a filter lets through, each with the id of its repository.
///
/// # Errors
/// [`Error::Store`].
pub fn page(
    tx: &mut Tx<'_>,
    filter: &Filter,
    window: Window,
) -> Result<Page<(i64, Version)>, Error> {
    let mut read = |window: Window| {
        let Filter { repository, number, from, to, content, ascending, .. } = filter;
        let types = Json(&filter.content_types);
        let (limit, offset) = (window.limit, window.offset);
        tx.all::<Listed>(
            PAGE,
            (types, repository, number, from, to, content, limit, offset, ascending),
        )
    };
    let found = read(window)?;
    let mut count = found.first().map_or(0, |first| first.count);
    if found.is_empty() && window.offset > 0 {
        count = read(Window { limit: 1, offset: 0 })?.first().map_or(0, |first| first.count);
    }
    let row = |one: Listed| {
        let Listed { repository, number, base, counts, created, .. } = one;
        (repository, Version { number, base, counts, created })
    };
    Ok(Page { count, rows: found.into_iter().map(row).collect() })
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
