//! Migrations: forwards only, each crate's in the order of its numbers, all in one transaction.

use std::{path::Path, sync::Arc};

use crate::{Error, FromRow, Result, Value, connection::Connection, store::now};

/// One step of a crate's schema. `sql` is in the dialect both engines understand; applied once, never changed after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The crate it belongs to; crates number their migrations independently.
    pub owner: &'static str,
    /// From 1, without gaps being required; applied in growing order.
    pub number: u32,
    /// What it does, in a word or two.
    pub name: &'static str,
    /// The statements.
    pub sql: &'static str,
}

/// The store's own tables.
pub(crate) const OWN: &[Migration] = &[Migration {
    owner: "tutti-store",
    number: 1,
    name: "outbox",
    sql: include_str!("../migrations/1_outbox.sql"),
}];

crate::sql! {
    TABLE = "CREATE TABLE IF NOT EXISTS migration (
        owner TEXT NOT NULL, number BIGINT NOT NULL, name TEXT NOT NULL, hash TEXT NOT NULL, applied BIGINT NOT NULL,
        PRIMARY KEY (owner, number))";
    APPLIED = "SELECT owner, number, hash FROM migration";
    RECORD = "INSERT INTO migration (owner, number, name, hash, applied) VALUES ($1, $2, $3, $4, $5)";
}

/// Applies what is not applied yet. A database that is up to date is only read.
pub(crate) fn migrate(
    connection: &mut Connection,
    file: Option<&Path>,
    migrations: &[Migration],
) -> Result<()> {
    let mut known: Vec<Migration> = OWN.iter().chain(migrations).copied().collect();
    known.sort_by_key(|migration| {
        (migration.owner != OWN[0].owner, migration.owner, migration.number)
    });
    let existing = connection.has_table("migration")?;
    let missing = if existing { pending(connection, &known)? } else { known.clone() };
    if missing.is_empty() {
        return Ok(());
    }
    if let (true, Some(file), Some(first)) = (existing, file, missing.first()) {
        keep_copy(connection, file, first)?;
    }
    connection.begin_migration()?;
    let applied = apply(connection, &known).and_then(|()| connection.commit());
    if applied.is_err() {
        connection.rollback();
    }
    applied
}

fn apply(connection: &mut Connection, known: &[Migration]) -> Result<()> {
    connection.execute(TABLE, &[])?;
    // Asked again inside the transaction: another controller may have been faster.
    for migration in pending(connection, known)? {
        connection.script(&for_engine(connection, migration.sql)).map_err(|error| match error {
            Error::DiskFull => Error::DiskFull,
            error => Error::Migration {
                owner: migration.owner,
                number: migration.number,
                name: migration.name,
                source: Arc::new(error),
            },
        })?;
        let values = [
            Value::Text(migration.owner.into()),
            Value::Integer(migration.number.into()),
            Value::Text(migration.name.into()),
            Value::Text(hash(migration.sql)),
            Value::Integer(now()),
        ];
        connection.execute(RECORD, &values)?;
        tracing::info!(owner = migration.owner, number = migration.number, "migration applied");
    }
    Ok(())
}

/// Storage parameters have no portable form: lines that begin with `-- PostgreSQL: ` are statements there.
fn for_engine(connection: &Connection, sql: &str) -> String {
    match connection {
        Connection::Sqlite(_) => sql.to_owned(),
        Connection::Postgres(_) => sql.replace("-- PostgreSQL: ", ""),
    }
}

fn pending(connection: &mut Connection, known: &[Migration]) -> Result<Vec<Migration>> {
    let mut missing = known.to_vec();
    let mut refused = Ok(());
    connection.query(APPLIED, &[], &mut |row| {
        refused =
            FromRow::from_row(row).and_then(|applied| check_applied(known, &mut missing, applied));
        refused.is_ok()
    })?;
    refused.map(|()| missing)
}

/// Crosses an applied migration off; owners this program does not use are none of its business.
fn check_applied(
    known: &[Migration],
    missing: &mut Vec<Migration>,
    (owner, number, applied): (String, u32, String),
) -> Result<()> {
    let same = |one: &Migration| one.owner == owner && one.number == number;
    missing.retain(|one| !same(one));
    match known.iter().find(|one| same(one)) {
        Some(migration) if hash(migration.sql) == applied => Ok(()),
        Some(migration) => {
            Err(Error::MigrationChanged { name: migration.name.to_owned(), owner, number })
        }
        None if known.iter().any(|one| one.owner == owner) => {
            Err(Error::MigrationUnknown { owner, number })
        }
        None => Ok(()),
    }
}

/// Keeps the database as it was before `first`, as `<file>.before-<owner>-<number>`.
fn keep_copy(connection: &mut Connection, file: &Path, first: &Migration) -> Result<()> {
    let copy = crate::lock::beside(file, &format!("before-{}-{}", first.owner, first.number));
    let unfinished = crate::lock::beside(&copy, "part");
    let failed = |error: std::io::Error| Error::Open {
        database: copy.display().to_string(),
        source: Arc::new(error),
    };
    if unfinished.exists() {
        std::fs::remove_file(&unfinished).map_err(failed)?;
    }
    // SQLite writes into an empty file, which keeps the mode it has.
    crate::lock::private(&unfinished).map_err(failed)?;
    let quoted = unfinished.display().to_string().replace('\'', "''");
    connection.script(&format!("VACUUM INTO '{quoted}'"))?;
    std::fs::rename(&unfinished, &copy).map_err(failed)?;
    tracing::info!(copy = %copy.display(), "copy of the database kept");
    Ok(())
}

/// FNV-1a: enough to notice that a text was changed, and stable for ever.
fn hash(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
