//! Content units: what repositories hold, each once, however many hold it.
//!
//! A unit's natural key is its content type, its path and its identity. A version of a repository holds one unit of a
//! path; the identity tells the units of a path apart: for types whose unit is one file, its SHA-256.

use std::collections::{HashMap, HashSet};

use tutti_store::{Tx, Value, row, sql};

use crate::{Error, number};

/// A unit that was looked for this long ago or longer is written down as looked for again, microseconds.
const TOUCH_AFTER: i64 = 3_600_000_000;

sql! {
    KNOWN = "SELECT CAST($4 AS BIGINT), id, touched FROM content_unit {rows} \
             WHERE content_type = $1 AND path = $2 AND identity = $3";
    TOUCH = "UPDATE content_unit SET touched = $2 {rows} WHERE id = $1";
    FIND = "SELECT id, content_type, path, identity, metadata, created FROM content_unit \
            WHERE content_type = $1 AND path = $2 AND identity = $3";
    BY_ID = "SELECT id, content_type, path, identity, metadata, created FROM content_unit WHERE id = $1";
    FILES = "SELECT f.path, f.digest, f.size, a.digest IS NOT NULL FROM unit_artifact f \
             LEFT JOIN artifact a ON a.digest = f.digest WHERE f.unit = $1 ORDER BY f.path";
    ARRIVED = "UPDATE unit_artifact SET digest = $3, size = $4 {rows} WHERE unit = $1 AND path = $2 AND digest IS NULL";
}

row! {
    /// A unit.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Unit {
        /// Id.
        pub id: i64,
        /// `file`, `python`, `charm`, …
        pub content_type: String,
        /// Where it is in a repository; one unit of a version has it.
        pub path: String,
        /// What tells it from other units of its path.
        pub identity: String,
        /// What its type knows of it, JSON.
        pub metadata: String,
        /// UTC microseconds.
        pub created: i64,
    }

    /// A file of a unit.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct UnitFile {
        /// Where it is in a repository.
        pub path: String,
        /// SHA-256, if known.
        pub digest: Option<String>,
        /// Bytes, if known.
        pub size: Option<u64>,
        /// Whether its bytes are here.
        pub is_stored: bool,
    }
}

/// A unit to be saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUnit {
    /// `file`, `python`, `charm`, …
    pub content_type: String,
    /// Where it is in a repository.
    pub path: String,
    /// What tells it from other units of its path.
    pub identity: String,
    /// What its type knows of it, JSON.
    pub metadata: String,
    /// Its files.
    pub files: Vec<NewFile>,
}

/// A file of a unit to be saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Where it is in a repository.
    pub path: String,
    /// SHA-256, if known.
    pub digest: Option<String>,
    /// Bytes, if known.
    pub size: Option<u64>,
}

/// A unit that was saved, or was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Id.
    pub id: i64,
    /// Whether it was not there before.
    pub is_new: bool,
}

/// Content type, path, identity.
pub(crate) type Key<'a> = (&'a str, &'a str, &'a str);

/// A unit that is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) id: i64,
    touched: i64,
}

impl Known {
    pub(crate) fn is_old(&self, now: i64) -> bool {
        now - self.touched >= TOUCH_AFTER
    }
}

/// Saves units that are not there; answers one for each, in the same order. What is there is touched, so that no cleanup
/// takes it away while it is on its way into a version.
///
/// # Errors
/// [`Error::Store`].
pub fn save(tx: &mut Tx<'_>, units: &[NewUnit], now: i64) -> Result<Vec<Saved>, Error> {
    let known = known(tx, units, now)?;
    let mut missing = HashSet::new();
    let new: Vec<&NewUnit> = units
        .iter()
        .filter(|unit| !known.contains_key(&key(unit)) && missing.insert(key(unit)))
        .collect();
    let first = if new.is_empty() { 0 } else { number::take(tx, new.len())? };
    let ids: HashMap<Key<'_>, i64> =
        new.iter().zip(first..).map(|(unit, id)| (key(unit), id)).collect();
    insert(tx, &new, first, now)?;
    let saved = |unit: &NewUnit| match known.get(&key(unit)) {
        Some(id) => Saved { id: *id, is_new: false },
        None => Saved { id: ids.get(&key(unit)).copied().unwrap_or_default(), is_new: true },
    };
    Ok(units.iter().map(saved).collect())
}

