//! What a path leads to: (base path, path) → a published file, a unit's file, a directory.
//!
//! Every question is answered by ranges of indexes: a base path among those above the path, a unit among those of its place
//! in its repository. So a path costs the same however large the repository, and so does a path that leads nowhere.

use tutti_store::{Json, Tx, row, sql};

use crate::repository::difference::holds;
use crate::{Error, listing, path};

/// Entries of a directory that are listed.
pub const ENTRIES_MAX: usize = 20_000;

/// Rows of a directory that are read at first, and at most, at once.
const READ_FIRST: u32 = 16;
const READ_MAX: u32 = 1_024;

sql! {
    TARGET = "SELECT d.id, d.base_path, d.content_type, d.publication, coalesce(p.repository, d.repository), \
        coalesce(p.version, d.version, r.version), d.version IS NOT NULL, d.remote FROM distribution d \
        LEFT JOIN publication p ON p.id = d.publication LEFT JOIN repository r ON r.id = d.repository \
        WHERE d.base_path IN (SELECT value FROM json_each($1))";
    NEWEST = "SELECT id, version FROM publication WHERE repository = $1 ORDER BY version DESC, id DESC LIMIT 1";
    NEWEST_OF = "SELECT id, version FROM publication WHERE repository = $1 AND version = $2 ORDER BY id DESC LIMIT 1";
    PUBLISHED = "SELECT f.digest, f.size, p.created FROM published_file f JOIN publication p ON p.id = f.publication \
        WHERE f.publication = $1 AND f.path = $2";
    /// Who announces a digest need not say how many bytes that is of.
    HELD = concat!("SELECT c.unit, f.digest, coalesce(f.size, a.size), a.digest IS NOT NULL, coalesce(a.created, u.created) \
        FROM repository_content c JOIN content_unit u ON u.id = c.unit JOIN unit_artifact f ON f.unit = c.unit AND f.path = $3 \
        LEFT JOIN artifact a ON a.digest = f.digest \
        WHERE c.repository = $1 AND c.path = $2 AND ", holds!("c", "$4"));
    ANY_BELOW = concat!("SELECT c.path FROM repository_content c WHERE c.repository = $1 AND c.path >= $2 AND c.path < $3 AND ",
        holds!("c", "$4"), " ORDER BY c.path LIMIT 1");
    ANY_PUBLISHED_BELOW = "SELECT path FROM published_file WHERE publication = $1 AND path >= $2 AND path < $3 LIMIT 1";
    BELOW = concat!("SELECT c.path, f.size, u.created FROM repository_content c JOIN content_unit u ON u.id = c.unit \
        LEFT JOIN unit_artifact f ON f.unit = c.unit AND f.path = c.path \
        WHERE c.repository = $1 AND c.path >= $2 AND c.path < $3 AND ", holds!("c", "$4"), " ORDER BY c.path LIMIT $5");
    PUBLISHED_BELOW = "SELECT f.path, f.size, p.created FROM published_file f JOIN publication p ON p.id = f.publication \
        WHERE f.publication = $1 AND f.path >= $2 AND f.path < $3 ORDER BY f.path LIMIT $4";
    UNITS_BELOW = concat!("SELECT c.unit FROM repository_content c WHERE c.repository = $1 AND c.path >= $2 AND c.path < $3 AND ",
        holds!("c", "$4"), " ORDER BY c.path LIMIT $5");
    BASE_PATHS = "SELECT base_path FROM distribution WHERE base_path >= $1 AND base_path < $2 ORDER BY base_path LIMIT $3";
}

row! {
    struct RawTarget {
        distribution: i64,
        base_path: String,
        content_type: String,
        publication: Option<i64>,
        repository: Option<i64>,
        version: Option<i64>,
        is_fixed: bool,
        remote: Option<i64>,
    }

    struct Published {
        digest: String,
        size: u64,
        created: i64,
    }

    struct Held {
        unit: i64,
        digest: Option<String>,
        size: Option<u64>,
        is_stored: bool,
        created: i64,
    }

    struct Below {
        path: String,
        size: Option<u64>,
        created: i64,
    }
}

/// What a distribution serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Id of the distribution.
    pub distribution: i64,
    /// Its base path.
    pub base_path: String,
    /// Its content type.
    pub content_type: String,
    /// The publication, if it serves one.
    pub publication: Option<i64>,
    /// The repository and the number of its version; none: it serves nothing yet.
    pub version: Option<(i64, i64)>,
    /// Where is fetched from what it does not hold.
    pub remote: Option<i64>,
}

