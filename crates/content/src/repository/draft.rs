//! The next version of a repository while it is made.
//!
//! A draft writes its memberships ahead, in as many transactions as it likes, under a number that no complete version has:
//! nobody sees them. Completing it is one small transaction. A draft that was left behind is cleared by the next one, and
//! whoever wrote it cannot write any more: each write asks whether the draft is still its own.

use std::collections::{BTreeMap, HashMap};

use tutti_store::{Json, Store, Tx, row, sql};
use uuid::Uuid;

use super::{Counts, Repository, Version, version};
use crate::Error;

/// Memberships of a draft left behind that are cleared in one transaction.
const CLEARED_AT_ONCE: u32 = 2_000;

sql! {
    BEGIN = "INSERT INTO repository_draft (repository, number, writer, counts, created) VALUES ($1, $2, $3, '{}', $4) \
             ON CONFLICT (repository) DO UPDATE SET number = $2, writer = $3, counts = '{}', created = $4";
    REPOSITORY = "SELECT version, next_version FROM repository WHERE id = $1";
    ADDED = "SELECT path, added FROM repository_content WHERE repository = $1 AND added = $2 LIMIT $3";
    REMOVED = "SELECT path, added FROM repository_content WHERE repository = $1 AND removed = $2 LIMIT $3";
    COUNTS = "SELECT counts FROM repository_draft WHERE repository = $1 AND writer = $2";
    COUNTED = "UPDATE repository_draft SET counts = $2 WHERE repository = $1";
    AROUND = "SELECT path, unit, added, removed FROM repository_content {rows} \
              WHERE repository = $1 AND path = $2 AND (removed IS NULL OR removed = $3)";
    CLOSE = "UPDATE repository_content SET removed = $4 {rows} WHERE repository = $1 AND path = $2 AND added = $3";
    REOPEN = "UPDATE repository_content SET removed = NULL {rows} WHERE repository = $1 AND path = $2 AND added = $3";
    DELETE = "DELETE FROM repository_content {rows} WHERE repository = $1 AND path = $2 AND added = $3";
    PRESENT = "SELECT c.path, c.unit, u.content_type FROM repository_content c JOIN content_unit u ON u.id = c.unit \
               WHERE c.repository = $1 AND c.removed IS NULL AND c.path > $2 ORDER BY c.path LIMIT $3";
    BASE_COUNTS = "SELECT counts FROM repository_version WHERE repository = $1 AND number = $2";
    COMPLETE = "UPDATE repository SET version = $2, next_version = next_version + 1, updated = $3 WHERE id = $1";
    END = "DELETE FROM repository_draft WHERE repository = $1 AND writer = $2";
}

/// A unit at its place in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it is; one unit of a version has it.
    pub path: String,
    /// Id of the unit.
    pub unit: i64,
    /// Its content type.
    pub content_type: String,
}

/// What became of members that were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Paths that a different unit of this draft has taken before: they keep that one.
    pub taken: Vec<String>,
    /// How many were not there before.
    pub count: u64,
}

/// A version that is being made.
#[derive(Clone, Debug)]
pub struct Draft {
    repository: i64,
    number: i64,
    base: i64,
    writer: String,
}

row! {
    /// A membership that is open, or that this draft closed.
    struct Around {
        path: String,
        unit: i64,
        added: i64,
        removed: Option<i64>,
    }
}

/// Where a path stands, seen by a draft.
#[derive(Default)]
struct Place {
    open: Option<Around>,
    closed: Vec<Around>,
}

/// Rows to write, by what is to be done with them.
#[derive(Default)]
struct Changes {
    close: Vec<(i64, String, i64, i64)>,
    reopen: Vec<(i64, String, i64)>,
    delete: Vec<(i64, String, i64)>,
    insert: Vec<Vec<tutti_store::Value>>,
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.close.is_empty()
            && self.reopen.is_empty()
            && self.delete.is_empty()
            && self.insert.is_empty()
    }
}

impl Draft {
    /// Begins the next version of a repository, which starts with what its newest holds. A draft that is there is given up.
    ///
    /// # Errors
    /// [`Error::NoRepository`], [`Error::Store`].
    pub async fn begin(store: &Store, repository: &Repository, now: i64) -> Result<Self, Error> {
        let (id, name) = (repository.id, repository.name.clone());
        let draft = store.write(move |tx| Self::take_over(tx, id, &name, now)).await?;
        draft.clear(store).await?;
        Ok(draft)
    }

