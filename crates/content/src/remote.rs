//! Remotes: where repositories are synced from.
//!
//! What the catalogue has to know has columns of its own. How a remote is reached (timeouts, concurrency, certificates) is
//! an object of settings, which whoever downloads reads; names, passwords and keys are kept apart from it, so that nothing
//! that lists settings can show them.

use serde::{Deserialize, Serialize};
use tutti_store::{Json, ToValue, Tx, row, sql};

use crate::page::{self, named, windowed};
use crate::repository::Labels;
use crate::{Error, Named, Page, Window, number};

/// Offers of a remote that are forgotten in one transaction.
const FORGOTTEN_AT_ONCE: u32 = 1_000;

macro_rules! columns {
    () => {
        "SELECT id, name, content_type, url, policy, settings, credentials, labels, created, updated FROM remote WHERE "
    };
}

sql! {
    CREATE = "INSERT INTO remote (id, name, content_type, url, policy, settings, credentials, labels, created, updated) \
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)";
    FIND = concat!(columns!(), "name = $1");
    BY_ID = concat!(columns!(), "id = $1");
    BY_IDS = concat!(columns!(), "id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))");
    LIST = concat!("SELECT id, count(*) OVER () FROM remote WHERE ", named!(), windowed!(15));
    LIST_NAMED = concat!("SELECT id, count(*) OVER () FROM remote WHERE name = $3 AND ", named!(), windowed!(15));
    CHANGE = "UPDATE remote SET name = $2, url = $3, policy = $4, settings = $5, credentials = $6, labels = $7, updated = $8 \
              WHERE id = $1";
    OFFERS = "SELECT unit, path FROM remote_artifact WHERE remote = $1 LIMIT $2";
    FORGET_OFFER = "DELETE FROM remote_artifact {rows} WHERE unit = $1 AND path = $2 AND remote = $3";
    OF_REPOSITORIES = "UPDATE repository SET remote = NULL WHERE remote = $1";
    OF_DISTRIBUTIONS = "UPDATE distribution SET remote = NULL WHERE remote = $1";
    DROP = "DELETE FROM remote WHERE id = $1";
}

/// When bytes are fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// By the sync.
    #[default]
    Immediate,
    /// When they are first asked for, and kept then.
    OnDemand,
    /// Each time they are asked for.
    Streamed,
}

impl Policy {
    /// Its word, in the database and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::OnDemand => "on_demand",
            Self::Streamed => "streamed",
        }
    }

    /// The policy of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Immediate, Self::OnDemand, Self::Streamed]
            .into_iter()
            .find(|one| one.as_str() == word)
    }
}

row! {
    /// A remote.
    #[derive(Clone, Debug)]
    pub struct Remote {
        /// Id.
        pub id: i64,
        /// Its name, which no other has.
        pub name: String,
        /// What is synced from it: `file`, `python`.
        pub content_type: String,
        /// Where it is.
        pub url: String,
        /// `immediate`, `on_demand` or `streamed`.
        pub policy: String,
        /// How it is reached, an object.
        pub settings: Json<serde_json::Value>,
        /// Names, passwords and keys, an object.
        pub credentials: Json<serde_json::Value>,
        /// Labels.
        pub labels: Json<Labels>,
        /// UTC microseconds.
        pub created: i64,
        /// UTC microseconds.
        pub updated: i64,
    }
}

/// What a remote is made with, and what can be changed of it later.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Its name, which no other has.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// When bytes are fetched.
    pub policy: Policy,
    /// How it is reached, an object.
    pub settings: serde_json::Value,
    /// Names, passwords and keys, an object.
    pub credentials: serde_json::Value,
    /// Labels.
    pub labels: Labels,
}

impl Wish {
    /// What a remote is now.
    #[must_use]
    pub fn of(found: &Remote) -> Self {
        Self {
            name: found.name.clone(),
            url: found.url.clone(),
            policy: Policy::parse(&found.policy).unwrap_or_default(),
            settings: found.settings.0.clone(),
            credentials: found.credentials.0.clone(),
            labels: found.labels.0.clone(),
        }
    }
}

