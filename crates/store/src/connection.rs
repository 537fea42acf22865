//! One connection on either engine.

use std::sync::Arc;

use crate::{Error, Result, Row, Value, postgres::Postgres, sqlite::Sqlite, statement};

/// Rows of parameters as the engines take them.
pub(crate) type Rows<'a> = &'a mut dyn Iterator<Item = Vec<Value>>;

/// The engine behind a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A file of this process.
    Sqlite,
    /// A server, shared by several controllers.
    Postgres,
}

/// What a thread owns: the one place where the engines are told apart.
pub(crate) enum Connection {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
}

const NOW: &str = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)";

/// Held until the migrating transaction ends.
const LOCK_MIGRATIONS: &str =
    "SELECT pg_advisory_xact_lock(hashtext('tutti-store'), hashtext(current_schema()))";

impl Connection {
    pub(crate) fn control(&mut self, sql: &'static str) -> Result<()> {
        match self {
            Self::Sqlite(sqlite) => sqlite.control(sql),
            Self::Postgres(postgres) => {
                postgres.control(sql);
                Ok(())
            }
        }
    }

    /// SQLite has one writer; on PostgreSQL transactions of several controllers shall mean the same.
    pub(crate) fn begin_write(&mut self) -> Result<()> {
        match self {
            Self::Sqlite(sqlite) => sqlite.control("BEGIN IMMEDIATE"),
            Self::Postgres(postgres) => postgres.begin("BEGIN"),
        }
    }

    /// As [`begin_write`](Self::begin_write), alone among all controllers.
    pub(crate) fn begin_migration(&mut self) -> Result<()> {
        match self {
            Self::Sqlite(sqlite) => sqlite.control("BEGIN IMMEDIATE"),
            Self::Postgres(postgres) => {
                postgres.begin("BEGIN ISOLATION LEVEL READ COMMITTED")?;
                postgres.execute(LOCK_MIGRATIONS, &[]).map(drop)
            }
        }
    }

    pub(crate) fn has_table(&mut self, name: &str) -> Result<bool> {
        let sql = match self {
            Self::Sqlite(_) => "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = $1",
            Self::Postgres(_) => {
                "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1"
            }
        };
        let mut found = false;
        self.query(sql, &[Value::Text(name.into())], &mut |_| {
            found = true;
            false
        })?;
        Ok(found)
    }

    pub(crate) fn begin_read(&mut self) -> Result<()> {
        match self {
            Self::Sqlite(sqlite) => sqlite.control("BEGIN"),
            Self::Postgres(postgres) => {
                postgres.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            }
        }
    }

    /// Makes the transaction durable; nothing of it is kept on an error other than [`Error::CommitUnknown`].
    pub(crate) fn commit(&mut self) -> Result<()> {
        match self {
            Self::Sqlite(sqlite) => sqlite.control("COMMIT"),
            Self::Postgres(postgres) => postgres.commit(),
        }
    }

