//! Repositories and charms on a real database: SQLite always, PostgreSQL when
//! `TUTTI_TEST_POSTGRES` holds a URL.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod charms;
mod downloads;
mod drafts;
mod earlier;
mod fetches;
mod kept;
mod kills;
mod orphans;
mod pipelines;
mod pythons;
mod served;
mod server;
mod syncs;
mod tls;
mod versions;

use tutti_content::modify::{self, Modification, Removal};
use tutti_content::repository::{self, Version};
use tutti_content::{Artifact, Error, MIGRATIONS, STATEMENTS, unit};
use tutti_store::{Migration, Store};

/// A fresh store on each engine at hand, with what must live as long as it.
async fn stores() -> Vec<(Store, Option<tempfile::TempDir>)> {
    let mut stores = Vec::new();
    for (url, directory) in addresses() {
        stores.push((open(&url, MIGRATIONS).await, directory));
    }
    stores
}

async fn open(url: &str, migrations: &[Migration]) -> Store {
    Store::open(url, migrations).await.unwrap()
}

/// Where a fresh store can be made on each engine at hand.
fn addresses() -> Vec<(String, Option<tempfile::TempDir>)> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("content.db");
    let mut addresses = vec![(path.to_string_lossy().into_owned(), Some(directory))];
    if let Ok(url) = std::env::var("TUTTI_TEST_POSTGRES") {
        let separator = if url.contains('?') { '&' } else { '?' };
        let schema = format!("content_{}", uuid::Uuid::now_v7().simple());
        addresses.push((format!("{url}{separator}schema={schema}"), None));
    }
    addresses
}

fn artifact(byte: u8) -> Artifact {
    Artifact { digest: format!("{byte:02x}").repeat(32), size: 10 }
}

/// A repository of files on a fresh store, and its artifacts.
struct Files {
    store: Store,
    artifacts: tutti_content::Artifacts,
    repository: i64,
    directory: tempfile::TempDir,
    _database: Option<tempfile::TempDir>,
}

impl Files {
    async fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for (store, database) in stores().await {
            let directory = tempfile::tempdir().unwrap();
            let artifacts = tutti_content::Artifacts::open(directory.path()).unwrap();
            let repository = Self::repository(&store, "files").await;
            all.push(Self { store, artifacts, repository, directory, _database: database });
        }
        all
    }

    async fn repository(store: &Store, name: &'static str) -> i64 {
        let made = store.write(move |tx| repository::ensure(tx, name, "file", 1)).await;
        made.unwrap().id
    }

    /// Units of files whose bytes are stored: path and bytes.
    async fn units(&self, files: &[(&str, &str)], now: i64) -> Vec<i64> {
        let mut new = Vec::new();
        for (path, bytes) in files {
            let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>(bytes.to_string())]);
            let artifact = self.artifacts.put(chunks).await.unwrap();
            new.push((path.to_string(), artifact));
        }
        let saved = self.store.write(move |tx| {
            let unit = |(path, artifact): &(String, Artifact)| unit::NewUnit {
                content_type: "file".into(),
                path: path.clone(),
                identity: artifact.digest.clone(),
                metadata: "{}".into(),
                files: vec![unit::NewFile {
                    path: path.clone(),
                    digest: Some(artifact.digest.clone()),
                    size: Some(artifact.size),
                }],
            };
            for (_, artifact) in &new {
                tutti_content::record_artifact(tx, artifact, now)?;
            }
            unit::save(tx, &new.iter().map(unit).collect::<Vec<_>>(), now)
        });
        saved.await.unwrap().into_iter().map(|saved: unit::Saved| saved.id).collect()
    }

    async fn modify(&self, add: &[i64], remove: Removal) -> Result<Option<Version>, Error> {
        let modification = Modification { add: add.to_vec(), remove, base: None, overwrite: true };
        modify::modify(&self.store, self.repository, modification, 2).await
    }

    /// Adds files as the next version.
    async fn add(&self, files: &[(&str, &str)]) -> i64 {
        let units = self.units(files, 2).await;
        self.modify(&units, Removal::Units(Vec::new())).await.unwrap().unwrap().number
    }

    async fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut tutti_store::Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> T {
        self.store.read(f).await.unwrap()
    }

    async fn write<T: Send + 'static>(
        &self,
        f: impl Fn(&mut tutti_store::Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.store.write(f).await
    }
}

#[tokio::test]
async fn statements_prepare_on_every_engine() {
    for (store, _directory) in stores().await {
        for statements in STATEMENTS {
            store.prepare_all(statements).await.unwrap();
        }
    }
}
