//! A database of a test's own on each engine, gone when the test ends.

use std::sync::atomic::{AtomicU32, Ordering};

use tutti_store::{Migration, Store};

/// A place for a database.
pub(crate) struct Engine {
    pub(crate) url: String,
    directory: Option<tempfile::TempDir>,
}

impl Engine {
    /// A SQLite file that does not exist yet.
    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/test.db", directory.path().display());
        Self { url, directory: Some(directory) }
    }

    /// A schema that does not exist yet, if there is a server to test with.
    pub(crate) fn postgres() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("TUTTI_TEST_POSTGRES").ok()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let url = format!("{server}?schema=store_test_{}_{number}", std::process::id());
        Some(Self { url, directory: None })
    }

    pub(crate) fn all() -> Vec<Self> {
        std::iter::once(Self::sqlite()).chain(Self::postgres()).collect()
    }

    pub(crate) async fn open(&self, migrations: &[Migration]) -> Store {
        Store::open(&self.url, migrations).await.unwrap()
    }

    /// The file of a SQLite database.
    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.directory.as_ref().unwrap().path().join("test.db")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let Some((server, schema)) = self.url.split_once("?schema=") else { return };
        let (server, schema) = (server.to_owned(), schema.to_owned());
        let dropping = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (client, connection) =
                    tokio_postgres::connect(&server, tokio_postgres::NoTls).await.unwrap();
                tokio::spawn(connection);
                let sql = format!("DROP SCHEMA IF EXISTS {schema} CASCADE");
                client.batch_execute(&sql).await.unwrap();
            });
        });
        dropping.join().unwrap();
    }
}