    /// Gives up the transaction, if one is open.
    pub(crate) fn rollback(&mut self) {
        let done = match self {
            Self::Sqlite(sqlite) if sqlite.in_transaction() => sqlite.control("ROLLBACK"),
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(postgres) => postgres.rollback(),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "rollback failed");
        }
    }

    /// Whether the engine gave up the whole transaction after a failed statement, so that there is no savepoint to go back
    /// to.
    pub(crate) fn gave_up(&self) -> bool {
        match self {
            Self::Sqlite(sqlite) => !sqlite.in_transaction(),
            Self::Postgres(_) => false,
        }
    }

    /// Whether the connection broke.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(postgres) => postgres.is_lost(),
        }
    }

    /// A file has no clock but that of its process.
    pub(crate) fn now(&mut self) -> Result<i64> {
        let Self::Postgres(postgres) = self else { return Ok(crate::store::now()) };
        let mut now = Ok(0);
        postgres.query(NOW, &[], &mut |row| {
            now = row.get(0);
            true
        })?;
        now
    }

    pub(crate) fn script(&mut self, sql: &str) -> Result<()> {
        match self {
            Self::Sqlite(sqlite) => sqlite.script(sql),
            Self::Postgres(postgres) => postgres.script(sql),
        }
    }

    pub(crate) fn prepare(&mut self, sql: &'static str) -> Result<()> {
        match self {
            Self::Sqlite(sqlite) => sqlite.prepare(sql),
            Self::Postgres(postgres) => postgres.prepare(sql),
        }
    }

    pub(crate) fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<u64> {
        Value::check(values)?;
        match self {
            Self::Sqlite(sqlite) => sqlite.execute(sql, values),
            Self::Postgres(postgres) => postgres.execute(sql, values),
        }
    }

    pub(crate) fn query(
        &mut self,
        sql: &'static str,
        values: &[Value],
        visit: &mut dyn FnMut(&Row<'_>) -> bool,
    ) -> Result<()> {
        Value::check(values)?;
        match self {
            Self::Sqlite(sqlite) => sqlite.query(sql, values, visit),
            Self::Postgres(postgres) => postgres.query(sql, values, visit),
        }
    }

    pub(crate) fn execute_many(&mut self, sql: &'static str, rows: Rows<'_>) -> Result<u64> {
        check_rows(sql)?;
        match self {
            Self::Sqlite(sqlite) => sqlite.execute_many(sql, rows),
            Self::Postgres(postgres) => postgres.execute_many(sql, rows),
        }
    }

    /// As [`execute_many`](Self::execute_many), without its answer: errors may show with the next statement, with
    /// [`settle`](Self::settle) or with the commit.
    pub(crate) fn execute_many_later(&mut self, sql: &'static str, rows: Rows<'_>) -> Result<()> {
        check_rows(sql)?;
        match self {
            Self::Sqlite(sqlite) => sqlite.execute_many(sql, rows).map(drop),
            Self::Postgres(postgres) => postgres.execute_many_later(sql, rows),
        }
    }

    /// Waits for the answers nobody has waited for.
    pub(crate) fn settle(&mut self) -> Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(postgres) => postgres.settle(),
        }
    }

    /// Stops with the first row for which `visit` answers `false`, or soon after.
    pub(crate) fn query_many(
        &mut self,
        sql: &'static str,
        rows: Rows<'_>,
        visit: &mut dyn FnMut(&Row<'_>) -> bool,
    ) -> Result<()> {
        check_rows(sql)?;
        match self {
            Self::Sqlite(sqlite) => sqlite.query_many(sql, rows, visit),
            Self::Postgres(postgres) => postgres.query_many(sql, rows, visit),
        }
    }

    pub(crate) fn insert_many(
        &mut self,
        table: &'static str,
        columns: &'static [&'static str],
        rows: Rows<'_>,
    ) -> Result<u64> {
        even(table, columns.len(), rows, |rows| match self {
            Self::Sqlite(sqlite) => sqlite.insert_many(table, columns, rows),
            Self::Postgres(postgres) => postgres.insert_many(table, columns, rows),
        })
    }

    /// As [`insert_many`](Self::insert_many), without its answer, as in
    /// [`execute_many_later`](Self::execute_many_later).
    pub(crate) fn insert_many_later(
        &mut self,
        table: &'static str,
        columns: &'static [&'static str],
        rows: Rows<'_>,
    ) -> Result<()> {
        even(table, columns.len(), rows, |rows| match self {
            Self::Sqlite(sqlite) => sqlite.insert_many(table, columns, rows).map(drop),
            Self::Postgres(postgres) => postgres.insert_many_later(table, columns, rows),
        })
    }
}

/// Refuses rows that have not exactly one value for each column.
fn even<T>(
    table: &str,
    width: usize,
    rows: Rows<'_>,
    insert: impl FnOnce(Rows<'_>) -> Result<T>,
) -> Result<T> {
    let mut uneven = false;
    let mut rows = rows.take_while(|row| {
        uneven = row.len() != width;
        !uneven
    });
    let inserted = insert(&mut rows)?;
    if uneven {
        return Err(Error::Value { reason: format!("a row for {table} without {width} values") });
    }
    Ok(inserted)
}

fn check_rows(sql: &'static str) -> Result<()> {
    let Some(reason) = statement::unfit_for_rows(sql) else { return Ok(()) };
    Err(Error::Statement {
        sql: sql.to_owned(),
        source: Arc::from(Box::<dyn std::error::Error + Send + Sync>::from(reason)),
    })
}
