//! Repositories and charms on a real database: SQLite always, PostgreSQL when
//! `TUTTI_TEST_POSTGRES` holds a URL.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use tutti_content::{Artifact, Error, MIGRATIONS, STATEMENTS, charm, repository};
use tutti_store::Store;

/// A fresh store on each engine at hand, with what must live as long as it.
async fn stores() -> Vec<(Store, Option<tempfile::TempDir>)> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("content.db");
    let sqlite = Store::open(&path.to_string_lossy(), MIGRATIONS).await.unwrap();
    let mut stores = vec![(sqlite, Some(directory))];
    if let Ok(url) = std::env::var("TUTTI_TEST_POSTGRES") {
        let separator = if url.contains('?') { '&' } else { '?' };
        let schema = format!("content_{}", uuid::Uuid::now_v7().simple());
        let url = format!("{url}{separator}schema={schema}");
        stores.push((Store::open(&url, MIGRATIONS).await.unwrap(), None));
    }
    stores
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

#[tokio::test]
async fn revisions_only_grow_and_versions_never_change() {
    for (store, _directory) in stores().await {
        let revisions = store
            .write(|tx| {
                repository::ensure(tx, "charms/m", charm::CONTENT_TYPE, 1)?;
                let mut publish = |name: &str, at_least: i64, byte: u8| {
                    charm::publish(tx, "charms/m", name, at_least, &artifact(byte), "{}", 2)
                        .map(|unit| unit.revision)
                };
                Ok::<_, Error>(vec![
                    publish("db", 0, 1)?,
                    publish("db", 0, 1)?,
                    publish("db", 7, 2)?,
                    publish("db", 3, 3)?,
                    publish("web", 0, 4)?,
                ])
            })
            .await
            .unwrap();
        assert_eq!(revisions, [0, 1, 7, 8, 0]);

        let removed = store
            .write(|tx| {
                let all = repository::content(tx, "charms/m", None)?;
                repository::remove(tx, "charms/m", &[all[3].id], 3)?;
                charm::publish(tx, "charms/m", "db", 0, &artifact(5), "{}", 4)
            })
            .await
            .unwrap();
        assert_eq!(removed.revision, 9, "a removed revision's number is not given again");

        let (version_3, newest, versions, latest) = store
            .read(|tx| {
                Ok::<_, Error>((
                    repository::content(tx, "charms/m", Some(3))?,
                    charm::list(tx, "charms/m")?,
                    repository::versions(tx, "charms/m")?,
                    charm::latest(tx, "charms/m", "db")?,
                ))
            })
            .await
            .unwrap();
        let numbers: Vec<_> = version_3.iter().map(|unit| unit.revision).collect();
        assert_eq!(numbers, [0, 1, 7]);
        let numbers: Vec<_> =
            newest.iter().map(|unit| (unit.name.as_str(), unit.revision)).collect();
        assert_eq!(numbers, [("db", 0), ("db", 1), ("db", 7), ("db", 9), ("web", 0)]);
        assert_eq!(versions.len(), 7);
        assert_eq!(latest.unwrap().revision, 9);
    }
}

#[tokio::test]
async fn a_repository_holds_one_content_type() {
    for (store, _directory) in stores().await {
        let error = store
            .write(|tx| {
                repository::ensure(tx, "files", "file", 1)?;
                repository::ensure(tx, "files", charm::CONTENT_TYPE, 1)
            })
            .await
            .unwrap_err();
        assert!(matches!(error, Error::ContentType { .. }), "{error}");
        let error = store.read(|tx| repository::content(tx, "nothing", None)).await.unwrap_err();
        assert!(matches!(error, Error::NoRepository(_)), "{error}");
    }
}

#[tokio::test]
async fn dropping_a_repository_leaves_no_rows() {
    for (store, _directory) in stores().await {
        let left = store
            .write(|tx| {
                repository::ensure(tx, "charms/m", charm::CONTENT_TYPE, 1)?;
                charm::publish(tx, "charms/m", "db", 4, &artifact(1), "{}", 2)?;
                repository::drop(tx, "charms/m")?;
                repository::ensure(tx, "charms/m", charm::CONTENT_TYPE, 3)?;
                charm::list(tx, "charms/m")
            })
            .await
            .unwrap();
        assert!(left.is_empty());
    }
}
