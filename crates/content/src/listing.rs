//! Lists of content and of artifacts, and the counts that REST clients page by.

use std::collections::HashMap;

use tutti_store::{Json, ToValue, Tx, Value, row, sql};

use crate::page::{self, in_order};
use crate::repository::difference::holds;
use crate::repository::{Labels, Repository, removal, version};
use crate::unit::UnitFile;
use crate::{Error, Page, Window};

/// `$1` content types, `$2` ids, `$3` path, `$4` digest of a file, `$5` a path's beginning; `$6` and `$7` the window.
macro_rules! wanted {
    () => {
        "u.content_type IN (SELECT value FROM json_each($1)) \
         AND (CAST($2 AS TEXT) IS NULL OR u.id IN (SELECT CAST(value AS BIGINT) FROM json_each($2))) \
         AND (CAST($3 AS TEXT) IS NULL OR u.path = $3) \
         AND (CAST($4 AS TEXT) IS NULL OR u.id IN (SELECT f.unit FROM unit_artifact f WHERE f.digest = $4)) \
         AND (CAST($5 AS TEXT) IS NULL OR substr(u.path, 1, length($5)) = $5)"
    };
}

macro_rules! of_version {
    () => {
        "SELECT u.id, count(*) OVER () FROM repository_content c JOIN content_unit u ON u.id = c.unit WHERE c.repository = $8 AND "
    };
}

macro_rules! all {
    ($first:literal) => {
        concat!(
            "SELECT u.id, count(*) OVER () FROM content_unit u WHERE ",
            $first,
            wanted!(),
            " ORDER BY u.id DESC LIMIT $6 OFFSET $7"
        )
    };
}

macro_rules! present {
    ($first:literal) => {
        concat!(
            of_version!(),
            $first,
            holds!("c", "$9"),
            " AND ",
            wanted!(),
            " ORDER BY c.path LIMIT $6 OFFSET $7"
        )
    };
}

sql! {
    ALL = all!("");
    /// A path, and a digest, lead to their units by an index.
    ALL_AT = all!("u.path = $3 AND ");
    ALL_WITH = all!("u.id IN (SELECT f.unit FROM unit_artifact f WHERE f.digest = $4) AND ");
    PRESENT = present!("");
    PRESENT_AT = present!("c.path = $3 AND ");
    PRESENT_WITH = present!("c.unit IN (SELECT f.unit FROM unit_artifact f WHERE f.digest = $4) AND ");
    /// Without counting what a version's row says already.
    SOME = concat!("SELECT c.unit, CAST(0 AS BIGINT) FROM repository_content c WHERE c.repository = $1 AND ", holds!("c", "$2"),
        " ORDER BY c.path LIMIT $3 OFFSET $4");
    /// Held by version $9 and not by version $10.
    ONLY = concat!(of_version!(), holds!("c", "$9"), " AND NOT EXISTS (SELECT 1 FROM repository_content o \
        WHERE o.repository = c.repository AND o.path = c.path AND o.unit = c.unit AND ", holds!("o", "$10"), ") \
        AND (c.added > $10 AND c.added <= $9 OR c.removed > $9 AND c.removed <= $10) AND ", wanted!(),
        " ORDER BY c.path LIMIT $6 OFFSET $7");
    ROWS = "SELECT id, content_type, path, identity, metadata, labels, created FROM content_unit \
        WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))";
    FILES = "SELECT f.unit, f.path, f.digest, coalesce(f.size, a.size), a.digest IS NOT NULL FROM unit_artifact f \
        LEFT JOIN artifact a ON a.digest = f.digest WHERE f.unit IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) \
        ORDER BY f.unit, f.path";
    ARTIFACTS = "SELECT digest, size, created, count(*) OVER () FROM artifact \
        WHERE (CAST($1 AS TEXT) IS NULL OR digest = $1) ORDER BY created DESC, digest LIMIT $2 OFFSET $3";
    ARTIFACT_FROM = "SELECT digest, size, created, CAST(1 AS BIGINT) FROM artifact WHERE digest >= $1 AND digest < $2 \
        ORDER BY digest LIMIT 1";
    ARTIFACT_USED = "SELECT EXISTS (SELECT 1 FROM unit_artifact WHERE digest = $1) \
        OR EXISTS (SELECT 1 FROM published_file WHERE digest = $1)";
    LABEL = "UPDATE content_unit SET labels = $2 WHERE id = $1";
}

