//! A backend that is down is spared, and what waits for it costs no attempts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tutti_flow::{
    Builder, Clock, Engine, Failure, FlowState, NewFlow, NewTask, Outcome, Retry, Task,
    TaskContext, TaskState, Timeouts,
};
use tutti_store::{Store, Tx};
use uuid::Uuid;

use crate::world::{Log, Place, Plan, ended, flow, named, now, sees, step, submit, tasks};

const FLOWS: usize = 1_000;

/// Flows that a worker has at a time: so many attempts may be under way when a backend fails.
const AT_ONCE: u32 = 16;

/// Outages are long beside the pauses of a breaker.
const STEP: Duration = Duration::from_secs(600);
const STEPS: u32 = 6;

/// What tasks ask, and how often they did.
#[derive(Clone, Default)]
struct Cloud(Arc<State>);

#[derive(Default)]
struct State {
    down: AtomicBool,
    asked: AtomicU32,
    undone: AtomicU32,
}

impl Cloud {
    fn down() -> Self {
        let cloud = Self::default();
        cloud.set_down(true);
        cloud
    }

    fn set_down(&self, down: bool) {
        self.0.down.store(down, Ordering::Relaxed);
    }

    fn asked(&self) -> u32 {
        self.0.asked.load(Ordering::Relaxed)
    }

    async fn ask(&self) -> Result<(), Failure> {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(1)).await;
        match self.0.down.load(Ordering::Relaxed) {
            true => Err(Failure::Retryable("connection refused".into())),
            false => Ok(()),
        }
    }
}

impl Task for Cloud {
    const NAME: &'static str = "cloud.create";
    const BACKEND: Option<&'static str> = Some("cloud");
    type Input = ();
    type Output = ();

    async fn execute(&self, _: TaskContext, (): ()) -> Result<(), Failure> {
        self.ask().await
    }

