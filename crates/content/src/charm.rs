//! The content type `charm`.
//!
//! The repository gives a charm its revision: the highest of its name that it ever gave, plus one, so revisions only grow
//! and a number never means two different charms (Juju: local charms start at 0; a `revision` file can only raise the
//! number). A charm's path is `NAME_REVISION.charm`; names have no underscore.

use tutti_store::{Tx, sql};

use crate::repository::{self, Draft, Member, Repository, version};
use crate::unit::{self, NewFile, NewUnit, Unit};
use crate::{Artifact, Error, record_artifact};

/// The name of the content type.
pub const CONTENT_TYPE: &str = "charm";

/// Charms read at once when all are listed.
const LISTED_AT_ONCE: u32 = 500;

sql! {
    HIGHEST = "SELECT highest FROM charm_revision WHERE repository = $1 AND name = $2";
    GIVEN = "INSERT INTO charm_revision (repository, name, highest) VALUES ($1, $2, $3) \
             ON CONFLICT (repository, name) DO UPDATE SET highest = $3";
    FIND = "SELECT u.id, u.content_type, u.path, u.identity, u.metadata, u.created \
            FROM repository r JOIN repository_content c ON c.repository = r.id JOIN content_unit u ON u.id = c.unit \
            WHERE r.name = $1 AND c.path = $2 ORDER BY c.added DESC LIMIT 1";
    SIZE = "SELECT size FROM unit_artifact WHERE unit = $1 AND path = $2";
}

/// One revision of a charm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CharmUnit {
    /// Id of the unit.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Revision.
    pub revision: i64,
    /// SHA-256 of the archive.
    pub digest: String,
    /// Bytes of the archive.
    pub size: u64,
    /// What the archive's metadata files say, JSON.
    pub metadata: String,
}

/// Publishes an archive under the next revision (at least `at_least`), as the next version of the repository.
///
/// # Errors
/// [`Error::NoRepository`], [`Error::Store`].
pub fn publish(
    tx: &mut Tx<'_>,
    repository: &str,
    name: &str,
    at_least: i64,
    artifact: &Artifact,
    metadata: &str,
    now: i64,
) -> Result<CharmUnit, Error> {
    let repository = repository::required(tx, repository)?;
    let revision = next_of(tx, Some(&repository), name, at_least)?;
    record_artifact(tx, artifact, now)?;
    let path = path(name, revision);
    let (digest, size) = (artifact.digest.clone(), artifact.size);
    let new = NewUnit {
        content_type: CONTENT_TYPE.to_owned(),
        identity: digest.clone(),
        metadata: metadata.to_owned(),
        files: vec![NewFile { path: path.clone(), digest: Some(digest.clone()), size: Some(size) }],
        path,
    };
    let ids = unit::save(tx, std::slice::from_ref(&new), now)?;
    let id = ids.first().map_or(0, |saved| saved.id);
    let draft = Draft::begin_in(tx, &repository, now)?;
    draft.add(tx, &[Member { path: new.path, unit: id, content_type: new.content_type }])?;
    draft.complete(tx, None, now)?;
    tx.exec(GIVEN, (repository.id, name, revision))?;
    Ok(CharmUnit {
        id,
        name: name.to_owned(),
        revision,
        digest,
        size,
        metadata: metadata.to_owned(),
    })
}

/// The revision that a publication would get.
///
/// # Errors
/// [`Error::Store`].
pub fn next(tx: &mut Tx<'_>, repository: &str, name: &str, at_least: i64) -> Result<i64, Error> {
    let repository = repository::find(tx, repository)?;
    next_of(tx, repository.as_ref(), name, at_least)
}

fn next_of(
    tx: &mut Tx<'_>,
    repository: Option<&Repository>,
    name: &str,
    at_least: i64,
) -> Result<i64, Error> {
    let highest = repository.map_or(Ok(None), |repository| highest(tx, repository, name))?;
    Ok(highest.map_or(0, |highest| highest + 1).max(at_least))
}

/// One revision, whichever version of the repository it is in.
///
/// # Errors
/// [`Error::Store`].
pub fn find(
    tx: &mut Tx<'_>,
    repository: &str,
    name: &str,
    revision: i64,
) -> Result<Option<CharmUnit>, Error> {
    let found: Option<Unit> = tx.maybe(FIND, (repository, path(name, revision)))?;
    found.map(|unit| charm(tx, unit)).transpose()
}

/// The highest revision of a name.
///
/// # Errors
/// [`Error::Store`].
pub fn latest(tx: &mut Tx<'_>, repository: &str, name: &str) -> Result<Option<CharmUnit>, Error> {
    let Some(found) = repository::find(tx, repository)? else { return Ok(None) };
    highest(tx, &found, name)?.map_or(Ok(None), |revision| find(tx, repository, name, revision))
}

/// All revisions in the newest version of the repository, by name and revision.
///
/// # Errors
/// [`Error::Store`].
pub fn list(tx: &mut Tx<'_>, repository: &str) -> Result<Vec<CharmUnit>, Error> {
    let Some(repository) = repository::find(tx, repository)? else { return Ok(Vec::new()) };
    let (mut charms, mut after) = (Vec::new(), String::new());
    loop {
        let page = version::content(tx, repository.id, repository.version, &after, LISTED_AT_ONCE)?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.path);
        for unit in page {
            charms.push(charm(tx, unit)?);
        }
    }
    charms.sort_by(|a, b| (&a.name, a.revision).cmp(&(&b.name, b.revision)));
    Ok(charms)
}

fn highest(tx: &mut Tx<'_>, repository: &Repository, name: &str) -> Result<Option<i64>, Error> {
    Ok(tx.maybe(HIGHEST, (repository.id, name))?)
}

fn path(name: &str, revision: i64) -> String {
    format!("{name}_{revision}.charm")
}

fn charm(tx: &mut Tx<'_>, unit: Unit) -> Result<CharmUnit, Error> {
    let named = unit.path.strip_suffix(".charm").and_then(|path| path.rsplit_once('_'));
    let parsed = named.and_then(|(name, revision)| Some((name.to_owned(), revision.parse().ok()?)));
    let (name, revision) = parsed.ok_or_else(|| Error::Path(unit.path.clone()))?;
    let size: Option<Option<u64>> = tx.maybe(SIZE, (unit.id, unit.path.as_str()))?;
    let size = size.flatten().unwrap_or_default();
    Ok(CharmUnit {
        id: unit.id,
        name,
        revision,
        digest: unit.identity,
        size,
        metadata: unit.metadata,
    })
}