row! {
    struct Raw {
        id: i64,
        content_type: String,
        path: String,
        identity: String,
        metadata: String,
        labels: Json<Labels>,
        created: i64,
    }

    struct RawFile {
        unit: i64,
        path: String,
        digest: Option<String>,
        size: Option<u64>,
        is_stored: bool,
    }

    /// A stored artifact.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct StoredArtifact {
        /// SHA-256.
        pub digest: String,
        /// Bytes.
        pub size: u64,
        /// UTC microseconds.
        pub created: i64,
        count: u64,
    }
}

/// A unit with its files.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Id.
    pub id: i64,
    /// Its content type.
    pub content_type: String,
    /// Where it is in a repository.
    pub path: String,
    /// What tells it from other units of its path.
    pub identity: String,
    /// What its type knows of it, JSON.
    pub metadata: String,
    /// Labels.
    pub labels: Labels,
    /// UTC microseconds.
    pub created: i64,
    /// Its files, by path.
    pub files: Vec<UnitFile>,
}

/// Of which version content is listed.
#[derive(Clone, Debug, Default)]
pub enum Of {
    /// Whether any holds it or none.
    #[default]
    All,
    /// What the version holds.
    Present(Repository, i64),
    /// What it added.
    Added(Repository, i64),
    /// What it removed.
    Removed(Repository, i64),
}

/// Which content.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of one of these content types.
    pub content_types: Vec<String>,
    /// Of which version.
    pub of: Of,
    /// With one of these ids.
    pub ids: Option<Vec<i64>>,
    /// At this path.
    pub path: Option<String>,
    /// With a file of this SHA-256.
    pub digest: Option<String>,
    /// At a path that begins so.
    pub path_startswith: Option<String>,
}

impl Filter {
    fn values(&self, window: Window, more: &[i64]) -> Vec<Value> {
        let mut values = vec![
            Json(&self.content_types).to_value(),
            self.ids.as_ref().map(Json).to_value(),
            self.path.to_value(),
            self.digest.to_value(),
            self.path_startswith.to_value(),
            window.limit.to_value(),
            window.offset.to_value(),
        ];
        values.extend(more.iter().map(ToValue::to_value));
        values
    }

