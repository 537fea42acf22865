//! Repositories and charms on a real database: SQLite always, PostgreSQL when
//! `TUTTI_TEST_POSTGRES` holds a URL.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod charms;
mod drafts;
mod earlier;
mod orphans;

use tutti_content::{Artifact, MIGRATIONS, STATEMENTS};
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

#[tokio::test]
async fn statements_prepare_on_every_engine() {
    for (store, _directory) in stores().await {
        for statements in STATEMENTS {
            store.prepare_all(statements).await.unwrap();
        }
    }
}