    async fn revert(&self, _: TaskContext, (): (), _: Outcome<()>) -> Result<(), Failure> {
        self.ask().await?;
        self.0.undone.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn create(needs: &[usize]) -> NewTask {
    NewTask {
        name: Cloud::NAME.into(),
        needs: needs.to_vec(),
        retry: Retry::times(50),
        ..NewTask::default()
    }
}

fn engine(store: &Store, cloud: &Cloud, clock: &Clock) -> Builder {
    logging(store, cloud, clock, &Log::default())
}

fn logging(store: &Store, cloud: &Cloud, clock: &Clock, log: &Log) -> Builder {
    crate::world::engine(store, log)
        .task(cloud.clone())
        .flows_max(AT_ONCE as usize)
        .clock(clock.clone())
}

/// Flows in a state, and those of them that nothing wakes yet.
async fn count(store: &Store, state: FlowState, clock: &Clock) -> (usize, usize) {
    let sql = "SELECT count(*), coalesce(sum(CASE WHEN wake_at > $2 THEN 1 ELSE 0 END), 0)
        FROM flow WHERE state = $1";
    let now = clock.now();
    store.read(move |tx: &mut Tx<'_>| tx.one(sql, (state, now))).await.unwrap()
}

/// Lets time pass, and waits until so many flows wait again for a time to come.
async fn pass(store: &Store, clock: &Clock, time: Duration, waiting: usize) {
    clock.advance(time);
    sees("so many that wait", || async {
        (count(store, FlowState::Waiting, clock).await.1 == waiting).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_thousand_flows_spare_a_backend_that_is_down() {
    for place in Place::all() {
        let (store, cloud, clock) = (place.open().await, Cloud::down(), Clock::new());
        let flows: Vec<NewFlow> =
            (0..FLOWS).map(|n| flow(&[&format!("r{n}")], vec![create(&[])])).collect();
        let last = flows[FLOWS - 1].id;
        store
            .write(move |tx| {
                flows
                    .iter()
                    .try_for_each(|flow| tutti_flow::submit(tx, flow.clone(), now()).map(drop))
            })
            .await
            .unwrap();
        let engine = engine(&store, &cloud, &clock).start().await.unwrap();
        for _ in 0..STEPS {
            pass(&store, &clock, STEP, FLOWS).await;
        }
        // Those under way when it failed, then a probe for each step.
        let asked = cloud.asked();
        assert!((5..=AT_ONCE + 5 + 2 * STEPS).contains(&asked), "{asked} attempts");
        let spread = "SELECT max(wake_at) - min(wake_at) FROM flow WHERE state = 'waiting'";
        let spread: i64 = store.read(move |tx: &mut Tx<'_>| tx.one(spread, ())).await.unwrap();
        assert!(spread > 10_000_000, "all come back within {spread} µs");
        let row = &tasks(&store, last).await[0];
        assert_eq!((row.state, row.attempt), (TaskState::RetryWait, 0));
        let reason = row.error.clone().unwrap();
        assert!(reason.starts_with("backend `cloud` does not answer: next look in "), "{reason}");
        assert!(reason.ends_with(" s (connection refused)"), "{reason}");
        // What needs another backend, or none, goes on.
        let other = submit(&store, flow(&[], vec![step(named("a"), &[])])).await.id;
        assert_eq!(ended(&store, other).await.state, FlowState::Succeeded);

        cloud.set_down(false);
        sees("the end of all", || async {
            clock.advance(Duration::from_secs(10));
            (count(&store, FlowState::Succeeded, &clock).await.0 == FLOWS + 1).then_some(())
        })
        .await;
        assert!(cloud.asked() - asked <= FLOWS as u32 + 1);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn the_time_for_all_attempts_is_kept() {
    for place in Place::all() {
        let (store, cloud, clock) = (place.open().await, Cloud::down(), Clock::new());
        let engine = engine(&store, &cloud, &clock).backend_failures_max(1);
        let engine = engine.start().await.unwrap();
        let patient = submit(&store, flow(&[], vec![create(&[])])).await.id;
        pass(&store, &clock, Duration::ZERO, 1).await;
        let total = Some(Duration::from_secs(3_600));
        let timeouts = Timeouts { total, ..Timeouts::default() };
        let limited = NewTask { timeouts, ..create(&[]) };
        let limited = submit(&store, flow(&[], vec![limited])).await.id;
        pass(&store, &clock, STEP, 2).await;
        pass(&store, &clock, STEP * 6, 1).await;
        let flow = ended(&store, limited).await;
        assert_eq!(flow.state, FlowState::Failed);
        cloud.set_down(false);
        clock.advance(STEP);
        assert_eq!(ended(&store, patient).await.state, FlowState::Succeeded);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn undoing_waits_and_does_not_count_either() {
    for place in Place::all() {
        let (store, cloud, clock) = (place.open().await, Cloud::default(), Clock::new());
        let log = Log::default();
        let engine = logging(&store, &cloud, &clock, &log).backend_failures_max(1);
        let engine = engine.start().await.unwrap();
        // At most two attempts find out in that time whether the backend answers; with the first that makes three.
        let retry = Retry::times(4).or_revert();
        let fails = Plan { until: "down".into(), terminal: true, ..named("fails") };
        let plan = vec![
            NewTask { retry, ..create(&[]) },
            NewTask { retry, ..create(&[]) },
            NewTask { retry, ..step(fails, &[0, 1]) },
        ];
        let id = submit(&store, flow(&["x"], plan)).await.id;
        sees("both are there", || async {
            let done = tasks(&store, id).await;
            done[..2].iter().all(|task| task.state == TaskState::Succeeded).then_some(())
        })
        .await;
        cloud.set_down(true);
        log.add("down");
        pass(&store, &clock, Duration::ZERO, 1).await;
        for _ in 0..4 {
            pass(&store, &clock, Duration::from_secs(4), 1).await;
        }
        cloud.set_down(false);
        sees("the end", || async {
            clock.advance(Duration::from_secs(60));
            crate::world::state(&store, id).await.is_ended().then_some(())
        })
        .await;
        assert_eq!(ended(&store, id).await.state, FlowState::Reverted);
        assert_eq!(cloud.0.undone.load(Ordering::Relaxed), 2);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn claims_are_held_too() {
    for place in Place::all() {
        let (store, cloud, clock) = (place.open().await, Cloud::down(), Clock::new());
        let owner = Engine::builder(store.clone()).clock(clock.clone()).start().await.unwrap();
        let worker = engine(&store, &cloud, &clock).label("gpu").backend_failures_max(2);
        let worker = worker.start().await.unwrap();
        let mut flows: Vec<Uuid> = Vec::new();
        for _ in 0..20 {
            let task = NewTask { labels: vec!["gpu".into()], ..create(&[]) };
            flows.push(submit(&store, flow(&[], vec![task])).await.id);
        }
        sees("the first failures", || async { (cloud.asked() >= 2).then_some(()) }).await;
        for _ in 0..4 {
            clock.advance(Duration::from_secs(4));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let asked = cloud.asked();
        assert!(asked < 20 + 5, "{asked} attempts");
        cloud.set_down(false);
        let over = sees("the end of all", || async {
            clock.advance(Duration::from_secs(60));
            (count(&store, FlowState::Succeeded, &clock).await.0 == 20).then_some(())
        });
        over.await;
        owner.stop().await;
        worker.stop().await;
        store.close().await;
    }
}