    /// The statement that begins with the path, the digest, or neither.
    fn one_of(&self, [plain, at, with]: [&'static str; 3]) -> &'static str {
        match (&self.path, &self.digest) {
            (Some(_), _) => at,
            (None, Some(_)) => with,
            (None, None) => plain,
        }
    }

    /// Whether nothing but the version is asked for.
    fn is_plain(&self) -> bool {
        let Self { ids, path, digest, path_startswith, .. } = self;
        ids.is_none() && path.is_none() && digest.is_none() && path_startswith.is_none()
    }
}

/// A page of the units that a filter lets through: of a version by path, else newest first.
///
/// # Errors
/// [`Error::NoVersion`], [`Error::Store`].
pub fn content(tx: &mut Tx<'_>, filter: &Filter, window: Window) -> Result<Page<Listed>, Error> {
    let found = match &filter.of {
        Of::All => find(tx, filter.one_of([ALL, ALL_AT, ALL_WITH]), filter, window, &[])?,
        Of::Present(repository, number) if filter.is_plain() => {
            let version = version::required(tx, repository, *number)?;
            let counted = version.counts.0.iter();
            let count = counted
                .filter(|(content_type, _)| filter.content_types.contains(content_type))
                .map(|(_, count)| count.present)
                .sum();
            let bounds = (repository.id, *number, window.limit, window.offset);
            let found: Vec<(i64, u64)> = match count {
                0 => Vec::new(),
                _ => tx.all(SOME, bounds)?,
            };
            let page = rows(tx, &found)?;
            return Ok(Page { count, ..page });
        }
        Of::Present(repository, number) => {
            version::required(tx, repository, *number)?;
            let statement = filter.one_of([PRESENT, PRESENT_AT, PRESENT_WITH]);
            find(tx, statement, filter, window, &[repository.id, *number])?
        }
        Of::Added(repository, number) => {
            let before = before(tx, repository, *number)?;
            find(tx, ONLY, filter, window, &[repository.id, *number, before])?
        }
        Of::Removed(repository, number) => {
            let before = before(tx, repository, *number)?;
            find(tx, ONLY, filter, window, &[repository.id, before, *number])?
        }
    };
    rows(tx, &found)
}

/// The units of these ids, with their files.
///
/// # Errors
/// [`Error::Store`].
pub fn by_ids(tx: &mut Tx<'_>, ids: &[i64]) -> Result<Vec<Listed>, Error> {
    let found: Vec<(i64, u64)> = ids.iter().map(|id| (*id, 0)).collect();
    Ok(rows(tx, &found)?.rows)
}

/// Writes the labels of a unit.
///
/// # Errors
/// [`Error::Store`].
pub fn label(tx: &mut Tx<'_>, unit: i64, labels: &Labels) -> Result<(), Error> {
    tx.exec(LABEL, (unit, Json(labels)))?;
    Ok(())
}

/// A page of the stored artifacts, newest first; with this SHA-256, if one is given.
///
/// # Errors
/// [`Error::Store`].
pub fn artifacts(
    tx: &mut Tx<'_>,
    digest: Option<&str>,
    window: Window,
) -> Result<Page<StoredArtifact>, Error> {
    let rows: Vec<StoredArtifact> = tx.all(ARTIFACTS, (digest, window.limit, window.offset))?;
    let count = match rows.first() {
        Some(first) => first.count,
        None if window.offset > 0 => {
            let first: Vec<StoredArtifact> = tx.all(ARTIFACTS, (digest, 1, 0))?;
            first.first().map_or(0, |first| first.count)
        }
        None => 0,
    };
    Ok(Page { count, rows })
}

/// The artifact whose SHA-256 begins so.
///
/// # Errors
/// [`Error::Store`].
pub fn artifact_like(tx: &mut Tx<'_>, beginning: &str) -> Result<Option<StoredArtifact>, Error> {
    // `g` comes after every hexadecimal digit.
    Ok(tx.maybe(ARTIFACT_FROM, (beginning, format!("{beginning}g")))?)
}

/// Whether a unit or a publication refers to an artifact.
///
/// # Errors
/// [`Error::Store`].
pub fn is_used(tx: &mut Tx<'_>, digest: &str) -> Result<bool, Error> {
    Ok(tx.one(ARTIFACT_USED, (digest,))?)
}

fn before(tx: &mut Tx<'_>, repository: &Repository, number: i64) -> Result<i64, Error> {
    version::required(tx, repository, number)?;
    let (before, _) = removal::neighbours(tx, repository.id, number)?;
    Ok(before.unwrap_or(-1))
}

fn find(
    tx: &mut Tx<'_>,
    statement: &'static str,
    filter: &Filter,
    window: Window,
    more: &[i64],
) -> Result<Vec<(i64, u64)>, Error> {
    let found: Vec<(i64, u64)> = tx.all(statement, filter.values(window, more))?;
    if !found.is_empty() || window.offset == 0 {
        return Ok(found);
    }
    // The page is behind the end: of the first row only the count is wanted.
    let first: Vec<(i64, u64)> =
        tx.all(statement, filter.values(Window { limit: 1, offset: 0 }, more))?;
    Ok(first.into_iter().map(|(_, count)| (-1, count)).collect())
}

fn rows(tx: &mut Tx<'_>, found: &[(i64, u64)]) -> Result<Page<Listed>, Error> {
    let ids = page::ids(found);
    let raw: Vec<Raw> = tx.all(ROWS, (&ids,))?;
    let mut files: HashMap<i64, Vec<UnitFile>> = HashMap::new();
    for RawFile { unit, path, digest, size, is_stored } in tx.all(FILES, (&ids,))? {
        files.entry(unit).or_default().push(UnitFile { path, digest, size, is_stored });
    }
    let listed = raw.into_iter().map(|raw| Listed {
        files: files.remove(&raw.id).unwrap_or_default(),
        id: raw.id,
        content_type: raw.content_type,
        path: raw.path,
        identity: raw.identity,
        metadata: raw.metadata,
        labels: raw.labels.0,
        created: raw.created,
    });
    Ok(in_order(found, listed.collect(), |one| one.id))
}
