//! Finished flows, written straight into the tables: running a million would take too long.
//!
//! This is the one place of the measurements that knows the schema.

use tutti_store::{Error, Store, ToValue, Tx, Value};
use uuid::Uuid;

use crate::Result;

/// Flows written in one transaction.
const BATCH: usize = 10_000;

/// Resources the flows were about, in turn; flows that are measured use the same.
const RESOURCES: usize = 1000;

const FLOW: &[&str] = &[
    "id",
    "ticket",
    "kind",
    "title",
    "state",
    "reverting",
    "revertible",
    "converge",
    "resources",
    "ungranted",
    "tasks",
    "epoch",
    "losses",
    "nudged",
    "created",
    "started",
    "finished",
];
const RESOURCE: &[&str] = &["flow", "resource", "ticket", "exclusive"];
const TASK: &[&str] = &[
    "flow",
    "number",
    "id",
    "name",
    "title",
    "input",
    "attempts_max",
    "or_revert",
    "state",
    "attempt",
    "revert_attempt",
    "output",
    "started",
    "finished",
];

/// Flows that have finished.
pub(crate) async fn count(store: &Store) -> Result<usize> {
    let sql = "SELECT count(*) FROM flow WHERE finished IS NOT NULL";
    let count: i64 = store.read::<_, Error>(move |tx| tx.one(sql, ())).await?;
    Ok(usize::try_from(count)?)
}

/// Adds `count` finished flows of one task to the `there` that are.
pub(crate) async fn seed(store: &Store, there: usize, count: usize) -> Result<()> {
    for from in (there..there + count).step_by(BATCH) {
        let numbers = from..(from + BATCH).min(there + count);
        let write = move |tx: &mut Tx<'_>| {
            let now = tx.now()?;
            let flows: Vec<(usize, Uuid)> =
                numbers.clone().map(|number| (number, Uuid::now_v7())).collect();
            tx.insert_many("flow", FLOW, flows.iter().map(|one| flow(*one, now)))?;
            tx.insert_many("flow_resource", RESOURCE, flows.iter().map(|one| resource(*one)))?;
            tx.insert_many("flow_task", TASK, flows.iter().map(|one| task(one.1, now)))?;
            Ok::<_, Error>(())
        };
        store.write(write).await?;
    }
    Ok(())
}

/// Tickets below any that are drawn.
fn ticket(number: usize) -> Value {
    (-1 - i64::try_from(number).unwrap_or(i64::MAX - 1)).to_value()
}

fn name(number: usize) -> Value {
    format!("resource/{}", number % RESOURCES).to_value()
}

fn flow((number, id): (usize, Uuid), now: i64) -> Vec<Value> {
    vec![
        id.to_value(),
        ticket(number),
        "measure".to_value(),
        "nothing at all".to_value(),
        "succeeded".to_value(),
        false.to_value(),
        false.to_value(),
        false.to_value(),
        name(number),
        0.to_value(),
        1.to_value(),
        1.to_value(),
        0.to_value(),
        false.to_value(),
        now.to_value(),
        now.to_value(),
        now.to_value(),
    ]
}

fn resource((number, id): (usize, Uuid)) -> Vec<Value> {
    vec![id.to_value(), name(number), ticket(number), true.to_value()]
}

fn task(flow: Uuid, now: i64) -> Vec<Value> {
    vec![
        flow.to_value(),
        0.to_value(),
        tutti_flow::task_id(flow, 0).to_value(),
        "nothing".to_value(),
        "nothing".to_value(),
        "null".to_value(),
        10.to_value(),
        false.to_value(),
        "succeeded".to_value(),
        1.to_value(),
        0.to_value(),
        "null".to_value(),
        now.to_value(),
        now.to_value(),
    ]
}
