//! The content type `charm`.
//!
//! A charm's natural key is its name and revision within a repository. The repository gives the
//! revision: the highest it ever gave plus one, so revisions only grow and a number never means two
//! different charms (Juju: local charms start at 0; a `revision` file can only raise the number).

use tutti_store::{Tx, row, sql};

use crate::{Artifact, Error, repository};

/// The name of the content type.
pub const CONTENT_TYPE: &str = "charm";

sql! {
    HIGHEST = "SELECT max(revision) FROM content_unit \
               WHERE content_type = 'charm' AND namespace = $1 AND name = $2";
    FIND = "SELECT name, revision, digest, size, metadata FROM content_unit \
            WHERE content_type = 'charm' AND namespace = $1 AND name = $2 AND revision = $3";
    LIST = "SELECT u.name, u.revision, u.digest, u.size, u.metadata \
            FROM repository_content c JOIN content_unit u ON u.id = c.content_unit \
            WHERE c.repository = $1 AND c.removed IS NULL ORDER BY u.name, u.revision";
}

row! {
    /// One revision of a charm.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CharmUnit {
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
}

/// Publishes an archive under the next revision (at least `at_least`), as the next version of the
/// repository.
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
    let revision = next(tx, repository, name, at_least)?;
    let unit = repository::NewUnit { name, revision, artifact, metadata };
    repository::add(tx, repository, CONTENT_TYPE, &unit, now)?;
    Ok(CharmUnit {
        name: name.to_owned(),
        revision,
        digest: artifact.digest.clone(),
        size: artifact.size,
        metadata: metadata.to_owned(),
    })
}

/// The revision that a publication would get.
///
/// # Errors
/// [`Error::Store`].
pub fn next(tx: &mut Tx<'_>, repository: &str, name: &str, at_least: i64) -> Result<i64, Error> {
    let highest: Option<i64> = tx.one(HIGHEST, (repository, name))?;
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
    Ok(tx.maybe(FIND, (repository, name, revision))?)
}

/// The highest revision of a name.
///
/// # Errors
/// [`Error::Store`].
pub fn latest(tx: &mut Tx<'_>, repository: &str, name: &str) -> Result<Option<CharmUnit>, Error> {
    let highest: Option<i64> = tx.one(HIGHEST, (repository, name))?;
    highest.map_or(Ok(None), |revision| find(tx, repository, name, revision))
}

/// All revisions in the newest version of the repository.
///
/// # Errors
/// [`Error::Store`].
pub fn list(tx: &mut Tx<'_>, repository: &str) -> Result<Vec<CharmUnit>, Error> {
    Ok(tx.all(LIST, (repository,))?)
}
