//! What can go wrong with content.

use std::{io, path::PathBuf};

/// An error of the content store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory of the artifact store could not be made, written or moved.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The bytes to store could not be read from where they came from.
    #[error("the bytes to store ended early after {received}")]
    Receive {
        /// Bytes received until then.
        received: u64,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A digest that is not 64 lower-case hexadecimal digits.
    #[error("{0:?} is not a SHA-256 digest")]
    Digest(String),
    /// A path that no unit of its type has.
    #[error("{0:?} is not a path of such a unit")]
    Path(String),
    /// A name that something has already.
    #[error("there is a {what} {name:?} already")]
    Taken {
        /// `repository`, `remote`, …
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Something of an id that does not exist.
    #[error("there is no {what} {id}")]
    Missing {
        /// `remote`, `unit`, …
        what: &'static str,
        /// The id.
        id: i64,
    },
    /// A base path that lies below another one, or above it.
    #[error("the base path {base_path:?} overlaps with {other:?}")]
    Nested {
        /// The path.
        base_path: String,
        /// The one that is there.
        other: String,
    },
    /// A version that is served.
    #[error("version {number} of repository {repository:?} is served by a distribution")]
    Protected {
        /// The repository.
        repository: String,
        /// The number.
        number: i64,
    },
    /// The only version of a repository.
    #[error("repository {repository:?} has no other version")]
    OnlyVersion {
        /// The repository.
        repository: String,
    },
    /// A path at which another unit is, or two are to be.
    #[error("there is another unit at {path:?}")]
    Occupied {
        /// The path.
        path: String,
    },
    /// An upload of which bytes are missing.
    #[error("upload {id} is not complete: there is nothing at {offset} yet")]
    Incomplete {
        /// The upload.
        id: i64,
        /// Where the first missing byte is.
        offset: u64,
    },
    /// More bytes than there may be.
    #[error("there are more than {max} bytes")]
    TooLong {
        /// How many there may be.
        max: u64,
    },
    /// Bytes with another digest than expected.
    #[error("the SHA-256 is {found}, not {expected}")]
    Mismatch {
        /// What it was to be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A version that does not exist.
    #[error("repository {repository:?} has no version {number}")]
    NoVersion {
        /// The repository.
        repository: String,
        /// The number.
        number: i64,
    },
    /// A draft that another one took the place of.
    #[error("version {number} was begun anew by somebody else meanwhile")]
    DraftLost {
        /// The number it was to have.
        number: i64,
    },
    /// A repository that does not exist.
    #[error("repository {0:?} not found")]
    NoRepository(String),
    /// A repository of another content type.
    #[error("repository {repository:?} holds {found}, not {wanted}")]
    ContentType {
        /// The repository.
        repository: String,
        /// What it holds.
        found: String,
        /// What was to be put in.
        wanted: String,
    },
    /// A content type that has no source to be synced from.
    #[error("content of type {0:?} is not synced")]
    NoSync(String),
    /// The database failed.
    #[error("the content tables could not be read or written")]
    Store(#[from] tutti_store::Error),
}

impl Error {
    /// Whether the disk is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::File { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            Self::Store(error) => matches!(error, tutti_store::Error::DiskFull),
            _ => false,
        }
    }

    pub(crate) fn file(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}