/// Makes a remote.
///
/// # Errors
/// [`Error::Taken`] if the name is; [`Error::Store`].
pub fn create(tx: &mut Tx<'_>, content_type: &str, wish: &Wish, now: i64) -> Result<Remote, Error> {
    check_name(tx, &wish.name, None)?;
    let id = number::take(tx, 1)?;
    let (name, url, policy) = (wish.name.as_str(), wish.url.as_str(), wish.policy.as_str());
    let (settings, credentials) = (Json(&wish.settings), Json(&wish.credentials));
    let labels = Json(&wish.labels);
    tx.exec(CREATE, (id, name, content_type, url, policy, settings, credentials, labels, now))?;
    required(tx, id)
}

/// Changes what a wish says of a remote.
///
/// # Errors
/// [`Error::Taken`] if another one has the name; [`Error::Store`].
pub fn change(tx: &mut Tx<'_>, id: i64, wish: &Wish, now: i64) -> Result<(), Error> {
    check_name(tx, &wish.name, Some(id))?;
    let (name, url, policy) = (wish.name.as_str(), wish.url.as_str(), wish.policy.as_str());
    let (settings, credentials) = (Json(&wish.settings), Json(&wish.credentials));
    tx.exec(CHANGE, (id, name, url, policy, settings, credentials, Json(&wish.labels), now))?;
    Ok(())
}

/// The remote of an id.
///
/// # Errors
/// [`Error::Store`].
pub fn by_id(tx: &mut Tx<'_>, id: i64) -> Result<Option<Remote>, Error> {
    Ok(tx.maybe(BY_ID, (id,))?)
}

/// The remote of an id, which has to be there.
///
/// # Errors
/// [`Error::Missing`], [`Error::Store`].
pub fn required(tx: &mut Tx<'_>, id: i64) -> Result<Remote, Error> {
    by_id(tx, id)?.ok_or(Error::Missing { what: "remote", id })
}

/// The remote of a name.
///
/// # Errors
/// [`Error::Store`].
pub fn find(tx: &mut Tx<'_>, name: &str) -> Result<Option<Remote>, Error> {
    Ok(tx.maybe(FIND, (name,))?)
}

/// A page of the remotes that a filter lets through.
///
/// # Errors
/// [`Error::Store`].
pub fn list(tx: &mut Tx<'_>, filter: &Named, window: Window) -> Result<Page<Remote>, Error> {
    let values = |window| filter.values(window, Vec::new());
    let find = if filter.name.is_some() { LIST_NAMED } else { LIST };
    page::page(tx, window, find, BY_IDS, values, |one: &Remote| one.id)
}

/// Forgets some of what a remote offers; whether there may be more. Files that nobody else offers and that are not here
/// cannot be fetched any more.
///
/// # Errors
/// [`Error::Store`].
pub fn forget_offers(tx: &mut Tx<'_>, id: i64) -> Result<bool, Error> {
    let offers: Vec<(i64, String)> = tx.all(OFFERS, (id, FORGOTTEN_AT_ONCE))?;
    let any = !offers.is_empty();
    let rows = offers
        .into_iter()
        .map(|(unit, path)| vec![unit.to_value(), path.to_value(), id.to_value()]);
    tx.exec_many(FORGET_OFFER, rows)?;
    Ok(any)
}

/// Drops a remote whose offers are forgotten.
///
/// # Errors
/// [`Error::Store`].
pub fn drop(tx: &mut Tx<'_>, id: i64) -> Result<(), Error> {
    for statement in [OF_REPOSITORIES, OF_DISTRIBUTIONS, DROP] {
        tx.exec(statement, (id,))?;
    }
    Ok(())
}

fn check_name(tx: &mut Tx<'_>, name: &str, own: Option<i64>) -> Result<(), Error> {
    match find(tx, name)? {
        Some(found) if Some(found.id) != own => {
            Err(Error::Taken { what: "remote", name: name.to_owned() })
        }
        _ => Ok(()),
    }
}
