//! A SQLite connection: how it is opened, and statements on it.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use rusqlite::config::DbConfig;
use rusqlite::{
    Connection, ErrorCode, ToSql, ffi,
    types::{ToSqlOutput, ValueRef},
};

use crate::{
    Error, Result, Row, Value,
    connection::Rows,
    error::{Cause, Constraint},
    row::RowSource,
    statement::{self, Key},
};

/// Prepared statements kept per connection; a controller has a few hundred.
const STATEMENTS_MAX: usize = 512;

/// How long to wait for another program (a backup, the `sqlite3` shell) that holds the file for a moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct Sqlite {
    connection: Connection,
    texts: HashMap<Key, Box<str>>,
}

impl Sqlite {
    /// The connection that writes. WAL lets readers go on meanwhile; `FULL` makes every answered commit durable.
    pub(crate) fn open_writer(path: &Path) -> Result<Self> {
        Self::open(
            path,
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
             PRAGMA journal_size_limit = 16777216; PRAGMA wal_autocheckpoint = 4000;
             PRAGMA cache_size = -4000; PRAGMA temp_store = MEMORY;",
        )
    }

    /// A connection that reads.
    pub(crate) fn open_reader(path: &Path) -> Result<Self> {
        Self::open(
            path,
            "PRAGMA query_only = ON; PRAGMA cache_size = -2000; PRAGMA temp_store = MEMORY;",
        )
    }

    fn open(path: &Path, settings: &str) -> Result<Self> {
        let opened = Connection::open(path).and_then(|connection| {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
            // Otherwise a statement beside a partial index is compiled again for each value it is given.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
            connection.execute_batch(settings)?;
            Ok(connection)
        });
        match opened {
            Ok(connection) => Ok(Self { connection, texts: HashMap::new() }),
            Err(error) if is_full(&error) => Err(Error::DiskFull),
            Err(error) => {
                Err(Error::Open { database: path.display().to_string(), source: Arc::new(error) })
            }
        }
    }

    /// `BEGIN`, `SAVEPOINT` and their kin.
    pub(crate) fn control(&mut self, sql: &'static str) -> Result<()> {
        let done =
            self.connection.prepare_cached(sql).and_then(|mut prepared| prepared.execute(()));
        done.map(|_| ()).map_err(engine_error)
    }

    /// Whether a transaction is open. SQLite itself rolls back everything after some errors, a full disk among them.
    pub(crate) fn in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// Several statements at once, for migrations.
    pub(crate) fn script(&mut self, sql: &str) -> Result<()> {
        self.connection.execute_batch(sql).map_err(|error| statement_error(sql, error))
    }

    pub(crate) fn prepare(&mut self, sql: &'static str) -> Result<()> {
        let text = statement::for_sqlite(sql);
        self.connection.prepare(&text).map(drop).map_err(|error| statement_error(sql, error))
    }

    pub(crate) fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<u64> {
        let text = text(&mut self.texts, sql);
        let prepared = self.connection.prepare_cached(text);
        prepared
            .and_then(|mut prepared| execute(&mut prepared, values))
            .map_err(|error| statement_error(sql, error))
    }

    /// One prepared statement in a loop.
    pub(crate) fn execute_many(&mut self, sql: &'static str, rows: Rows<'_>) -> Result<u64> {
        let text = text(&mut self.texts, sql);
        let failed = |error| statement_error(sql, error);
        let mut prepared = self.connection.prepare_cached(text).map_err(failed)?;
        let mut count = 0;
        for values in rows {
            Value::check(&values)?;
            count += execute(&mut prepared, &values).map_err(failed)?;
        }
        Ok(count)
    }

    /// One prepared statement in a loop, until `visit` answers `false`.
    pub(crate) fn query_many(
        &mut self,
        sql: &'static str,
        rows: Rows<'_>,
        visit: &mut dyn FnMut(&Row<'_>) -> bool,
    ) -> Result<()> {
        let text = text(&mut self.texts, sql);
        let failed = |error| statement_error(sql, error);
        let mut prepared = self.connection.prepare_cached(text).map_err(failed)?;
        for values in rows {
            Value::check(&values)?;
            if !query(&mut prepared, &values, visit).map_err(failed)? {
                break;
            }
        }
        Ok(())
    }

    /// Hands each row to `visit` until it answers `false`.
    pub(crate) fn query(
        &mut self,
        sql: &'static str,
        values: &[Value],
        visit: &mut dyn FnMut(&Row<'_>) -> bool,
    ) -> Result<()> {
        let text = text(&mut self.texts, sql);
        let prepared = self.connection.prepare_cached(text);
        prepared
            .and_then(|mut prepared| query(&mut prepared, values, visit))
            .map(drop)
            .map_err(|error| statement_error(sql, error))
    }

    /// One cached statement in a loop, which on SQLite reaches four fifths of the best multi-row statement.
    pub(crate) fn insert_many(
        &mut self,
        table: &'static str,
        columns: &'static [&'static str],
        rows: Rows<'_>,
    ) -> Result<u64> {
        let places: Vec<_> = (1..=columns.len()).map(|n| format!("?{n}")).collect();
        let text =
            format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), places.join(", "));
        let failed = |error| statement_error(&text, error);
        let mut prepared = self.connection.prepare_cached(&text).map_err(failed)?;
        let mut count = 0;
        for values in rows {
            Value::check(&values)?;
            count += prepared.execute(bindable(&values)).map_err(failed)? as u64;
        }
        Ok(count)
    }
}