/// A file to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The unit it is of, unless a publication brought it.
    pub unit: Option<i64>,
    /// Where it is below the base path.
    pub path: String,
    /// SHA-256, if known.
    pub digest: Option<String>,
    /// Bytes, if known.
    pub size: Option<u64>,
    /// Whether its bytes are here.
    pub is_stored: bool,
    /// Since when it is what it is, UTC microseconds.
    pub created: i64,
}

/// A line of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without `/`.
    pub name: String,
    /// Whether there is more below it.
    pub is_directory: bool,
    /// Bytes of a file, if known.
    pub size: Option<u64>,
    /// UTC microseconds; of a file.
    pub created: Option<i64>,
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A file.
    File(Served),
    /// A directory: its entries by name, and whether those are all.
    Directory(Vec<Entry>, bool),
    /// A directory that was named without the slash at its end.
    WithSlash,
    /// Nothing.
    Nothing,
}

/// What a path of the content app leads to; it begins with a base path, and has no slash at its beginning.
///
/// # Errors
/// [`Error::Store`].
pub fn find(tx: &mut Tx<'_>, asked: &str) -> Result<Found, Error> {
    let is_directory = asked.is_empty() || asked.ends_with('/');
    let plain = asked.strip_suffix('/').unwrap_or(asked);
    if !plain.is_empty() && !path::is_relative(plain) {
        return Ok(Found::Nothing);
    }
    let Some(target) = target(tx, plain)? else { return base_paths(tx, plain, is_directory) };
    let rest = plain.get(target.base_path.len()..).unwrap_or_default().trim_start_matches('/');
    if !is_directory && !rest.is_empty() {
        if let Some(file) = file(tx, &target, rest)? {
            return Ok(Found::File(file));
        }
        let found =
            if is_any_below(tx, &target, rest)? { Found::WithSlash } else { Found::Nothing };
        return Ok(found);
    }
    if !is_directory {
        return Ok(Found::WithSlash);
    }
    let index =
        if rest.is_empty() { "index.html".to_owned() } else { format!("{rest}/index.html") };
    if let Some(file) = file(tx, &target, &index)? {
        return Ok(Found::File(file));
    }
    let (entries, is_all) = entries(tx, &target, rest, ENTRIES_MAX)?;
    Ok(match entries.is_empty() && !rest.is_empty() {
        true => Found::Nothing,
        false => Found::Directory(entries, is_all),
    })
}

/// What the distribution serves at whose base path, or below which, a path is.
///
/// # Errors
/// [`Error::Store`].
pub fn target(tx: &mut Tx<'_>, path: &str) -> Result<Option<Target>, Error> {
    let found: Option<RawTarget> = tx.maybe(TARGET, (Json(path::above(path)),))?;
    let Some(raw) = found else { return Ok(None) };
    let mut version = raw.repository.zip(raw.version);
    let mut publication = raw.publication;
    if let (None, Some((repository, number)), false) =
        (publication, version, raw.content_type == "python")
    {
        let newest: Option<(i64, i64)> = match raw.is_fixed {
            true => tx.maybe(NEWEST_OF, (repository, number))?,
            false => tx.maybe(NEWEST, (repository,))?,
        };
        if let Some((id, number)) = newest {
            (publication, version) = (Some(id), Some((repository, number)));
        }
    }
    Ok(Some(Target {
        distribution: raw.distribution,
        base_path: raw.base_path,
        content_type: raw.content_type,
        publication,
        version,
        remote: raw.remote,
    }))
}

/// The file at a path below the base path: a published one, else one of a unit.
///
/// # Errors
/// [`Error::Store`].
pub fn file(tx: &mut Tx<'_>, target: &Target, path: &str) -> Result<Option<Served>, Error> {
    if let Some(publication) = target.publication {
        let found: Option<Published> = tx.maybe(PUBLISHED, (publication, path))?;
        if let Some(Published { digest, size, created }) = found {
            let (digest, size) = (Some(digest), Some(size));
            let path = path.to_owned();
            return Ok(Some(Served { unit: None, path, digest, size, is_stored: true, created }));
        }
    }
    let Some((repository, version)) = target.version else { return Ok(None) };
    let mut found: Option<Held> = tx.maybe(HELD, (repository, path, path, version))?;
    if found.is_none()
        && let Some(unit) = path.strip_suffix(".metadata")
    {
        // What a wheel says of itself is a file of its unit (PEP 658).
        found = tx.maybe(HELD, (repository, unit, path, version))?;
    }
    Ok(found.map(|held| Served {
        unit: Some(held.unit),
        path: path.to_owned(),
        digest: held.digest,
        size: held.size,
        is_stored: held.is_stored,
        created: held.created,
    }))
}

