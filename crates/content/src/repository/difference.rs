//! What one version of a repository holds and another one does not. It costs what changed between the two, whatever their
//! size: memberships that begin or end between them are found by their indexes.

use std::collections::BTreeMap;

use tutti_store::{Tx, row, sql};

use super::version::{Count, Counts};
use crate::Error;

/// Whether a membership counts in the version of a parameter.
macro_rules! holds {
    ($table:literal, $version:literal) => {
        concat!(
            "(",
            $table,
            ".added <= ",
            $version,
            " AND (",
            $table,
            ".removed IS NULL OR ",
            $table,
            ".removed > ",
            $version,
            "))"
        )
    };
}
pub(crate) use holds;

/// Memberships that count in one of two versions and not in the other: $2 the older, $3 the newer. A unit that went and came
/// again between them is in both.
macro_rules! changed {
    () => {
        concat!(
            "c.repository = $1 AND (c.added > $2 AND c.added <= $3 OR c.removed > $2 AND c.removed <= $3) \
             AND ", holds!("c", "$2"), " <> ", holds!("c", "$3"),
            " AND NOT EXISTS (SELECT 1 FROM repository_content other WHERE other.repository = c.repository \
             AND other.path = c.path AND other.unit = c.unit AND other.added <> c.added \
             AND (", holds!("other", "$2"), " AND ", holds!("c", "$3"), " OR ", holds!("other", "$3"), " AND ", holds!("c", "$2"), "))"
        )
    };
}

sql! {
    CHANGED = concat!("SELECT c.path, c.unit, u.content_type, ", holds!("c", "$3"), " FROM repository_content c \
        JOIN content_unit u ON u.id = c.unit WHERE ", changed!(), " AND (c.path > $4 OR c.path = $4 AND c.unit > $5) \
        ORDER BY c.path, c.unit LIMIT $6");
    COUNTED = concat!("SELECT u.content_type, ", holds!("c", "$3"), ", count(*) FROM repository_content c \
        JOIN content_unit u ON u.id = c.unit WHERE ", changed!(), " GROUP BY 1, 2");
}

row! {
    /// A unit that one of two versions holds.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Change {
        /// Where it is.
        pub path: String,
        /// Its id.
        pub unit: i64,
        /// Its content type.
        pub content_type: String,
        /// Whether the second version holds it; else the first does.
        pub is_added: bool,
    }
}

/// Up to `limit` of what tells version `to` from version `from`, by path and unit, behind the path and unit `after` (an
/// empty path: from the first). What differs at one path are two changes.
///
/// # Errors
/// [`Error::Store`].
pub fn difference(
    tx: &mut Tx<'_>,
    repository: i64,
    (from, to): (i64, i64),
    after: (&str, i64),
    limit: u32,
) -> Result<Vec<Change>, Error> {
    let (older, newer) = (from.min(to), from.max(to));
    let mut changes: Vec<Change> =
        tx.all(CHANGED, (repository, older, newer, after.0, after.1, limit))?;
    if from > to {
        changes.iter_mut().for_each(|change| change.is_added = !change.is_added);
    }
    Ok(changes)
}

/// How many units of each content type version `to` holds and version `from` does not, and the other way round; nothing is
/// said of how many it holds in all.
///
/// # Errors
/// [`Error::Store`].
pub fn counts(tx: &mut Tx<'_>, repository: i64, (from, to): (i64, i64)) -> Result<Counts, Error> {
    let (older, newer) = (from.min(to), from.max(to));
    let rows: Vec<(String, bool, u64)> = tx.all(COUNTED, (repository, older, newer))?;
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    for (content_type, is_in_newer, number) in rows {
        let count = counts.entry(content_type).or_default();
        if is_in_newer == (from <= to) {
            count.added = number;
        } else {
            count.removed = number;
        }
    }
    Ok(counts)
}
