//! Units as a source declares them, on their way into a version.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::{
    Artifact,
    digest::Expected,
    download::{Client, Policy, Source},
    unit::{NewFile, NewUnit},
};

/// Where units are from: a remote with its client.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Id of the remote.
    pub remote: i64,
    /// When its files are fetched.
    pub policy: Policy,
    /// Fetches them.
    pub client: Client,
}

impl Origin {
    /// Of that source.
    ///
    /// # Errors
    /// Those of [`Client::new`].
    pub async fn new(source: &Source) -> Result<Arc<Self>, crate::download::Error> {
        let client = Client::new(source).await?;
        Ok(Arc::new(Self { remote: source.id, policy: source.policy, client }))
    }
}

/// A unit that a source declares. Stages fill in what is known of it; what is there already is not fetched again.
#[derive(Debug)]
pub struct Declared {
    /// `file`, `python`, …
    pub content_type: String,
    /// Where it is in a repository.
    pub path: String,
    /// What tells it from others of its path; none: the SHA-256 of its first file, known when that is here.
    pub identity: Option<String>,
    /// What its type knows of it, JSON.
    pub metadata: String,
    /// Its files.
    pub files: Vec<DeclaredFile>,
    /// Where it is from.
    pub origin: Arc<Origin>,
    /// The saved unit.
    pub unit: Option<i64>,
    /// Whether it was there before.
    pub(super) is_known: bool,
    /// Room for its bytes, until they are written down as stored.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// A file of a declared unit.
#[derive(Clone, Debug, Default)]
pub struct DeclaredFile {
    /// Where it is in a repository.
    pub path: String,
    /// Where it can be fetched: mirrors in the order in which they are tried.
    pub urls: Vec<String>,
    /// What it is announced to be.
    pub expected: Expected,
    /// Its bytes, if they are here.
    pub artifact: Option<Artifact>,
    /// Whether the artifact has to be written down.
    pub(super) is_fresh: bool,
    /// Whether the unit is known to have this file.
    pub(super) is_filed: bool,
    /// Whether the digest of the file is written down.
    pub(super) is_digested: bool,
    /// Whether it is written down that this remote offers it.
    pub(super) is_offered: bool,
}

impl Declared {
    /// A unit.
    #[must_use]
    pub fn new(
        origin: &Arc<Origin>,
        content_type: &str,
        path: &str,
        files: Vec<DeclaredFile>,
    ) -> Self {
        let identity = files.first().and_then(|file| file.expected.artifact());
        Self {
            content_type: content_type.to_owned(),
            path: path.to_owned(),
            identity: identity.map(str::to_owned),
            metadata: "{}".to_owned(),
            files,
            origin: Arc::clone(origin),
            unit: None,
            is_known: false,
            room: None,
        }
    }

    /// As it is saved; none as long as its identity is not known.
    pub(super) fn to_new(&self) -> Option<NewUnit> {
        let files = self.files.iter().map(|file| NewFile {
            path: file.path.clone(),
            digest: file.digest().map(str::to_owned),
            size: file.artifact.as_ref().map(|artifact| artifact.size).or(file.expected.size),
        });
        Some(NewUnit {
            content_type: self.content_type.clone(),
            path: self.path.clone(),
            identity: self.identity.clone()?,
            metadata: self.metadata.clone(),
            files: files.collect(),
        })
    }
}

impl DeclaredFile {
    /// A file of that description.
    #[must_use]
    pub fn new(path: &str, url: String, expected: Expected) -> Self {
        Self { path: path.to_owned(), urls: vec![url], expected, ..Self::default() }
    }

    /// Its SHA-256, as far as it is known.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        let stored = self.artifact.as_ref().map(|artifact| artifact.digest.as_str());
        stored.or_else(|| self.expected.artifact())
    }
}
