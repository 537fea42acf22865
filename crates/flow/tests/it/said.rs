//! What attempts say while they run: lines for people, and how far they are for the next attempt.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tutti_flow::{
    Backoff, Controller, Engine, Error, Failure, FlowState, NewTask, Outcome, Retry, Task,
    TaskContext, Work, abandon,
    claim::{self, Claimant},
    query, retry,
};
use tutti_store::{Store, Tx};
use uuid::Uuid;

use crate::world::{Log, Place, ended, flow, sees, submit};

/// Counts on from what was counted before; each attempt by one.
struct Counts(Log);

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Plan {
    to: u32,
    /// An attempt that has reported waits for this line.
    until: Option<String>,
}

impl Task for Counts {
    const NAME: &'static str = "counts";
    type Input = Plan;
    type Output = u32;

    async fn execute(&self, context: TaskContext, plan: Plan) -> Result<u32, Failure> {
        let before: Option<u32> = context.reported().await.unwrap();
        let count = before.unwrap_or_default() + 1;
        context.report(count).await.unwrap();
        self.0.add(count.to_string());
        if let Some(line) = plan.until {
            self.0.has(&line).await;
        }
        if count < plan.to {
            return Err(Failure::Retryable("there is more to count".into()));
        }
        Ok(count)
    }

    async fn revert(&self, context: TaskContext, _: Plan, _: Outcome<u32>) -> Result<(), Failure> {
        let before: Option<u32> = context.reported().await.unwrap();
        self.0.add(format!("undone at {before:?}"));
        Ok(())
    }
}

fn counts(plan: Plan, attempts_max: u32) -> NewTask {
    NewTask {
        input: json!(plan),
        retry: Retry::times(attempts_max).backoff(Backoff::NONE).or_revert(),
        ..NewTask::of::<Counts>()
    }
}

async fn worker(store: &Store, log: &Log) -> Engine {
    let builder = Engine::builder(store.clone()).lease(Duration::from_secs(2));
    builder.task(Counts(log.clone())).task(Talks(log.clone())).start().await.unwrap()
}

#[tokio::test]
async fn the_next_attempt_goes_on_from_what_was_reported() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let first = worker(&store, &log).await;
        let id = submit(&store, flow(&[], vec![counts(Plan { to: 3, until: None }, 5)])).await.id;
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        assert_eq!(log.take(), ["1", "2", "3"]);
        // Whoever takes over knows it as well.
        let plan = Plan { to: 2, until: Some("killed".into()) };
        let id = submit(&store, flow(&[], vec![counts(plan, 5)])).await.id;
        log.has("1").await;
        drop(first);
        let second = worker(&store, &log).await;
        log.add("killed");
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        assert_eq!(log.take().pop().as_deref(), Some("2"));
        second.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn what_starts_over_starts_from_nothing() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let worker = worker(&store, &log).await;
        let guard = NewTask {
            name: "guard".into(),
            work: Work::Retry(Controller::times(2)),
            ..NewTask::default()
        };
        let guarded =
            NewTask { guard: Some(0), needs: vec![0], ..counts(Plan { to: 9, until: None }, 2) };
        let id = submit(&store, flow(&[], vec![guard, guarded])).await.id;
        assert_eq!(ended(&store, id).await.state, FlowState::Reverted);
        let once = ["1", "2", "undone at Some(2)"];
        assert_eq!(log.take(), [once, once].concat());
        store.write(move |tx| retry(tx, id)).await.unwrap();
        log.has("undone at Some(2)").await;
        ended(&store, id).await;
        assert_eq!(log.take(), [once, once].concat());
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn who_claims_is_told_and_tells() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let worker = worker(&store, &log).await;
        let task = NewTask { labels: vec!["gpu".into()], ..counts(Plan::default(), 9) };
        let id = submit(&store, flow(&[], vec![task])).await.id;
        let mut reported = Vec::new();
        for so_far in [json!({ "pages": 7 }), json!("x".repeat(70_000)), json!(8)] {
            let claim = claimed(&store).await;
            reported.push(claim.reported);
            let told = so_far.clone();
            let told = store.write(move |tx| claim::report(tx, claim.id, told.clone())).await;
            let long = Error::TooLong { bytes: 70_002, max: 65_536 }.to_string();
            assert_eq!(
                told.err().map(|error| error.to_string()),
                so_far.is_string().then_some(long)
            );
            store.write(move |tx| claim::give_back(tx, claim.id)).await.unwrap();
            let late = store.write(move |tx| claim::report(tx, claim.id, json!(0))).await;
            assert!(matches!(late, Err(Error::ClaimLost { .. })), "{late:?}");
        }
        assert_eq!(reported, [None, Some(json!({ "pages": 7 })), Some(json!({ "pages": 7 }))]);
        let last = claimed(&store).await;
        assert_eq!(last.reported, Some(json!(8)));
        let finish = move |tx: &mut Tx<'_>| claim::finish(tx, last.id, Ok(json!(9)));
        store.write(finish).await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        worker.stop().await;
        store.close().await;
    }
}

