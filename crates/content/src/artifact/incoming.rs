//! Bytes on their way into the store.
//!
//! They are hashed and written in large pieces on threads that may wait for the disk, one piece while the next one comes.
//! A small body never touches the disk before it is known to be right: one visit to such a thread stores it.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{sync::watch, task::JoinHandle};
use uuid::Uuid;

use super::{
    Artifact, Artifacts,
    directory::{blocking, make_shelf},
};
use crate::{
    Error,
    digest::{Algorithm, Digests, Expected, Hasher},
};

/// Bytes hashed and written at once; twice as many of each body are in memory at most.
const WRITTEN_AT_ONCE: usize = 256 * 1024;

/// A body up to this size is hashed where it is: a visit to another thread would take longer.
const HASHED_IN_PLACE_MAX: usize = 64 * 1024;

/// How far a body has come, for those who read it while it grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Growth {
    /// The file, once there is one. It can be read after it was moved or removed.
    pub(crate) file: Option<Arc<File>>,
    /// Bytes in the file.
    pub(crate) written: u64,
    /// How often it began anew.
    pub(crate) beginnings: u32,
}

/// What became of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is as announced; the digests that were computed.
    Right(Digests),
    /// The bytes are others.
    Wrong {
        /// The first that differs.
        algorithm: Algorithm,
        /// As announced.
        expected: String,
        /// As it is.
        found: String,
    },
}

/// A body that is arriving. Dropped before it is placed, it leaves nothing behind.
#[derive(Debug)]
pub struct Incoming {
    artifacts: Artifacts,
    buffer: Vec<u8>,
    received: u64,
    others: Vec<Algorithm>,
    body: Body,
    digest: Option<String>,
    growth: Option<Arc<watch::Sender<Growth>>>,
}

#[derive(Debug)]
enum Body {
    /// Nothing is being written.
    At(Box<Written>),
    /// A piece is being written.
    Busy(JoinHandle<Result<Box<Written>, Error>>),
    /// A write failed or was abandoned.
    Lost,
}

/// What has been hashed and written so far.
struct Written {
    hasher: Hasher,
    file: Option<Temporary>,
    size: u64,
    growth: Option<Arc<watch::Sender<Growth>>>,
}

/// A file that is removed unless it is placed.
struct Temporary {
    path: PathBuf,
    file: Arc<File>,
    is_placed: bool,
}

impl Incoming {
    pub(super) fn new(artifacts: Artifacts) -> Self {
        let body = Body::At(Box::new(Written::new(&[], None)));
        let (buffer, others) = (Vec::new(), Vec::new());
        Self { artifacts, buffer, received: 0, others, body, digest: None, growth: None }
    }

    /// Computes these digests, too. To be said before the first byte comes.
    #[must_use]
    pub fn with_digests(mut self, others: impl IntoIterator<Item = Algorithm>) -> Self {
        self.others = others.into_iter().collect();
        self.body = Body::At(Box::new(Written::new(&self.others, self.growth.clone())));
        self
    }

    /// Tells how far it is. To be said before the first byte comes.
    pub(crate) fn watched_by(mut self, growth: Arc<watch::Sender<Growth>>) -> Self {
        self.growth = Some(growth);
        self.body = Body::At(Box::new(Written::new(&self.others, self.growth.clone())));
        self
    }

