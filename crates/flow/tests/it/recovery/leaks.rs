//! Attempts that block their thread: they are left behind when their time is over, and too many of them are the end of a worker.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tutti_flow::{
    Builder, Engine, Error, Failure, FailureClass, FlowState, NewTask, Outcome, Retry, Task,
    TaskContext, TaskState, Timeouts,
    claim::{self, Claimant},
};
use tutti_store::{Store, Tx};

use crate::world::{Log, Place, Plan, ended, flow, named, reaches, sees, step, submit, tasks};

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

/// Waits until it is dropped, whoever wants it to stop, and logs that it is undone.
struct Deaf(Log);

impl Task for Deaf {
    const NAME: &'static str = "deaf";
    type Input = ();
    type Output = ();

    async fn execute(&self, _: TaskContext, (): ()) -> Result<(), Failure> {
        self.0.add("+deaf");
        std::future::pending().await
    }

    async fn revert(&self, _: TaskContext, (): (), outcome: Outcome<()>) -> Result<(), Failure> {
        self.0.add(format!("~deaf {outcome:?}"));
        Ok(())
    }
}

fn deaf(timeouts: Timeouts) -> NewTask {
    NewTask { name: Deaf::NAME.into(), timeouts, ..NewTask::default() }
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

#[tokio::test]
async fn one_that_ignores_its_cancellation_is_left_behind() {
    let cancel = Timeouts { cancel: Some(LIMIT), ..Timeouts::default() };
    for place in Place::all() {
        let (store, blocks) = (place.open().await, Blocks::default());
        let engine = engine(&store, &blocks).start().await.unwrap();
        let id = submit(&store, flow(&["x"], vec![blocking(9, cancel)])).await.id;
        let next = submit(&store, flow(&["x"], vec![step(named("next"), &[])])).await.id;
        reaches(&store, id, FlowState::Running).await;
        store.write(move |tx| tutti_flow::cancel(tx, id)).await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Cancelled);
        assert_eq!(ended(&store, next).await.state, FlowState::Succeeded);
        let task = &tasks(&store, id).await[0];
        assert_eq!((task.state, task.class), (TaskState::Failed, Some(FailureClass::Timeout)));
        let message = "its flow was cancelled, and it went on for 100ms";
        assert_eq!(task.error.as_deref(), Some(message));
        leaks(&engine, 1).await;
        blocks.let_go();
        leaks(&engine, 0).await;
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_flow_is_undone_although_a_task_of_it_ignores_its_cancellation() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let builder = crate::world::engine(&store, &log).task(Deaf(log.clone()));
        let engine = builder.cancel_max(LIMIT).start().await.unwrap();
        let task = NewTask { retry: Retry::times(3).or_revert(), ..deaf(Timeouts::NONE) };
        let id = submit(&store, flow(&["x"], vec![task])).await.id;
        log.has("+deaf").await;
        store.write(move |tx| tutti_flow::cancel(tx, id)).await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Cancelled);
        let undone = r#"~deaf Failed("its flow was cancelled, and it went on for 100ms")"#;
        assert_eq!(log.lines(), ["+deaf", undone]);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_claim_of_a_cancelled_flow_ends_in_time() {
    let minute = Duration::from_secs(60);
    let cancel = Timeouts { cancel: Some(LIMIT * 10), ..Timeouts::default() };
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        // It looks for lapsed claims now and then.
        let owner = crate::world::engine(&store, &log).lease(LIMIT * 6).start().await.unwrap();
        let remote = Claimant {
            name: "r".into(),
            handlers: [Deaf::NAME.to_owned()].into(),
            labels: ["gpu".to_owned()].into(),
        };
        let task = NewTask { labels: vec!["gpu".into()], ..deaf(cancel) };
        let id = submit(&store, flow(&["x"], vec![task])).await.id;
        let claim = sees("an offer", || {
            let remote = remote.clone();
            async {
                let claim = move |tx: &mut Tx<'_>| claim::claim(tx, &remote, 1, minute);
                store.write(claim).await.unwrap().pop()
            }
        })
        .await;
        store.write(move |tx| tutti_flow::cancel(tx, id)).await.unwrap();
        let standing = store.write(move |tx| claim::beat(tx, claim.id, minute)).await;
        // It is told to stop, and has a moment for that.
        assert!(standing.is_ok_and(|standing| standing.cancelled));
        assert_eq!(ended(&store, id).await.state, FlowState::Cancelled);
        let task = &tasks(&store, id).await[0];
        assert_eq!((task.state, task.class), (TaskState::Failed, Some(FailureClass::Timeout)));
        let late = store.write(move |tx| claim::finish(tx, claim.id, Ok(json!(null)))).await;
        assert!(matches!(late, Err(Error::ClaimLost { .. })), "{late:?}");
        owner.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_worker_that_stops_cancels_no_flow() {
    let soon = LIMIT / 4;
    let cancel = Timeouts { cancel: Some(soon), ..Timeouts::default() };
    for place in Place::all() {
        for task in [deaf(cancel), deaf(Timeouts::default())] {
            let (store, log) = (place.open().await, Log::default());
            let builder = crate::world::engine(&store, &log).task(Deaf(log.clone()));
            let engine = builder.cancel_max(soon).grace(LIMIT * 4).start().await.unwrap();
            let id = submit(&store, flow(&[], vec![task])).await.id;
            log.has("+deaf").await;
            engine.stop().await;
            let task = &tasks(&store, id).await[0];
            assert_eq!((task.state, task.error.as_deref()), (TaskState::Running, None));
            store.close().await;
        }
    }
}

/// Blocks its thread for a while, and counts the attempts that are there.
#[derive(Clone, Default)]
struct Slow(Arc<AtomicUsize>);

struct There(Slow);

impl Drop for There {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Task for Slow {
    const NAME: &'static str = "slow";
    type Input = ();
    type Output = ();

    async fn execute(&self, _: TaskContext, (): ()) -> Result<(), Failure> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let _there = There(self.clone());
        std::thread::sleep(LIMIT * 8);
        std::future::pending().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_of_a_worker_runs_when_it_has_stopped() {
    for place in Place::all() {
        let (store, slow) = (place.open().await, Slow::default());
        let builder = crate::world::engine(&store, &Log::default()).task(slow.clone());
        let engine = builder.grace(LIMIT).start().await.unwrap();
        let task = || NewTask { name: Slow::NAME.into(), ..NewTask::default() };
        submit(&store, flow(&[], vec![task(), task()])).await;
        let two = || async { (slow.0.load(Ordering::Relaxed) == 2).then_some(()) };
        sees("both attempts", two).await;
        engine.stop().await;
        assert_eq!(slow.0.load(Ordering::Relaxed), 0);
        store.close().await;
    }
}
