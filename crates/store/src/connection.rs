//! One connection on either engine.

use crate::{Error, Result, Row, Value, sqlite::Sqlite};

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
}

impl Connection {
    pub(crate) fn control(&mut self, sql: &'static str) -> Result<()> {
        match self {
            Self::Sqlite(sqlite) => sqlite.control(sql),
        }
    }

    pub(crate) fn begin_write(&mut self) -> Result<()> {
        match self {
            Self::Sqlite(sqlite) => sqlite.control("BEGIN IMMEDIATE"),
        }
    }

    /// As [`begin_write`](Self::begin_write), alone among all controllers.
    pub(crate) fn begin_migration(&mut self) -> Result<()> {
        match self {
            Self::Sqlite(sqlite) => sqlite.control("BEGIN IMMEDIATE"),
        }
    }

    pub(crate) fn has_table(&mut self, name: &str) -> Result<bool> {
        let sql = match self {
            Self::Sqlite(_) => "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = $1",
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
        }
    }

    /// Makes the transaction durable; nothing of it is kept on an error other than [`Error::CommitUnknown`].
    pub(crate) fn commit(&mut self) -> Result<()> {
        match self {
            Self::Sqlite(sqlite) => sqlite.control("COMMIT"),
        }
    }

    /// Gives up the transaction, if one is open.
    pub(crate) fn rollback(&mut self) {
        let done = match self {
            Self::Sqlite(sqlite) if sqlite.in_transaction() => sqlite.control("ROLLBACK"),
            Self::Sqlite(_) => Ok(()),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "rollback failed");
        }
    }

    /// Whether a failed statement left the rest of the transaction standing, so that a savepoint can be gone back to.
    pub(crate) fn in_transaction(&self) -> bool {
        match self {
            Self::Sqlite(sqlite) => sqlite.in_transaction(),
        }
    }

    pub(crate) fn script(&mut self, sql: &str) -> Result<()> {
        match self {
            Self::Sqlite(sqlite) => sqlite.script(sql),
        }
    }

    pub(crate) fn prepare(&mut self, sql: &'static str) -> Result<()> {
        match self {
            Self::Sqlite(sqlite) => sqlite.prepare(sql),
        }
    }

    pub(crate) fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<u64> {
        Value::check(values)?;
        match self {
            Self::Sqlite(sqlite) => sqlite.execute(sql, values),
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
        }
    }

    pub(crate) fn insert_many(
        &mut self,
        table: &'static str,
        columns: &'static [&'static str],
        rows: &mut dyn Iterator<Item = Vec<Value>>,
    ) -> Result<u64> {
        let width = columns.len();
        let mut uneven = false;
        let mut even = rows.take_while(|row| {
            uneven = row.len() != width;
            !uneven
        });
        let count = match self {
            Self::Sqlite(sqlite) => sqlite.insert_many(table, columns, &mut even),
        }?;
        if uneven {
            return Err(Error::Value {
                reason: format!("a row for {table} without {width} values"),
            });
        }
        Ok(count)
    }
}