/// The units whose paths begin with a directory, with their files, by path.
///
/// # Errors
/// [`Error::Store`].
pub fn units_below(
    tx: &mut Tx<'_>,
    target: &Target,
    directory: &str,
    limit: u32,
) -> Result<Vec<listing::Listed>, Error> {
    let Some((repository, version)) = target.version else { return Ok(Vec::new()) };
    let (from, to) = path::below(directory);
    let ids: Vec<i64> = tx.all(UNITS_BELOW, (repository, from, to, version, limit))?;
    listing::by_ids(tx, &ids)
}

fn is_any_below(tx: &mut Tx<'_>, target: &Target, directory: &str) -> Result<bool, Error> {
    let (from, to) = path::below(directory);
    let (from, to) = (from.as_str(), to.as_str());
    if let Some((repository, version)) = target.version {
        let found: Option<String> = tx.maybe(ANY_BELOW, (repository, from, to, version))?;
        if found.is_some() {
            return Ok(true);
        }
    }
    let Some(publication) = target.publication else { return Ok(false) };
    let found: Option<String> = tx.maybe(ANY_PUBLISHED_BELOW, (publication, from, to))?;
    Ok(found.is_some())
}

/// What is right below a directory, by name, and whether that is all: a directory in it costs one look, not what is below it.
///
/// # Errors
/// [`Error::Store`].
pub fn entries(
    tx: &mut Tx<'_>,
    target: &Target,
    directory: &str,
    max: usize,
) -> Result<(Vec<Entry>, bool), Error> {
    let (mut from, to) = path::below(directory);
    let mut entries = Vec::new();
    if let Some(publication) = target.publication {
        let own = (publication, from.as_str(), to.as_str(), READ_MAX);
        let rows: Vec<Below> = tx.all(PUBLISHED_BELOW, own)?;
        rows.iter().for_each(|row| drop(enter(&mut entries, directory, row)));
    }
    let (mut is_all, mut read) = (true, READ_FIRST);
    while let Some((repository, version)) = target.version {
        let bounds = (repository, from.as_str(), to.as_str(), version, read);
        let rows: Vec<Below> = tx.all(BELOW, bounds)?;
        let (mut beyond, before) = (None, entries.len());
        for row in &rows {
            if beyond.as_ref().is_none_or(|beyond| row.path >= *beyond) {
                beyond = enter(&mut entries, directory, row);
            }
        }
        is_all = entries.len() < max;
        let Some(last) = rows.last().filter(|_| is_all && rows.len() == read as usize) else {
            break;
        };
        // No path has such a letter.
        from = beyond.unwrap_or_else(|| format!("{}\u{1}", last.path));
        // What is below a small directory is read over, what is below a large one is stepped over.
        let is_dense = (entries.len() - before) * READ_FIRST as usize >= rows.len();
        read = if is_dense { (read * 4).min(READ_MAX) } else { READ_FIRST };
    }
    entries.sort_by(|one: &Entry, other: &Entry| one.name.cmp(&other.name));
    entries.dedup_by(|one, other| one.name == other.name);
    entries.truncate(max);
    Ok((entries, is_all))
}

/// Adds what a row says; if that is a directory, answers what comes behind it.
fn enter(entries: &mut Vec<Entry>, directory: &str, row: &Below) -> Option<String> {
    let begins = if directory.is_empty() { 0 } else { directory.len() + 1 };
    let rest = row.path.get(begins..).unwrap_or_default();
    let Some((name, _)) = rest.split_once('/') else {
        let (size, created) = (row.size, Some(row.created));
        entries.push(Entry { name: rest.to_owned(), is_directory: false, size, created });
        return None;
    };
    entries.push(Entry { name: name.to_owned(), is_directory: true, size: None, created: None });
    Some(path::below(&row.path[..begins + name.len()]).1)
}

/// Base paths below a path, as a directory.
fn base_paths(tx: &mut Tx<'_>, path: &str, is_directory: bool) -> Result<Found, Error> {
    let (from, to) = path::below(path);
    let limit = u32::try_from(ENTRIES_MAX).unwrap_or(u32::MAX);
    let found: Vec<String> = tx.all(BASE_PATHS, (from.as_str(), to, limit))?;
    if found.is_empty() && !path.is_empty() {
        return Ok(Found::Nothing);
    }
    if !is_directory {
        return Ok(Found::WithSlash);
    }
    let is_all = found.len() < ENTRIES_MAX;
    let names = found.iter().map(|base| base.get(from.len()..).unwrap_or_default());
    let mut names: Vec<&str> =
        names.map(|rest| rest.split('/').next().unwrap_or_default()).collect();
    names.dedup();
    let entry =
        |name: &str| Entry { name: name.to_owned(), is_directory: true, size: None, created: None };
    Ok(Found::Directory(names.into_iter().map(entry).collect(), is_all))
}
