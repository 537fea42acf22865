//! One statement for many rows, and many callers' operations in one call.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use futures_util::future::join_all;
use tutti_store::{Batcher, Error, Migration, Store, ToValue, Value};

use crate::engine::Engine;

const MIGRATIONS: &[Migration] = &[Migration {
    owner: "test",
    number: 1,
    name: "step",
    sql: "CREATE TABLE step (
              flow TEXT NOT NULL, number BIGINT NOT NULL, state BIGINT NOT NULL, output TEXT, done BOOLEAN, weight DOUBLE PRECISION,
              raw BLOB, PRIMARY KEY (flow, number), CHECK (state >= 0)
          )",
}];

mod sql {
    tutti_store::sql! {
        pub(crate) ADD = "INSERT INTO step (flow, number, state) SELECT $1, $2, $3 {rows}";
        pub(crate) ADD_NEW = "INSERT INTO step (flow, number, state) SELECT $1, $2, $3 {rows} WHERE TRUE
            ON CONFLICT (flow, number) DO UPDATE SET state = step.state + 100 RETURNING number, state";
        pub(crate) SET = "UPDATE step SET state = $3, output = $4, done = $5, weight = $6, raw = $7 {rows}
            WHERE flow = $1 AND number = $2";
        pub(crate) ADVANCE = "UPDATE step SET state = state + $3 {rows}
            WHERE number = $2 AND flow = $1 RETURNING number, state";
        pub(crate) REMOVE = "DELETE FROM step {rows} WHERE flow = $1 AND number = $2";
        pub(crate) TAKE = "DELETE FROM step
            {rows} WHERE flow = $1 AND number = $2 RETURNING number, output";
        pub(crate) LOOK = "SELECT number, state FROM step {rows} WHERE flow = $1 AND number = $2";
        pub(crate) ALL = "SELECT number, state, output, done, weight, raw FROM step ORDER BY number";
        pub(crate) BUMP = "UPDATE step SET state = state + 1 {rows} WHERE flow = 'f' AND number = $1 RETURNING number, state";
    }
}

type Step = (i64, i64, Option<String>, Option<bool>, Option<f64>, Option<Vec<u8>>);

fn keys(numbers: impl IntoIterator<Item = i64>) -> impl Iterator<Item = (&'static str, i64)> {
    numbers.into_iter().map(|number| ("f", number))
}

async fn open(engine: &Engine, steps: i64) -> Store {
    let store = engine.open(MIGRATIONS).await;
    let add = move |tx: &mut tutti_store::Tx<'_>| {
        tx.exec_many(sql::ADD, (0..steps).map(|number| ("f", number, 0)))
    };
    assert_eq!(store.write(add).await.unwrap(), u64::try_from(steps).unwrap());
    store
}

#[tokio::test]
async fn statements_for_many_rows_prepare_on_both_engines() {
    for engine in Engine::all() {
        let store = engine.open(MIGRATIONS).await;
        store.prepare_all(sql::STATEMENTS).await.unwrap();
        store.close().await;
    }
    let Some(engine) = Engine::postgres() else { return };
    let store = engine.open(MIGRATIONS).await;
    // Fine for one row, but not for many.
    let bad = "UPDATE step SET state = $1 FROM (SELECT $2 AS n) AS other {rows} WHERE number = CAST(other.n AS BIGINT)";
    let refused = store.prepare_all(&[("BAD", bad)]).await;
    assert!(matches!(refused, Err(Error::Unprepared { name: "BAD", .. })));
    store.close().await;
}

#[tokio::test]
async fn one_statement_for_many_rows() {
    for engine in Engine::all() {
        let store = open(&engine, 2500).await;
        let values = |number: i64| -> Vec<Value> {
            let odd = number % 2 == 1;
            let (output, done) =
                (odd.then(|| format!("o{number}")), odd.then_some(number % 3 == 0));
            let (weight, raw) = (odd.then_some(0.5), odd.then(|| vec![0_u8, 255]));
            let key = ["f".to_value(), number.to_value(), (number * 2).to_value()];
            let rest = [output.to_value(), done.to_value(), weight.to_value(), raw.to_value()];
            key.into_iter().chain(rest).collect()
        };
        for count in [0, 1, 2, 999, 1000, 1001, 2500] {
            let set = store.write(move |tx| tx.exec_many(sql::SET, (0..count).map(values))).await;
            assert_eq!(set.unwrap(), u64::try_from(count).unwrap());
        }
        let found: Vec<Step> = store.read(|tx| tx.all(sql::ALL, ())).await.unwrap();
        assert_eq!(found[2], (2, 4, None, None, None, None));
        let odd = (3, 6, Some("o3".into()), Some(true), Some(0.5), Some(vec![0, 255]));
        assert_eq!(found[3], odd);
        assert_eq!(found[2499].3, Some(true));
        let missing = [1, 7, 9999];
        let mut advanced: Vec<(i64, i64)> = store
            .write(move |tx| tx.all_many(sql::ADVANCE, missing.map(|number| ("f", number, 10))))
            .await
            .unwrap();
        advanced.sort_unstable();
        assert_eq!(advanced, [(1, 12), (7, 24)]);
        let looked: Vec<(i64, i64)> =
            store.read(|tx| tx.all_many(sql::LOOK, keys([7]))).await.unwrap();
        assert_eq!(looked, [(7, 24)]);
        let looked: Vec<(i64, i64)> =
            store.read(|tx| tx.all_many(sql::LOOK, keys(0..2000))).await.unwrap();
        assert_eq!(looked.len(), 2000);
        let mut taken: Vec<(i64, Option<String>)> =
            store.write(|tx| tx.all_many(sql::TAKE, keys([3, 4, 9999]))).await.unwrap();
        taken.sort_unstable();
        assert_eq!(taken, [(3, Some("o3".into())), (4, None)]);
        assert_eq!(store.write(|tx| tx.exec_many(sql::REMOVE, keys(0..10))).await.unwrap(), 8);
        assert_eq!(store.write(|tx| tx.exec(sql::REMOVE, ("f", 10))).await.unwrap(), 1);
        let mut added: Vec<(i64, i64)> = store
            .write(|tx| tx.all_many(sql::ADD_NEW, [("f", 10, 5), ("f", 11, 5), ("f", 12, 5)]))
            .await
            .unwrap();
        added.sort_unstable();
        assert_eq!(added, [(10, 5), (11, 122), (12, 124)]);
        store.close().await;
    }
}

