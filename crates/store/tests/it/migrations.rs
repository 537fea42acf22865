//! Schemas grow forwards, once, and not behind a newer version's back.

use std::time::Instant;

use tutti_store::{Error, Migration, Store};

use crate::engine::Engine;

const fn step(number: u32, sql: &'static str) -> Migration {
    Migration { owner: "test", number, name: "step", sql }
}

const ONE: Migration = step(1, "CREATE TABLE one (n BIGINT); INSERT INTO one (n) VALUES (1)");
const TWO: Migration =
    step(2, "ALTER TABLE one ADD COLUMN text TEXT; UPDATE one SET text = 'kept'");

#[tokio::test]
async fn only_what_is_missing_is_applied() {
    for engine in Engine::all() {
        engine.open(&[ONE]).await.close().await;
        engine.open(&[ONE]).await.close().await;
        let started = Instant::now();
        let store = engine.open(&[TWO, ONE]).await;
        println!("opened in {:?}", started.elapsed());
        let rows: Vec<(i64, String)> =
            store.read(|tx| tx.all("SELECT n, text FROM one", ())).await.unwrap();
        assert_eq!(rows, [(1, "kept".into())]);
        store.close().await;
    }
}

#[tokio::test]
async fn a_failing_migration_leaves_nothing() {
    for engine in Engine::all() {
        engine.open(&[ONE]).await.close().await;
        let bad = step(3, "INSERT INTO one (n, text) VALUES (2, 'x'); SELECT nonsense");
        let error = Store::open(&engine.url, &[ONE, TWO, bad]).await.unwrap_err();
        assert!(matches!(error, Error::Migration { number: 3, .. }), "{error:?}");
        let store = engine.open(&[ONE]).await;
        let count: i64 = store.read(|tx| tx.one("SELECT count(*) FROM one", ())).await.unwrap();
        assert_eq!(count, 1);
        assert!(store.read(|tx| tx.all::<String>("SELECT text FROM one", ())).await.is_err());
        store.close().await;
    }
}

#[tokio::test]
async fn a_changed_or_unknown_migration_is_refused() {
    for engine in Engine::all() {
        engine.open(&[ONE, TWO]).await.close().await;
        let changed = step(1, "CREATE TABLE one (n BIGINT)");
        let error = Store::open(&engine.url, &[changed, TWO]).await.unwrap_err();
        assert!(matches!(error, Error::MigrationChanged { number: 1, .. }), "{error:?}");
        let error = Store::open(&engine.url, &[ONE]).await.unwrap_err();
        assert!(matches!(error, Error::MigrationUnknown { number: 2, .. }), "{error:?}");
        let other = Migration { owner: "other", ..step(1, "CREATE TABLE other (n BIGINT)") };
        engine.open(&[other]).await.close().await;
    }
}

#[tokio::test]
async fn a_copy_is_kept_before_an_existing_file_changes() {
    let engine = Engine::sqlite();
    engine.open(&[ONE]).await.close().await;
    let copy = engine.file().with_file_name("test.db.before-test-2");
    assert!(!copy.exists());
    engine.open(&[ONE, TWO]).await.close().await;
    let old = rusqlite::Connection::open(&copy).unwrap();
    let count: i64 = old.query_row("SELECT count(*) FROM one", (), |row| row.get(0)).unwrap();
    assert_eq!(count, 1);
    assert!(old.prepare("SELECT text FROM one").is_err(), "the copy is from before");
}

#[tokio::test]
async fn controllers_starting_together_migrate_once() {
    let Some(engine) = Engine::postgres() else { return };
    let opened = (0..4).map(|_| Store::open(&engine.url, &[ONE, TWO]));
    for store in futures_util::future::join_all(opened).await {
        let store = store.unwrap();
        let count: i64 = store.read(|tx| tx.one("SELECT count(*) FROM one", ())).await.unwrap();
        assert_eq!(count, 1);
        store.close().await;
    }
}
