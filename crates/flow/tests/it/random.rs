//! Random flows over random resources with two workers: whatever happens, order, exclusion and an end for all.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tutti_flow::{
    Access, Engine, Failure, FlowState, NewFlow, NewTask, Outcome, Retry, Task, TaskContext,
};
use uuid::Uuid;

use crate::world::{Place, ended, flow, submit, tasks};

/// What a task of a random flow does.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Fate {
    Succeed,
    FailOnce,
    FailForGood,
}

#[derive(Clone, Debug)]
struct Shape {
    /// Resources and whether exclusively.
    resources: BTreeMap<u8, bool>,
    /// Fate, bits of needs, and whether a failure reverts.
    tasks: Vec<(Fate, u8, bool)>,
}

fn shape() -> impl Strategy<Value = Shape> {
    let fate = prop_oneof![8 => Just(Fate::Succeed), 1 => Just(Fate::FailOnce), 1 => Just(Fate::FailForGood)];
    (
        prop::collection::btree_map(0..5_u8, any::<bool>(), 0..4),
        prop::collection::vec((fate, any::<u8>(), any::<bool>()), 0..6),
    )
        .prop_map(|(resources, tasks)| Shape { resources, tasks })
}

#[derive(Clone, Serialize, Deserialize)]
struct Input {
    fate: Fate,
    order: usize,
    resources: BTreeMap<u8, bool>,
}

/// Who uses what, and what went wrong.
#[derive(Default)]
struct Watch {
    /// By resource: flows with a running task, and whether exclusively.
    using: BTreeMap<u8, BTreeMap<Uuid, (u32, bool)>>,
    /// By resource: the order in which flows first used it exclusively.
    order: BTreeMap<u8, Vec<usize>>,
    seen: BTreeSet<(u8, usize)>,
    wrong: Vec<String>,
}

#[derive(Clone, Default)]
struct Watched(Arc<Mutex<Watch>>);

impl Watched {
    fn enter(&self, flow: Uuid, input: &Input) {
        let mut watch = self.0.lock().unwrap();
        let Watch { using, order, seen, wrong } = &mut *watch;
        for (&resource, &exclusive) in &input.resources {
            let users = using.entry(resource).or_default();
            if users.iter().any(|(other, (_, theirs))| *other != flow && (exclusive || *theirs)) {
                wrong.push(format!("flow {} is not alone on {resource}", input.order));
            }
            users.entry(flow).or_insert((0, exclusive)).0 += 1;
            if exclusive && seen.insert((resource, input.order)) {
                order.entry(resource).or_default().push(input.order);
            }
        }
    }

    fn leave(&self, flow: Uuid, input: &Input) {
        let mut watch = self.0.lock().unwrap();
        for resource in input.resources.keys() {
            let users = watch.using.get_mut(resource).unwrap();
            let user = users.get_mut(&flow).unwrap();
            user.0 -= 1;
            if user.0 == 0 {
                users.remove(&flow);
            }
        }
    }
}

impl Task for Watched {
    const NAME: &'static str = "watched";
    type Input = Input;
    type Output = ();

    async fn execute(&self, context: TaskContext, input: Input) -> Result<(), Failure> {
        self.enter(context.flow, &input);
        tokio::task::yield_now().await;
        self.leave(context.flow, &input);
        match input.fate {
            Fate::FailOnce if context.attempt == 1 => Err(Failure::Retryable("once".into())),
            Fate::FailForGood => Err(Failure::Terminal("for good".into())),
            _ => Ok(()),
        }
    }

    async fn revert(
        &self,
        context: TaskContext,
        input: Input,
        _: Outcome<()>,
    ) -> Result<(), Failure> {
        self.enter(context.flow, &input);
        tokio::task::yield_now().await;
        self.leave(context.flow, &input);
        Ok(())
    }
}

fn build(shape: &Shape, order: usize) -> NewFlow {
    let resources = shape.resources.iter().map(|(name, exclusive)| {
        let access = if *exclusive { Access::Exclusive } else { Access::Shared };
        (format!("r{name}"), access)
    });
    let tasks = shape.tasks.iter().enumerate().map(|(at, (fate, needs, reverts))| {
        let retry = Retry::times(3);
        NewTask {
            name: Watched::NAME.into(),
            title: "watched".into(),
            input: json!(Input { fate: *fate, order, resources: shape.resources.clone() }),
            needs: (0..at).filter(|need| needs >> need & 1 == 1).collect(),
            retry: if *reverts { retry.or_revert() } else { retry },
            ..NewTask::default()
        }
    });
    NewFlow { resources: resources.collect(), tasks: tasks.collect(), ..flow(&[], vec![]) }
}

async fn check(place: &Place, shapes: &[Shape]) {
    let store = place.open().await;
    let watched = Watched::default();
    let start = || Engine::builder(store.clone()).task(watched.clone()).flows_max(5).start();
    let workers = [start().await.unwrap(), start().await.unwrap()];
    let mut flows = Vec::new();
    for (order, shape) in shapes.iter().enumerate() {
        flows.push(submit(&store, build(shape, order)).await);
        if order % 3 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    for (flow, shape) in flows.iter().zip(shapes) {
        let state = ended(&store, flow.id).await.state;
        let doomed = shape.tasks.iter().any(|task| matches!(task.0, Fate::FailForGood));
        let expected: &[_] = if doomed {
            &[FlowState::Failed, FlowState::Reverted]
        } else {
            &[FlowState::Succeeded]
        };
        assert!(expected.contains(&state), "{state} of {shape:?}");
        let open = tasks(&store, flow.id).await.into_iter().filter(|task| task.finished.is_none());
        assert_eq!(open.count(), 0);
    }
    for worker in workers {
        worker.stop().await;
    }
    let left: i64 = store
        .read(|tx| tx.one("SELECT count(*) FROM flow_queue", ()))
        .await
        .map_err(|error: tutti_store::Error| error)
        .unwrap();
    assert_eq!(left, 0, "queues are empty");
    store.close().await;
    let watch = watched.0.lock().unwrap();
    assert_eq!(watch.wrong, [""; 0]);
    for (resource, order) in &watch.order {
        assert!(order.is_sorted(), "r{resource}: {order:?}");
    }
}

fn run(place: fn() -> Option<Place>, cases: u32) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
    proptest!(config, |(shapes in prop::collection::vec(shape(), 1..25))| {
        if let Some(place) = place() {
            runtime.block_on(check(&place, &shapes));
        }
    });
}

#[test]
fn random_flows_on_sqlite() {
    run(|| Some(Place::sqlite()), 8);
}

#[test]
fn random_flows_on_postgres() {
    run(Place::postgres, 4);
}