#[tokio::test]
async fn wrong_rows_are_refused_alike() {
    for engine in Engine::all() {
        let store = open(&engine, 3).await;
        let short = || [vec!["f".to_value(), 0.to_value()], vec!["f".to_value()]];
        let refused = store.write(move |tx| tx.exec_many(sql::REMOVE, short())).await;
        assert!(matches!(refused, Err(Error::Statement { .. })), "{refused:?}");
        let refused = store.write(|tx| tx.exec_many(sql::REMOVE, [("a\0", 0), ("f", 1)])).await;
        assert!(matches!(refused, Err(Error::Value { .. })), "{refused:?}");
        let refused =
            store.write(|tx| tx.exec_many("DELETE FROM step WHERE number = $1", [(1,)])).await;
        assert!(matches!(refused, Err(Error::Statement { .. })), "{refused:?}");
        let broken = store
            .write(|tx| tx.all_many::<(i64, i64)>(sql::ADVANCE, [("f", 0, 1), ("f", 1, -1)]))
            .await;
        assert!(matches!(broken, Err(Error::Constraint { .. })), "{broken:?}");
        let wrong = store.read(|tx| tx.all_many::<(i64, String)>(sql::LOOK, keys([0, 1]))).await;
        assert!(matches!(wrong, Err(Error::Column { index: 1, .. })), "{wrong:?}");
        let found: Vec<Step> = store.read(|tx| tx.all(sql::ALL, ())).await.unwrap();
        assert_eq!(found.iter().map(|step| step.1).collect::<Vec<_>>(), [0, 0, 0]);
        store.close().await;
    }
}

/// What a batch of the tests does with each number: counts it up; a negative one fails, 1000 panics.
fn bumper(store: &Store, calls: &Arc<AtomicUsize>) -> Batcher<i64, i64> {
    let calls = Arc::clone(calls);
    store.batcher(move |tx, numbers: &[i64]| {
        calls.fetch_add(1, Ordering::Relaxed);
        let found: Vec<(i64, i64)> =
            tx.all_many(sql::BUMP, numbers.iter().map(|number| (number,)))?;
        if numbers.iter().any(|number| *number < 0) {
            return Err(Error::ReadOnly { action: "count down" });
        }
        assert!(!numbers.contains(&1000), "on purpose");
        tx.ring("bumped");
        let state = |number: &i64| found.iter().find(|found| found.0 == *number);
        Ok(numbers.iter().map(|number| state(number).map_or(-1, |found| found.1)).collect())
    })
}

/// Holds the writer until told, so that what is asked meanwhile becomes one batch.
fn hold(store: &Store) -> (mpsc::Sender<()>, tokio::task::JoinHandle<()>) {
    let (release, released) = mpsc::channel::<()>();
    let (released, store) = (std::sync::Mutex::new(released), store.clone());
    let held = tokio::spawn(async move {
        let wait = move |_: &mut tutti_store::Tx<'_>| {
            let _ = released.lock().unwrap().recv_timeout(Duration::from_secs(5));
            Ok::<_, Error>(())
        };
        store.write(wait).await.unwrap();
    });
    (release, held)
}

#[tokio::test]
async fn many_callers_share_few_calls() {
    for engine in Engine::all() {
        let store = open(&engine, 900).await;
        let calls = Arc::new(AtomicUsize::new(0));
        let batcher = bumper(&store, &calls);
        let mut bell = store.bell("bumped");
        let (release, held) = hold(&store);
        tokio::task::yield_now().await;
        let writes = join_all((0..900).map(|number| batcher.write(number)));
        let plain = store.write(|tx| tx.exec(sql::REMOVE, ("f", 9999)));
        let release = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            release.send(()).unwrap();
        };
        let (answers, plain, ()) = tokio::join!(writes, plain, release);
        assert!(answers.into_iter().all(|answer| answer.unwrap() == 1));
        assert_eq!(plain.unwrap(), 0);
        held.await.unwrap();
        let calls = calls.load(Ordering::Relaxed);
        assert!((2..=4).contains(&calls), "{calls} calls for 900 operations, at most 512 each");
        tokio::time::timeout(Duration::from_secs(5), bell.wait()).await.unwrap();
        store.close().await;
    }
}

