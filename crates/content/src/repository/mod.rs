//! Repositories: named sets of content units with immutable versions.
//!
//! - this file: the repositories themselves;
//! - [`version`]: what their versions hold;
//! - [`draft`]: the next version while it is made;
//! - [`difference`]: what tells two versions apart;
//! - [`removal`]: versions that go.

pub mod difference;
pub mod draft;
pub mod removal;
pub mod version;

use std::collections::BTreeMap;

use tutti_store::{Json, ToValue, Tx, row, sql};

use crate::page::{self, named, windowed};
use crate::{Error, Named, Page, Window, number};

pub use draft::{Draft, Member};
pub use version::{Count, Counts, Version};

macro_rules! listed {
    ($first:literal) => {
        concat!("SELECT id, count(*) OVER () FROM repository WHERE ", $first, named!(),
            " AND (CAST($15 AS BIGINT) IS NULL OR remote = $15) AND (CAST($16 AS BIGINT) IS NULL OR retain = $16) \
            AND (CAST($17 AS BIGINT) IS NULL OR EXISTS (SELECT 1 FROM repository_content c WHERE c.repository = repository.id \
                AND c.unit = $17)) \
            AND (CAST($18 AS BIGINT) IS NULL OR EXISTS (SELECT 1 FROM repository_content c WHERE c.repository = repository.id \
                AND c.unit = $18 AND c.added <= repository.version AND (c.removed IS NULL OR c.removed > repository.version)))",
            windowed!(19))
    };
}

sql! {
    CREATE = "INSERT INTO repository \
              (id, name, content_type, description, version, next_version, retain, remote, settings, labels, last_sync, \
              created, updated) VALUES ($1, $2, $3, $4, 0, 1, $5, $6, $7, $8, '{}', $9, $9)";
    FIND = "SELECT id, name, content_type, description, version, next_version, retain, remote, settings, labels, \
            last_sync, created, updated FROM repository WHERE name = $1";
    BY_ID = "SELECT id, name, content_type, description, version, next_version, retain, remote, settings, labels, \
             last_sync, created, updated FROM repository WHERE id = $1";
    BY_IDS = "SELECT id, name, content_type, description, version, next_version, retain, remote, settings, labels, \
              last_sync, created, updated FROM repository WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))";
    LIST = listed!("");
    LIST_NAMED = listed!("name = $3 AND ");
    IDS = "SELECT id FROM repository WHERE content_type IN (SELECT value FROM json_each($1)) ORDER BY id";
    CHANGE = "UPDATE repository SET name = $2, description = $3, retain = $4, remote = $5, settings = $6, labels = $7, \
              updated = $8 WHERE id = $1";
    SYNCED = "UPDATE repository SET last_sync = $2 WHERE id = $1";
    PUBLICATIONS = "SELECT id FROM publication WHERE repository = $1";
    UNSERVED = "UPDATE distribution SET repository = NULL, version = NULL WHERE repository = $1";
    DROP_CONTENT = "DELETE FROM repository_content WHERE repository = $1";
    DROP_VERSIONS = "DELETE FROM repository_version WHERE repository = $1";
    DROP_DRAFT = "DELETE FROM repository_draft WHERE repository = $1";
    DROP_REVISIONS = "DELETE FROM charm_revision WHERE repository = $1";
    DROP = "DELETE FROM repository WHERE id = $1";
}

/// What people put on things to find them by: names and values.
pub type Labels = BTreeMap<String, String>;

row! {
    /// A repository.
    #[derive(Clone, Debug)]
    pub struct Repository {
        /// Id.
        pub id: i64,
        /// Its name, which no other has.
        pub name: String,
        /// What it holds: `file`, `python`, `charm`, …
        pub content_type: String,
        /// For people.
        pub description: Option<String>,
        /// Number of the newest version; 0 is the empty one it begins with.
        pub version: i64,
        /// Number of the version that comes next; numbers are not given again.
        pub next_version: i64,
        /// How many versions are kept; none: all.
        pub retain: Option<u32>,
        /// Where it is synced from unless told otherwise.
        pub remote: Option<i64>,
        /// What its content type keeps of it.
        pub settings: Json<serde_json::Value>,
        /// Labels.
        pub labels: Json<Labels>,
        /// What the last sync saw.
        pub last_sync: Json<serde_json::Value>,
        /// UTC microseconds.
        pub created: i64,
        /// UTC microseconds.
        pub updated: i64,
    }
}

/// What a repository is made with, and what can be changed of it later.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Its name, which no other has.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// How many versions are kept; none: all.
    pub retain: Option<u32>,
    /// Where it is synced from unless told otherwise.
    pub remote: Option<i64>,
    /// What its content type keeps of it.
    pub settings: serde_json::Value,
    /// Labels.
    pub labels: Labels,
}

impl Wish {
    /// What a repository is now.
    #[must_use]
    pub fn of(found: &Repository) -> Self {
        Self {
            name: found.name.clone(),
            description: found.description.clone(),
            retain: found.retain,
            remote: found.remote,
            settings: found.settings.0.clone(),
            labels: found.labels.0.clone(),
        }
    }
}

