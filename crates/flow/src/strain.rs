//! What strains the database: transactions that last too long, and a log that is not taken off.
//!
//! The tables that flows stand in stay small because what is not needed any more is cleared away. One transaction that stays open,
//! of whatever program, holds that back in the whole database: every look for work gets slower meanwhile. To look costs one statement
//! on PostgreSQL, and on SQLite a look at the size of a file.

use std::{fmt, path::Path, time::Duration};

use tutti_store::{Backend, Store, Tx, row};

use crate::Result;

/// A snapshot that is held for longer is worth a warning.
const SNAPSHOT_MAX: Duration = Duration::from_secs(60);

/// So much of the log kept back is.
const LOG_MAX: u64 = 1 << 30;

/// Only PostgreSQL has this. Of sessions of other roles it sees as much as the role may (`pg_read_all_stats`).
const STRAIN: &str = "WITH session AS MATERIALIZED (
        SELECT backend_xmin, CASE WHEN backend_type = 'client backend'
            THEN CAST(extract(epoch FROM statement_timestamp() - xact_start) * 1000000 AS BIGINT) END AS open
        FROM pg_stat_activity WHERE pid <> pg_backend_pid()
    )
    SELECT coalesce((SELECT max(open) FROM session), 0),
        coalesce((SELECT max(open) FROM session WHERE backend_xmin IS NOT NULL), 0),
        (SELECT CAST(coalesce(max(age), 0) AS BIGINT) FROM (
            SELECT age(backend_xmin) AS age FROM session
            UNION ALL SELECT age(xmin) FROM pg_replication_slots
            UNION ALL SELECT age(catalog_xmin) FROM pg_replication_slots
            UNION ALL SELECT age(transaction) FROM pg_prepared_xacts) AS held),
        (SELECT CAST(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
            ELSE pg_current_wal_lsn() END, '0/0') AS BIGINT)),
        (SELECT CAST(coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0) AS BIGINT)
            FROM pg_replication_slots WHERE NOT pg_is_in_recovery()),
        (SELECT CAST(coalesce(sum(n_dead_tup), 0) AS BIGINT) FROM pg_stat_user_tables
            WHERE schemaname = current_schema() AND relname LIKE 'flow%'),
        (SELECT CAST(coalesce(sum(n_live_tup), 0) AS BIGINT) FROM pg_stat_user_tables
            WHERE schemaname = current_schema() AND relname LIKE 'flow%')";

const FILE: &str = "SELECT file FROM pragma_database_list WHERE name = 'main'";

row! {
    struct Row {
        transaction: i64, snapshot: i64, snapshot_age: i64, log_written: i64, log_kept: i64, dead_rows: i64,
        live_rows: i64,
    }
}

/// What strains the database, as [`strain`] found it. What a database does not have is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Strain {
    /// How long the oldest transaction of all sessions has been open.
    pub oldest_transaction: Duration,
    /// How long the oldest of those has been open that keep what was deleted since from being cleared away.
    pub oldest_snapshot: Duration,
    /// How many transactions there have been since the oldest snapshot, those of replication and of prepared transactions included
    /// (the age of `xmin`).
    pub snapshot_age: u64,
    /// Bytes that were ever written to the log: how fast this grows is how much is written.
    pub log_written: u64,
    /// Bytes of the log that are kept: on PostgreSQL for replicas that do not take them, on SQLite because readers never pause.
    pub log_kept: u64,
    /// Rows of this engine's tables that are not needed any more and not cleared away yet, and those that are needed, by the
    /// database's own estimate.
    pub dead_rows: u64,
    /// See [`dead_rows`](Self::dead_rows).
    pub live_rows: u64,
}

/// Looks what strains the database.
///
/// # Errors
/// Storage errors.
pub async fn strain(store: &Store) -> Result<Strain> {
    Ok(match store.backend() {
        Backend::Postgres => store.read(|tx: &mut Tx<'_>| tx.one::<Row>(STRAIN, ())).await?.into(),
        Backend::Sqlite => {
            let file: String = store.read(|tx: &mut Tx<'_>| tx.one(FILE, ())).await?;
            let log = Path::new(&file).with_file_name(log_of(&file));
            // Without a log there is none that is kept.
            let log_kept = std::fs::metadata(log).map_or(0, |log| log.len());
            Strain { log_kept, ..Strain::default() }
        }
    })
}

/// The name of the log of a file of SQLite.
fn log_of(file: &str) -> String {
    let name = Path::new(file).file_name().unwrap_or_default();
    format!("{}-wal", name.to_string_lossy())
}

impl From<Row> for Strain {
    fn from(row: Row) -> Self {
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        Self {
            oldest_transaction: Duration::from_micros(count(row.transaction)),
            oldest_snapshot: Duration::from_micros(count(row.snapshot)),
            snapshot_age: count(row.snapshot_age),
            log_written: count(row.log_written),
            log_kept: count(row.log_kept),
            dead_rows: count(row.dead_rows),
            live_rows: count(row.live_rows),
        }
    }
}

impl Strain {
    /// What somebody should look after, if anything.
    #[must_use]
    pub fn alarm(&self) -> Option<Alarm> {
        if self.oldest_snapshot > SNAPSHOT_MAX {
            Some(Alarm::Snapshot(self.oldest_snapshot))
        } else if self.log_kept > LOG_MAX {
            Some(Alarm::Log(self.log_kept))
        } else {
            None
        }
    }
}

/// What somebody should look after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Alarm {
    /// A transaction has been open for so long, more than a minute, and keeps what is deleted from being cleared away.
    Snapshot(Duration),
    /// So many bytes of the log are kept, more than a GiB.
    Log(u64),
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot(age) => write!(
                f,
                "a transaction has been open for {} s: what is deleted cannot be cleared away meanwhile, and flows get slower",
                age.as_secs()
            ),
            Self::Log(bytes) => write!(
                f,
                "{} MiB of the database's log are kept: a replica does not take it, or readers never pause",
                bytes >> 20
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_too_long_or_grows_too_large_is_told() {
        let fine = Strain { oldest_transaction: SNAPSHOT_MAX * 9, ..Strain::default() };
        assert_eq!(fine.alarm(), None, "one without a snapshot holds nothing back");
        let old = Strain { oldest_snapshot: SNAPSHOT_MAX * 2, ..fine };
        let said = old.alarm().map(|alarm| alarm.to_string()).unwrap_or_default();
        assert!(said.starts_with("a transaction has been open for 120 s:"), "{said}");
        let large = Strain { log_kept: LOG_MAX + 1, ..fine };
        let said = large.alarm().map(|alarm| alarm.to_string()).unwrap_or_default();
        assert!(said.starts_with("1024 MiB of the database's log are kept:"), "{said}");
    }

    #[test]
    fn the_log_of_a_file_stands_beside_it() {
        assert_eq!(log_of("/var/lib/a.db"), "a.db-wal");
    }
}
