//! Values, rows, errors, rolling back.

use tutti_store::{Constraint, Error, Json, Migration, Result, ToValue, Value};
use uuid::Uuid;

use crate::engine::Engine;

pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    owner: "test",
    number: 1,
    name: "things",
    sql: "CREATE TABLE thing (
              id TEXT PRIMARY KEY, n BIGINT, r DOUBLE PRECISION, b BLOB, flag BOOLEAN, doc TEXT
          );
          CREATE TABLE number (
              n BIGINT PRIMARY KEY, parent BIGINT REFERENCES number (n), CHECK (n >= 0)
          );",
}];

pub(crate) mod sql {
    tutti_store::sql! {
        pub(crate) INSERT = "INSERT INTO thing (id, n, r, b, flag, doc) VALUES ($1, $2, $3, $4, $5, $6)";
        pub(crate) SELECT = "SELECT id, n, r, b, flag, doc FROM thing WHERE id = $1";
        pub(crate) THINGS = "SELECT id, n, r, b, flag, doc FROM thing ORDER BY id";
        pub(crate) TRUE_THINGS = "SELECT count(*) FROM thing WHERE flag";
        pub(crate) NUMBER = "INSERT INTO number (n) VALUES ($1)";
        pub(crate) CHILD = "INSERT INTO number (n, parent) VALUES ($1, $2)";
        pub(crate) NO_KEY = "INSERT INTO thing (id) VALUES ($1)";
        pub(crate) COUNT = "SELECT count(*) FROM number";
        pub(crate) NUMBERS = "SELECT n FROM number ORDER BY n";
        pub(crate) CROSSED = "SELECT n FROM number WHERE n = $2 AND n > $1";
        pub(crate) LISTED = "SELECT n FROM number
            WHERE n IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY n";
        pub(crate) CLAIM = "UPDATE number SET parent = n WHERE n = (
            SELECT n FROM number WHERE parent IS NULL ORDER BY n LIMIT 1) RETURNING n";
        pub(crate) BACKWARDS = "SELECT CAST($2 AS TEXT), CAST($1 AS TEXT), '$1'";
        pub(crate) SUM = "SELECT CAST(coalesce(sum(n), 0) AS BIGINT), min(n) FROM number";
    }
}

tutti_store::row! {
    #[derive(Debug, PartialEq)]
    struct Thing { id: Uuid, n: Option<i64>, r: f64, b: Vec<u8>, flag: bool, doc: Json<Vec<u32>> }
}

#[tokio::test]
async fn statements_prepare_on_both_engines() {
    for engine in Engine::all() {
        let store = engine.open(MIGRATIONS).await;
        store.prepare_all(sql::STATEMENTS).await.unwrap();
        let refused = store.prepare_all(&[("FINE", "SELECT 1"), ("BAD", "SELECT nothing")]).await;
        assert!(matches!(refused, Err(Error::Unprepared { name: "BAD", .. })));
        store.close().await;
    }
}

#[tokio::test]
async fn values_come_back_as_they_went_in() {
    for engine in Engine::all() {
        let store = engine.open(MIGRATIONS).await;
        let id = Uuid::from_u128(7);
        let found: Thing = store
            .write(move |tx| {
                let blob = vec![0_u8, 255];
                tx.exec(sql::INSERT, (id, None::<i64>, 1.5, blob, true, Json([1_u32, 2])))?;
                tx.one(sql::SELECT, (id,))
            })
            .await
            .unwrap();
        let doc = Json(vec![1, 2]);
        assert_eq!(found, Thing { id, n: None, r: 1.5, b: vec![0, 255], flag: true, doc });
        let backwards: (String, String, String) =
            store.read(|tx| tx.one(sql::BACKWARDS, ("one", "two"))).await.unwrap();
        assert_eq!(backwards, ("two".into(), "one".into(), "$1".into()));
        assert_eq!(store.read(|tx| tx.one::<i64>(sql::TRUE_THINGS, ())).await.unwrap(), 1);
        store.close().await;
    }
}

#[tokio::test]
async fn lists_claims_and_streams() {
    for engine in Engine::all() {
        let store = engine.open(MIGRATIONS).await;
        let rows = |range: std::ops::Range<i64>| range.map(|n| vec![n.to_value()]);
        let inserted = store.write(move |tx| tx.insert_many("number", &["n"], rows(0..2500))).await;
        assert_eq!(inserted.unwrap(), 2500);
        let listed: Vec<i64> =
            store.read(|tx| tx.all(sql::LISTED, (Json([3, 1, 9999]),))).await.unwrap();
        assert_eq!(listed, [1, 3]);
        let claimed = |tx: &mut tutti_store::Tx<'_>| tx.maybe::<i64>(sql::CLAIM, ());
        assert_eq!(store.write(claimed).await.unwrap(), Some(0));
        assert_eq!(store.write(claimed).await.unwrap(), Some(1));
        assert_eq!(store.write(|tx| tx.exec(sql::CLAIM, ())).await.unwrap(), 1);
        let stopped = store
            .read(|tx| {
                let mut seen = Vec::new();
                let end: Result<()> = tx.each(sql::NUMBERS, (), |n: i64| {
                    seen.push(n);
                    if n < 4 { Ok(()) } else { Err(Error::Closed) }
                });
                assert!(matches!(end, Err(Error::Closed)));
                // Stopping early leaves the transaction usable.
                let sum: (i64, Option<i64>) = tx.one(sql::SUM, ())?;
                Ok::<_, Error>((seen, sum))
            })
            .await;
        assert_eq!(stopped.unwrap(), (vec![0, 1, 2, 3, 4], (2499 * 1250, Some(0))));
        store.close().await;
    }
}