/// The unit of a natural key.
///
/// # Errors
/// [`Error::Store`].
pub fn find(
    tx: &mut Tx<'_>,
    content_type: &str,
    path: &str,
    identity: &str,
) -> Result<Option<Unit>, Error> {
    Ok(tx.maybe(FIND, (content_type, path, identity))?)
}

/// The unit of an id.
///
/// # Errors
/// [`Error::Store`].
pub fn by_id(tx: &mut Tx<'_>, id: i64) -> Result<Option<Unit>, Error> {
    Ok(tx.maybe(BY_ID, (id,))?)
}

/// The files of a unit, by path.
///
/// # Errors
/// [`Error::Store`].
pub fn files(tx: &mut Tx<'_>, unit: i64) -> Result<Vec<UnitFile>, Error> {
    Ok(tx.all(FILES, (unit,))?)
}

/// Writes down what files are, whose digest nobody knew before their bytes came: unit, path, SHA-256, bytes.
///
/// # Errors
/// [`Error::Store`].
pub fn arrived<'a>(
    tx: &mut Tx<'_>,
    files: impl IntoIterator<Item = (i64, &'a str, &'a str, u64)>,
) -> Result<(), Error> {
    tx.exec_many(ARRIVED, files)?;
    Ok(())
}

fn key(unit: &NewUnit) -> Key<'_> {
    (&unit.content_type, &unit.path, &unit.identity)
}

/// The ids of those that are there.
fn known<'a>(
    tx: &mut Tx<'_>,
    units: &'a [NewUnit],
    now: i64,
) -> Result<HashMap<Key<'a>, i64>, Error> {
    let keys: Vec<Option<Key<'a>>> = units.iter().map(|unit| Some(key(unit))).collect();
    let found = look_up(tx, &keys)?;
    let known: Vec<Known> = found.iter().copied().flatten().collect();
    touch(tx, &known, now)?;
    let id = |(unit, found): (&'a NewUnit, &Option<Known>)| Some((key(unit), found.as_ref()?.id));
    Ok(units.iter().zip(&found).filter_map(id).collect())
}

/// The units of natural keys, as far as they are known and there.
pub(crate) fn look_up(
    tx: &mut Tx<'_>,
    keys: &[Option<Key<'_>>],
) -> Result<Vec<Option<Known>>, Error> {
    let wanted: HashMap<Key<'_>, usize> =
        keys.iter().zip(0..).filter_map(|(key, n)| Some(((*key)?, n))).collect();
    let rows = wanted
        .iter()
        .map(|((content_type, path, identity), n)| (*content_type, *path, *identity, *n));
    let rows: Vec<(usize, i64, i64)> = tx.all_many(KNOWN, rows)?;
    let found: HashMap<usize, Known> =
        rows.into_iter().map(|(n, id, touched)| (n, Known { id, touched })).collect();
    let of = |key: &Option<Key<'_>>| found.get(wanted.get(key.as_ref()?)?).copied();
    Ok(keys.iter().map(of).collect())
}

/// Writes down that units were looked for, unless that was done not long ago.
pub(crate) fn touch(tx: &mut Tx<'_>, units: &[Known], now: i64) -> Result<(), Error> {
    let mut old: Vec<_> =
        units.iter().filter(|unit| unit.is_old(now)).map(|unit| (unit.id, now)).collect();
    old.sort_unstable();
    old.dedup();
    tx.exec_many(TOUCH, old)?;
    Ok(())
}

fn insert(tx: &mut Tx<'_>, new: &[&NewUnit], first: i64, now: i64) -> Result<(), Error> {
    const UNIT: &[&str] =
        &["id", "content_type", "path", "identity", "metadata", "labels", "created", "touched"];
    const FILE: &[&str] = &["unit", "path", "digest", "size"];
    let units = new.iter().zip(first..).map(|(unit, id)| {
        let text = |text: &str| Value::Text(text.to_owned());
        vec![
            Value::Integer(id),
            text(&unit.content_type),
            text(&unit.path),
            text(&unit.identity),
            text(&unit.metadata),
            text("{}"),
            Value::Integer(now),
            Value::Integer(now),
        ]
    });
    tx.insert_many("content_unit", UNIT, units)?;
    let files = new.iter().zip(first..).flat_map(|(unit, id)| {
        unit.files.iter().map(move |file| {
            use tutti_store::ToValue;
            vec![
                Value::Integer(id),
                file.path.to_value(),
                file.digest.to_value(),
                file.size.to_value(),
            ]
        })
    });
    tx.insert_many("unit_artifact", FILE, files)?;
    Ok(())
}
