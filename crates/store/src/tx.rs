//! A transaction as its closure sees it.

use serde::Serialize;

use crate::{Error, FromRow, Params, Result, Value, connection::Connection};

/// What a transaction announces once it is committed.
#[derive(Default)]
pub(crate) struct Announcements {
    pub(crate) rings: Vec<&'static str>,
    pub(crate) events: Vec<(String, String)>,
}

/// A transaction: synchronous, so that nothing slow can be awaited while it holds the writer or row locks.
///
/// After a statement failed, the transaction can only be given up: every later statement answers
/// [`Error::Aborted`]. (PostgreSQL does so by itself, and the engines shall not differ.)
pub struct Tx<'a> {
    connection: &'a mut Connection,
    announcements: Option<&'a mut Announcements>,
    failed: Option<Error>,
}

impl<'a> Tx<'a> {
    pub(crate) fn reading(connection: &'a mut Connection) -> Self {
        Self { connection, announcements: None, failed: None }
    }

    pub(crate) fn writing(
        connection: &'a mut Connection,
        announcements: &'a mut Announcements,
    ) -> Self {
        Self { connection, announcements: Some(announcements), failed: None }
    }

    /// The statement error that made this transaction unfit to commit.
    pub(crate) fn into_failed(self) -> Option<Error> {
        self.failed
    }

    /// Runs a statement; answers how many rows it touched.
    ///
    /// # Errors
    /// [`Error::Statement`], [`Error::Constraint`], [`Error::DiskFull`], [`Error::Value`].
    pub fn exec(&mut self, sql: &'static str, params: impl Params) -> Result<u64> {
        let values = params.into_values();
        self.guarded(|connection| connection.execute(sql, &values))
    }

    /// The one row of the answer.
    ///
    /// # Errors
    /// As [`exec`](Self::exec); [`Error::NoRow`], [`Error::ManyRows`], [`Error::Column`].
    pub fn one<R: FromRow>(&mut self, sql: &'static str, params: impl Params) -> Result<R> {
        self.maybe(sql, params)?.ok_or(Error::NoRow { sql })
    }

    /// The one row of the answer, if there is one.
    ///
    /// # Errors
    /// As [`exec`](Self::exec); [`Error::ManyRows`], [`Error::Column`].
    pub fn maybe<R: FromRow>(
        &mut self,
        sql: &'static str,
        params: impl Params,
    ) -> Result<Option<R>> {
        let mut found = None;
        self.each(sql, params, |row| match found.replace(row) {
            None => Ok(()),
            Some(_) => Err(Error::ManyRows { sql }),
        })?;
        Ok(found)
    }

    /// All rows of the answer.
    ///
    /// # Errors
    /// As [`exec`](Self::exec); [`Error::Column`].
    pub fn all<R: FromRow>(&mut self, sql: &'static str, params: impl Params) -> Result<Vec<R>> {
        let mut rows = Vec::new();
        self.each(sql, params, |row| {
            rows.push(row);
            Ok::<_, Error>(())
        })?;
        Ok(rows)
    }

