//! Changing what a repository holds by hand: units are added and removed, starting from its newest version or an older one.

use tutti_store::{Json, Store, Tx, row, sql};

use crate::repository::{Draft, Member, Repository, Version, difference, version};
use crate::{Error, repository};

/// Units moved in one transaction: others write between them.
const MOVED_AT_ONCE: usize = 500;

/// The same, as the limit of a statement.
const LISTED_AT_ONCE: u32 = 500;

sql! {
    MEMBERS = "SELECT id, path, content_type FROM content_unit {rows} WHERE id = $1";
    OCCUPIED = "SELECT c.path, c.unit FROM repository_content c {rows} \
                WHERE c.repository = $1 AND c.path = $2 AND c.removed IS NULL AND c.unit <> $3";
    KNOWN = "SELECT id FROM content_unit WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))";
}

/// What is to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Everything.
    All,
    /// These units; those that are not there are passed over.
    Units(Vec<i64>),
}

/// What is to be changed.
#[derive(Clone, Debug)]
pub struct Modification {
    /// Units to add, after the removal.
    pub add: Vec<i64>,
    /// Units to remove.
    pub remove: Removal,
    /// The version to start from; none: the newest.
    pub base: Option<i64>,
    /// Whether an added unit takes the place of another one at its path; else the modification is refused.
    pub overwrite: bool,
}

row! {
    struct Found {
        id: i64,
        path: String,
        content_type: String,
    }
}

/// Makes the next version; none if nothing changed. Nothing else may change the repository meanwhile.
///
/// # Errors
/// [`Error::NoRepository`], [`Error::NoVersion`], [`Error::Missing`] for a unit that is not there, [`Error::ContentType`],
/// [`Error::Occupied`], [`Error::Store`]. Then nobody sees anything of it.
pub async fn modify(
    store: &Store,
    id: i64,
    modification: Modification,
    now: i64,
) -> Result<Option<Version>, Error> {
    let found = store.read(move |tx| repository::by_id(tx, id)).await?;
    let repository = found.ok_or(Error::Missing { what: "repository", id })?;
    let draft = Draft::begin(store, &repository, now).await?;
    let made = make(store, &repository, &draft, modification, now).await;
    if made.is_err() {
        // The failure is the news; the next draft clears what this one wrote.
        let _ = draft.abandon(store).await;
    }
    made
}

/// Which of these units are not there.
///
/// # Errors
/// [`Error::Store`].
pub fn unknown(tx: &mut Tx<'_>, units: &[i64]) -> Result<Vec<i64>, Error> {
    let known: std::collections::HashSet<i64> =
        tx.all::<i64>(KNOWN, (Json(units),))?.into_iter().collect();
    Ok(units.iter().copied().filter(|unit| !known.contains(unit)).collect())
}

/// Paths at which other units are than those to be added.
///
/// # Errors
/// [`Error::Missing`], [`Error::Store`].
pub fn occupied(tx: &mut Tx<'_>, repository: i64, add: &[i64]) -> Result<Vec<String>, Error> {
    let members = members(tx, add)?;
    occupied_by(tx, repository, &members)
}

async fn make(
    store: &Store,
    repository: &Repository,
    draft: &Draft,
    modification: Modification,
    now: i64,
) -> Result<Option<Version>, Error> {
    let Modification { add, remove, base, overwrite } = modification;
    if let Some(base) = base.filter(|base| *base != repository.version) {
        start_from(store, repository, draft, base).await?;
    }
    match remove {
        Removal::All => empty(store, draft).await?,
        Removal::Units(units) => {
            for some in units.chunks(MOVED_AT_ONCE) {
                let (some, draft) = (some.to_vec(), draft.clone());
                let removed = store.write(move |tx| {
                    let members = members(tx, &some)?;
                    draft.remove(tx, &members)
                });
                removed.await?;
            }
        }
    }
    for some in add.chunks(MOVED_AT_ONCE) {
        let (some, draft, repository) = (some.to_vec(), draft.clone(), repository.clone());
        store.write(move |tx| put(tx, &repository, &draft, &some, overwrite)).await?;
    }
    let draft = draft.clone();
    store.write(move |tx| draft.complete(tx, base, now)).await
}

