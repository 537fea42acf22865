//! Artifacts: bytes on disk, addressed by their SHA-256.
//!
//! An artifact is written beside its place, synced, and moved there by one rename, so a name that
//! exists always holds all of its bytes. Storing the same bytes twice is free.
//!
//! An upload that is refused leaves its artifact behind: what nothing refers to an hour after it
//! was stored is an orphan ([`Artifacts::old`], [`orphan::forget_artifacts`](crate::orphan::forget_artifacts),
//! [`Artifacts::remove_old`]).

use std::{
    collections::BTreeSet,
    fs::FileTimes,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest::{Context, SHA256};
use futures_util::{Stream, StreamExt};
use tokio::{
    fs::File,
    io::{AsyncWriteExt, BufWriter},
    sync::Mutex,
};
use tutti_store::{Tx, sql};
use uuid::Uuid;

use crate::Error;

/// Bytes handed to the disk at once. Each write is a visit to another thread.
const WRITTEN_AT_ONCE: usize = 512 * 1024;

/// What died writers left behind, and artifacts that nothing refers to, are removed when they are
/// this old; the living are faster.
const AGE_MAX: Duration = Duration::from_hours(1);

sql! {
    RECORD = "INSERT INTO artifact (digest, size, created) VALUES ($1, $2, $3) \
              ON CONFLICT (digest) DO NOTHING";
}

/// Stored bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// SHA-256, 64 lower-case hexadecimal digits.
    pub digest: String,
    /// Bytes.
    pub size: u64,
}

/// A directory of artifacts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Artifacts {
    directory: Arc<Path>,
    /// Held while a name appears or goes, so that what was stored again a moment ago stays.
    names: Arc<Mutex<()>>,
}

