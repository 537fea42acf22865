//! Distributions: what is served below which path.
//!
//! A distribution points at a publication, at one version of a repository, or at a repository, of which it serves the
//! newest publication or, if it has none, the newest version. Pointing it elsewhere is one row: promotion and rollback.
//!
//! No base path lies below another one, so a path belongs to one distribution at most (Pulp).

use tutti_store::{Json, ToValue, Tx, row, sql};

use crate::page::{self, containing, named, windowed};
use crate::repository::Labels;
use crate::{Error, Named, Page, Window, number};

macro_rules! columns {
    () => {
        "SELECT id, name, base_path, content_type, repository, version, publication, remote, settings, labels, created, \
         updated FROM distribution WHERE "
    };
}

macro_rules! listed {
    ($first:literal) => {
        concat!(
            "SELECT id, count(*) OVER () FROM distribution WHERE ",
            $first,
            named!(),
            " AND (CAST($15 AS TEXT) IS NULL OR base_path = $15) \
            AND (CAST($16 AS TEXT) IS NULL OR base_path IN (SELECT value FROM json_each($16))) \
            AND (CAST($17 AS TEXT) IS NULL OR replace(base_path, $17, '') <> base_path) \
            AND (CAST($18 AS TEXT) IS NULL OR lower(base_path) LIKE $18 ESCAPE '!') \
            AND (CAST($19 AS BIGINT) IS NULL OR repository = $19) \
            AND (CAST($20 AS BIGINT) IS NULL OR publication = $20)",
            windowed!(21)
        )
    };
}

sql! {
    CREATE = "INSERT INTO distribution (id, name, base_path, content_type, repository, version, publication, remote, settings, \
              labels, created, updated) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)";
    FIND = concat!(columns!(), "name = $1");
    BY_ID = concat!(columns!(), "id = $1");
    BY_IDS = concat!(columns!(), "id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))");
    LIST = listed!("");
    LIST_NAMED = listed!("name = $3 AND ");
    CHANGE = "UPDATE distribution SET name = $2, base_path = $3, repository = $4, version = $5, publication = $6, remote = $7, \
              settings = $8, labels = $9, updated = $10 WHERE id = $1";
    /// Base paths at or above a path, and those below it.
    AROUND = "SELECT id, base_path FROM distribution WHERE base_path IN (SELECT value FROM json_each($1)) \
              OR base_path >= $2 AND base_path < $3 ORDER BY base_path";
    OF_PUBLICATION = "SELECT id FROM distribution WHERE publication = $1 ORDER BY id";
    OF_PUBLICATIONS = "SELECT publication, id FROM distribution \
        WHERE publication IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY id";
    DROP = "DELETE FROM distribution WHERE id = $1";
}

row! {
    /// A distribution.
    #[derive(Clone, Debug)]
    pub struct Distribution {
        /// Id.
        pub id: i64,
        /// Its name, which no other has.
        pub name: String,
        /// Where it is served, without slashes around.
        pub base_path: String,
        /// What it serves: `file`, `python`.
        pub content_type: String,
        /// The repository it serves.
        pub repository: Option<i64>,
        /// One version of it.
        pub version: Option<i64>,
        /// The publication it serves.
        pub publication: Option<i64>,
        /// Where is fetched from what it does not hold.
        pub remote: Option<i64>,
        /// What its content type keeps of it.
        pub settings: Json<serde_json::Value>,
        /// Labels.
        pub labels: Json<Labels>,
        /// UTC microseconds.
        pub created: i64,
        /// UTC microseconds.
        pub updated: i64,
    }
}

/// What a distribution is made with, and what can be changed of it later.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Its name, which no other has.
    pub name: String,
    /// Where it is served.
    pub base_path: String,
    /// The repository it serves.
    pub repository: Option<i64>,
    /// One version of it.
    pub version: Option<i64>,
    /// The publication it serves.
    pub publication: Option<i64>,
    /// Where is fetched from what it does not hold.
    pub remote: Option<i64>,
    /// What its content type keeps of it.
    pub settings: serde_json::Value,
    /// Labels.
    pub labels: Labels,
}

impl Wish {
    /// What a distribution is now.
    #[must_use]
    pub fn of(found: &Distribution) -> Self {
        Self {
            name: found.name.clone(),
            base_path: found.base_path.clone(),
            repository: found.repository,
            version: found.version,
            publication: found.publication,
            remote: found.remote,
            settings: found.settings.0.clone(),
            labels: found.labels.0.clone(),
        }
    }
}

/// Which distributions.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// By name and labels.
    pub named: Named,
    /// With this base path.
    pub base_path: Option<String>,
    /// With one of these.
    pub base_path_in: Option<Vec<String>>,
    /// With this in its base path.
    pub base_path_contains: Option<String>,
    /// The same, in any case.
    pub base_path_icontains: Option<String>,
    /// That serve this repository.
    pub repository: Option<i64>,
    /// That serve this publication.
    pub publication: Option<i64>,
}

