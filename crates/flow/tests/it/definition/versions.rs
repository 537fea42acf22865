//! Workers and plans of different releases.

use std::time::Duration;

use serde_json::json;
use tutti_flow::{
    Engine, Failure, FlowState, NewTask, Outcome, Retry, Task, TaskContext, TaskState, Timeouts,
    claim::{self, Claimant},
    pattern::{each, linear},
    retry, revert,
};
use tutti_store::Store;
use uuid::Uuid;

use crate::world::{Log, Place, ended, flow, reaches, sees, submit, tasks};

/// A task as a release has it: of this version, and able to run plans down to that.
struct Grow<const VERSION: u32, const LEAST: u32>(Log);

impl<const VERSION: u32, const LEAST: u32> Task for Grow<VERSION, LEAST> {
    const NAME: &'static str = "grow";
    const VERSION: u32 = VERSION;
    const MIN_VERSION: u32 = LEAST;
    const RETRY: Retry = Retry::never();
    const TIMEOUTS: Timeouts = Timeouts { attempt: Some(Duration::from_secs(1)), ..Timeouts::NONE };
    type Input = u64;
    type Output = ();

    async fn execute(&self, _: TaskContext, millis: u64) -> Result<(), Failure> {
        self.0.add(format!("+{VERSION}"));
        tokio::time::sleep(Duration::from_millis(millis)).await;
        self.0.add(format!("-{VERSION}"));
        Ok(())
    }

    async fn revert(&self, _: TaskContext, _: u64, _: Outcome<()>) -> Result<(), Failure> {
        self.0.add(format!("~{VERSION}"));
        Ok(())
    }
}

/// A flow as the release with this version submits it.
async fn plan<const VERSION: u32>(store: &Store, millis: u64) -> Uuid {
    let task = NewTask { input: json!(millis), ..NewTask::of::<Grow<VERSION, 1>>() };
    submit(store, flow(&[], vec![task])).await.id
}

async fn worker<T: Task>(store: &Store, task: T) -> Engine {
    Engine::builder(store.clone()).task(task).start().await.unwrap()
}

async fn again(store: &Store, id: Uuid) {
    store.write(move |tx| retry(tx, id)).await.unwrap();
}

#[tokio::test]
async fn a_plan_of_a_newer_release_is_not_run_by_an_older_worker() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let old = worker(&store, Grow::<1, 1>(log.clone())).await;
        let id = plan::<2>(&store, 0).await;
        reaches(&store, id, FlowState::Parked).await;
        assert_eq!(ended(&store, id).await.error.unwrap(), "no worker knows the task `grow@2`");
        let new = worker(&store, Grow::<2, 1>(log.clone())).await;
        again(&store, id).await;
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        // Whoever takes the flow, the newer worker runs the task.
        for _ in 0..10 {
            let id = plan::<2>(&store, 0).await;
            assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        }
        assert!(log.take().iter().all(|line| line.ends_with('2')), "{:?}", log.lines());
        // And undoes it; without one, undoing waits for people.
        new.stop().await;
        store.write(move |tx| revert(tx, id)).await.unwrap();
        reaches(&store, id, FlowState::Stuck).await;
        let new = worker(&store, Grow::<2, 1>(log.clone())).await;
        again(&store, id).await;
        reaches(&store, id, FlowState::Reverted).await;
        assert_eq!(log.lines(), ["~2"]);
        old.stop().await;
        new.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_newer_worker_runs_plans_of_older_releases_unless_it_says_otherwise() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let new = worker(&store, Grow::<3, 1>(log.clone())).await;
        for id in [plan::<1>(&store, 0).await, plan::<2>(&store, 0).await] {
            assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        }
        assert_eq!(log.take().len(), 4);
        new.stop().await;
        let new = worker(&store, Grow::<3, 2>(log.clone())).await;
        let (first, second) = (plan::<1>(&store, 0).await, plan::<2>(&store, 0).await);
        assert_eq!(ended(&store, second).await.state, FlowState::Succeeded);
        reaches(&store, first, FlowState::Parked).await;
        assert_eq!(tasks(&store, first).await[0].state, TaskState::Failed);
        // An older worker is still there, or is started for what is left.
        let old = worker(&store, Grow::<1, 1>(log.clone())).await;
        again(&store, first).await;
        assert_eq!(ended(&store, first).await.state, FlowState::Succeeded);
        assert_eq!(log.take(), ["+3", "-3", "+1", "-1"]);
        old.stop().await;
        new.stop().await;
        // One worker can have a handler for each.
        let both = Engine::builder(store.clone()).task(Grow::<1, 1>(log.clone()));
        let both = both.task(Grow::<3, 2>(log.clone())).start().await.unwrap();
        for id in [plan::<1>(&store, 0).await, plan::<3>(&store, 0).await] {
            assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        }
        let mut lines = log.lines();
        lines.sort();
        assert_eq!(lines, ["+1", "+3", "-1", "-3"]);
        both.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn whoever_claims_says_which_versions_it_runs() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let other = crate::world::engine(&store, &log).start().await.unwrap();
        let claimant = |names: &[&str]| Claimant {
            name: "remote".into(),
            handlers: names.iter().map(|&name| name.to_owned()).collect(),
            ..Claimant::default()
        };
        let lease = Duration::from_secs(30);
        for names in [&["grow"][..], &["grow", "grow@2"]] {
            let worker = claimant(names);
            store.write(move |tx| claim::advertise(tx, &worker, lease)).await.unwrap();
        }
        let id = plan::<2>(&store, 0).await;
        sees("an offer", || async { tasks(&store, id).await[0].offer.clone() }).await;
        let (old, new) = (claimant(&["grow"]), claimant(&["grow", "grow@2"]));
        let none = store.write(move |tx| claim::claim(tx, &old, 1, lease)).await.unwrap();
        assert_eq!(none, []);
        let got = store.write(move |tx| claim::claim(tx, &new, 1, lease)).await.unwrap();
        assert_eq!(got[0].name, "grow@2");
        other.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_limit_is_for_all_versions_of_a_task() {
    let place = Place::sqlite();
    let (store, log) = (place.open().await, Log::default());
    let worker = Engine::builder(store.clone()).task(Grow::<2, 1>(log.clone())).limit("grow", 1);
    let worker = worker.start().await.unwrap();
    for id in [plan::<1>(&store, 50).await, plan::<2>(&store, 50).await] {
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
    }
    assert_eq!(log.lines(), ["+2", "-2", "+2", "-2"]);
    worker.stop().await;
    store.close().await;
}

#[tokio::test]
async fn what_a_task_says_of_itself_holds_for_its_steps_and_items() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let worker = worker(&store, Grow::<2, 1>(log.clone())).await;
        let late = "it took longer than 1s";
        let id = plan::<2>(&store, 10_000).await;
        let row = ended(&store, id).await;
        assert_eq!((row.state, row.error.as_deref()), (FlowState::Failed, Some(late)));
        let list = linear("list").inject("times", [0, 10_000]).add(each::<Grow<2, 1>>("times"));
        let id = submit(&store, list.build(Uuid::now_v7()).unwrap()).await.id;
        let row = ended(&store, id).await;
        assert_eq!((row.state, row.error.as_deref()), (FlowState::Failed, Some(late)));
        let rows = tasks(&store, id).await;
        let items: Vec<_> = rows[1..].iter().map(|item| (&*item.name, &*item.title)).collect();
        assert_eq!(items, [("grow@2", "grow 1"), ("grow@2", "grow 2")]);
        assert_eq!((&*rows[0].name, rows[2].attempt), ("grow", 1));
        worker.stop().await;
        store.close().await;
    }
}