impl Artifacts {
    /// Opens the directory, making it if needed, and clears what dead writers left behind.
    ///
    /// # Errors
    /// [`Error::File`] if the directory cannot be made or read.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let incoming = directory.join("incoming");
        // For the owner alone: resources may hold what is nobody else's business.
        let mut private = std::fs::DirBuilder::new();
        private.recursive(true).mode(0o700);
        private.create(&incoming).map_err(Error::file("make", &incoming))?;
        clear_leftovers(&incoming).map_err(Error::file("clear", &incoming))?;
        Ok(Self { directory: directory.into(), names: Arc::default() })
    }

    /// Where the artifact is, or would be.
    #[must_use]
    pub fn path(&self, digest: &str) -> PathBuf {
        self.directory.join(digest.get(..2).unwrap_or("00")).join(digest)
    }

    /// Whether the artifact is there.
    #[must_use]
    pub fn contains(&self, digest: &str) -> bool {
        check(digest).is_ok() && self.path(digest).is_file()
    }

    /// Stores the bytes of a stream.
    ///
    /// # Errors
    /// [`Error::Receive`] if the stream fails, [`Error::File`] if the disk does. Nothing is left
    /// behind either way.
    pub async fn put<T, E>(
        &self,
        bytes: impl Stream<Item = Result<T, E>>,
    ) -> Result<Artifact, Error>
    where
        T: AsRef<[u8]>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let incoming = self.directory.join("incoming").join(Uuid::now_v7().to_string());
        let stored = self.receive(&incoming, bytes).await;
        if stored.is_err() {
            // The failure of the write is the news; a leftover is cleared at the next start.
            let _ = tokio::fs::remove_file(&incoming).await;
        }
        stored
    }

    /// Stores the bytes of a file.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub async fn put_file(&self, path: &Path) -> Result<Artifact, Error> {
        let file = File::open(path).await.map_err(Error::file("open", path))?;
        let chunks = futures_util::stream::unfold(file, |mut file| async {
            use tokio::io::AsyncReadExt;
            let mut chunk = Vec::with_capacity(64 * 1024);
            match (&mut file).take(64 * 1024).read_to_end(&mut chunk).await {
                Ok(0) => None,
                Ok(_) => Some((Ok(chunk), file)),
                Err(error) => Some((Err(error), file)),
            }
        });
        self.put(chunks).await
    }

    /// The artifact, if it is there; it stays as long as one stored now.
    ///
    /// # Errors
    /// [`Error::File`].
    pub async fn keep(&self, digest: &str) -> Result<Option<Artifact>, Error> {
        if check(digest).is_err() {
            return Ok(None);
        }
        let path = self.path(digest);
        let _names = self.names.lock().await;
        let file = match File::open(&path).await {
            Ok(file) => file.into_std().await,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("open", &path)(error)),
        };
        let times = FileTimes::new().set_modified(SystemTime::now());
        file.set_times(times).map_err(Error::file("touch", &path))?;
        let size = file.metadata().map_err(Error::file("read", &path))?.len();
        Ok(Some(Artifact { digest: digest.to_owned(), size }))
    }

    /// The digests of the artifacts that were last stored an hour ago or earlier. Blocks.
    ///
    /// # Errors
    /// [`Error::File`] if the directory cannot be read.
    pub fn old(&self) -> Result<BTreeSet<String>, Error> {
        let failed = Error::file("read", &self.directory);
        old_files(&self.directory).map_err(failed)
    }

    /// Removes an artifact unless it was stored again meanwhile; answers whether it is gone.
    ///
    /// # Errors
    /// [`Error::Digest`], [`Error::File`].
    pub async fn remove_old(&self, digest: &str) -> Result<bool, Error> {
        check(digest)?;
        let path = self.path(digest);
        let _names = self.names.lock().await;
        match tokio::fs::metadata(&path).await {
            Ok(file) if !is_old(&file).map_err(Error::file("read", &path))? => return Ok(false),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(Error::file("read", &path)(error)),
        }
        tokio::fs::remove_file(&path).await.map_err(Error::file("remove", &path))?;
        Ok(true)
    }

    async fn receive<T, E>(
        &self,
        incoming: &Path,
        bytes: impl Stream<Item = Result<T, E>>,
    ) -> Result<Artifact, Error>
    where
        T: AsRef<[u8]>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let file = File::create(incoming).await.map_err(Error::file("create", incoming))?;
        let mut file = BufWriter::with_capacity(WRITTEN_AT_ONCE, file);
        let mut hash = Context::new(&SHA256);
        let mut size = 0;
        let mut bytes = pin!(bytes);
        while let Some(chunk) = bytes.next().await {
            let chunk =
                chunk.map_err(|source| Error::Receive { received: size, source: source.into() })?;
            hash.update(chunk.as_ref());
            size += chunk.as_ref().len() as u64;
            file.write_all(chunk.as_ref()).await.map_err(Error::file("write", incoming))?;
        }
        // Only a flush answers for the last write.
        file.flush().await.map_err(Error::file("write", incoming))?;
        let digest = hexadecimal(hash.finish().as_ref());
        if let Some(stored) = self.keep(&digest).await? {
            tokio::fs::remove_file(incoming).await.map_err(Error::file("remove", incoming))?;
            return Ok(stored);
        }
        file.get_ref().sync_all().await.map_err(Error::file("sync", incoming))?;
        self.place(incoming, &digest).await?;
        Ok(Artifact { digest, size })
    }

    /// Moves finished bytes to their place; the directory is synced so that the name lasts.
    async fn place(&self, incoming: &Path, digest: &str) -> Result<(), Error> {
        let path = self.path(digest);
        let directory = path.parent().unwrap_or(&self.directory);
        tokio::fs::create_dir_all(directory).await.map_err(Error::file("make", directory))?;
        let _names = self.names.lock().await;
        tokio::fs::rename(incoming, &path).await.map_err(Error::file("place", &path))?;
        let opened = File::open(directory).await.map_err(Error::file("open", directory))?;
        opened.sync_all().await.map_err(Error::file("sync", directory))
    }
}

/// Writes the artifact's row; a second time it does nothing.
///
/// # Errors
/// [`Error::Store`].
pub fn record(tx: &mut Tx<'_>, artifact: &Artifact, now: i64) -> Result<(), Error> {
    tx.exec(RECORD, (artifact.digest.as_str(), artifact.size, now))?;
    Ok(())
}