async fn claimed(store: &Store) -> claim::Claim {
    let remote = Claimant {
        name: "r".into(),
        handlers: [Counts::NAME.to_owned()].into(),
        labels: ["gpu".to_owned()].into(),
    };
    sees("an offer", || {
        let remote = remote.clone();
        async {
            let lease = Duration::from_secs(60);
            let claim = move |tx: &mut Tx<'_>| claim::claim(tx, &remote, 1, lease);
            store.write(claim).await.unwrap().pop()
        }
    })
    .await
}

/// Says so many lines, or one when it is told to.
struct Talks(Log);

impl Task for Talks {
    const NAME: &'static str = "talks";
    type Input = usize;
    type Output = ();

    async fn execute(&self, context: TaskContext, lines: usize) -> Result<(), Failure> {
        for line in 0..lines {
            context.log(format!("{line} {}", "ä".repeat(3_000))).await.unwrap();
        }
        if lines > 0 {
            return Ok(());
        }
        self.0.add("+talks");
        self.0.has("given up").await;
        let heard = [
            context.log("too late").await,
            context.report("too late").await,
            context.progress(0.5).await,
        ];
        let lost = |heard: &Result<(), Error>| matches!(heard, Err(Error::NotUnderWay { .. }));
        assert!(heard.iter().all(lost), "{heard:?}");
        self.0.add("not heard");
        Ok(())
    }
}

async fn lines(store: &Store, flow: Uuid) -> Vec<String> {
    let sql = "SELECT line FROM flow_log WHERE flow = $1 ORDER BY id";
    let lines: Result<_, tutti_store::Error> =
        store.read(move |tx: &mut Tx<'_>| tx.all(sql, (flow,))).await;
    lines.unwrap()
}

#[tokio::test]
async fn lines_are_bounded_and_those_of_who_lost_the_task_are_not_kept() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let worker = worker(&store, &log).await;
        let talks = |lines: usize| NewTask { input: json!(lines), ..NewTask::of::<Talks>() };
        let id = submit(&store, flow(&[], vec![talks(1_010)])).await.id;
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        let kept = lines(&store, id).await;
        assert_eq!((kept.len(), kept[0].split(' ').next()), (1_000, Some("10")));
        assert!(kept.iter().all(|line| line.len() <= 4_096 && line.ends_with("ä…")));
        let id = submit(&store, flow(&[], vec![talks(0)])).await.id;
        log.has("+talks").await;
        store.write(move |tx| abandon(tx, id)).await.unwrap();
        log.add("given up");
        log.has("not heard").await;
        assert!(lines(&store, id).await.is_empty());
        let row = store.read(move |tx| query::task(tx, tutti_flow::task_id(id, 0))).await.unwrap();
        assert_eq!(row.unwrap().progress, None);
        worker.stop().await;
        store.close().await;
    }
}
