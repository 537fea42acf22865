//! Orphans: units that no version holds, and artifacts that nothing refers to.
//!
//! Units are touched whenever they are looked for, artifacts when they are stored again. So what is old and held by nothing
//! is not on its way into a version either.

use std::collections::{BTreeMap, BTreeSet};

use tutti_store::{Json, Tx, sql};

use crate::Error;

sql! {
    UNITS = "SELECT u.id FROM content_unit u WHERE u.id > $1 AND u.touched <= $2 \
             AND NOT EXISTS (SELECT 1 FROM repository_content c WHERE c.unit = u.id) ORDER BY u.id LIMIT $3";
    COUNT = "SELECT u.content_type, count(*) FROM content_unit u WHERE u.touched <= $1 \
             AND NOT EXISTS (SELECT 1 FROM repository_content c WHERE c.unit = u.id) GROUP BY u.content_type";
    CHOSEN = "SELECT u.id FROM content_unit u WHERE u.touched <= $1 AND u.id IN (SELECT CAST(value AS BIGINT) FROM json_each($2)) \
              AND NOT EXISTS (SELECT 1 FROM repository_content c WHERE c.unit = u.id)";
    STORED = "SELECT digest FROM artifact WHERE created <= $1 AND digest > $2 ORDER BY digest LIMIT $3";
    FORGET_UNIT = "DELETE FROM content_unit {rows} WHERE id = $1";
    FORGET_FILES = "DELETE FROM unit_artifact {rows} WHERE unit = $1";
    FORGET_OFFERS = "DELETE FROM remote_artifact {rows} WHERE unit = $1";
    REFERRED_TO = "SELECT digest FROM unit_artifact {rows} WHERE digest = $1";
    PUBLISHED = "SELECT digest FROM published_file {rows} WHERE digest = $1";
    FORGET_ARTIFACT = "DELETE FROM artifact {rows} WHERE digest = $1";
}

/// Ids of up to `limit` units that no version holds and that nobody looked for since `before` (UTC microseconds), after
/// the id `after`.
///
/// # Errors
/// [`Error::Store`].
pub fn units(tx: &mut Tx<'_>, before: i64, after: i64, limit: u32) -> Result<Vec<i64>, Error> {
    Ok(tx.all(UNITS, (after, before, limit))?)
}

/// How many there are of each content type that nobody looked for since `before`: what [`forget_units`] would forget.
///
/// # Errors
/// [`Error::Store`].
pub fn count(tx: &mut Tx<'_>, before: i64) -> Result<BTreeMap<String, u64>, Error> {
    Ok(tx.all::<(String, u64)>(COUNT, (before,))?.into_iter().collect())
}

/// Forgets those of these units that are orphans; answers how many.
///
/// # Errors
/// [`Error::Store`].
pub fn forget_chosen(tx: &mut Tx<'_>, before: i64, units: &[i64]) -> Result<usize, Error> {
    let orphans: Vec<i64> = tx.all(CHOSEN, (before, Json(units)))?;
    forget(tx, &orphans)
}

/// The digests of up to `limit` artifacts that were stored until `before` (UTC microseconds), after the digest `after`.
///
/// # Errors
/// [`Error::Store`].
pub fn stored(
    tx: &mut Tx<'_>,
    before: i64,
    after: &str,
    limit: u32,
) -> Result<BTreeSet<String>, Error> {
    Ok(tx.all::<String>(STORED, (before, after, limit))?.into_iter().collect())
}

/// Those artifacts of `old` that nothing refers to: what [`forget_artifacts`] would forget.
///
/// # Errors
/// [`Error::Store`].
pub fn artifacts(
    tx: &mut Tx<'_>,
    old: &BTreeSet<String>,
    referred_to: &BTreeSet<String>,
) -> Result<Vec<String>, Error> {
    let mut kept: BTreeSet<String> = referred_to.clone();
    for statement in [REFERRED_TO, PUBLISHED] {
        kept.extend(tx.all_many::<String>(statement, old.iter().map(|digest| (digest.as_str(),)))?);
    }
    Ok(old.difference(&kept).cloned().collect())
}

/// Forgets up to `limit` such units; answers how many.
///
/// # Errors
/// [`Error::Store`].
pub fn forget_units(tx: &mut Tx<'_>, before: i64, limit: u32) -> Result<usize, Error> {
    let orphans = units(tx, before, 0, limit)?;
    forget(tx, &orphans)
}

fn forget(tx: &mut Tx<'_>, orphans: &[i64]) -> Result<usize, Error> {
    for statement in [FORGET_UNIT, FORGET_FILES, FORGET_OFFERS] {
        tx.exec_many(statement, orphans.iter().map(|id| (*id,)))?;
    }
    Ok(orphans.len())
}

/// Forgets those artifacts of `old` that no unit and no publication refers to, nor the caller, in `referred_to`; answers
/// which, so that their files are removed.
///
/// # Errors
/// [`Error::Store`].
pub fn forget_artifacts(
    tx: &mut Tx<'_>,
    old: &BTreeSet<String>,
    referred_to: &BTreeSet<String>,
) -> Result<Vec<String>, Error> {
    let orphans = artifacts(tx, old, referred_to)?;
    tx.exec_many(FORGET_ARTIFACT, orphans.iter().map(|digest| (digest.as_str(),)))?;
    Ok(orphans)
}
