//! A worker crashes, is not answered, or runs a handler twice, at every point of a flow's life in turn.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tutti_flow::{
    Action, Clock, Engine, Failure, FlowState, Moment, NewFlow, NewTask, Outcome, Retry, Task,
    TaskContext, Wait, Work, signal,
};
use tutti_store::Store;
use uuid::Uuid;

use crate::world::{PATIENCE, Place, flow, state, submit, tasks};

use super::{Journal, expire_leases};

/// Writes down what it does; `c` of a doomed flow fails for good.
struct Recorded(Journal);

impl Task for Recorded {
    const NAME: &'static str = "recorded";
    type Input = String;
    type Output = String;

    async fn execute(&self, context: TaskContext, name: String) -> Result<String, Failure> {
        self.0.add(&format!("+{name}"), &context);
        if name == "doomed" { Err(Failure::Terminal("no".into())) } else { Ok(name) }
    }

    async fn revert(
        &self,
        context: TaskContext,
        name: String,
        _: Outcome<String>,
    ) -> Result<(), Failure> {
        self.0.add(&format!("-{name}"), &context);
        Ok(())
    }
}

/// The name of a task that waits for what has come already.
const COME: &str = "come";

fn chain(names: &[&str]) -> NewFlow {
    let work = |name: &str| match name {
        COME => Work::Wait(Wait { key: COME.into(), at_least: 1 }),
        _ => Work::Run,
    };
    let tasks = names.iter().enumerate().map(|(at, name)| NewTask {
        name: Recorded::NAME.into(),
        work: work(name),
        input: json!(name),
        needs: at.checked_sub(1).into_iter().collect(),
        retry: Retry::times(3).or_revert(),
        ..NewTask::default()
    });
    flow(&["x"], tasks.collect())
}

/// What happens at the `n`th moment of a worker, and whether it did.
#[derive(Clone)]
struct Once {
    n: usize,
    action: Action,
    seen: Arc<AtomicUsize>,
    done: Arc<AtomicBool>,
}

impl Once {
    fn new(n: usize, action: Action) -> Self {
        Self { n, action, seen: Arc::default(), done: Arc::default() }
    }

    fn at(&self, _: &Moment) -> Action {
        if self.seen.fetch_add(1, Ordering::Relaxed) + 1 == self.n {
            self.done.store(true, Ordering::Relaxed);
            return self.action;
        }
        Action::Continue
    }

    fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }
}

/// Runs one flow, and one behind it, with something happening at the `n`th moment; whether there was such a moment.
async fn run(store: &Store, names: &[&str], end: FlowState, once: Once) -> bool {
    let (journal, clock) = (Journal::default(), Clock::new());
    let (id, next) = (chain(names), chain(&["next"]));
    let (id, next) = (submit(store, id).await.id, submit(store, next).await.id);
    let builder = || {
        let builder = Engine::builder(store.clone()).task(Recorded(journal.clone()));
        builder.clock(clock.clone())
    };
    let probe = once.clone();
    let mut worker = builder().probe(move |moment| probe.at(moment)).start().await.unwrap();
    let wait = async {
        let mut crashed = false;
        while !state(store, next).await.is_ended() {
            if !crashed && once.is_done() && once.action == Action::Crash {
                crashed = true;
                drop(std::mem::replace(&mut worker, {
                    expire_leases(store).await;
                    builder().start().await.unwrap()
                }));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
            // Whatever waits for its next attempt need not wait.
            clock.advance(Duration::from_secs(60));
        }
    };
    let what = format!("{:?} at moment {} of {names:?}", once.action, once.n);
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("no end: {what}"));
    worker.stop().await;
    assert_eq!(state(store, id).await, end, "{what}");
    assert_eq!(state(store, next).await, FlowState::Succeeded, "{what}");
    check(store, &journal, (id, next), names, &what).await;
    once.is_done()
}

async fn check(
    store: &Store,
    journal: &Journal,
    (id, next): (Uuid, Uuid),
    names: &[&str],
    what: &str,
) {
    let doomed = names.contains(&"doomed");
    let run = names.iter().filter(|name| **name != COME);
    let mut expected: Vec<String> = run.clone().map(|name| format!("+{name}")).collect();
    if doomed {
        expected.extend(run.rev().map(|name| format!("-{name}")));
    }
    expected.push("+next".into());
    journal.check(&expected, what);
    for task in tasks(store, id).await.into_iter().chain(tasks(store, next).await) {
        assert!(task.finished.is_some(), "{what}: {task:?}");
    }
    let events = store.outbox_after(0, 100_000).await.unwrap();
    let about = |topic: &str, flow: Uuid| {
        let named = flow.to_string();
        let about = |body: &str| body.contains(&format!(r#""flow":"{named}""#));
        events.iter().filter(|event| event.topic == topic && about(&event.body)).count()
    };
    assert_eq!((about("flow.ended", id), about("flow.ended", next)), (1, 1), "{what}");
    assert_eq!(about("task.failed", id), usize::from(doomed), "{what}");
    let left: (i64, i64) = store
        .read(|tx| {
            tx.one(
                "SELECT (SELECT count(*) FROM flow_queue), (SELECT count(*) FROM flow_inbox)",
                (),
            )
        })
        .await
        .map_err(|error: tutti_store::Error| error)
        .unwrap();
    assert_eq!(left, (0, 0), "{what}: queues and inboxes are empty");
}

async fn everywhere(place: Option<Place>, action: Action) {
    let Some(place) = place else { return };
    let store = place.open().await;
    store.write(|tx| signal(tx, COME, 1, 1)).await.unwrap();
    for (names, end) in [
        (&["a", "b", "c"], FlowState::Succeeded),
        (&["a", "b", "doomed"], FlowState::Reverted),
        (&["a", COME, "b"], FlowState::Succeeded),
    ] {
        let mut n = 1;
        while run(&store, names, end, Once::new(n, action)).await {
            n += 1;
        }
        assert!(n > 10, "a flow of three tasks has more moments than {n}");
    }
    store.check().await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_crash_anywhere_on_sqlite() {
    everywhere(Some(Place::sqlite()), Action::Crash).await;
}

#[tokio::test]
async fn a_crash_anywhere_on_postgres() {
    everywhere(Place::postgres(), Action::Crash).await;
}

#[tokio::test]
async fn no_answer_anywhere_on_sqlite() {
    everywhere(Some(Place::sqlite()), Action::Fail).await;
}

#[tokio::test]
async fn no_answer_anywhere_on_postgres() {
    everywhere(Place::postgres(), Action::Fail).await;
}

#[tokio::test]
async fn a_repetition_anywhere() {
    for place in Place::all() {
        everywhere(Some(place), Action::Repeat).await;
    }
}