fn text<'a>(texts: &'a mut HashMap<Key, Box<str>>, sql: &'static str) -> &'a str {
    texts.entry(statement::key(sql)).or_insert_with(|| statement::for_sqlite(sql).into())
}

fn execute(prepared: &mut rusqlite::Statement<'_>, values: &[Value]) -> rusqlite::Result<u64> {
    if prepared.column_count() == 0 {
        return prepared.execute(bindable(values)).map(|rows| rows as u64);
    }
    let mut rows = prepared.query(bindable(values))?;
    let mut count = 0;
    while rows.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// Whether `visit` wants more.
fn query(
    prepared: &mut rusqlite::Statement<'_>,
    values: &[Value],
    visit: &mut dyn FnMut(&Row<'_>) -> bool,
) -> rusqlite::Result<bool> {
    let mut rows = prepared.query(bindable(values))?;
    while let Some(row) = rows.next()? {
        if !visit(&Row(RowSource::Sqlite(row))) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn bindable(values: &[Value]) -> impl rusqlite::Params {
    rusqlite::params_from_iter(values)
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null | Self::Unfit(_) => ValueRef::Null,
            Self::Integer(n) => ValueRef::Integer(*n),
            Self::Bool(flag) => ValueRef::Integer((*flag).into()),
            Self::Real(n) => ValueRef::Real(*n),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// The value of a column; `None` if there is no such column or its text is not UTF-8.
pub(crate) fn column(row: &rusqlite::Row<'_>, index: usize) -> Option<Value> {
    Some(match row.get_ref(index).ok()? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(n) => Value::Integer(n),
        ValueRef::Real(n) => Value::Real(n),
        ValueRef::Text(bytes) => Value::Text(str::from_utf8(bytes).ok()?.to_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    })
}

/// Whether a value does not fit its type, or a limit of the engine.
pub(crate) fn is_refusal(cause: &Cause) -> bool {
    let error =
        cause.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
    matches!(error, Some(ErrorCode::TooBig | ErrorCode::TypeMismatch))
}

fn is_full(error: &rusqlite::Error) -> bool {
    // The shared-memory index beside the file needs space, too, and reports it in its own words.
    error.sqlite_error().is_some_and(|engine| {
        engine.code == ErrorCode::DiskFull || engine.extended_code == ffi::SQLITE_IOERR_SHMSIZE
    })
}

fn engine_error(error: rusqlite::Error) -> Error {
    if is_full(&error) { Error::DiskFull } else { Error::Engine { source: Arc::new(error) } }
}

fn statement_error(sql: &str, error: rusqlite::Error) -> Error {
    if is_full(&error) {
        return Error::DiskFull;
    }
    let kind = error.sqlite_error().and_then(|engine| match engine.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
            Some(Constraint::Unique)
        }
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => Some(Constraint::ForeignKey),
        ffi::SQLITE_CONSTRAINT_NOTNULL => Some(Constraint::NotNull),
        ffi::SQLITE_CONSTRAINT_CHECK => Some(Constraint::Check),
        _ => None,
    });
    let sql = sql.to_owned();
    let source: Cause = Arc::new(error);
    match kind {
        Some(kind) => Error::Constraint { kind, sql, source },
        None => Error::Statement { sql, source },
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn a_statement_beside_a_partial_index_is_compiled_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut sqlite = Sqlite::open_writer(&directory.path().join("test.db")).unwrap();
        let schema = "CREATE TABLE task (id INTEGER, state TEXT);
            CREATE INDEX task_open ON task (id) WHERE state = 'open';";
        sqlite.connection.execute_batch(schema).unwrap();
        let find = "SELECT id FROM task WHERE id = $1 AND state = $2";
        for id in 0..5 {
            let values = [Value::Integer(id), Value::Text("open".into())];
            sqlite.query(find, &values, &mut |_| true).unwrap();
        }
        let prepared = sqlite.connection.prepare_cached(&statement::for_sqlite(find)).unwrap();
        assert_eq!(prepared.get_status(StatementStatus::Run), 5);
        assert_eq!(prepared.get_status(StatementStatus::RePrepare), 0);
    }
}
