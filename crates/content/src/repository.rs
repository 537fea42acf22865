//! Repositories: named sets of content units with immutable versions.
//!
//! A change makes the next version; what a version held can be read for ever after. Versions cost
//! one row, content one row per addition and removal, whatever the size of the repository.

use tutti_store::{Tx, row, sql};
use uuid::Uuid;

use crate::{Artifact, Error};

sql! {
    ENSURE = "INSERT INTO repository (name, content_type, version, created) VALUES ($1, $2, 0, $3) \
              ON CONFLICT (name) DO NOTHING";
    CONTENT_TYPE = "SELECT content_type FROM repository WHERE name = $1";
    NEXT_VERSION = "UPDATE repository SET version = version + 1 WHERE name = $1 RETURNING version";
    CURRENT_VERSION = "SELECT version FROM repository WHERE name = $1";
    ADD_VERSION = "INSERT INTO repository_version (repository, number, created) VALUES ($1, $2, $3)";
    ADD_UNIT = "INSERT INTO content_unit \
                (id, content_type, namespace, name, revision, digest, size, metadata, created) \
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    ADD_CONTENT = "INSERT INTO repository_content (repository, content_unit, added, removed) \
                   VALUES ($1, $2, $3, NULL)";
    REMOVE_CONTENT = "UPDATE repository_content SET removed = $3 \
                      WHERE repository = $1 AND content_unit = $2 AND removed IS NULL";
    VERSIONS = "SELECT number, created FROM repository_version WHERE repository = $1 ORDER BY number";
    CONTENT = "SELECT u.id, u.name, u.revision, u.digest, u.size, u.metadata \
               FROM repository_content c JOIN content_unit u ON u.id = c.content_unit \
               WHERE c.repository = $1 AND c.added <= $2 \
               AND (c.removed IS NULL OR c.removed > $2) ORDER BY u.name, u.revision";
    DROP_CONTENT = "DELETE FROM repository_content WHERE repository = $1";
    DROP_VERSIONS = "DELETE FROM repository_version WHERE repository = $1";
    DROP_UNITS = "DELETE FROM content_unit WHERE namespace = $1";
    DROP = "DELETE FROM repository WHERE name = $1";
}

row! {
    /// One version of a repository.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Version {
        /// From 1.
        pub number: i64,
        /// UTC microseconds.
        pub created: i64,
    }

    /// One content unit.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ContentUnit {
        /// Id.
        pub id: Uuid,
        /// Name.
        pub name: String,
        /// Revision.
        pub revision: i64,
        /// SHA-256 of its artifact.
        pub digest: String,
        /// Bytes of its artifact.
        pub size: u64,
        /// What its type knows of it, JSON.
        pub metadata: String,
    }
}

/// A content unit to be published.
#[derive(Clone, Debug)]
pub struct NewUnit<'a> {
    /// Name.
    pub name: &'a str,
    /// Revision, unique for the name within the namespace.
    pub revision: i64,
    /// Its bytes.
    pub artifact: &'a Artifact,
    /// What its type knows of it, JSON.
    pub metadata: &'a str,
}

/// Makes the repository unless it exists.
///
/// # Errors
/// [`Error::ContentType`] if it exists for another type; [`Error::Store`].
pub fn ensure(tx: &mut Tx<'_>, name: &str, content_type: &str, now: i64) -> Result<(), Error> {
    tx.exec(ENSURE, (name, content_type, now))?;
    let found: String = tx.one(CONTENT_TYPE, (name,))?;
    if found == content_type {
        return Ok(());
    }
    Err(Error::ContentType { repository: name.into(), found, wanted: content_type.into() })
}

/// Adds a unit, as the next version of the repository; answers the version's number.
///
/// # Errors
/// [`Error::NoRepository`]; [`Error::Store`], also for a revision that is already there.
pub fn add(
    tx: &mut Tx<'_>,
    repository: &str,
    content_type: &str,
    unit: &NewUnit<'_>,
    now: i64,
) -> Result<i64, Error> {
    let version = next_version(tx, repository, now)?;
    let id = Uuid::now_v7();
    let artifact = unit.artifact;
    crate::record_artifact(tx, artifact, now)?;
    tx.exec(
        ADD_UNIT,
        (
            id,
            content_type,
            repository,
            unit.name,
            unit.revision,
            artifact.digest.as_str(),
            artifact.size,
            unit.metadata,
            now,
        ),
    )?;
    tx.exec(ADD_CONTENT, (repository, id, version))?;
    Ok(version)
}

/// Removes units, as the next version of the repository; earlier versions keep them.
///
/// # Errors
/// [`Error::NoRepository`], [`Error::Store`].
pub fn remove(tx: &mut Tx<'_>, repository: &str, units: &[Uuid], now: i64) -> Result<i64, Error> {
    let version = next_version(tx, repository, now)?;
    for unit in units {
        tx.exec(REMOVE_CONTENT, (repository, *unit, version))?;
    }
    Ok(version)
}

/// All versions, oldest first.
///
/// # Errors
/// [`Error::Store`].
pub fn versions(tx: &mut Tx<'_>, repository: &str) -> Result<Vec<Version>, Error> {
    Ok(tx.all(VERSIONS, (repository,))?)
}

/// What a version holds (none: the newest), by name and revision.
///
/// # Errors
/// [`Error::NoRepository`], [`Error::Store`].
pub fn content(
    tx: &mut Tx<'_>,
    repository: &str,
    version: Option<i64>,
) -> Result<Vec<ContentUnit>, Error> {
    let current: i64 = tx
        .maybe(CURRENT_VERSION, (repository,))?
        .ok_or_else(|| Error::NoRepository(repository.to_owned()))?;
    Ok(tx.all(CONTENT, (repository, version.unwrap_or(current)))?)
}

/// Drops a repository with all its versions and the units in its namespace. Artifacts stay.
///
/// # Errors
/// [`Error::Store`].
pub fn drop(tx: &mut Tx<'_>, name: &str) -> Result<(), Error> {
    for statement in [DROP_CONTENT, DROP_VERSIONS, DROP_UNITS, DROP] {
        tx.exec(statement, (name,))?;
    }
    Ok(())
}

fn next_version(tx: &mut Tx<'_>, repository: &str, now: i64) -> Result<i64, Error> {
    let version: i64 = tx
        .maybe(NEXT_VERSION, (repository,))?
        .ok_or_else(|| Error::NoRepository(repository.to_owned()))?;
    tx.exec(ADD_VERSION, (repository, version, now))?;
    Ok(version)
}
