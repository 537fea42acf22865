//! The file of the log.

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, params};

use super::{Batch, Rows, flush::Flusher};
use crate::broker::{Durability, Error, engine::Engine};

/// Marks the file as ours: `TuBu`.
const APPLICATION: i32 = 0x5475_4275;

/// How the file is laid out.
const VERSION: i32 = 1;

/// How long to wait for another program that has the file open, such as the `sqlite3` shell or a predecessor that is about to end.
const BUSY: Duration = Duration::from_millis(500);

/// Frames of 4 KiB in the file beside the file, about, before they are moved into it. That needs two flushes of the disk, for which all
/// commits wait; one frame or two are a commit when events come one by one, so it should be rare.
const CHECKPOINT_FRAMES: usize = 16_000;

/// Bytes of a batch in one frame, about; what else a commit changes are two.
const FRAME_BYTES: usize = 4000;

/// Makes the file for its owner alone, if it is missing: SQLite gives the files it keeps beside it the same mode. A file that is there
/// is not even opened: closing it would drop the locks another broker of this process has on it.
fn make_private(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// The file.
#[derive(Debug)]
pub(crate) struct LogFile {
    /// Where commits are not flushed one by one. It ends before the file is closed.
    flusher: Option<Flusher>,
    connection: Connection,
    path: PathBuf,
    /// Frames written since they were last moved, about.
    frames: usize,
}

impl LogFile {
    pub(crate) fn open(path: &Path, durability: Durability) -> Result<Self, Error> {
        let failed = |source: rusqlite::Error| match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Error::InUse { path: path.to_owned() }
            }
            Some(ErrorCode::NotADatabase) => Error::Foreign { path: path.to_owned() },
            _ => Error::Open { path: path.to_owned(), source },
        };
        make_private(path).map_err(|source| Error::Create { path: path.to_owned(), source })?;
        let connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        let mut file = Self { flusher: None, connection, path: path.to_owned(), frames: 0 };
        if !file.prepare(durability).map_err(failed)? {
            return Err(Error::Foreign { path: path.to_owned() });
        }
        if durability == Durability::Process {
            file.flusher = Some(Flusher::start(path).map_err(Error::Thread)?);
        }
        Ok(file)
    }

    /// Takes the file for this process alone; answers whether it is one of ours.
    fn prepare(&self, durability: Durability) -> rusqlite::Result<bool> {
        let connection = &self.connection;
        let number =
            |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        let (application, version) = (number("application_id")?, number("user_version")?);
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
        let is_new = tables == 0 && application == 0 && version == 0;
        if !is_new && (application, version) != (APPLICATION, VERSION) {
            return Ok(false);
        }
        connection.pragma_update(None, "journal_mode", "WAL")?;
        let synchronous = match durability {
            Durability::Process => "NORMAL",
            Durability::Disk => "FULL",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        // The lock is taken by the first write, and kept.
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             PRAGMA application_id = {APPLICATION};
             PRAGMA user_version = {VERSION};
             CREATE TABLE IF NOT EXISTS effect (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
             COMMIT;"
        ))?;
        Ok(true)
    }

    /// Repeats everything that is written.
    pub(crate) fn read(&self, engine: &mut Engine) -> Result<Rows, Error> {
        let failed = |source| Error::Open { path: self.path.clone(), source };
        let mut rows = Rows::default();
        let mut read =
            self.connection.prepare("SELECT id, body FROM effect ORDER BY id").map_err(failed)?;
        let mut found = read.query(()).map_err(failed)?;
        while let Some(row) = found.next().map_err(failed)? {
            let id = row.get(0).map_err(failed)?;
            let body = row.get_ref(1).and_then(|body| Ok(body.as_blob()?)).map_err(failed)?;
            engine
                .replay(body)
                .map_err(|source| Error::Damaged { path: self.path.clone(), source })?;
            rows.push(id, body.len());
        }
        Ok(rows)
    }

    /// Whether a small batch is written at once: nothing waits for the disk.
    pub(crate) fn is_quick(&self) -> bool {
        self.flusher.as_ref().is_some_and(|flusher| !flusher.is_busy()) && !self.is_long()
    }

    /// Whether the file beside the file should be moved into it.
    pub(crate) fn is_long(&self) -> bool {
        self.frames >= CHECKPOINT_FRAMES
    }

    /// Moves what is in the file beside the file into it, which needs the disk.
    pub(crate) fn checkpoint(&mut self) -> rusqlite::Result<()> {
        self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()))?;
        self.frames = 0;
        Ok(())
    }

    /// Writes a batch, all of it or nothing.
    pub(crate) fn write(&mut self, batch: &Batch) -> rusqlite::Result<()> {
        // A batch that seemed to fail may be there.
        const INSERT: &str = "INSERT OR REPLACE INTO effect (id, body) VALUES (?1, ?2)";
        self.frames += 2 + batch.body.len() / FRAME_BYTES;
        if batch.needless_to == 0 && batch.body.is_empty() {
            return Ok(());
        }
        if batch.needless_to == 0 {
            // One statement is a transaction of its own.
            self.connection.prepare_cached(INSERT)?.execute(params![batch.id, batch.body])?;
        } else {
            let transaction = self.connection.transaction()?;
            if !batch.body.is_empty() {
                transaction.prepare_cached(INSERT)?.execute(params![batch.id, batch.body])?;
            }
            let mut delete = transaction.prepare_cached("DELETE FROM effect WHERE id <= ?1")?;
            delete.execute([batch.needless_to])?;
            drop(delete);
            transaction.commit()?;
        }
        if let Some(flusher) = &self.flusher {
            flusher.wrote();
        }
        Ok(())
    }
}