    /// Bytes so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Takes bytes in.
    ///
    /// # Errors
    /// [`Error::File`].
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.buffer.extend_from_slice(bytes);
        self.received += bytes.len() as u64;
        if self.buffer.len() >= WRITTEN_AT_ONCE {
            let mut written = self.written().await?;
            let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(WRITTEN_AT_ONCE));
            let directory = self.artifacts.incoming_directory();
            self.body = Body::Busy(tokio::task::spawn_blocking(move || {
                written.hasher.update(&piece);
                written.append(&directory, &piece)?;
                Ok(written)
            }));
        }
        Ok(())
    }

    /// Forgets all bytes; the next one is the first.
    pub async fn begin_anew(&mut self) {
        // Whatever a write came to, its file goes.
        drop(self.written().await);
        self.body = Body::At(Box::new(Written::new(&self.others, self.growth.clone())));
        self.buffer.clear();
        self.digest = None;
        if let Some(growth) = self.growth.as_ref().filter(|_| self.received > 0) {
            growth.send_modify(|growth| {
                *growth = Growth { beginnings: growth.beginnings + 1, ..Growth::default() };
            });
        }
        self.received = 0;
    }

    /// Compares all bytes with what they are expected to be; sizes have been compared by whoever counted.
    ///
    /// # Errors
    /// [`Error::File`].
    pub async fn verify(&mut self, expected: &Expected) -> Result<Verdict, Error> {
        let mut written = self.written().await?;
        if self.buffer.len() <= HASHED_IN_PLACE_MAX {
            written.hasher.update(&self.buffer);
        } else {
            let buffer = std::mem::take(&mut self.buffer);
            let directory = self.artifacts.incoming_directory();
            (written, self.buffer) = blocking(&directory, move || {
                written.hasher.update(&buffer);
                Ok((written, buffer))
            })
            .await?;
        }
        let digests = written.hasher.clone().finish();
        self.body = Body::At(written);
        self.digest = digests.get(&Algorithm::Sha256).cloned();
        for (algorithm, expected) in &expected.digests {
            if let Some(found) = digests.get(algorithm).filter(|found| *found != expected) {
                let (expected, found) = (expected.clone(), found.clone());
                return Ok(Verdict::Wrong { algorithm: *algorithm, expected, found });
            }
        }
        Ok(Verdict::Right(digests))
    }

    /// Puts verified bytes into the store. Their name lasts once it is [settled](Artifacts::settle).
    ///
    /// # Errors
    /// [`Error::File`].
    pub async fn place(&mut self) -> Result<Artifact, Error> {
        let (mut written, digest) = (self.written().await?, self.digest.take().unwrap_or_default());
        let (rest, artifacts) = (std::mem::take(&mut self.buffer), self.artifacts.clone());
        let directory = self.artifacts.incoming_directory();
        blocking(&directory, move || {
            let directory = artifacts.incoming_directory();
            if written.growth.is_some() {
                written.append(&directory, &rest)?;
            }
            if let Some(kept) = artifacts.keep_now(&digest)? {
                return Ok(kept);
            }
            if written.growth.is_none() {
                // Written where it will be, it keeps nobody waiting for the one directory of all that comes in.
                let beside = artifacts.shelf_of(&digest);
                let directory = if written.file.is_some() { directory } else { beside };
                written.append(&directory, &rest)?;
            }
            written.place(&artifacts, &digest)?;
            Ok(Artifact { digest, size: written.size })
        })
        .await
    }

    /// Lets those who read it while it grows have verified bytes to the end, and stores nothing.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(crate) async fn pass_on(&mut self) -> Result<(), Error> {
        let mut written = self.written().await?;
        let rest = std::mem::take(&mut self.buffer);
        let directory = self.artifacts.incoming_directory();
        blocking(&directory.clone(), move || written.append(&directory, &rest)).await
    }

    /// What is written, once the piece on its way is. Given up while it waits, it can be asked again.
    async fn written(&mut self) -> Result<Box<Written>, Error> {
        let lost = |why: std::io::Error| {
            Error::file("write into", &self.artifacts.incoming_directory())(why)
        };
        if let Body::Busy(writing) = &mut self.body {
            let written = writing.await.unwrap_or_else(|end| Err(lost(std::io::Error::other(end))));
            self.body = Body::Lost;
            return written;
        }
        match std::mem::replace(&mut self.body, Body::Lost) {
            Body::At(written) => Ok(written),
            _ => Err(lost(std::io::Error::other("an earlier write failed"))),
        }
    }
}

impl Written {
    fn new(others: &[Algorithm], growth: Option<Arc<watch::Sender<Growth>>>) -> Self {
        Self { hasher: Hasher::new(others.iter().copied()), file: None, size: 0, growth }
    }

    fn append(&mut self, directory: &Path, bytes: &[u8]) -> Result<(), Error> {
        let temporary = match self.file.take() {
            Some(temporary) => temporary,
            None => Temporary::create(directory)?,
        };
        let appended = (&*temporary.file).write_all(bytes);
        appended.map_err(Error::file("write", &temporary.path))?;
        self.size += bytes.len() as u64;
        if let Some(growth) = &self.growth {
            let (file, written) = (Some(Arc::clone(&temporary.file)), self.size);
            growth.send_modify(|growth| {
                *growth = Growth { file, written, beginnings: growth.beginnings };
            });
        }
        self.file = Some(temporary);
        Ok(())
    }

    fn place(&mut self, artifacts: &Artifacts, digest: &str) -> Result<(), Error> {
        let Some(temporary) = &mut self.file else { return Ok(()) };
        temporary.file.sync_all().map_err(Error::file("sync", &temporary.path))?;
        artifacts.place_now(&temporary.path, digest)?;
        temporary.is_placed = true;
        Ok(())
    }
}

impl Temporary {
    fn create(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(format!(".{}", Uuid::now_v7()));
        let create = || File::options().read(true).write(true).create_new(true).open(&path);
        let file = match create() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                make_shelf(directory)?;
                create()
            }
            created => created,
        };
        let file = Arc::new(file.map_err(Error::file("create", &path))?);
        Ok(Self { path, file, is_placed: false })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_placed {
            // A leftover is cleared when the store is opened.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Written").field("size", &self.size).finish_non_exhaustive()
    }
}
