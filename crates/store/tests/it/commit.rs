//! Group commit, conflicts between controllers, lost connections, closing.

use std::{sync::mpsc, time::Duration};

use futures_util::future::join_all;
use tutti_store::{Error, Store};

use crate::{
    basics::{MIGRATIONS, sql},
    engine::Engine,
};

const COUNTER: &[tutti_store::Migration] = &[tutti_store::Migration {
    owner: "test",
    number: 1,
    name: "counter",
    sql: "CREATE TABLE counter (id BIGINT PRIMARY KEY, n BIGINT NOT NULL); INSERT INTO counter VALUES (1, 0);
          CREATE TABLE place (id BIGINT PRIMARY KEY)",
}];

#[tokio::test]
async fn what_waits_joins_one_commit_and_is_durable_when_answered() {
    let engine = Engine::sqlite();
    let store = engine.open(MIGRATIONS).await;
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let first = store.write(move |tx| {
        // The writer waits here until the others are in its queue.
        let _ = released.lock().unwrap().recv_timeout(Duration::from_secs(60));
        tx.exec(sql::NUMBER, (0,))
    });
    let others = join_all((1..=60_i64).map(|n| store.write(move |tx| tx.exec(sql::NUMBER, (n,)))));
    let outside = rusqlite::Connection::open(engine.file()).unwrap();
    let count = move || outside.query_row(sql::COUNT, (), |row| row.get::<_, i64>(0)).unwrap();
    let watch = std::thread::spawn(move || {
        let mut seen = vec![count()];
        release.send(()).unwrap();
        while *seen.last().unwrap() < 61 {
            let now = count();
            if seen.last() != Some(&now) {
                seen.push(now);
            }
        }
        seen
    });
    let (first, others) = tokio::join!(first, others);
    first.unwrap();
    assert!(others.into_iter().all(|done| done.is_ok()));
    let outside = rusqlite::Connection::open(engine.file()).unwrap();
    let count: i64 = outside.query_row(sql::COUNT, (), |row| row.get(0)).unwrap();
    assert_eq!(count, 61, "answered means committed");
    let seen = watch.join().unwrap();
    // Two batches, or a few more where the machine pauses the writer; never one for each.
    assert!(seen.len() <= 10, "61 transactions became visible in steps: {seen:?}");
    store.close().await;
}

#[tokio::test]
async fn transactions_of_several_controllers_are_serializable() {
    let Some(engine) = Engine::postgres() else { return };
    let stores = [engine.open(COUNTER).await, engine.open(COUNTER).await];
    let increments = stores.iter().flat_map(|store| {
        (0..100).map(|_| {
            store.write(|tx| {
                let n: i64 = tx.one("SELECT n FROM counter WHERE id = 1", ())?;
                tx.exec("UPDATE counter SET n = $1 WHERE id = 1", (n + 1,))
            })
        })
    });
    for done in join_all(increments).await {
        done.unwrap();
    }
    // Both count first and then take a place: one must see the other's.
    let places = stores.iter().flat_map(|store| {
        (0..20_i64).map(move |_| {
            store.write(|tx| {
                let taken: i64 = tx.one("SELECT count(*) FROM place", ())?;
                if taken < 10 {
                    tx.exec("INSERT INTO place (id) VALUES ($1)", (taken,))?;
                }
                Ok::<_, Error>(())
            })
        })
    });
    for done in join_all(places).await {
        done.unwrap();
    }
    let [one, two] = stores;
    let n: i64 = one.read(|tx| tx.one("SELECT n FROM counter WHERE id = 1", ())).await.unwrap();
    assert_eq!(n, 200);
    let taken: i64 = two.read(|tx| tx.one("SELECT count(*) FROM place", ())).await.unwrap();
    assert_eq!(taken, 10);
    one.close().await;
    two.close().await;
}

#[tokio::test]
async fn a_lost_connection_is_made_again() {
    let Some(engine) = Engine::postgres() else { return };
    let url = format!("{}&application_name=store_test_lost", engine.url);
    let store = Store::open(&url, COUNTER).await.unwrap();
    let other = engine.open(COUNTER).await;
    for round in 1..=3_i64 {
        // Answers once each has ended: one that is only about to end would break what is under way.
        let killed: Vec<bool> = other
            .write(|tx| {
                tx.all(
                    "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
                     WHERE application_name = 'store_test_lost'",
                    (),
                )
            })
            .await
            .unwrap();
        assert!(!killed.is_empty() && killed.iter().all(|ended| *ended));
        store.write(|tx| tx.exec("UPDATE counter SET n = n + 1 WHERE id = 1", ())).await.unwrap();
        for _reader in 0..6 {
            let n = store.read(|tx| tx.one::<i64>("SELECT n FROM counter WHERE id = 1", ())).await;
            assert_eq!(n.unwrap(), round);
        }
    }
    store.close().await;
    other.close().await;
}

#[tokio::test]
async fn closing_finishes_what_was_asked() {
    for engine in Engine::all() {
        let store = engine.open(MIGRATIONS).await;
        let writes: Vec<_> = (0..200_i64)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move { store.write(move |tx| tx.exec(sql::NUMBER, (n,))).await })
            })
            .collect();
        tokio::task::yield_now().await;
        store.close().await;
        let done =
            join_all(writes).await.into_iter().filter(|done| matches!(done, Ok(Ok(1)))).count();
        let store = engine.open(MIGRATIONS).await;
        let kept: usize = store.read(|tx| tx.one(sql::COUNT, ())).await.unwrap();
        assert_eq!(kept, done, "answered and kept are the same");
        store.close().await;
    }
}
