//! Operations per second on SQLite and, where `TUTTI_TEST_POSTGRES` holds a URL, on PostgreSQL: best of three.
//!
//! Rows of five columns with a 200-byte JSON body and a secondary unique index.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tutti_store::{Backend, Batcher, Error, Migration, Store, ToValue, Value, row, sql};
use uuid::Uuid;

const MIGRATIONS: &[Migration] = &[Migration {
    owner: "bench",
    number: 1,
    name: "item",
    sql: "CREATE TABLE item (
              id BIGINT PRIMARY KEY, name TEXT NOT NULL, state BIGINT NOT NULL, at BIGINT NOT NULL, body TEXT NOT NULL
          );
          CREATE UNIQUE INDEX item_name ON item (name)",
}];

sql! {
    INSERT = "INSERT INTO item (id, name, state, at, body) VALUES ($1, $2, $3, $4, $5)";
    GET = "SELECT id, name, state, at, body FROM item WHERE id = $1";
    SCAN = "SELECT id, name, state, at, body FROM item";
    CLEAR = "DELETE FROM item";
    STEP = "UPDATE item SET state = state + $2, at = $3 {rows} WHERE id = $1 RETURNING id, state";
}

row! {
    struct Item { id: i64, name: String, state: i64, at: i64, body: String }
}

const COLUMNS: &[&str] = &["id", "name", "state", "at", "body"];

/// Callers at once in the rows that have many.
const CALLERS: i64 = 64;

fn item(id: i64) -> Vec<Value> {
    let body = format!("{{\"id\":{id},\"text\":\"{:0>180}\"}}", id);
    vec![
        id.to_value(),
        format!("name-{id}").to_value(),
        1.to_value(),
        id.to_value(),
        body.to_value(),
    ]
}

async fn clear(store: &Store) {
    store.write(|tx| tx.exec(CLEAR, ())).await.unwrap();
}

async fn insert_loop(store: &Store, count: i64) {
    let insert = move |tx: &mut tutti_store::Tx<'_>| {
        (0..count).try_for_each(|id| tx.exec(INSERT, item(id)).map(drop))
    };
    store.write(insert).await.unwrap();
}

async fn insert_many(store: &Store, count: i64) {
    store.write(move |tx| tx.insert_many("item", COLUMNS, (0..count).map(item))).await.unwrap();
}

async fn write_alone(store: &Store, count: i64) {
    for id in 0..count {
        store.write(move |tx| tx.exec(INSERT, item(id))).await.unwrap();
    }
}

async fn write_together(store: &Store, count: i64) {
    let callers = (0..CALLERS).map(|caller| {
        let store = store.clone();
        tokio::spawn(async move {
            for id in (caller..count).step_by(CALLERS as usize) {
                store.write(move |tx| tx.exec(INSERT, item(id))).await.unwrap();
            }
        })
    });
    join_all(callers).await;
}

/// A small durable step: two rows change.
fn stepper(store: &Store) -> Batcher<i64, i64> {
    store.batcher(|tx, steps: &[i64]| {
        let rows = steps.iter().flat_map(|step| [(2 * step, 1, *step), (2 * step + 1, 1, *step)]);
        let states: Vec<(i64, i64)> = tx.all_many(STEP, rows)?;
        Ok::<_, Error>(states.into_iter().step_by(2).map(|(_, state)| state).collect())
    })
}

/// Each caller steps rows of its own, so that no batch has a row twice.
async fn steps(store: &Store, count: i64, callers: i64) {
    let batcher = stepper(store);
    clear(store).await;
    let rows = 128 * callers;
    store.write(move |tx| tx.insert_many("item", COLUMNS, (0..rows).map(item))).await.unwrap();
    let callers = (0..callers).map(|caller| {
        let batcher = batcher.clone();
        tokio::spawn(async move {
            for n in 0..count / callers {
                batcher.write(caller * 64 + n % 64).await.unwrap();
            }
        })
    });
    for caller in join_all(callers).await {
        caller.unwrap();
    }
}

