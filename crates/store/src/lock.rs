//! The lock file beside a SQLite database: one process at a time.
//!
//! The kernel holds the lock for the process and drops it however that ends, `kill -9` included. The file stays behind,
//! holding the last owner's pid, and means nothing by itself.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{Error, Result};

/// Held as long as the database is open.
pub(crate) struct FileLock(#[expect(dead_code, reason = "dropping it releases the lock")] File);

impl FileLock {
    pub(crate) fn take(database: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::StorageFull => Error::DiskFull,
            _ => Error::Open { database: database.display().to_string(), source: Arc::new(error) },
        };
        let mut file = private(&beside(database, "lock")).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid =
                    file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(Error::Locked { path: database.to_owned(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
        file.write_all(format!("{}\n", std::process::id()).as_bytes()).map_err(failed)?;
        // Only now: closing the file would drop the locks SQLite itself has on it in this process.
        private(database).map_err(failed)?;
        Ok(Self(file))
    }
}

/// A file, made for its owner alone if it is missing: SQLite gives the files it keeps beside a database the
/// database's own mode.
pub(crate) fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// The path of a file kept beside the database.
pub(crate) fn beside(database: &Path, extension: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}