/// Makes a repository, with its empty version 0.
///
/// # Errors
/// [`Error::Taken`] if the name is; [`Error::Store`].
pub fn create(
    tx: &mut Tx<'_>,
    content_type: &str,
    wish: &Wish,
    now: i64,
) -> Result<Repository, Error> {
    if find(tx, &wish.name)?.is_some() {
        return Err(Error::Taken { what: "repository", name: wish.name.clone() });
    }
    let id = number::take(tx, 1)?;
    let (settings, labels) = (Json(&wish.settings), Json(&wish.labels));
    let description = wish.description.as_deref();
    tx.exec(
        CREATE,
        (
            id,
            wish.name.as_str(),
            content_type,
            description,
            wish.retain,
            wish.remote,
            settings,
            labels,
            now,
        ),
    )?;
    version::record(tx, id, 0, None, &Counts::new(), now)?;
    by_id(tx, id)?.ok_or_else(|| Error::NoRepository(wish.name.clone()))
}

/// The repository of that name, made unless it exists.
///
/// # Errors
/// [`Error::ContentType`] if it exists for another type; [`Error::Store`].
pub fn ensure(
    tx: &mut Tx<'_>,
    name: &str,
    content_type: &str,
    now: i64,
) -> Result<Repository, Error> {
    let Some(found) = find(tx, name)? else {
        return create(tx, content_type, &Wish { name: name.to_owned(), ..Wish::default() }, now);
    };
    if found.content_type == content_type {
        return Ok(found);
    }
    let wanted = content_type.to_owned();
    Err(Error::ContentType { repository: found.name, found: found.content_type, wanted })
}

/// The repository of a name.
///
/// # Errors
/// [`Error::Store`].
pub fn find(tx: &mut Tx<'_>, name: &str) -> Result<Option<Repository>, Error> {
    Ok(tx.maybe(FIND, (name,))?)
}

/// The repository of an id.
///
/// # Errors
/// [`Error::Store`].
pub fn by_id(tx: &mut Tx<'_>, id: i64) -> Result<Option<Repository>, Error> {
    Ok(tx.maybe(BY_ID, (id,))?)
}

/// The repository of a name, which has to be there.
///
/// # Errors
/// [`Error::NoRepository`], [`Error::Store`].
pub fn required(tx: &mut Tx<'_>, name: &str) -> Result<Repository, Error> {
    find(tx, name)?.ok_or_else(|| Error::NoRepository(name.to_owned()))
}

/// Which repositories.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// By name and labels.
    pub named: Named,
    /// Synced from this remote.
    pub remote: Option<i64>,
    /// That keep so many versions.
    pub retain: Option<u32>,
    /// Of which any version holds this unit.
    pub with_content: Option<i64>,
    /// Of which the newest version holds this unit.
    pub latest_with_content: Option<i64>,
}

/// A page of the repositories that a filter lets through.
///
/// # Errors
/// [`Error::Store`].
pub fn list(tx: &mut Tx<'_>, filter: &Filter, window: Window) -> Result<Page<Repository>, Error> {
    let own = || {
        vec![
            filter.remote.to_value(),
            filter.retain.to_value(),
            filter.with_content.to_value(),
            filter.latest_with_content.to_value(),
        ]
    };
    let values = |window| filter.named.values(window, own());
    let find = if filter.named.name.is_some() { LIST_NAMED } else { LIST };
    page::page(tx, window, find, BY_IDS, values, |one: &Repository| one.id)
}

/// The ids of all repositories of some content types.
///
/// # Errors
/// [`Error::Store`].
pub fn ids(tx: &mut Tx<'_>, content_types: &[String]) -> Result<Vec<i64>, Error> {
    Ok(tx.all(IDS, (Json(content_types),))?)
}

/// Changes what a wish says of a repository.
///
/// # Errors
/// [`Error::Taken`] if another one has the name; [`Error::Store`].
pub fn change(tx: &mut Tx<'_>, id: i64, wish: &Wish, now: i64) -> Result<(), Error> {
    if find(tx, &wish.name)?.is_some_and(|found| found.id != id) {
        return Err(Error::Taken { what: "repository", name: wish.name.clone() });
    }
    let (settings, labels) = (Json(&wish.settings), Json(&wish.labels));
    let description = wish.description.as_deref();
    tx.exec(
        CHANGE,
        (id, wish.name.as_str(), description, wish.retain, wish.remote, settings, labels, now),
    )?;
    Ok(())
}

/// Writes down what a sync saw.
///
/// # Errors
/// [`Error::Store`].
pub fn synced(tx: &mut Tx<'_>, id: i64, seen: &serde_json::Value) -> Result<(), Error> {
    tx.exec(SYNCED, (id, Json(seen)))?;
    Ok(())
}

/// Drops a repository with all its versions and publications; distributions that served it serve nothing. Units that
/// nothing else holds are orphans then. What a large one holds is dropped in parts before, by
/// [`removal::drop_content`].
///
/// # Errors
/// [`Error::Store`].
pub fn drop(tx: &mut Tx<'_>, id: i64) -> Result<(), Error> {
    for publication in tx.all::<i64>(PUBLICATIONS, (id,))? {
        crate::publication::drop(tx, publication)?;
    }
    for statement in [DROP_CONTENT, DROP_VERSIONS, DROP_DRAFT, DROP_REVISIONS, UNSERVED, DROP] {
        tx.exec(statement, (id,))?;
    }
    Ok(())
}