    /// As [`begin`](Self::begin), in a transaction that also completes it: nothing may have been left behind that is large.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn begin_in(tx: &mut Tx<'_>, repository: &Repository, now: i64) -> Result<Self, Error> {
        let draft = Self::take_over(tx, repository.id, &repository.name, now)?;
        while draft.clear_some(tx)? {}
        Ok(draft)
    }

    /// The number it will have.
    #[must_use]
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Adds members; one that is there already stays, one of another unit at its path is replaced.
    ///
    /// # Errors
    /// [`Error::DraftLost`], [`Error::Store`].
    pub fn add(&self, tx: &mut Tx<'_>, members: &[Member]) -> Result<Added, Error> {
        self.add_unless(tx, members, |_| false)
    }

    /// As [`add`](Self::add), but a unit of the version before that is settled to stay is not replaced: its path is taken.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_unless(
        &self,
        tx: &mut Tx<'_>,
        members: &[Member],
        is_settled: impl Fn(i64) -> bool,
    ) -> Result<Added, Error> {
        let mut counts = self.counts(tx)?;
        let mut places = self.places(tx, members.iter().map(|member| member.path.as_str()))?;
        let (mut changes, mut added) = (Changes::default(), Added::default());
        for member in members {
            let place = places.entry(member.path.clone()).or_default();
            match &place.open {
                Some(open) if open.unit == member.unit => {}
                Some(open) if open.added == self.number || is_settled(open.unit) => {
                    added.taken.push(member.path.clone());
                }
                _ => {
                    added.count += u64::from(self.put(member, place, &mut changes, &mut counts));
                }
            }
        }
        self.write(tx, changes, &counts)?;
        Ok(added)
    }

    /// Removes members; what is not there is passed over.
    ///
    /// # Errors
    /// [`Error::DraftLost`], [`Error::Store`].
    pub fn remove(&self, tx: &mut Tx<'_>, members: &[Member]) -> Result<(), Error> {
        let mut counts = self.counts(tx)?;
        let mut places = self.places(tx, members.iter().map(|member| member.path.as_str()))?;
        let mut changes = Changes::default();
        for member in members {
            let place = places.entry(member.path.clone()).or_default();
            if let Some(open) = place.open.take_if(|open| open.unit == member.unit) {
                self.take_out(open, &member.content_type, &mut changes, &mut counts);
            }
        }
        self.write(tx, changes, &counts)
    }

    /// Up to `limit` of what it holds so far, by path, after the path `after` (empty: from the first).
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn content(&self, tx: &mut Tx<'_>, after: &str, limit: u32) -> Result<Vec<Member>, Error> {
        let rows: Vec<(String, i64, String)> = tx.all(PRESENT, (self.repository, after, limit))?;
        let member = |(path, unit, content_type)| Member { path, unit, content_type };
        Ok(rows.into_iter().map(member).collect())
    }

    /// Makes it the newest version; none if nothing was added or removed. `base` is the version it was made to begin with,
    /// if not the newest.
    ///
    /// # Errors
    /// [`Error::DraftLost`], [`Error::Store`].
    pub fn complete(
        &self,
        tx: &mut Tx<'_>,
        base: Option<i64>,
        now: i64,
    ) -> Result<Option<Version>, Error> {
        let mut counts = self.counts(tx)?;
        tx.exec(END, (self.repository, self.writer.as_str()))?;
        if counts.values().all(|count| count.added == 0 && count.removed == 0) {
            return Ok(None);
        }
        let before: Option<(Json<Counts>,)> =
            tx.maybe(BASE_COUNTS, (self.repository, self.base))?;
        for (content_type, count) in before.map(|(Json(counts),)| counts).unwrap_or_default() {
            counts.entry(content_type).or_default().present += count.present;
        }
        for count in counts.values_mut() {
            count.present = (count.present + count.added).saturating_sub(count.removed);
        }
        version::record(tx, self.repository, self.number, base, &counts, now)?;
        tx.exec(COMPLETE, (self.repository, self.number, now))?;
        Ok(Some(Version { number: self.number, base, counts: Json(counts), created: now }))
    }

    /// Gives it up. What it wrote ahead is cleared by the next draft at the latest, and seen by nobody before.
    ///
    /// # Errors
    /// [`Error::DraftLost`], [`Error::Store`].
    pub async fn abandon(self, store: &Store) -> Result<(), Error> {
        self.clear(store).await?;
        let (repository, writer) = (self.repository, self.writer);
        store.write(move |tx| tx.exec(END, (repository, writer.as_str()))).await?;
        Ok(())
    }

    fn take_over(tx: &mut Tx<'_>, repository: i64, name: &str, now: i64) -> Result<Self, Error> {
        let found: Option<(i64, i64)> = tx.maybe(REPOSITORY, (repository,))?;
        let (base, number) = found.ok_or_else(|| Error::NoRepository(name.to_owned()))?;
        let writer = Uuid::now_v7().to_string();
        tx.exec(BEGIN, (repository, number, writer.as_str(), now))?;
        Ok(Self { repository, number, base, writer })
    }

    /// Takes back what a draft of the same number left behind.
    async fn clear(&self, store: &Store) -> Result<(), Error> {
        loop {
            let draft = self.clone();
            if !store.write(move |tx| draft.clear_some(tx)).await? {
                return Ok(());
            }
        }
    }

    /// Takes some back; whether there was something.
    fn clear_some(&self, tx: &mut Tx<'_>) -> Result<bool, Error> {
        self.counts(tx)?;
        let here = |(path, added): (String, i64)| (self.repository, path, added);
        let bounds = (self.repository, self.number, CLEARED_AT_ONCE);
        let written: Vec<(String, i64)> = tx.all(ADDED, bounds)?;
        if !written.is_empty() {
            tx.exec_many(DELETE, written.into_iter().map(here))?;
            return Ok(true);
        }
        let closed: Vec<(String, i64)> = tx.all(REMOVED, bounds)?;
        let any = !closed.is_empty();
        tx.exec_many(REOPEN, closed.into_iter().map(here))?;
        Ok(any)
    }

    /// What it counted so far, if it is still its writer's.
    fn counts(&self, tx: &mut Tx<'_>) -> Result<Counts, Error> {
        let counts: Option<(Json<Counts>,)> =
            tx.maybe(COUNTS, (self.repository, self.writer.as_str()))?;
        counts.map(|(Json(counts),)| counts).ok_or(Error::DraftLost { number: self.number })
    }

    fn places<'a>(
        &self,
        tx: &mut Tx<'_>,
        paths: impl Iterator<Item = &'a str>,
    ) -> Result<HashMap<String, Place>, Error> {
        let paths: BTreeMap<&str, ()> = paths.map(|path| (path, ())).collect();
        let rows = paths.into_keys().map(|path| (self.repository, path, self.number));
        let mut places: HashMap<String, Place> = HashMap::new();
        for around in tx.all_many::<Around>(AROUND, rows)? {
            let place = places.entry(around.path.clone()).or_default();
            match around.removed {
                None => place.open = Some(around),
                Some(_) => place.closed.push(around),
            }
        }
        Ok(places)
    }

    /// Puts a member where another unit, or none, is; whether the version before does not have it.
    fn put(
        &self,
        member: &Member,
        place: &mut Place,
        changes: &mut Changes,
        counts: &mut Counts,
    ) -> bool {
        use tutti_store::ToValue;
        if let Some(open) = place.open.take() {
            self.take_out(open, &member.content_type, changes, counts);
        }
        let count = counts.entry(member.content_type.clone()).or_default();
        let added = match place.closed.iter().position(|closed| closed.unit == member.unit) {
            Some(at) => {
                let closed = place.closed.swap_remove(at);
                count.removed = count.removed.saturating_sub(1);
                changes.reopen.push((self.repository, closed.path, closed.added));
                closed.added
            }
            None => {
                count.added += 1;
                let row = (self.repository, &member.path, member.unit, self.number);
                changes.insert.push(vec![
                    row.0.to_value(),
                    row.1.to_value(),
                    row.2.to_value(),
                    row.3.to_value(),
                ]);
                self.number
            }
        };
        place.open =
            Some(Around { path: member.path.clone(), unit: member.unit, added, removed: None });
        added == self.number
    }

    /// Ends an open membership.
    fn take_out(
        &self,
        open: Around,
        content_type: &str,
        changes: &mut Changes,
        counts: &mut Counts,
    ) {
        let count = counts.entry(content_type.to_owned()).or_default();
        if open.added == self.number {
            count.added = count.added.saturating_sub(1);
            changes.delete.push((self.repository, open.path, open.added));
        } else {
            count.removed += 1;
            let is_same =
                |(_, path, added): &(i64, String, i64)| *path == open.path && *added == open.added;
            // What the same call was about to bring back stays closed.
            match changes.reopen.iter().position(is_same) {
                Some(at) => drop(changes.reopen.swap_remove(at)),
                None => changes.close.push((self.repository, open.path, open.added, self.number)),
            }
        }
    }

    /// Memberships end before others begin at the same path.
    fn write(&self, tx: &mut Tx<'_>, changes: Changes, counts: &Counts) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        tx.exec_many(CLOSE, changes.close)?;
        tx.exec_many(DELETE, changes.delete)?;
        tx.exec_many(REOPEN, changes.reopen)?;
        tx.insert_many(
            "repository_content",
            &["repository", "path", "unit", "added"],
            changes.insert,
        )?;
        tx.exec(COUNTED, (self.repository, Json(counts)))?;
        Ok(())
    }
}
