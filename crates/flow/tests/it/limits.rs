//! Limits: of attempts at the same time, of the size of results.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tutti_flow::{
    Engine, Failure, FlowState, NewTask, Retry, Task, TaskContext, TaskState, cancel,
    claim::{self, Claimant},
    retry,
};

use crate::world::{
    Log, PATIENCE, Place, Plan, ended, engine, flow, named, sees, step, submit, tasks,
};

/// The most that ran at the same time, by the log.
fn most(lines: &[String], name: &str) -> usize {
    let (mut running, mut most) = (0_usize, 0);
    for line in lines.iter().filter(|line| line[1..].starts_with(name)) {
        running = if line.starts_with('+') { running + 1 } else { running - 1 };
        most = most.max(running);
    }
    most
}

/// Another handler, without a limit.
struct Free(Log);

impl Task for Free {
    const NAME: &'static str = "free";
    type Input = ();
    type Output = ();

    async fn execute(&self, _: TaskContext, (): ()) -> Result<(), Failure> {
        self.0.add("+free");
        sees("two others", || async {
            let begun = self.0.lines().iter().filter(|line| *line == "+free").count();
            (begun > 2).then_some(())
        })
        .await;
        self.0.add("-free");
        Ok(())
    }
}

#[tokio::test]
async fn no_more_attempts_of_a_name_than_its_limit() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let worker = engine(&store, &log).task(Free(log.clone())).limit("step", 2);
        let worker = worker.start().await.unwrap();
        let mut ids = Vec::new();
        for _ in 0..4 {
            let limited = |_| step(Plan { millis: 20, ..named("limited") }, &[]);
            let mut tasks_of_it: Vec<NewTask> = (0..4).map(limited).collect();
            tasks_of_it.push(NewTask { name: "free".into(), ..NewTask::default() });
            ids.push(submit(&store, flow(&[], tasks_of_it)).await.id);
        }
        for id in ids {
            assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        }
        assert_eq!(most(&log.lines(), "limited"), 2);
        assert!(most(&log.lines(), "free") > 2, "others are not held up");
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn offers_are_claimed_within_the_limit() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let owner = engine(&store, &log).start().await.unwrap();
        let worker = engine(&store, &log).label("gpu").limit("step", 1).start().await.unwrap();
        let limited = |_| NewTask {
            labels: vec!["gpu".into()],
            ..step(Plan { millis: 10, ..named("limited") }, &[])
        };
        let id = submit(&store, flow(&[], (0..5).map(limited).collect())).await.id;
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        assert_eq!(most(&log.lines(), "limited"), 1);
        owner.stop().await;
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn what_waits_for_its_turn_is_cancelled_at_once() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let worker = engine(&store, &log).limit("step", 1).start().await.unwrap();
        let first = Plan { until: "go on".into(), ..named("first") };
        let first = submit(&store, flow(&["x"], vec![step(first, &[])])).await.id;
        log.has("+first").await;
        let id = submit(&store, flow(&["y"], vec![step(named("second"), &[])])).await.id;
        sees("an attempt that waits", || async {
            (tasks(&store, id).await[0].state == TaskState::Running).then_some(())
        })
        .await;
        store.write(move |tx| cancel(tx, id)).await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Cancelled);
        log.add("go on");
        assert_eq!(ended(&store, first).await.state, FlowState::Succeeded);
        assert!(!log.lines().contains(&"+second".into()));
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_result_too_large_fails_the_task_and_loses_nothing() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let worker = engine(&store, &log).output_max(11).start().await.unwrap();
        let chain = vec![step(named("a"), &[]), step(named("longer"), &[0])];
        let id = submit(&store, flow(&["x"], chain)).await.id;
        let flow = ended(&store, id).await;
        assert_eq!(flow.state, FlowState::Failed);
        assert_eq!(
            flow.error.unwrap(),
            "task `step` answered 16 bytes, more than the 11 that are kept: keep it elsewhere and answer where"
        );
        let rows = tasks(&store, id).await;
        assert_eq!(
            (rows[0].state, &rows[0].output),
            (TaskState::Succeeded, &Some(json!("made by a")))
        );
        assert_eq!((rows[1].attempt, &rows[1].output), (1, &None));
        worker.stop().await;
        let worker = engine(&store, &log).start().await.unwrap();
        store.write(move |tx| retry(tx, id)).await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_claimants_result_has_a_limit_too() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let owner = engine(&store, &log).start().await.unwrap();
        let retry = Retry::times(3);
        let task = NewTask { labels: vec!["gpu".into()], retry, ..step(named("a"), &[]) };
        let id = submit(&store, flow(&["x"], vec![task])).await.id;
        let worker = Claimant {
            name: "remote".into(),
            handlers: ["step".to_owned()].into(),
            labels: ["gpu".to_owned()].into(),
        };
        let claim = sees("a claim", || async {
            let (worker, lease) = (worker.clone(), Duration::from_secs(30));
            let claims = store.write(move |tx| claim::claim(tx, &worker, 1, lease));
            claims.await.unwrap().pop()
        })
        .await
        .id;
        let large = json!("x".repeat(1 << 20));
        store.write(move |tx| claim::finish(tx, claim, Ok(large.clone()))).await.unwrap();
        let flow = ended(&store, id).await;
        assert_eq!(flow.state, FlowState::Failed);
        let error = flow.error.unwrap();
        assert!(error.starts_with("task `step` answered 1048578 bytes"), "{error}");
        owner.stop().await;
        store.close().await;
    }
}

/// Blocks its thread until as many have begun as shall run at the same time.
struct Together(Arc<AtomicUsize>);

impl Task for Together {
    const NAME: &'static str = "together";
    type Input = usize;
    type Output = ();

    async fn execute(&self, _: TaskContext, count: usize) -> Result<(), Failure> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let began = Instant::now();
        while self.0.load(Ordering::SeqCst) < count {
            if began.elapsed() > PATIENCE {
                return Err(Failure::Terminal("it is alone".into()));
            }
            std::hint::spin_loop();
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn attempts_of_a_flow_that_compute_use_several_threads() {
    const COUNT: usize = 3;
    for place in Place::all() {
        let store = place.open().await;
        let engine = Engine::builder(store.clone()).task(Together(Arc::default()));
        let engine = engine.start().await.unwrap();
        let one = || NewTask { input: json!(COUNT), ..NewTask::of::<Together>() };
        let plan = (0..COUNT).map(|_| one()).collect();
        let id = submit(&store, flow(&[], plan)).await.id;
        let flow = ended(&store, id).await;
        assert_eq!((flow.state, flow.error), (FlowState::Succeeded, None));
        engine.stop().await;
        store.close().await;
    }
}