async fn steps_of_8(store: &Store, count: i64) {
    steps(store, count, 8).await;
}

async fn steps_of_64(store: &Store, count: i64) {
    steps(store, count, CALLERS).await;
}

async fn read_alone(store: &Store, count: i64) {
    for id in 0..count {
        read_one(store, id).await;
    }
}

async fn read_together(store: &Store, count: i64) {
    let callers = (0..CALLERS).map(|caller| {
        let store = store.clone();
        tokio::spawn(async move {
            for id in (caller..count).step_by(CALLERS as usize) {
                read_one(&store, id).await;
            }
        })
    });
    join_all(callers).await;
}

async fn read_one(store: &Store, id: i64) {
    let found: Item = store.read(move |tx| tx.one(GET, (id,))).await.unwrap();
    assert_eq!(found.id, id);
}

async fn scan(store: &Store, count: i64) {
    let bytes = store.read(|tx| {
        let mut bytes = 0;
        tx.each(SCAN, (), |item: Item| {
            bytes += item.name.len() + item.body.len() + (item.state + item.at) as usize % 2;
            Ok::<_, Error>(())
        })?;
        Ok::<_, Error>(bytes)
    });
    assert!(bytes.await.unwrap() > count as usize * 180);
}

/// `cargo bench -p tutti-store -- step` measures the rows whose title has the word.
fn wanted(title: &str) -> bool {
    std::env::args().skip(1).filter(|word| !word.starts_with('-')).all(|word| title.contains(&word))
}

macro_rules! measure {
    ($store:expr, $title:literal, $run:ident, $count:expr, $before:expr) => {{
        if wanted($title) {
            let mut best = Duration::MAX;
            for _ in 0..3 {
                $before.await;
                let started = Instant::now();
                $run($store, $count).await;
                best = best.min(started.elapsed());
            }
            println!("{:<44} {:>10.0} /s", $title, $count as f64 / best.as_secs_f64());
        }
    }};
}

async fn measure(store: &Store) {
    let (bulk, single) = match store.backend() {
        Backend::Sqlite => (100_000, 20_000),
        Backend::Postgres => (20_000, 5_000),
    };
    measure!(store, "insert, one row a statement, 1 transaction", insert_loop, bulk, clear(store));
    measure!(store, "insert_many, 1 transaction", insert_many, bulk, clear(store));
    measure!(store, "one row a transaction, 1 caller", write_alone, single, clear(store));
    measure!(store, "one row a transaction, 64 callers", write_together, bulk, clear(store));
    measure!(store, "two-row step through a batcher, 8 callers", steps_of_8, single, async {});
    measure!(store, "two-row step through a batcher, 64 callers", steps_of_64, bulk, async {});
    measure!(store, "point read, 1 caller", read_alone, single, async {});
    measure!(store, "point read, 64 callers", read_together, bulk, async {});
    measure!(store, "scan into structs", scan, bulk, async {});
}

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let file = format!("{}/bench.db", directory.path().display());
        Store::open(&file, MIGRATIONS).await.unwrap().close().await;
        let started = Instant::now();
        let store = Store::open(&file, MIGRATIONS).await.unwrap();
        println!("SQLite: opened in {:.1} ms", started.elapsed().as_secs_f64() * 1e3);
        measure(&store).await;
        store.close().await;
        let Ok(server) = std::env::var("TUTTI_TEST_POSTGRES") else { return };
        let schema = format!("store_bench_{}", Uuid::now_v7().simple());
        let store = Store::open(&format!("{server}?schema={schema}"), MIGRATIONS).await.unwrap();
        println!("PostgreSQL:");
        measure(&store).await;
        let drop: &'static str = format!("DROP SCHEMA {schema} CASCADE").leak();
        store.write(move |tx| tx.exec(drop, ())).await.unwrap();
        store.close().await;
    });
}
