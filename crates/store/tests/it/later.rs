//! Statements whose answer nobody waits for.

use std::{
    sync::{Mutex, mpsc},
    time::Duration,
};

use tutti_store::{Batcher, Error, Migration, Store, ToValue, Tx};

use crate::engine::Engine;

const MIGRATIONS: &[Migration] = &[Migration {
    owner: "test",
    number: 1,
    name: "step",
    sql: "CREATE TABLE step (number BIGINT NOT NULL PRIMARY KEY, state BIGINT NOT NULL)",
}];

mod sql {
    tutti_store::sql! {
        pub(crate) ADD = "INSERT INTO step (number, state) SELECT $1, $2 {rows}";
        pub(crate) SET = "UPDATE step SET state = $2 {rows} WHERE number = $1";
        pub(crate) ALL = "SELECT number, state FROM step ORDER BY number";
    }
}

async fn steps(store: &Store) -> Vec<(i64, i64)> {
    store.read(|tx| tx.all(sql::ALL, ())).await.unwrap()
}

fn add(tx: &mut Tx<'_>, numbers: &[i64]) -> Result<(), Error> {
    tx.send_many(sql::ADD, numbers.iter().map(|number| (*number, 0)))
}

#[tokio::test]
async fn they_take_effect_in_their_order() {
    for engine in Engine::all() {
        let store = engine.open(MIGRATIONS).await;
        let found = store.write(|tx| {
            let rows = [1, 2].map(|number: i64| vec![number.to_value(), 0.to_value()]);
            tx.send_rows("step", &["number", "state"], rows)?;
            add(tx, &[3])?;
            tx.send_many(sql::SET, [(1, 10), (3, 30)])?;
            let found: Vec<(i64, i64)> = tx.all(sql::ALL, ())?;
            tx.send_many(sql::SET, [(2, 20)])?;
            Ok::<_, Error>(found)
        });
        assert_eq!(found.await.unwrap(), [(1, 10), (2, 0), (3, 30)]);
        assert_eq!(steps(&store).await, [(1, 10), (2, 20), (3, 30)]);
        store.close().await;
    }
}

#[tokio::test]
async fn whose_statement_failed_hears_of_it_and_keeps_nothing() {
    for engine in Engine::all() {
        let store = engine.open(MIGRATIONS).await;
        store.write(|tx| add(tx, &[1])).await.unwrap();
        let bad = store.write(|tx| {
            add(tx, &[2])?;
            add(tx, &[1])
        });
        let passed_over = store.write(|tx| {
            drop(add(tx, &[1]));
            tx.all::<(i64, i64)>(sql::ALL, ()).map(drop)
        });
        let good = store.write(|tx| add(tx, &[3]));
        let (bad, passed_over, good) = tokio::join!(bad, passed_over, good);
        assert!(matches!(bad, Err(Error::Constraint { .. })), "{bad:?}");
        assert!(passed_over.is_err());
        good.unwrap();
        assert_eq!(steps(&store).await, [(1, 0), (3, 0)]);
        store.close().await;
    }
}

/// Adds each number; the first time when it is told to.
fn adder(store: &Store, held: Option<mpsc::Receiver<()>>) -> Batcher<i64, ()> {
    let held = Mutex::new(held);
    store.batcher(move |tx, numbers: &[i64]| {
        if let Some(held) = held.lock().unwrap().take() {
            let _ = held.recv_timeout(Duration::from_secs(5));
        }
        add(tx, numbers)?;
        Ok::<_, Error>(vec![(); numbers.len()])
    })
}

#[tokio::test]
async fn a_batch_fails_with_the_commit_it_was_sent_with() {
    for engine in Engine::all() {
        let store = engine.open(MIGRATIONS).await;
        let batcher = adder(&store, None);
        batcher.write(1).await.unwrap();
        let again = batcher.write(1).await;
        assert!(matches!(again, Err(Error::Constraint { .. })), "{again:?}");
        let (two, again, three) =
            tokio::join!(batcher.write(2), batcher.write(1), batcher.write(3));
        assert!(matches!(again, Err(Error::Constraint { .. })), "{again:?}");
        two.unwrap();
        three.unwrap();
        assert_eq!(steps(&store).await, [(1, 0), (2, 0), (3, 0)]);
        store.close().await;
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_not_missing_from_a_commit() {
    let Some(engine) = Engine::postgres() else { return };
    let store = engine.open(MIGRATIONS).await;
    let both = store.batcher(|tx, numbers: &[i64]| {
        add(tx, numbers)?;
        tx.send_many(sql::SET, numbers.iter().map(|number| (*number, "no number")))?;
        Ok::<_, Error>(vec![(); numbers.len()])
    });
    let refused = both.write(1).await;
    assert!(matches!(refused, Err(Error::Statement { .. })), "{refused:?}");
    assert_eq!(steps(&store).await, [], "half of it was committed");
    store.close().await;
}

#[tokio::test]
async fn the_failure_of_a_batch_is_nobody_elses() {
    for engine in Engine::all() {
        let store = engine.open(MIGRATIONS).await;
        store.write(|tx| add(tx, &[1])).await.unwrap();
        let (release, held) = mpsc::channel();
        let batcher = adder(&store, Some(held));
        let bad = batcher.write(1);
        let good = async {
            // While the batch is under way: the next job of its transaction.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let good = store.write(|tx| add(tx, &[2]));
            let release = async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                release.send(()).unwrap();
            };
            tokio::join!(good, release).0
        };
        let (bad, good) = tokio::join!(bad, good);
        assert!(matches!(bad, Err(Error::Constraint { .. })), "{bad:?}");
        good.unwrap();
        assert_eq!(steps(&store).await, [(1, 0), (2, 0)]);
        store.close().await;
    }
}
