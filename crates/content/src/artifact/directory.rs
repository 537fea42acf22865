//! The directory of artifacts.
//!
//! An artifact is written beside its place, synced, and moved there by one rename. The directory that got the name is synced
//! too before anybody is told: for one artifact at once ([`Artifacts::put`]), for many together ([`Artifacts::settle`]).
//! Storing the same bytes twice is free.
//!
//! An upload that is refused leaves its artifact behind: what nothing refers to an hour after it was stored is an orphan
//! ([`Artifacts::old`], [`orphan::forget_artifacts`](crate::orphan::forget_artifacts), [`Artifacts::remove_old`]).

use std::{
    collections::{BTreeSet, HashMap},
    fs::{File, FileTimes},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use futures_util::{Stream, StreamExt};

use super::{Artifact, Incoming};
use crate::{
    Error,
    digest::{Expected, check},
};

/// What died writers left behind, and artifacts that nothing refers to, are removed when they are this old; the living are
/// faster.
pub(super) const AGE_MAX: Duration = Duration::from_hours(1);

/// Bytes read from a file at once.
const READ_AT_ONCE: usize = 256 * 1024;

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
        let opened = Self { directory: directory.into(), names: Arc::default() };
        let incoming = opened.incoming_directory();
        // For the owner alone: resources may hold what is nobody else's business.
        let mut private = std::fs::DirBuilder::new();
        private.recursive(true).mode(0o700);
        private.create(&incoming).map_err(Error::file("make", &incoming))?;
        clear_leftovers(&incoming).map_err(Error::file("clear", &incoming))?;
        Ok(opened)
    }

    /// Where the artifact is, or would be.
    #[must_use]
    pub fn path(&self, digest: &str) -> PathBuf {
        self.directory.join(shelf(digest)).join(digest)
    }

    /// Whether the artifact is there.
    #[must_use]
    pub fn contains(&self, digest: &str) -> bool {
        check(digest).is_ok() && self.path(digest).is_file()
    }

    /// Bytes that are to come.
    #[must_use]
    pub fn incoming(&self) -> Incoming {
        Incoming::new(self.clone())
    }

    /// Stores the bytes of a stream.
    ///
    /// # Errors
    /// [`Error::Receive`] if the stream fails, [`Error::File`] if the disk does. Nothing is left behind either way.
    pub async fn put<T, E>(
        &self,
        bytes: impl Stream<Item = Result<T, E>>,
    ) -> Result<Artifact, Error>
    where
        T: AsRef<[u8]>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut incoming = self.incoming();
        let mut bytes = pin!(bytes);
        while let Some(chunk) = bytes.next().await {
            let received = incoming.received();
            let chunk =
                chunk.map_err(|source| Error::Receive { received, source: source.into() })?;
            incoming.write(chunk.as_ref()).await?;
        }
        incoming.verify(&Expected::default()).await?;
        let artifact = incoming.place().await?;
        self.settle([artifact.digest.clone()]).await?;
        Ok(artifact)
    }

    /// Stores the bytes of a file.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub async fn put_file(&self, path: &Path) -> Result<Artifact, Error> {
        let file = tokio::fs::File::open(path).await.map_err(Error::file("open", path))?;
        let chunks = futures_util::stream::unfold(file, |mut file| async {
            use tokio::io::AsyncReadExt;
            let mut chunk = Vec::with_capacity(READ_AT_ONCE);
            match (&mut file).take(READ_AT_ONCE as u64).read_to_end(&mut chunk).await {
                Ok(0) => None,
                Ok(_) => Some((Ok(chunk), file)),
                Err(error) => Some((Err(error), file)),
            }
        });
        self.put(chunks).await
    }

    /// Makes sure that the names of artifacts which were placed last: their directories are synced, each once.
    ///
    /// # Errors
    /// [`Error::File`].
    pub async fn settle(&self, digests: impl IntoIterator<Item = String>) -> Result<(), Error> {
        let shelves: BTreeSet<PathBuf> =
            digests.into_iter().map(|digest| self.directory.join(shelf(&digest))).collect();
        if shelves.is_empty() {
            return Ok(());
        }
        blocking(&self.directory, move || shelves.iter().try_for_each(|shelf| sync(shelf))).await
    }

    /// The artifact, if it is there; it stays as long as one stored now.
    ///
    /// # Errors
    /// [`Error::File`].
    pub async fn keep(&self, digest: &str) -> Result<Option<Artifact>, Error> {
        Ok(self.keep_many(vec![digest.to_owned()]).await?.remove(digest))
    }

    /// Those of many that are there, by digest; they stay as long as ones stored now.
    ///
    /// # Errors
    /// [`Error::File`].
    pub async fn keep_many(
        &self,
        digests: Vec<String>,
    ) -> Result<HashMap<String, Artifact>, Error> {
        let artifacts = self.clone();
        blocking(&self.directory, move || {
            let mut kept = HashMap::new();
            for digest in digests {
                if check(&digest).is_ok()
                    && let Some(artifact) = artifacts.keep_now(&digest)?
                {
                    kept.insert(digest, artifact);
                }
            }
            Ok(kept)
        })
        .await
    }

    /// The digests of the artifacts that were last stored an hour ago or earlier. What dead writers left beside them is
    /// removed. Blocks.
    ///
    /// # Errors
    /// [`Error::File`] if the directory cannot be read.
    pub fn old(&self) -> Result<BTreeSet<String>, Error> {
        old_files(&self.directory).map_err(Error::file("read", &self.directory))
    }

    /// Removes an artifact unless it was stored again meanwhile; answers whether it is gone.
    ///
    /// # Errors
    /// [`Error::Digest`], [`Error::File`].
    pub async fn remove_old(&self, digest: &str) -> Result<bool, Error> {
        check(digest)?;
        let (names, path) = (Arc::clone(&self.names), self.path(digest));
        blocking(&self.directory, move || {
            let _names = names.lock().unwrap_or_else(PoisonError::into_inner);
            match std::fs::metadata(&path) {
                Ok(file) if !is_old(&file).map_err(Error::file("read", &path))? => Ok(false),
                Ok(_) => {
                    std::fs::remove_file(&path).map(|()| true).map_err(Error::file("remove", &path))
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
                Err(error) => Err(Error::file("read", &path)(error)),
            }
        })
        .await
    }

    pub(super) fn incoming_directory(&self) -> PathBuf {
        self.directory.join("incoming")
    }

    pub(super) fn shelf_of(&self, digest: &str) -> PathBuf {
        self.directory.join(shelf(digest))
    }

    /// Moves synced bytes to their place. Blocks.
    pub(super) fn place_now(&self, incoming: &Path, digest: &str) -> Result<(), Error> {
        let path = self.path(digest);
        let rename = || {
            let _names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            std::fs::rename(incoming, &path)
        };
        match rename() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_shelf(&self.shelf_of(digest))?;
                rename().map_err(Error::file("place", &path))
            }
            renamed => renamed.map_err(Error::file("place", &path)),
        }
    }

    /// The artifact, touched, if it is there. Blocks.
    pub(super) fn keep_now(&self, digest: &str) -> Result<Option<Artifact>, Error> {
        let path = self.path(digest);
        let _names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("open", &path)(error)),
        };
        let times = FileTimes::new().set_modified(SystemTime::now());
        file.set_times(times).map_err(Error::file("touch", &path))?;
        let size = file.metadata().map_err(Error::file("read", &path))?.len();
        Ok(Some(Artifact { digest: digest.to_owned(), size }))
    }
}