/// Whether this is a digest: names come from requests and become paths.
fn check(digest: &str) -> Result<(), Error> {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digest.len() == 64 && digest.bytes().all(hexadecimal) {
        Ok(())
    } else {
        Err(Error::Digest(digest.to_owned()))
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn clear_leftovers(incoming: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(incoming)? {
        let entry = entry?;
        if is_old(&entry.metadata()?)? {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn old_files(directory: &Path) -> std::io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for shelf in std::fs::read_dir(directory)? {
        for file in std::fs::read_dir(shelf?.path())? {
            let file = file?;
            let name = file.file_name().to_string_lossy().into_owned();
            if check(&name).is_ok() && is_old(&file.metadata()?)? {
                found.insert(name);
            }
        }
    }
    Ok(found)
}

fn is_old(file: &std::fs::Metadata) -> std::io::Result<bool> {
    let age = SystemTime::now().duration_since(file.modified()?).unwrap_or_default();
    Ok(age > AGE_MAX)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[tokio::test]
    async fn the_same_bytes_are_stored_once_and_become_young_again() {
        let directory = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(directory.path()).unwrap();
        let stored = artifacts.put(chunks(&["a", "b"])).await.unwrap();
        let old = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
        let file = std::fs::File::open(artifacts.path(&stored.digest)).unwrap();
        for by_name in [false, true] {
            file.set_times(old).unwrap();
            assert!(artifacts.old().unwrap().contains(&stored.digest));
            let again = match by_name {
                false => artifacts.put(chunks(&["ab"])).await.unwrap(),
                true => artifacts.keep(&stored.digest).await.unwrap().unwrap(),
            };
            assert_eq!(again, stored);
            assert!(artifacts.old().unwrap().is_empty());
        }
        let incoming = std::fs::read_dir(directory.path().join("incoming")).unwrap();
        assert_eq!(incoming.count(), 0);
        for unknown in [hexadecimal(&[0; 32]), "../../etc".to_owned()] {
            assert_eq!(artifacts.keep(&unknown).await.unwrap(), None);
        }
    }

    fn chunks(parts: &[&'static str]) -> impl Stream<Item = Result<&'static str, io::Error>> {
        futures_util::stream::iter(parts.iter().map(|part| Ok(*part)).collect::<Vec<_>>())
    }

    #[tokio::test]
    async fn equal_bytes_have_one_place() {
        let directory = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(directory.path()).unwrap();
        let one = artifacts.put(chunks(&["tut", "ti"])).await.unwrap();
        let two = artifacts.put(chunks(&["tutti"])).await.unwrap();
        assert_eq!(one, two);
        assert_eq!(std::fs::read(artifacts.path(&one.digest)).unwrap(), b"tutti");
        assert!(artifacts.contains(&one.digest));
    }

    #[tokio::test]
    async fn known_digest() {
        let directory = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(directory.path()).unwrap();
        let empty = artifacts.put(chunks(&[])).await.unwrap();
        assert_eq!(
            empty.digest,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(empty.size, 0);
    }

    #[tokio::test]
    async fn a_broken_stream_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(directory.path()).unwrap();
        let broken = futures_util::stream::iter(vec![
            Ok("half"),
            Err(io::Error::new(io::ErrorKind::ConnectionReset, "gone")),
        ]);
        let error = artifacts.put(broken).await.unwrap_err();
        assert!(matches!(error, Error::Receive { received: 4, .. }), "{error}");
        let incoming = directory.path().join("incoming");
        assert_eq!(std::fs::read_dir(incoming).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn files_are_stored_like_streams() {
        let directory = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(&directory.path().join("artifacts")).unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, vec![7; 200_000]).unwrap();
        let artifact = artifacts.put_file(&file).await.unwrap();
        assert_eq!(artifact.size, 200_000);
        assert_eq!(std::fs::read(artifacts.path(&artifact.digest)).unwrap(), vec![7; 200_000]);
    }

    #[tokio::test]
    async fn what_is_stored_again_is_new() {
        let directory = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(directory.path()).unwrap();
        let kept = artifacts.put(chunks(&["kept"])).await.unwrap().digest;
        let again = artifacts.put(chunks(&["again"])).await.unwrap().digest;
        let gone = artifacts.put(chunks(&["gone"])).await.unwrap().digest;
        for digest in [&again, &gone] {
            let file = std::fs::File::open(artifacts.path(digest)).unwrap();
            file.set_modified(SystemTime::now() - AGE_MAX * 2).unwrap();
        }
        let old = artifacts.old().unwrap();
        assert_eq!(old, BTreeSet::from([again.clone(), gone.clone()]));
        artifacts.put(chunks(&["again"])).await.unwrap();
        for (digest, removed) in [(&kept, false), (&again, false), (&gone, true), (&gone, true)] {
            assert_eq!(artifacts.remove_old(digest).await.unwrap(), removed);
            assert_eq!(artifacts.contains(digest), !removed);
        }
    }

    #[tokio::test]
    async fn only_digests_are_names() {
        let directory = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(directory.path()).unwrap();
        for name in ["", "..", "../../etc/passwd", &"A".repeat(64), &"a".repeat(63)] {
            assert!(!artifacts.contains(name), "{name}");
            let removed = artifacts.remove_old(name).await;
            assert!(matches!(removed, Err(Error::Digest(_))), "{name}");
        }
    }
}
