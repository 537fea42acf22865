//! Uploads in parts: a file of its own holds what has come so far, a row says which parts that is.
//!
//! Parts may come in any order, and again. A part is in the file before the row says so; what a crash leaves is a part that
//! is sent again. Committing checks size and digest and makes an artifact of the file.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tutti_store::{Json, Store, Tx, row, sql};

use crate::{Artifact, Artifacts, Error, Page, Window, number, page};

/// The largest upload, bytes.
pub const SIZE_MAX: u64 = 1 << 40;

macro_rules! columns {
    () => {
        "SELECT id, size, parts, created, updated FROM upload WHERE "
    };
}

sql! {
    CREATE = "INSERT INTO upload (id, size, parts, created, updated) VALUES ($1, $2, '[]', $3, $3)";
    BY_ID = concat!(columns!(), "id = $1");
    BY_IDS = concat!(columns!(), "id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))");
    LIST = "SELECT id, count(*) OVER () FROM upload ORDER BY id DESC LIMIT $1 OFFSET $2";
    CHANGE = "UPDATE upload SET parts = $2, updated = $3 WHERE id = $1";
    OLD = "SELECT id FROM upload WHERE updated < $1 ORDER BY id LIMIT 1000";
    DROP = "DELETE FROM upload WHERE id = $1";
}

/// Bytes from an offset on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Part {
    /// Where it begins.
    pub offset: u64,
    /// Its bytes.
    pub size: u64,
}

row! {
    /// An upload.
    #[derive(Clone, Debug)]
    pub struct Upload {
        /// Id.
        pub id: i64,
        /// Bytes it shall have.
        pub size: u64,
        /// Parts that are there.
        pub parts: Json<Vec<Part>>,
        /// UTC microseconds.
        pub created: i64,
        /// When the last part came, UTC microseconds.
        pub updated: i64,
    }
}

impl Upload {
    /// Where the first byte is missing; none: it is complete.
    #[must_use]
    pub fn missing(&self) -> Option<u64> {
        let mut parts = self.parts.0.clone();
        parts.sort_unstable();
        let reached = parts.iter().fold(0, |reached: u64, part| match part.offset <= reached {
            true => reached.max(part.offset.saturating_add(part.size)),
            false => reached,
        });
        (reached < self.size).then_some(reached)
    }
}

/// The files of uploads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Uploads {
    directory: Arc<Path>,
}