/// Makes a distribution.
///
/// # Errors
/// [`Error::Taken`], [`Error::Path`], [`Error::Nested`], [`Error::Store`].
pub fn create(
    tx: &mut Tx<'_>,
    content_type: &str,
    wish: &Wish,
    now: i64,
) -> Result<Distribution, Error> {
    check(tx, wish, None)?;
    let id = number::take(tx, 1)?;
    let values = vec![
        id.to_value(),
        wish.name.to_value(),
        wish.base_path.to_value(),
        content_type.to_value(),
        wish.repository.to_value(),
        wish.version.to_value(),
        wish.publication.to_value(),
        wish.remote.to_value(),
        Json(&wish.settings).to_value(),
        Json(&wish.labels).to_value(),
        now.to_value(),
    ];
    tx.exec(CREATE, values)?;
    required(tx, id)
}

/// Changes what a wish says of a distribution.
///
/// # Errors
/// As [`create`].
pub fn change(tx: &mut Tx<'_>, id: i64, wish: &Wish, now: i64) -> Result<(), Error> {
    check(tx, wish, Some(id))?;
    let values = vec![
        id.to_value(),
        wish.name.to_value(),
        wish.base_path.to_value(),
        wish.repository.to_value(),
        wish.version.to_value(),
        wish.publication.to_value(),
        wish.remote.to_value(),
        Json(&wish.settings).to_value(),
        Json(&wish.labels).to_value(),
        now.to_value(),
    ];
    tx.exec(CHANGE, values)?;
    Ok(())
}

/// Whether a distribution could be made, or changed, so.
///
/// # Errors
/// As [`create`].
pub fn check(tx: &mut Tx<'_>, wish: &Wish, own: Option<i64>) -> Result<(), Error> {
    let taken: Option<Distribution> = tx.maybe(FIND, (wish.name.as_str(),))?;
    if taken.is_some_and(|found| Some(found.id) != own) {
        return Err(Error::Taken { what: "distribution", name: wish.name.clone() });
    }
    let path = wish.base_path.as_str();
    if !crate::path::is_relative(path) {
        return Err(Error::Path(path.to_owned()));
    }
    let (from, to) = crate::path::below(path);
    let around: Vec<(i64, String)> = tx.all(AROUND, (Json(crate::path::above(path)), from, to))?;
    match around.into_iter().find(|(id, _)| Some(*id) != own) {
        Some((_, other)) if other == path => {
            Err(Error::Taken { what: "distribution at", name: other })
        }
        Some((_, other)) => Err(Error::Nested { base_path: path.to_owned(), other }),
        None => Ok(()),
    }
}

/// The distribution of an id.
///
/// # Errors
/// [`Error::Store`].
pub fn by_id(tx: &mut Tx<'_>, id: i64) -> Result<Option<Distribution>, Error> {
    Ok(tx.maybe(BY_ID, (id,))?)
}

/// The distribution of an id, which has to be there.
///
/// # Errors
/// [`Error::Missing`], [`Error::Store`].
pub fn required(tx: &mut Tx<'_>, id: i64) -> Result<Distribution, Error> {
    by_id(tx, id)?.ok_or(Error::Missing { what: "distribution", id })
}

/// A page of the distributions that a filter lets through.
///
/// # Errors
/// [`Error::Store`].
pub fn list(tx: &mut Tx<'_>, filter: &Filter, window: Window) -> Result<Page<Distribution>, Error> {
    let own = || {
        vec![
            filter.base_path.to_value(),
            filter.base_path_in.as_ref().map(Json).to_value(),
            filter.base_path_contains.as_ref().filter(|text| !text.is_empty()).to_value(),
            filter.base_path_icontains.as_deref().map(containing).to_value(),
            filter.repository.to_value(),
            filter.publication.to_value(),
        ]
    };
    let values = |window| filter.named.values(window, own());
    let find = if filter.named.name.is_some() { LIST_NAMED } else { LIST };
    page::page(tx, window, find, BY_IDS, values, |one: &Distribution| one.id)
}

/// Ids of those that serve a publication.
///
/// # Errors
/// [`Error::Store`].
pub fn of_publication(tx: &mut Tx<'_>, publication: i64) -> Result<Vec<i64>, Error> {
    Ok(tx.all(OF_PUBLICATION, (publication,))?)
}

/// Those that serve any of these publications: publication and distribution.
///
/// # Errors
/// [`Error::Store`].
pub fn of_publications(tx: &mut Tx<'_>, publications: &[i64]) -> Result<Vec<(i64, i64)>, Error> {
    Ok(tx.all(OF_PUBLICATIONS, (Json(publications),))?)
}

/// Drops a distribution: nothing is served below its path any more.
///
/// # Errors
/// [`Error::Store`].
pub fn drop(tx: &mut Tx<'_>, id: i64) -> Result<(), Error> {
    tx.exec(DROP, (id,))?;
    Ok(())
}