#[tokio::test]
async fn row_counts_are_checked() {
    for engine in Engine::all() {
        let store = engine.open(MIGRATIONS).await;
        let none = store.read(|tx| tx.one::<i64>(sql::NUMBERS, ())).await;
        assert!(matches!(none, Err(Error::NoRow { .. })));
        store
            .write(|tx| tx.exec(sql::NUMBER, (1,)).and_then(|_| tx.exec(sql::NUMBER, (2,))))
            .await
            .unwrap();
        let many = store.read(|tx| tx.maybe::<i64>(sql::NUMBERS, ())).await;
        assert!(matches!(many, Err(Error::ManyRows { .. })));
        let other = store.read(|tx| tx.one::<(i64, String)>(sql::SUM, ())).await;
        assert!(matches!(other, Err(Error::Column { index: 1, .. })), "{other:?}");
        let wide = store.write(|tx| {
            tx.insert_many("number", &["n"], [vec![3.to_value()], vec![4.to_value(), Value::Null]])
        });
        assert!(matches!(wide.await, Err(Error::Value { .. })));
        let count: i64 = store.read(|tx| tx.one(sql::COUNT, ())).await.unwrap();
        assert_eq!(count, 2);
        store.close().await;
    }
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused() {
    for engine in Engine::all() {
        let store = engine.open(MIGRATIONS).await;
        for value in [u64::MAX.to_value(), "a\0b".to_value(), f64::NAN.to_value()] {
            let refused = store.write(move |tx| tx.exec(sql::NUMBER, vec![value.clone()])).await;
            assert!(matches!(refused, Err(Error::Value { .. })));
        }
        for wrong in [vec![], vec![Value::Integer(1), Value::Integer(2)]] {
            let refused = store.write(move |tx| tx.exec(sql::NUMBER, wrong.clone())).await;
            assert!(matches!(refused, Err(Error::Statement { .. })), "{refused:?}");
        }
        store.close().await;
    }
}

#[tokio::test]
async fn constraints_have_kinds() {
    for engine in Engine::all() {
        let store = engine.open(MIGRATIONS).await;
        store.write(|tx| tx.exec(sql::NUMBER, (1,))).await.unwrap();
        let kind = |done: Result<u64>| match done {
            Err(Error::Constraint { kind, .. }) => kind,
            other => panic!("{other:?}"),
        };
        let twice = store.write(|tx| tx.exec(sql::NUMBER, (1,))).await;
        assert_eq!(kind(twice), Constraint::Unique);
        let orphan = store.write(|tx| tx.exec(sql::CHILD, (2, 77))).await;
        assert_eq!(kind(orphan), Constraint::ForeignKey);
        let negative = store.write(|tx| tx.exec(sql::NUMBER, (-1,))).await;
        assert_eq!(kind(negative), Constraint::Check);
        let many = store.write(|tx| tx.insert_many("number", &["n"], [vec![1.to_value()]])).await;
        assert_eq!(kind(many), Constraint::Unique);
        store.close().await;
    }
}

#[tokio::test]
async fn an_error_rolls_back_its_own_transaction_alone() {
    for engine in Engine::all() {
        let store = engine.open(MIGRATIONS).await;
        let failing = store.write(|tx| {
            tx.exec(sql::NUMBER, (1,))?;
            Err::<(), _>(Error::Closed)
        });
        let panicking = store.write(|tx| {
            tx.exec(sql::NUMBER, (2,))?;
            if tx.one::<i64>(sql::COUNT, ())? > 0 {
                panic!("on purpose");
            }
            Ok::<_, Error>(())
        });
        // A closure that swallows a failed statement has not done what it thinks.
        let swallowing = store.write(|tx| {
            tx.exec(sql::NUMBER, (3,))?;
            assert!(tx.exec(sql::NUMBER, (3,)).is_err());
            assert!(matches!(tx.exec(sql::NUMBER, (4,)), Err(Error::Aborted)));
            Ok::<_, Error>(())
        });
        let good = store.write(|tx| tx.exec(sql::NUMBER, (5,)));
        let (failed, panicked, swallowed, done) =
            tokio::join!(failing, panicking, swallowing, good);
        assert!(matches!(failed, Err(Error::Closed)));
        assert!(matches!(panicked, Err(Error::Panicked { message }) if message == "on purpose"));
        assert!(swallowed.is_err_and(|error| error.is_unique()));
        assert_eq!(done.unwrap(), 1);
        let numbers: Vec<i64> = store.read(|tx| tx.all(sql::NUMBERS, ())).await.unwrap();
        assert_eq!(numbers, [5]);
        store.close().await;
    }
}

#[tokio::test]
async fn readers_cannot_write() {
    for engine in Engine::all() {
        let store = engine.open(MIGRATIONS).await;
        assert!(store.read(|tx| tx.exec(sql::NUMBER, (1,))).await.is_err());
        let outbox = store.read(|tx| tx.outbox("topic", &1)).await;
        assert!(matches!(outbox, Err(Error::ReadOnly { .. })));
        assert_eq!(store.read(|tx| tx.one::<i64>(sql::COUNT, ())).await.unwrap(), 0);
        let other = store.clone();
        store.close().await;
        let refused = other.read(|tx| tx.one::<i64>(sql::COUNT, ())).await;
        assert!(matches!(refused, Err(Error::Closed)));
    }
}