impl Uploads {
    /// Opens the directory, making it if needed.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn open(directory: &Path) -> Result<Self, Error> {
        use std::os::unix::fs::DirBuilderExt;
        let mut private = std::fs::DirBuilder::new();
        private.recursive(true).mode(0o700);
        private.create(directory).map_err(Error::file("make", directory))?;
        Ok(Self { directory: directory.into() })
    }

    /// Writes a part of an upload; answers its bytes and their SHA-256.
    ///
    /// # Errors
    /// [`Error::Receive`], [`Error::File`]; [`Error::TooLong`] if there are more than `size_max`.
    pub async fn write<T, E>(
        &self,
        id: i64,
        offset: u64,
        size_max: u64,
        bytes: impl Stream<Item = Result<T, E>>,
    ) -> Result<Artifact, Error>
    where
        T: AsRef<[u8]>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        use aws_lc_rs::digest::{Context, SHA256};
        let path = self.path(id);
        let mut options = tokio::fs::OpenOptions::new();
        let opened = options.create(true).write(true).truncate(false).mode(0o600).open(&path);
        let mut file = opened.await.map_err(Error::file("open", &path))?;
        file.seek(SeekFrom::Start(offset)).await.map_err(Error::file("write", &path))?;
        let (mut hash, mut size) = (Context::new(&SHA256), 0);
        let mut bytes = std::pin::pin!(bytes);
        while let Some(chunk) = bytes.next().await {
            let failed = |source: E| Error::Receive { received: size, source: source.into() };
            let chunk = chunk.map_err(failed)?;
            size += chunk.as_ref().len() as u64;
            if size > size_max {
                return Err(Error::TooLong { max: size_max });
            }
            hash.update(chunk.as_ref());
            file.write_all(chunk.as_ref()).await.map_err(Error::file("write", &path))?;
        }
        file.flush().await.map_err(Error::file("write", &path))?;
        // The row that says the part is there must not outlive it.
        file.sync_data().await.map_err(Error::file("sync", &path))?;
        Ok(Artifact { digest: crate::digest::hexadecimal(hash.finish().as_ref()), size })
    }

    /// Makes an artifact of a complete upload; it has no row yet.
    ///
    /// # Errors
    /// [`Error::Incomplete`]; [`Error::Mismatch`] if its SHA-256 is another one; [`Error::File`].
    pub async fn finish(
        &self,
        artifacts: &Artifacts,
        upload: &Upload,
        digest: Option<&str>,
    ) -> Result<Artifact, Error> {
        if let Some(offset) = upload.missing() {
            return Err(Error::Incomplete { id: upload.id, offset });
        }
        let path = self.path(upload.id);
        if upload.size == 0 && !path.exists() {
            return artifacts.put(futures_util::stream::empty::<Result<Vec<u8>, Error>>()).await;
        }
        let artifact = artifacts.put_file(&path).await?;
        match digest {
            Some(expected) if expected != artifact.digest => {
                Err(Error::Mismatch { expected: expected.to_owned(), found: artifact.digest })
            }
            _ => Ok(artifact),
        }
    }

    /// Removes the file of an upload.
    ///
    /// # Errors
    /// [`Error::File`].
    pub async fn remove(&self, id: i64) -> Result<(), Error> {
        let path = self.path(id);
        match tokio::fs::remove_file(&path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::file("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Drops uploads of which no part has come since `before`, UTC microseconds; answers how many.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Store`].
    pub async fn remove_old(&self, store: &Store, before: i64) -> Result<usize, Error> {
        let old: Vec<i64> = store.read(move |tx| tx.all(OLD, (before,))).await?;
        for id in &old {
            let id = *id;
            self.remove(id).await?;
            store.write(move |tx| drop(tx, id)).await?;
        }
        Ok(old.len())
    }

    fn path(&self, id: i64) -> PathBuf {
        self.directory.join(id.to_string())
    }
}

/// Begins an upload of so many bytes.
///
/// # Errors
/// [`Error::TooLong`], [`Error::Store`].
pub fn create(tx: &mut Tx<'_>, size: u64, now: i64) -> Result<Upload, Error> {
    if size > SIZE_MAX {
        return Err(Error::TooLong { max: SIZE_MAX });
    }
    let id = number::take(tx, 1)?;
    tx.exec(CREATE, (id, size, now))?;
    required(tx, id)
}

/// Writes down that a part is there.
///
/// # Errors
/// [`Error::Missing`], [`Error::Store`].
pub fn add_part(tx: &mut Tx<'_>, id: i64, part: Part, now: i64) -> Result<Upload, Error> {
    let mut upload = required(tx, id)?;
    upload.parts.0.retain(|other| other.offset != part.offset);
    upload.parts.0.push(part);
    upload.parts.0.sort_unstable();
    tx.exec(CHANGE, (id, Json(&upload.parts.0), now))?;
    Ok(Upload { updated: now, ..upload })
}

/// The upload of an id, which has to be there.
///
/// # Errors
/// [`Error::Missing`], [`Error::Store`].
pub fn required(tx: &mut Tx<'_>, id: i64) -> Result<Upload, Error> {
    let found = tx.maybe(BY_ID, (id,))?;
    found.ok_or(Error::Missing { what: "upload", id })
}

/// A page of the uploads, newest first.
///
/// # Errors
/// [`Error::Store`].
pub fn list(tx: &mut Tx<'_>, window: Window) -> Result<Page<Upload>, Error> {
    use tutti_store::ToValue;
    let values = |window: Window| vec![window.limit.to_value(), window.offset.to_value()];
    page::page(tx, window, LIST, BY_IDS, values, |one: &Upload| one.id)
}

/// Drops an upload's row; its file has to go as well.
///
/// # Errors
/// [`Error::Store`].
pub fn drop(tx: &mut Tx<'_>, id: i64) -> Result<(), Error> {
    tx.exec(DROP, (id,))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_missing_byte() {
        for (size, parts, missing) in [
            (0, vec![], None),
            (10, vec![], Some(0)),
            (10, vec![(0, 4), (4, 6)], None),
            (10, vec![(4, 6), (0, 4)], None),
            (10, vec![(0, 4), (5, 5)], Some(4)),
            (10, vec![(0, 8), (2, 3)], Some(8)),
            (10, vec![(2, 8)], Some(0)),
        ] {
            let parts = parts.into_iter().map(|(offset, size)| Part { offset, size }).collect();
            let upload = Upload { id: 1, size, parts: Json(parts), created: 0, updated: 0 };
            assert_eq!(upload.missing(), missing, "{upload:?}");
        }
    }
}