/// Runs what waits for the disk on a thread made for that.
pub(crate) async fn blocking<T: Send + 'static>(
    path: &Path,
    run: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(run).await;
    done.unwrap_or_else(|lost| Err(Error::file("work on", path)(io::Error::other(lost))))
}

fn shelf(digest: &str) -> &str {
    digest.get(..2).unwrap_or("00")
}

/// Makes a directory below that of all artifacts; its name lasts. Blocks.
pub(super) fn make_shelf(shelf: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(shelf).map_err(Error::file("make", shelf))?;
    shelf.parent().map_or(Ok(()), sync)
}

fn sync(directory: &Path) -> Result<(), Error> {
    let opened = File::open(directory).map_err(Error::file("open", directory))?;
    opened.sync_all().map_err(Error::file("sync", directory))
}

fn clear_leftovers(incoming: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(incoming)? {
        let entry = entry?;
        if is_old(&entry.metadata()?)? {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn old_files(directory: &Path) -> io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for shelf in std::fs::read_dir(directory)? {
        for file in std::fs::read_dir(shelf?.path())? {
            let file = file?;
            let name = file.file_name().to_string_lossy().into_owned();
            let is_artifact = check(&name).is_ok();
            if !is_artifact && !name.starts_with('.') {
                continue;
            }
            match file.metadata().and_then(|file| is_old(&file)) {
                Ok(false) => {}
                Ok(true) if is_artifact => drop(found.insert(name)),
                Ok(true) => std::fs::remove_file(file.path())?,
                // Its writer has moved it to its place meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(found)
}

fn is_old(file: &std::fs::Metadata) -> io::Result<bool> {
    let age = SystemTime::now().duration_since(file.modified()?).unwrap_or_default();
    Ok(age > AGE_MAX)
}
