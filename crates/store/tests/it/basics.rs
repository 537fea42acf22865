//! Reading, writing, rolling back, waking.

use std::time::Duration;

use tutti_store::{Error, Json, Migration, Store, ToValue, Value};
use uuid::Uuid;

pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    owner: "test",
    number: 1,
    name: "things",
    sql: "CREATE TABLE thing (id TEXT PRIMARY KEY, n BIGINT, r DOUBLE PRECISION, b BLOB, flag BOOLEAN, doc TEXT);
          CREATE TABLE number (n BIGINT PRIMARY KEY);",
}];

tutti_store::sql! {
    INSERT = "INSERT INTO thing (id, n, r, b, flag, doc) VALUES ($1, $2, $3, $4, $5, $6)";
    SELECT = "SELECT id, n, r, b, flag, doc FROM thing WHERE id = $1";
    NUMBER = "INSERT INTO number (n) VALUES ($1)";
    COUNT = "SELECT count(*) FROM number";
}

tutti_store::row! {
    #[derive(Debug, PartialEq)]
    struct Thing { id: Uuid, n: Option<i64>, r: f64, b: Vec<u8>, flag: bool, doc: Json<Vec<u32>> }
}

#[tokio::test]
async fn values_come_back_as_they_went_in() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite://{}/a.db", directory.path().display()), MIGRATIONS)
        .await
        .unwrap();
    let id = Uuid::now_v7();
    let thing: Thing = store
        .write(move |tx| {
            tx.exec(INSERT, (id, None::<i64>, 1.5, vec![0_u8, 255], true, Json(vec![1_u32, 2])))?;
            tx.one(SELECT, (id,))
        })
        .await
        .map_err(|error: Error| error)
        .unwrap();
    assert_eq!(
        thing,
        Thing { id, n: None, r: 1.5, b: vec![0, 255], flag: true, doc: Json(vec![1, 2]) }
    );
    let gone = store.write(move |tx| {
        tx.insert_many("number", &["n"], (0..10_i64).map(|n| vec![n.to_value()]))?;
        Err::<(), _>(Error::Closed)
    });
    assert!(matches!(gone.await, Err(Error::Closed)));
    let count: Result<i64, Error> = store.read(|tx| tx.one(COUNT, ())).await;
    assert_eq!(count.unwrap(), 0);
    let panicked: Result<(), Error> = store.write(|_| panic!("on purpose")).await;
    assert!(matches!(panicked, Err(Error::Panicked { message }) if message == "on purpose"));
    let unfit: Result<u64, Error> = store.write(|tx| tx.exec(NUMBER, (u64::MAX,))).await;
    assert!(matches!(unfit, Err(Error::Value { .. })));
    let _ = Value::Null;
    store.close().await;
}

#[tokio::test]
async fn a_bell_misses_no_ring() {
    let directory = tempfile::tempdir().unwrap();
    let store =
        Store::open(&format!("{}/a.db", directory.path().display()), MIGRATIONS).await.unwrap();
    let mut bell = store.bell("news");
    let rung: Result<(), Error> = store
        .write(|tx| {
            tx.ring("news");
            Ok(())
        })
        .await;
    rung.unwrap();
    tokio::time::timeout(Duration::from_secs(1), bell.wait()).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(20), bell.wait()).await.is_err());
}