    /// Hands each row of the answer to `f` without collecting them; stops at its first error.
    ///
    /// # Errors
    /// As [`exec`](Self::exec); [`Error::Column`]; what `f` answers.
    pub fn each<R: FromRow, E: From<Error>>(
        &mut self,
        sql: &'static str,
        params: impl Params,
        mut f: impl FnMut(R) -> Result<(), E>,
    ) -> Result<(), E> {
        let values = params.into_values();
        let mut stopped = None;
        let mut visit =
            |row: &crate::Row<'_>| match R::from_row(row).map_err(E::from).and_then(&mut f) {
                Ok(()) => true,
                Err(error) => {
                    stopped = Some(error);
                    false
                }
            };
        self.guarded(|connection| connection.query(sql, &values, &mut visit))?;
        stopped.map_or(Ok(()), Err)
    }

    /// The database's own clock, in microseconds since 1970, UTC: the one clock all controllers share.
    ///
    /// # Errors
    /// As [`exec`](Self::exec).
    pub fn now(&mut self) -> Result<i64> {
        self.guarded(Connection::now)
    }

    /// Inserts many rows, in the way that is fast on the engine; answers how many.
    ///
    /// # Errors
    /// As [`exec`](Self::exec); [`Error::Value`] if a row has not exactly one value for each column.
    pub fn insert_many(
        &mut self,
        table: &'static str,
        columns: &'static [&'static str],
        rows: impl IntoIterator<Item = Vec<Value>>,
    ) -> Result<u64> {
        let mut rows = rows.into_iter();
        self.guarded(|connection| connection.insert_many(table, columns, &mut rows))
    }

    /// Runs one statement for many rows of parameters, in the way that is fast on the engine; answers how many rows of the
    /// table it touched. The statement is written for one row, with `{rows}` between the table (and what is set) and
    /// `WHERE`, where PostgreSQL takes the rows from; it can be run for one row by [`exec`](Self::exec), too:
    ///
    /// ```sql
    /// UPDATE task SET state = $3 {rows} WHERE flow = $1 AND number = $2
    /// DELETE FROM task {rows} WHERE flow = $1 AND number = $2
    /// INSERT INTO task (flow, number) SELECT $1, $2 {rows} WHERE TRUE ON CONFLICT (flow, number) DO NOTHING
    /// SELECT flow, number, state FROM task {rows} WHERE flow = $1 AND number = $2
    /// ```
    ///
    /// The rows must concern different rows of the table: SQLite runs the statement for one after the other, PostgreSQL
    /// runs it once for up to 1000 of them, and none sees what another did. `RETURNING` and `SELECT` name their columns, as
    /// `*` would show the parameters.
    ///
    /// # Errors
    /// As [`exec`](Self::exec); [`Error::Statement`] if `{rows}` is missing or a row has not one value for each parameter.
    pub fn exec_many(
        &mut self,
        sql: &'static str,
        rows: impl IntoIterator<Item = impl Params>,
    ) -> Result<u64> {
        let mut rows = rows.into_iter().map(Params::into_values);
        self.guarded(|connection| connection.execute_many(sql, &mut rows))
    }

    /// As [`exec_many`](Self::exec_many), for whoever needs no answer: on PostgreSQL the statement goes to the server with the
    /// next one that answers, or with the commit, and saves a round trip. Its error shows there.
    ///
    /// # Errors
    /// As [`exec_many`](Self::exec_many), also of earlier statements of this kind.
    pub fn send_many(
        &mut self,
        sql: &'static str,
        rows: impl IntoIterator<Item = impl Params>,
    ) -> Result<()> {
        let mut rows = rows.into_iter().map(Params::into_values);
        self.guarded(|connection| connection.execute_many_later(sql, &mut rows))
    }

    /// As [`insert_many`](Self::insert_many), for whoever needs no answer: see [`send_many`](Self::send_many).
    ///
    /// # Errors
    /// As [`insert_many`](Self::insert_many), also of earlier statements of this kind.
    pub fn send_rows(
        &mut self,
        table: &'static str,
        columns: &'static [&'static str],
        rows: impl IntoIterator<Item = Vec<Value>>,
    ) -> Result<()> {
        let mut rows = rows.into_iter();
        self.guarded(|connection| connection.insert_many_later(table, columns, &mut rows))
    }

    /// As [`exec_many`](Self::exec_many), for statements that answer: all rows of all answers, in no order that could be
    /// relied on.
    ///
    /// # Errors
    /// As [`exec_many`](Self::exec_many); [`Error::Column`].
    pub fn all_many<R: FromRow>(
        &mut self,
        sql: &'static str,
        rows: impl IntoIterator<Item = impl Params>,
    ) -> Result<Vec<R>> {
        let mut rows = rows.into_iter().map(Params::into_values);
        let mut found = Vec::new();
        let mut failed = None;
        let mut visit = |row: &crate::Row<'_>| match R::from_row(row) {
            Ok(row) => {
                found.push(row);
                true
            }
            Err(error) => {
                failed = Some(error);
                false
            }
        };
        self.guarded(|connection| connection.query_many(sql, &mut rows, &mut visit))?;
        failed.map_or(Ok(found), Err)
    }

    /// Rings the topic's [`Bell`](crate::Bell)s once this transaction is committed. In a reading transaction nothing
    /// changes, so nothing rings.
    pub fn ring(&mut self, topic: &'static str) {
        if let Some(announcements) = &mut self.announcements
            && !announcements.rings.contains(&topic)
        {
            announcements.rings.push(topic);
        }
    }

    /// Announces what this transaction changes: the event is kept in the `outbox` table in the same commit, in commit
    /// order, and the topic [`OUTBOX`](crate::OUTBOX) rings. Read it with [`Store::outbox_after`](crate::Store::outbox_after).
    ///
    /// # Errors
    /// [`Error::Value`] if the event does not serialize; [`Error::ReadOnly`] in a reading transaction.
    pub fn outbox(&mut self, topic: &str, event: &impl Serialize) -> Result<()> {
        let body = serde_json::to_string(event)
            .map_err(|error| Error::Value { reason: format!("not JSON: {error}") })?;
        let announcements = self
            .announcements
            .as_deref_mut()
            .ok_or(Error::ReadOnly { action: "write to the outbox" })?;
        announcements.events.push((topic.to_owned(), body));
        self.ring(crate::OUTBOX);
        Ok(())
    }

    pub(crate) fn prepare(&mut self, sql: &'static str) -> Result<()> {
        self.connection.prepare(sql)
    }

    fn guarded<T>(&mut self, run: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        if self.failed.is_some() {
            return Err(Error::Aborted);
        }
        let done = run(self.connection);
        if let Err(error) = &done {
            self.failed = Some(error.clone());
        }
        done
    }
}

impl std::fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx").field("failed", &self.failed).finish_non_exhaustive()
    }
}
