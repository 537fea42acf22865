//! Attempts that block their thread: they are left behind when their time is over, and too many of them are the end of a worker.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tutti_flow::{
    Builder, Engine, Failure, FlowState, NewTask, Retry, Task, TaskContext, Timeouts,
};
use tutti_store::Store;

use crate::world::{Log, Place, Plan, ended, flow, named, sees, step, submit, tasks};

const LIMIT: Duration = Duration::from_millis(100);

/// Blocks its thread in as many attempts as it is told, until it is let go.
#[derive(Clone, Default)]
struct Blocks(Arc<AtomicBool>);

impl Blocks {
    fn let_go(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        // A test that fails leaves no thread behind.
        self.let_go();
    }
}

impl Task for Blocks {
    const NAME: &'static str = "blocks";
    type Input = u32;
    type Output = u32;

    async fn execute(&self, context: TaskContext, attempts: u32) -> Result<u32, Failure> {
        // It has waited for something before, as handlers do.
        tokio::time::sleep(Duration::from_millis(5)).await;
        while context.attempt <= attempts && !self.0.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(context.attempt)
    }
}

fn blocking(attempts: u32, timeouts: Timeouts) -> NewTask {
    NewTask {
        name: Blocks::NAME.into(),
        input: json!(attempts),
        timeouts,
        retry: Retry::times(5),
        ..NewTask::default()
    }
}

fn limited() -> Timeouts {
    Timeouts { attempt: Some(LIMIT), ..Timeouts::default() }
}

fn engine(store: &Store, blocks: &Blocks) -> Builder {
    crate::world::engine(store, &Log::default()).task(Blocks(blocks.0.clone())).grace(LIMIT)
}

async fn leaks(engine: &Engine, count: u64) {
    let counters = engine.counters();
    sees("so many leaks", || async { (counters.read().leaked == count).then_some(()) }).await;
}

#[tokio::test]
async fn an_attempt_that_blocks_its_thread_is_left_behind() {
    let heartbeat = Timeouts { heartbeat: Some(LIMIT), ..Timeouts::default() };
    for place in Place::all() {
        let (store, blocks) = (place.open().await, Blocks::default());
        let engine = engine(&store, &blocks).start().await.unwrap();
        for (leaked, timeouts) in [(1, limited()), (2, heartbeat)] {
            let plan = vec![blocking(1, timeouts), step(named("after"), &[0])];
            let id = submit(&store, flow(&["x"], plan)).await.id;
            assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
            assert!(tasks(&store, id).await[0].attempt >= 2);
            leaks(&engine, leaked).await;
        }
        blocks.let_go();
        leaks(&engine, 0).await;
        assert_eq!(engine.counters().read().lease_losses, 0);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_claimed_one_is_left_behind_too() {
    for place in Place::all() {
        let (store, blocks) = (place.open().await, Blocks::default());
        let owner = engine(&store, &blocks).start().await.unwrap();
        let worker = engine(&store, &blocks).label("gpu").start().await.unwrap();
        let task = NewTask { labels: vec!["gpu".into()], ..blocking(1, limited()) };
        let id = submit(&store, flow(&["x"], vec![task])).await.id;
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        leaks(&worker, 1).await;
        blocks.let_go();
        leaks(&worker, 0).await;
        owner.stop().await;
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_worker_with_too_many_gives_up_and_another_goes_on() {
    for place in Place::all() {
        let (store, blocks) = (place.open().await, Blocks::default());
        let first = engine(&store, &blocks).leaks_max(1).start().await.unwrap();
        let mut flows = Vec::new();
        for _ in 0..2 {
            flows.push(submit(&store, flow(&[], vec![blocking(4, limited())])).await.id);
        }
        let failure = first.failed().await;
        assert!(failure.to_string().starts_with("more than 1 attempts"), "{failure}");
        flows.push(submit(&store, flow(&[], vec![blocking(0, limited())])).await.id);
        let takes = first.counters().read().takes;
        let second = Blocks::default();
        second.let_go();
        let second = engine(&store, &second).start().await.unwrap();
        for id in flows {
            assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        }
        assert_eq!(first.counters().read().takes, takes, "it takes nothing more");
        // Blocked threads keep nobody from stopping.
        first.stop().await;
        second.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn one_that_can_be_dropped_is_no_leak() {
    for place in Place::all() {
        let store = place.open().await;
        let engine = crate::world::engine(&store, &Log::default()).leaks_max(0).grace(LIMIT);
        let engine = engine.start().await.unwrap();
        let once = Retry::never();
        let slow = Plan { millis: 60_000, ..named("slow") };
        let slow = NewTask { timeouts: limited(), retry: once, ..step(slow, &[]) };
        let panics = Plan { panics: true, ..named("panics") };
        let minute = Timeouts { attempt: Some(Duration::from_secs(60)), ..limited() };
        let panics = NewTask { timeouts: minute, retry: once, ..step(panics, &[]) };
        let slow = submit(&store, flow(&[], vec![slow])).await.id;
        let panics = submit(&store, flow(&[], vec![panics])).await.id;
        let late = ended(&store, slow).await;
        assert_eq!(late.error.as_deref(), Some("it took longer than 100ms"));
        let poison = ended(&store, panics).await;
        assert_eq!(poison.state, FlowState::Parked);
        assert_eq!(poison.error.as_deref(), Some("panicked: on purpose"));
        let failed = tokio::time::timeout(LIMIT * 3, engine.failed()).await;
        assert!(failed.is_err(), "{failed:?}");
        assert_eq!(engine.counters().read().leaked, 0);
        engine.stop().await;
        store.close().await;
    }
}
