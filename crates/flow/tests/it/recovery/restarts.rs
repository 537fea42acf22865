//! The database restarts while flows run and others are submitted.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use tutti_flow::{
    Engine, Failure, FlowState, MIGRATIONS, NewFlow, NewTask, Task, TaskContext, TxError, TxTask,
    query, submit,
};
use tutti_store::{Store, Tx};
use uuid::Uuid;

use super::cluster::Cluster;
use crate::world::{ended, flow, now};

/// Flows submitted one after the other, over so many resources.
const FLOWS: usize = 150;
const RESOURCES: usize = 10;

/// How often each task was made.
#[derive(Clone, Default)]
struct Made(Arc<Mutex<BTreeMap<Uuid, u32>>>);

struct Call(Made);

impl Task for Call {
    const NAME: &'static str = "call";
    type Input = ();
    type Output = ();

    async fn execute(&self, context: TaskContext, (): ()) -> Result<(), Failure> {
        *self.0.0.lock().unwrap().entry(context.task).or_default() += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(())
    }
}

struct Effect;

impl TxTask for Effect {
    const NAME: &'static str = "effect";
    type Input = ();
    type Output = ();

    fn execute(&self, tx: &mut Tx<'_>, context: &TaskContext, (): ()) -> Result<(), TxError> {
        tx.exec("INSERT INTO effect (flow) VALUES ($1)", (context.flow,))?;
        Ok(())
    }
}

fn plan(number: usize) -> NewFlow {
    let call = |needs| NewTask { needs, ..NewTask::of::<Call>() };
    let effect = NewTask {
        name: Effect::NAME.into(),
        input: json!(null),
        needs: vec![0],
        ..NewTask::default()
    };
    flow(&[&format!("r{}", number % RESOURCES)], vec![call(vec![]), effect, call(vec![1])])
}

/// Submits a flow however often the database goes away meanwhile.
async fn surely(store: &Store, new: NewFlow) {
    loop {
        let new = new.clone();
        let once = move |tx: &mut Tx<'_>| match query::flow(tx, new.id)? {
            Some(_) => Ok(()),
            None => submit(tx, new.clone(), now()).map(drop),
        };
        if store.write(once).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_restarts_loses_no_flow_and_nothing_runs_twice() {
    let second = Duration::from_secs(1);
    // A worker that is away for less than its lease goes on with what it has; for longer, it starts over.
    for (lease, away, keeps) in
        [(60 * second, Duration::ZERO, true), (3 * second, 5 * second, false)]
    {
        let Some(cluster) = Cluster::start() else { return };
        let (store, made) =
            (Store::open(&cluster.url(), MIGRATIONS).await.unwrap(), Made::default());
        store.write(|tx| tx.exec("CREATE TABLE effect (flow TEXT NOT NULL)", ())).await.unwrap();
        let mut workers = Vec::new();
        for _ in 0..2 {
            let builder = Engine::builder(store.clone()).task(Call(made.clone())).tx_task(Effect);
            workers.push(builder.lease(lease).start().await.unwrap());
        }
        let own = store.clone();
        let submitting = tokio::spawn(async move {
            let mut ids = Vec::new();
            for new in (0..FLOWS).map(plan) {
                ids.push(new.id);
                surely(&own, new).await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            ids
        });
        for mode in ["immediate", "fast"] {
            tokio::time::sleep(second / 2).await;
            tokio::task::block_in_place(|| cluster.stop(mode));
            tokio::time::sleep(away).await;
            tokio::task::block_in_place(|| cluster.go_on());
        }
        let ids = submitting.await.unwrap();
        for id in &ids {
            let flow = ended(&store, *id).await;
            assert_eq!(flow.state, FlowState::Succeeded, "{:?}", flow.error);
        }
        let losses: u64 = workers.iter().map(|one| one.counters().read().lease_losses).sum();
        assert_eq!(losses == 0, keeps, "{losses}");
        let effects = "SELECT flow, count(*) FROM effect GROUP BY flow";
        let effects: Result<Vec<(Uuid, i64)>, tutti_store::Error> =
            store.read(move |tx| tx.all(effects, ())).await;
        let effects = effects.unwrap();
        assert!(effects.len() == FLOWS && effects.iter().all(|(_, count)| *count == 1));
        let calls = made.0.lock().unwrap().clone();
        assert_eq!(calls.len(), 2 * FLOWS);
        let repeated = calls.values().filter(|count| **count > 1).count();
        assert!(repeated == 0 || !keeps, "{repeated} were made again");
        let events = store.outbox_after(0, 100_000).await.unwrap();
        let ends = events.iter().filter(|event| event.topic == "flow.ended").count();
        assert_eq!(ends, FLOWS);
        for worker in workers {
            worker.stop().await;
        }
        store.close().await;
    }
}
