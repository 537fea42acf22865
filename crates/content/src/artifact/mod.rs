//! Artifacts: bytes on disk, addressed by their SHA-256.
//!
//! - `directory`: where they are: placed by one rename, so a name that exists always holds all of its bytes;
//! - `incoming`: bytes on their way in: hashed, written and synced on threads of their own.

mod directory;
mod incoming;
#[cfg(test)]
mod tests;

pub use directory::Artifacts;
pub(crate) use directory::blocking;
pub(crate) use incoming::Growth;
pub use incoming::{Incoming, Verdict};

use tutti_store::{Tx, sql};

use crate::Error;

sql! {
    RECORD = "INSERT INTO artifact (digest, size, created) SELECT $1, $2, $3 {rows} WHERE TRUE ON CONFLICT (digest) DO NOTHING";
    STORED = "SELECT digest, size FROM artifact {rows} WHERE digest = $1";
}

/// Stored bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// SHA-256, 64 lower-case hexadecimal digits.
    pub digest: String,
    /// Bytes.
    pub size: u64,
}

/// Writes the artifact's row; a second time it does nothing.
///
/// # Errors
/// [`Error::Store`].
pub fn record(tx: &mut Tx<'_>, artifact: &Artifact, now: i64) -> Result<(), Error> {
    tx.exec(RECORD, (artifact.digest.as_str(), artifact.size, now))?;
    Ok(())
}

/// Writes the rows of many, in an order that all writers share.
///
/// # Errors
/// [`Error::Store`].
pub fn record_many<'a>(
    tx: &mut Tx<'_>,
    artifacts: impl IntoIterator<Item = &'a Artifact>,
    now: i64,
) -> Result<(), Error> {
    let sorted: std::collections::BTreeMap<&str, u64> =
        artifacts.into_iter().map(|artifact| (artifact.digest.as_str(), artifact.size)).collect();
    tx.exec_many(RECORD, sorted.into_iter().map(|(digest, size)| (digest, size, now)))?;
    Ok(())
}

/// Those of the digests that have a row.
///
/// # Errors
/// [`Error::Store`].
pub(crate) fn stored<'a>(
    tx: &mut Tx<'_>,
    digests: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<Artifact>, Error> {
    let rows: Vec<(String, u64)> =
        tx.all_many(STORED, digests.into_iter().map(|digest| (digest,)))?;
    Ok(rows.into_iter().map(|(digest, size)| Artifact { digest, size }).collect())
}