#[tokio::test]
async fn one_bad_operation_among_many_fails_alone() {
    for engine in Engine::all() {
        let store = open(&engine, 100).await;
        let batcher = bumper(&store, &Arc::default());
        for bad in [-1, 1000] {
            for alone in [true, false] {
                let (release, held) = hold(&store);
                tokio::task::yield_now().await;
                if alone {
                    // The writer is free again before the batch is asked for: it is first in its transaction.
                    release.send(()).unwrap();
                    held.await.unwrap();
                    let lone = batcher.write(bad).await;
                    assert!(lone.is_err(), "{lone:?}");
                    continue;
                }
                let numbers: Vec<i64> = (0..100).map(|n| if n == 37 { bad } else { n }).collect();
                let writes = join_all(numbers.iter().map(|number| batcher.write(*number)));
                let release = async {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    release.send(()).unwrap();
                };
                let (answers, ()) = tokio::join!(writes, release);
                let refused: Vec<usize> = (0..100).filter(|at| answers[*at].is_err()).collect();
                assert_eq!(refused, [37]);
                held.await.unwrap();
            }
        }
        let found: Vec<Step> = store.read(|tx| tx.all(sql::ALL, ())).await.unwrap();
        assert!(found.iter().all(|step| step.1 == if step.0 == 37 { 0 } else { 2 }));
        store.close().await;
    }
}

#[tokio::test]
async fn an_answer_for_each_operation() {
    for engine in Engine::all() {
        let store = open(&engine, 1).await;
        let silent: Batcher<i64, i64> = store.batcher(|_, _: &[i64]| Ok::<_, Error>(Vec::new()));
        let refused = silent.write(1).await;
        assert!(matches!(refused, Err(Error::Answers { given: 0, wanted: 1 })), "{refused:?}");
        store.close().await;
    }
}

#[tokio::test]
async fn hundreds_of_callers_and_some_who_leave() {
    for engine in Engine::all() {
        let store = open(&engine, 300).await;
        let batcher = bumper(&store, &Arc::default());
        let callers: Vec<_> = (0..300)
            .map(|number| {
                let batcher = batcher.clone();
                tokio::spawn(async move {
                    for round in 1..=10 {
                        assert_eq!(batcher.write(number).await.unwrap(), round);
                    }
                    drop(tokio::time::timeout(Duration::ZERO, batcher.write(number)).await);
                })
            })
            .collect();
        for caller in callers {
            tokio::time::timeout(Duration::from_secs(30), caller).await.unwrap().unwrap();
        }
        assert!(batcher.write(0).await.unwrap() >= 11);
        store.close().await;
        let closed = tokio::time::timeout(Duration::from_secs(5), batcher.write(0)).await.unwrap();
        assert!(matches!(closed, Err(Error::Closed)));
    }
}

#[tokio::test]
async fn closing_finishes_what_is_queued() {
    for engine in Engine::all() {
        let store = open(&engine, 700).await;
        let batcher = bumper(&store, &Arc::default());
        let (release, held) = hold(&store);
        tokio::task::yield_now().await;
        let writes: Vec<_> = (0..700)
            .map(|number| {
                let batcher = batcher.clone();
                tokio::spawn(async move { batcher.write(number).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(20)).await;
        release.send(()).unwrap();
        drop(batcher);
        tokio::time::timeout(Duration::from_secs(30), store.close()).await.unwrap();
        held.await.unwrap();
        for answer in join_all(writes).await {
            assert_eq!(answer.unwrap().unwrap(), 1);
        }
        let store = engine.open(MIGRATIONS).await;
        let found: Vec<Step> = store.read(|tx| tx.all(sql::ALL, ())).await.unwrap();
        assert!(found.iter().all(|step| step.1 == 1));
        store.close().await;
    }
}

#[tokio::test]
async fn batches_of_several_controllers_are_serializable() {
    let Some(engine) = Engine::postgres() else { return };
    let stores = [open(&engine, 200).await, engine.open(MIGRATIONS).await];
    let batchers = [bumper(&stores[0], &Arc::default()), bumper(&stores[1], &Arc::default())];
    let writes =
        (0..200).flat_map(|number| batchers.iter().map(move |batcher| batcher.write(number)));
    let all = tokio::time::timeout(Duration::from_secs(60), join_all(writes)).await.unwrap();
    // Both count up every step: whoever comes second sees what the first wrote.
    let states: i64 = all.into_iter().map(Result::unwrap).sum();
    assert_eq!(states, 200 * (1 + 2));
    let [one, two] = stores;
    two.close().await;
    one.close().await;
}
