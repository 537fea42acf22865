//! Charms, or resources, by digest: downloaded once per machine, checked, and kept for a while.
//!
//! Files are not forced to the disk: one that a power failure damages is downloaded again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fs, io};

use tokio::fs::File;
use tokio::io::AsyncWrite;
use tutti_charm::digest::{Digest, Hasher};

use crate::Error;
use crate::controller::Controller;
use crate::error::{Result, file};

/// How long a file is kept after it was downloaded.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// The cache. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Artifacts {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    /// What file names end with.
    suffix: &'static str,
    controller: Controller,
    /// One lock per artifact being asked for, so that it is downloaded once.
    locks: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
}

impl Artifacts {
    /// A cache in this directory, which is created when needed.
    pub(crate) fn new(directory: PathBuf, suffix: &'static str, controller: Controller) -> Self {
        let inner = Inner { directory, suffix, controller, locks: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// The file with these bytes. Downloaded unless it is there; the file must not be changed.
    ///
    /// # Errors
    /// [`Error::Digest`], [`Error::Artifact`], [`Error::Call`], [`Error::File`].
    pub(crate) async fn fetch(&self, digest: &str) -> Result<PathBuf> {
        let digest: Digest = digest.parse().map_err(|_| Error::Digest { text: digest.into() })?;
        let path = self.path(digest);
        let lock = Arc::clone(self.locks().entry(digest).or_default());
        let found = {
            let _only_one = lock.lock().await;
            if path.exists() { Ok(()) } else { self.download(digest, &path).await }
        };
        // Whoever comes next finds the file, or tries for itself.
        self.locks().remove(&digest);
        found.map(|()| path)
    }

    /// Removes the file unless it is what its digest says, after it turned out to be unusable.
    pub(crate) fn recheck(&self, digest: &str) {
        let Ok(digest) = digest.parse::<Digest>() else { return };
        let path = self.path(digest);
        if Digest::of_file(&path).is_ok_and(|found| found != digest) {
            remove(&path);
        }
    }

    /// Removes what nobody has downloaded for long; it can be downloaded again.
    pub(crate) fn forget_old(&self) {
        let entries = fs::read_dir(&self.inner.directory).into_iter().flatten();
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|modified| modified.elapsed().ok());
            if age.is_some_and(|age| age > KEPT) {
                remove(&path);
            }
        }
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.inner.directory.join(format!("{digest}{}", self.inner.suffix))
    }

    async fn download(&self, digest: Digest, path: &Path) -> Result<()> {
        let directory = &self.inner.directory;
        fs::create_dir_all(directory).map_err(file("create", directory))?;
        let temporary =
            tempfile::NamedTempFile::new_in(directory).map_err(file("create in", directory))?;
        let opened = temporary.as_file().try_clone().map_err(file("open", temporary.path()))?;
        let mut hashing = Hashing { file: File::from_std(opened), hasher: Hasher::new() };
        self.inner.controller.artifact(&digest.to_string(), &mut hashing).await?;
        if hashing.hasher.finish() != digest {
            return Err(Error::Artifact { digest: digest.to_string() });
        }
        temporary.persist(path).map_err(|error| file("create", path)(error.error))?;
        Ok(())
    }

    fn locks(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Arc<tokio::sync::Mutex<()>>>> {
        self.inner.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "cannot remove a cached file");
    }
}

/// Hashes what is written to a file.
struct Hashing {
    file: File,
    hasher: Hasher,
}

impl AsyncWrite for Hashing {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.file).poll_write(context, bytes);
        if let Poll::Ready(Ok(length)) = &written {
            this.hasher.update(&bytes[..*length]);
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().file).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().file).poll_shutdown(context)
    }
}
