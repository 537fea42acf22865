//! 1,000 flows of 10 no-op tasks in a chain, each durable before the next, on SQLite and, where `TUTTI_TEST_POSTGRES` holds a
//! URL, on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tutti_flow::{
    Access, Engine, Failure, FlowState, MIGRATIONS, NewFlow, NewTask, Retry, Task, TaskContext,
    ended, submit,
};
use tutti_store::Store;
use uuid::Uuid;

const FLOWS: usize = 1000;
const TASKS: usize = 10;

struct Nothing;

impl Task for Nothing {
    const NAME: &'static str = "nothing";
    type Input = ();
    type Output = ();

    async fn execute(&self, _: TaskContext, (): ()) -> Result<(), Failure> {
        Ok(())
    }
}

fn flow(tasks: usize, resources: Vec<(String, Access)>) -> NewFlow {
    let tasks = (0..tasks).map(|number| NewTask {
        name: Nothing::NAME.into(),
        title: "nothing".into(),
        input: json!(null),
        needs: number.checked_sub(1).into_iter().collect(),
        retry: Retry::default(),
        ..NewTask::default()
    });
    NewFlow {
        id: Uuid::now_v7(),
        kind: "bench".into(),
        title: "nothing at all".into(),
        resources,
        tasks: tasks.collect(),
        ..NewFlow::default()
    }
}

fn resource(number: usize) -> (String, Access) {
    (format!("resource/{number}"), Access::Exclusive)
}

/// Submits flows from so many callers at once; answers their ids.
async fn submit_all(store: &Store, flows: Vec<NewFlow>, callers: usize) -> Vec<Uuid> {
    let ids = flows.iter().map(|flow| flow.id).collect();
    let chunks = flows.chunks(flows.len().div_ceil(callers)).map(<[_]>::to_vec);
    let callers = chunks.map(|chunk| {
        let store = store.clone();
        tokio::spawn(async move {
            for flow in chunk {
                store
                    .write(move |tx| {
                        let now = tx.now()?;
                        submit(tx, flow.clone(), now)
                    })
                    .await
                    .unwrap();
            }
        })
    });
    join_all(callers).await;
    ids
}

async fn run_all(store: &Store, ids: Vec<Uuid>, in_flight: usize) -> Duration {
    let started = Instant::now();
    let builder = Engine::builder(store.clone()).task(Nothing).flows_max(in_flight);
    let engine = builder.start().await.unwrap();
    for id in ids {
        assert_eq!(ended(store, id).await.unwrap().state, FlowState::Succeeded);
    }
    let took = started.elapsed();
    engine.stop().await;
    took
}

fn report(title: &str, count: usize, took: Duration) {
    println!("{title:<52} {:>8.0} /s", count as f64 / took.as_secs_f64());
}

async fn measure(store: &Store) {
    for callers in [1, 64] {
        let flows = (0..FLOWS).map(|number| flow(1, vec![resource(number)])).collect();
        let started = Instant::now();
        let ids = submit_all(store, flows, callers).await;
        report(&format!("submit, {callers} callers"), FLOWS, started.elapsed());
        run_all(store, ids, 64).await;
    }
    for (in_flight, flows) in [(1, 200), (8, FLOWS), (64, FLOWS), (256, FLOWS)] {
        let new = (0..flows).map(|number| flow(TASKS, vec![resource(number)])).collect();
        let ids = submit_all(store, new, 64).await;
        let took = run_all(store, ids, in_flight).await;
        report(&format!("steps, {in_flight} in flight"), flows * TASKS, took);
    }
    let new = (0..FLOWS).map(|number| {
        let mut numbers = [number, number * 7 + 1, number * 31 + 2].map(|n| n % 97).to_vec();
        numbers.sort_unstable();
        numbers.dedup();
        flow(TASKS, numbers.into_iter().map(resource).collect())
    });
    let ids = submit_all(store, new.collect(), 64).await;
    let took = run_all(store, ids, 64).await;
    report("steps, 64 in flight, 97 resources, 3 each", FLOWS * TASKS, took);
    for tasks in [10, 10_000] {
        let count = 10_000 / tasks;
        let new = (0..count).map(|number| flow(tasks, vec![resource(number)])).collect();
        let ids = submit_all(store, new, 1).await;
        let took = run_all(store, ids, 1).await;
        report(&format!("steps, 1 in flight, chains of {tasks}"), 10_000, took);
    }
}

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let file = format!("{}/bench.db", directory.path().display());
        let store = Store::open(&file, MIGRATIONS).await.unwrap();
        println!("SQLite");
        measure(&store).await;
        store.close().await;
        let Ok(server) = std::env::var("TUTTI_TEST_POSTGRES") else { return };
        let schema = format!("flow_bench_{}", Uuid::now_v7().simple());
        let store = Store::open(&format!("{server}?schema={schema}"), MIGRATIONS).await.unwrap();
        println!("PostgreSQL");
        measure(&store).await;
        let drop: &'static str = format!("DROP SCHEMA {schema} CASCADE").leak();
        store.write(move |tx| tx.exec(drop, ())).await.unwrap();
        store.close().await;
    });
}
