//! What can go wrong between a caller and its database.
//!
//! Causes the caller can act on have a variant of their own (disk full, constraint, conflict, locked file); everything
//! else an engine says is the `source` of [`Error::Statement`] or [`Error::Engine`].

use std::{path::PathBuf, sync::Arc};

/// The engine's own error, shared because one failed commit answers many callers.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Which rule of the schema a row would have broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// A primary key or unique index holds this value already.
    Unique,
    /// The row referred to is absent, or the row to delete is still referred to.
    ForeignKey,
    /// A column that must have a value got none.
    NotNull,
    /// A `CHECK` failed.
    Check,
}

/// An error of the store. `From<Error>` on a caller's own error lets `?` work inside transactions.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is no `sqlite://`, path or `postgres://` address.
    #[error("`{url}` is not a database address: {reason}")]
    Address {
        /// The address, without its password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The database could not be opened or reached.
    #[error("cannot open database {database}")]
    Open {
        /// File, or host and database.
        database: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// Another process has the SQLite file open as its own.
    #[error("database {} is in use by {}", path.display(), holder(*pid))]
    Locked {
        /// The database file.
        path: PathBuf,
        /// The process that holds it, where its lock file tells.
        pid: Option<u32>,
    },
    /// A migration failed; nothing of it was kept.
    #[error("migration {owner}/{number} ({name}) failed")]
    Migration {
        /// The crate it belongs to.
        owner: &'static str,
        /// Its number.
        number: u32,
        /// Its name.
        name: &'static str,
        /// Why.
        #[source]
        source: Cause,
    },
    /// A migration already applied has another text now.
    #[error("migration {owner}/{number} ({name}) was changed after it was applied")]
    MigrationChanged {
        /// The crate it belongs to.
        owner: String,
        /// Its number.
        number: u32,
        /// Its name.
        name: String,
    },
    /// The database was written by a newer version.
    #[error("the database has migration {owner}/{number}, which this version does not know")]
    MigrationUnknown {
        /// The crate it belongs to.
        owner: String,
        /// Its number.
        number: u32,
    },
    /// The database file is damaged: what the integrity check found.
    #[error("the database is damaged: {findings}")]
    Damaged {
        /// The engine's findings, one per line.
        findings: String,
    },
    /// The engine refuses to prepare a statement.
    #[error("statement {name} cannot be prepared")]
    Unprepared {
        /// The constant's name.
        name: &'static str,
        /// Why.
        #[source]
        source: Cause,
    },
    /// A statement failed.
    #[error("statement failed: {}", first_line(sql))]
    Statement {
        /// The statement.
        sql: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// A statement would have broken a rule of the schema.
    #[error("{kind:?} constraint broken by: {}", first_line(sql))]
    Constraint {
        /// Which rule.
        kind: Constraint,
        /// The statement.
        sql: String,
        /// What the engine says, naming table and columns.
        #[source]
        source: Cause,
    },
    /// There is no space left for the database; nothing of the transaction was kept.
    #[error("no space left for the database")]
    DiskFull,
    /// Other transactions kept getting in between, however often this one was run again.
    #[error("transaction given up after {attempts} attempts")]
    Conflict {
        /// How often it was tried.
        attempts: u32,
        /// The last refusal.
        #[source]
        source: Cause,
    },
    /// `BEGIN`, `COMMIT` or the connection failed; nothing of the transaction was kept.
    #[error("transaction failed")]
    Engine {
        /// Why.
        #[source]
        source: Cause,
    },
    /// The connection broke while the commit was under way: it may or may not have happened.
    #[error("the outcome of the commit is unknown")]
    CommitUnknown {
        /// Why.
        #[source]
        source: Cause,
    },
    /// [`Tx::one`](crate::Tx::one) found no row.
    #[error("no row for: {}", first_line(sql))]
    NoRow {
        /// The statement.
        sql: &'static str,
    },
    /// [`Tx::one`](crate::Tx::one) or [`Tx::maybe`](crate::Tx::maybe) found more than one row.
    #[error("more than one row for: {}", first_line(sql))]
    ManyRows {
        /// The statement.
        sql: &'static str,
    },
    /// A column holds something else than the type asked for.
    #[error("column {index} is {found}, not {expected}")]
    Column {
        /// Its position, from 0.
        index: usize,
        /// The type asked for.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A parameter cannot be stored (integer beyond `i64`, NUL in text, NaN).
    #[error("parameter cannot be stored: {reason}")]
    Value {
        /// Why not.
        reason: String,
    },
    /// An earlier statement of this transaction failed, so it can only be given up.
    #[error("an earlier statement of this transaction failed")]
    Aborted,
    /// [`Tx::ring`](crate::Tx::ring) or [`Tx::outbox`](crate::Tx::outbox) in a reading transaction.
    #[error("a reading transaction cannot {action}")]
    ReadOnly {
        /// What was tried.
        action: &'static str,
    },
    /// The caller's closure panicked; its transaction was rolled back.
    #[error("transaction panicked: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
    /// The closure of a [`Batcher`](crate::Batcher) did not answer each operation.
    #[error("{given} answers to {wanted} operations")]
    Answers {
        /// Answers.
        given: usize,
        /// Operations.
        wanted: usize,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl Error {
    /// The error of a [`FromValue`](crate::FromValue) that got something else than `expected`.
    #[must_use]
    pub fn mismatch(expected: &'static str, found: &crate::Value) -> Self {
        Self::Column { index: 0, expected, found: found.describe() }
    }

    /// Whether a unique index or primary key refused the row.
    #[must_use]
    pub fn is_unique(&self) -> bool {
        matches!(self, Self::Constraint { kind: Constraint::Unique, .. })
    }

    /// Whether what was asked is at fault, not the database: the same would be refused again.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Value { .. } | Self::Constraint { .. } => true,
            Self::Statement { source, .. } => {
                crate::postgres::is_refusal(source) || crate::sqlite::is_refusal(source)
            }
            _ => false,
        }
    }

    pub(crate) fn at_column(self, position: usize) -> Self {
        match self {
            Self::Column { expected, found, .. } => {
                Self::Column { index: position, expected, found }
            }
            other => other,
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"))
}

fn first_line(sql: &str) -> &str {
    sql.trim_start().lines().next().unwrap_or_default()
}
