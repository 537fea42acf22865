//! Both engines against one simple model: the same operations, the same answers.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tutti_store::{Error, Migration, Store, ToValue, Value};

use crate::engine::Engine;

const MIGRATIONS: &[Migration] = &[Migration {
    owner: "parity",
    number: 1,
    name: "item",
    sql: "CREATE TABLE item (
              k BIGINT PRIMARY KEY, n BIGINT, r DOUBLE PRECISION, t TEXT, b BLOB, f BOOLEAN
          );
          CREATE INDEX item_n ON item (n) WHERE n IS NOT NULL",
}];

const INSERT: &str = "INSERT INTO item (k, n, r, t, b, f) VALUES ($1, $2, $3, $4, $5, $6)";
const UPSERT: &str = "INSERT INTO item (k, n, r, t, b, f) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (k) DO UPDATE SET n = excluded.n, r = excluded.r, t = excluded.t, b = excluded.b, f = excluded.f";
const ADD: &str = "UPDATE item SET n = n + $2 WHERE k >= $1 AND n IS NOT NULL";
const DELETE: &str = "DELETE FROM item WHERE k = $1";
const ALL: &str = "SELECT k, n, r, t, b, f FROM item ORDER BY k";
const BY_TEXT: &str = "SELECT count(*) FROM item WHERE t = $1";

type Columns = (Option<i64>, Option<f64>, Option<String>, Option<Vec<u8>>, Option<bool>);
type Item = (i64, Option<i64>, Option<f64>, Option<String>, Option<Vec<u8>>, Option<bool>);

#[derive(Clone, Debug)]
enum Operation {
    Insert(i64, Columns),
    Upsert(i64, Columns),
    Add(i64, i64),
    Delete(i64),
    /// Several inserts of which a failing one undoes all.
    Many(Vec<(i64, Columns)>),
    /// An upsert in a transaction that then gives up.
    Undone(i64, Columns),
}

fn columns() -> impl Strategy<Value = Columns> {
    (
        prop::option::of(-1_000_000_000_000..1_000_000_000_000_i64),
        prop::option::of(prop::num::f64::NORMAL | prop::num::f64::ZERO),
        prop::option::of("[^\0]{0,12}|123|1e3|true|'|\\$1"),
        prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
        prop::option::of(any::<bool>()),
    )
}

fn operation() -> impl Strategy<Value = Operation> {
    let key = || 0..12_i64;
    prop_oneof![
        (key(), columns()).prop_map(|(k, c)| Operation::Insert(k, c)),
        (key(), columns()).prop_map(|(k, c)| Operation::Upsert(k, c)),
        (key(), -100..100_i64).prop_map(|(k, n)| Operation::Add(k, n)),
        key().prop_map(Operation::Delete),
        prop::collection::vec((key(), columns()), 0..5).prop_map(Operation::Many),
        (key(), columns()).prop_map(|(k, c)| Operation::Undone(k, c)),
    ]
}

fn values(k: i64, (n, r, t, b, f): &Columns) -> Vec<Value> {
    vec![k.to_value(), n.to_value(), r.to_value(), t.to_value(), b.to_value(), f.to_value()]
}

/// Rows touched, or whether a key was there already.
async fn apply(store: &Store, operation: Operation) -> Result<u64, bool> {
    let done = store
        .write(move |tx| match &operation {
            Operation::Insert(k, columns) => tx.exec(INSERT, values(*k, columns)),
            Operation::Upsert(k, columns) => tx.exec(UPSERT, values(*k, columns)),
            Operation::Add(k, n) => tx.exec(ADD, (k, n)),
            Operation::Delete(k) => tx.exec(DELETE, (k,)),
            Operation::Many(rows) => {
                let rows = rows.iter().map(|(k, columns)| values(*k, columns));
                tx.insert_many("item", &["k", "n", "r", "t", "b", "f"], rows)
            }
            Operation::Undone(k, columns) => {
                tx.exec(UPSERT, values(*k, columns))?;
                Err(Error::Closed)
            }
        })
        .await;
    done.map_err(|error| error.is_unique())
}

fn model(items: &mut BTreeMap<i64, Columns>, operation: &Operation) -> Result<u64, bool> {
    match operation {
        Operation::Insert(k, columns) => {
            model(items, &Operation::Many(vec![(*k, columns.clone())]))
        }
        Operation::Upsert(k, columns) => {
            items.insert(*k, columns.clone());
            Ok(1)
        }
        Operation::Add(k, n) => {
            let touched = items.range_mut(k..).filter_map(|(_, columns)| columns.0.as_mut());
            Ok(touched.map(|value| *value += n).count() as u64)
        }
        Operation::Delete(k) => Ok(items.remove(k).is_some().into()),
        Operation::Many(rows) => {
            let mut next = items.clone();
            if rows.iter().any(|(k, columns)| next.insert(*k, columns.clone()).is_some()) {
                return Err(true);
            }
            *items = next;
            Ok(rows.len() as u64)
        }
        Operation::Undone(..) => Err(false),
    }
}

async fn check(store: &Store, operations: &[Operation]) {
    store.write(|tx| tx.exec("DELETE FROM item", ())).await.unwrap();
    let mut items = BTreeMap::new();
    for operation in operations {
        let expected = model(&mut items, operation);
        let found = apply(store, operation.clone()).await;
        assert_eq!(found, expected, "{:?}: {operation:?}", store.backend());
    }
    let found: Vec<Item> = store.read(|tx| tx.all(ALL, ())).await.unwrap();
    let expected: Vec<Item> =
        items.iter().map(|(k, (n, r, t, b, f))| (*k, *n, *r, t.clone(), b.clone(), *f)).collect();
    assert_eq!(found, expected, "{:?}", store.backend());
    let text = items.values().find_map(|columns| columns.2.clone()).unwrap_or_default();
    let same = items.values().filter(|columns| columns.2.as_ref() == Some(&text)).count();
    let count: usize = store.read(move |tx| tx.one(BY_TEXT, (text,))).await.unwrap();
    assert_eq!(count, same);
}

#[test]
fn engines_do_what_the_model_does() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for engine in Engine::all() {
        let store = runtime.block_on(engine.open(MIGRATIONS));
        let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) };
        proptest!(config, |(operations in prop::collection::vec(operation(), 1..20))| {
            runtime.block_on(check(&store, &operations));
        });
        runtime.block_on(store.close());
    }
}