/// Brings a draft to what a version holds.
async fn start_from(
    store: &Store,
    repository: &Repository,
    draft: &Draft,
    base: i64,
) -> Result<(), Error> {
    let checked = repository.clone();
    store.read(move |tx| version::required(tx, &checked, base)).await?;
    let (id, bounds) = (repository.id, (repository.version, base));
    let mut after = (String::new(), 0);
    loop {
        let (from, draft) = (after.clone(), draft.clone());
        let last = store
            .write(move |tx| {
                let changes =
                    difference::difference(tx, id, bounds, (&from.0, from.1), LISTED_AT_ONCE)?;
                let last = changes.last().map(|change| (change.path.clone(), change.unit));
                let (added, removed): (Vec<_>, Vec<_>) =
                    changes.into_iter().partition(|change| change.is_added);
                let member = |change: difference::Change| Member {
                    path: change.path,
                    unit: change.unit,
                    content_type: change.content_type,
                };
                draft.remove(tx, &removed.into_iter().map(member).collect::<Vec<_>>())?;
                draft.add(tx, &added.into_iter().map(member).collect::<Vec<_>>())?;
                Ok::<_, Error>(last)
            })
            .await?;
        match last {
            Some(last) => after = last,
            None => return Ok(()),
        }
    }
}

/// Removes everything.
async fn empty(store: &Store, draft: &Draft) -> Result<(), Error> {
    loop {
        let draft = draft.clone();
        let removed = store
            .write(move |tx| {
                let some = draft.content(tx, "", LISTED_AT_ONCE)?;
                draft.remove(tx, &some)?;
                Ok::<_, Error>(some.len())
            })
            .await?;
        if removed == 0 {
            return Ok(());
        }
    }
}

fn put(
    tx: &mut Tx<'_>,
    repository: &Repository,
    draft: &Draft,
    units: &[i64],
    overwrite: bool,
) -> Result<(), Error> {
    let members = members(tx, units)?;
    if members.len() < units.len() {
        let there: std::collections::HashSet<i64> =
            members.iter().map(|member| member.unit).collect();
        let id = units.iter().copied().find(|unit| !there.contains(unit)).unwrap_or_default();
        return Err(Error::Missing { what: "unit", id });
    }
    if let Some(other) = members.iter().find(|one| one.content_type != repository.content_type) {
        return Err(Error::ContentType {
            repository: repository.name.clone(),
            found: repository.content_type.clone(),
            wanted: other.content_type.clone(),
        });
    }
    if !overwrite && let Some(path) = occupied_by(tx, repository.id, &members)?.pop() {
        return Err(Error::Occupied { path });
    }
    let taken = draft.add(tx, &members)?.taken;
    match taken.into_iter().next() {
        Some(path) => Err(Error::Occupied { path }),
        None => Ok(()),
    }
}

fn occupied_by(tx: &mut Tx<'_>, repository: i64, members: &[Member]) -> Result<Vec<String>, Error> {
    let places = members.iter().map(|member| (repository, member.path.as_str(), member.unit));
    let found: Vec<(String, i64)> = tx.all_many(OCCUPIED, places)?;
    Ok(found.into_iter().map(|(path, _)| path).collect())
}

/// The units of ids as members; those that are not there are left out.
fn members(tx: &mut Tx<'_>, units: &[i64]) -> Result<Vec<Member>, Error> {
    let found: Vec<Found> = tx.all_many(MEMBERS, units.iter().map(|id| (*id,)))?;
    let member =
        |one: Found| Member { path: one.path, unit: one.id, content_type: one.content_type };
    Ok(found.into_iter().map(member).collect())
}
