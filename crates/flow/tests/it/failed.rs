//! What is seen of failures: their classes, and the attempts that failed.

use std::time::Duration;

use serde_json::json;
use tutti_flow::{
    Clock, FailedAttempt, FailureClass, FlowState, NewTask, Retry, TaskFilter, TaskRow, Timeouts,
    Wait, Work, cancel,
    claim::{self, Claimant},
    prune, query, retry,
};
use tutti_store::{Store, Tx};
use uuid::Uuid;

use crate::{
    recovery::expire_leases,
    world::{
        Log, Place, Plan, ended, engine, flow, named, now, reaches, sees, step, submit, tasks,
    },
};

async fn failures(store: &Store, task: &TaskRow) -> Vec<FailedAttempt> {
    let task = task.clone();
    store.read(move |tx| query::failures(tx, &task)).await.unwrap()
}

/// The names of the tasks of a class.
async fn of_class(store: &Store, flow: Option<Uuid>, class: FailureClass) -> Vec<String> {
    let filter = TaskFilter { flow, class: vec![class], ..TaskFilter::default() };
    let found = store.read(move |tx| query::tasks(tx, &filter)).await.unwrap();
    found.into_iter().map(|task| task.title).collect()
}

fn once(plan: Plan) -> NewTask {
    NewTask { retry: Retry::never(), ..step(plan, &[]) }
}

#[tokio::test]
async fn every_failure_has_a_class() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let worker = engine(&store, &log).output_max(64).start().await.unwrap();
        let attempt = Some(Duration::from_millis(20));
        let timeouts = Timeouts { attempt, ..Timeouts::default() };
        let wait = Work::Wait(Wait { key: "never".into(), at_least: 1 });
        for (task, class, message) in [
            (once(Plan { failures: 1, ..named("a") }), FailureClass::Retryable, "a busy"),
            (once(Plan { terminal: true, ..named("a") }), FailureClass::Terminal, "a refused"),
            (
                NewTask { timeouts, ..once(Plan { millis: 9000, ..named("a") }) },
                FailureClass::Timeout,
                "it took longer than 20ms",
            ),
            (
                NewTask { timeouts, work: wait, ..once(named("a")) },
                FailureClass::Timeout,
                "what it waits for did not come in time",
            ),
            (NewTask { input: json!(7), ..once(named("a")) }, FailureClass::Bug, "input does not"),
            (once(named(&"long".repeat(20))), FailureClass::Refused, "task `step` answered"),
            (
                NewTask { name: "unheard".into(), ..once(named("a")) },
                FailureClass::Refused,
                "no worker knows",
            ),
        ] {
            let id = submit(&store, flow(&[], vec![task])).await.id;
            ended(&store, id).await;
            let task = tasks(&store, id).await.remove(0);
            assert!(task.error.as_ref().unwrap().starts_with(message), "{task:?}");
            assert_eq!(task.class, Some(class), "{task:?}");
            assert_eq!(of_class(&store, Some(id), class).await, std::slice::from_ref(&task.title));
            let [failed] = &failures(&store, &task).await[..] else { panic!("{task:?}") };
            assert_eq!((failed.class, failed.undoing), (class, false));
            assert_eq!(Some(&failed.message), task.error.as_ref());
            assert!((now() - failed.at).abs() < 60_000_000);
        }
        assert_eq!(of_class(&store, None, FailureClass::Refused).await.len(), 2);
        assert!(of_class(&store, None, FailureClass::Lost).await.is_empty());
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn the_last_few_failures_outlive_success_and_go_with_the_flow() {
    for place in Place::all() {
        let (store, log, clock) = (place.open().await, Log::default(), Clock::new());
        let worker = engine(&store, &log).clock(clock.clone()).start().await.unwrap();
        let tries = Plan { failures: 13, ..named("a") };
        let task = NewTask { retry: Retry::times(20), ..step(tries, &[]) };
        let steady = step(named("b"), &[]);
        let id = submit(&store, flow(&[], vec![task, steady])).await.id;
        sees("its end", || async {
            clock.advance(Duration::from_secs(300));
            let task = tasks(&store, id).await.remove(0);
            (task.attempt == 14 && task.finished.is_some()).then_some(())
        })
        .await;
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        let rows = tasks(&store, id).await;
        assert_eq!((rows[0].error.clone(), rows[0].class), (None, None), "it has succeeded");
        let failed = failures(&store, &rows[0]).await;
        let attempts: Vec<u32> = failed.iter().map(|failed| failed.attempt).collect();
        assert_eq!(attempts, (4..=13).collect::<Vec<_>>());
        let workers = store.read(claim::workers).await.unwrap();
        let own = workers.first().map(|worker| worker.name.clone());
        assert!(failed.iter().all(|failed| failed.worker == own && failed.message == "a busy"));
        assert!(failures(&store, &rows[1]).await.is_empty());
        worker.stop().await;
        assert_eq!(store.write(|tx| prune(tx, i64::MAX, 0)).await.unwrap(), 1);
        assert!(failures(&store, &rows[0]).await.is_empty());
        store.close().await;
    }
}

#[tokio::test]
async fn an_attempt_whose_worker_is_lost_is_kept_with_its_worker() {
    for place in Place::all() {
        let (store, log, other) = (place.open().await, Log::default(), Log::default());
        let first = engine(&store, &log).start().await.unwrap();
        let plan = Plan { until: "go on".into(), ..named("a") };
        let id = submit(&store, flow(&[], vec![step(plan, &[])])).await.id;
        log.has("+a").await;
        let workers = store.read(claim::workers).await.unwrap();
        expire_leases(&store).await;
        let second = engine(&store, &other).start().await.unwrap();
        let lost = sees("the loss", || async {
            let task = tasks(&store, id).await.remove(0);
            failures(&store, &task).await.pop()
        })
        .await;
        assert_eq!((lost.attempt, lost.class), (1, FailureClass::Lost));
        assert_eq!(lost.worker.as_ref(), workers.first().map(|worker| &worker.name));
        other.add("go on");
        log.add("go on");
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        assert_eq!(tasks(&store, id).await[0].class, None);
        first.stop().await;
        second.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_claim_that_fails_lapses_or_is_cancelled_says_so() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let worker = engine(&store, &log).start().await.unwrap();
        let remote = Claimant {
            name: "remote".into(),
            handlers: ["step".to_owned()].into(),
            labels: ["gpu".to_owned()].into(),
        };
        let task = NewTask { labels: vec!["gpu".into()], ..step(named("a"), &[]) };
        let id = submit(&store, flow(&[], vec![task])).await.id;
        let claim = |lease: Duration| {
            let (store, remote) = (&store, remote.clone());
            sees("a claim", move || {
                let remote = remote.clone();
                let claims = store.write(move |tx| claim::claim(tx, &remote, 1, lease));
                async move { claims.await.unwrap().pop() }
            })
        };
        claim(Duration::from_millis(1)).await;
        let second = claim(Duration::from_secs(60)).await;
        assert_eq!(second.attempt, 2);
        store.write(move |tx| cancel(tx, id)).await.unwrap();
        sees("the word to stop", || async {
            let standing = store.read(move |tx| claim::standing(tx, second.id)).await.unwrap();
            standing.cancelled.then_some(())
        })
        .await;
        let gone = Err(tutti_flow::Failure::Retryable("told to stop".into()));
        store.write(move |tx| claim::finish(tx, second.id, gone.clone())).await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Cancelled);
        let task = tasks(&store, id).await.remove(0);
        assert_eq!(task.class, Some(FailureClass::Cancelled));
        let failed = failures(&store, &task).await;
        let seen: Vec<_> = failed.iter().map(|failed| (failed.attempt, failed.class)).collect();
        assert_eq!(seen, [(1, FailureClass::Lost), (2, FailureClass::Cancelled)]);
        assert!(failed.iter().all(|failed| failed.worker.as_deref() == Some("remote")));
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_claim_that_ends_with_a_failed_flow_was_not_cancelled() {
    let minute = Duration::from_secs(60);
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let worker = engine(&store, &log).start().await.unwrap();
        let remote = Claimant {
            name: "remote".into(),
            handlers: ["step".to_owned()].into(),
            labels: ["gpu".to_owned()].into(),
        };
        let claimed = NewTask { labels: vec!["gpu".into()], ..step(named("a"), &[]) };
        let fails = Plan { until: "go on".into(), terminal: true, ..named("b") };
        let id = submit(&store, flow(&[], vec![claimed, step(fails, &[])])).await.id;
        log.has("+b").await;
        let claiming = move |tx: &mut Tx<'_>| claim::claim(tx, &remote, 1, minute);
        let claim = store.write(claiming).await.unwrap().remove(0).id;
        log.add("go on");
        sees("the word to stop", || async {
            let standing = store.read(move |tx| claim::standing(tx, claim)).await.unwrap();
            standing.cancelled.then_some(())
        })
        .await;
        let gone = Err(tutti_flow::Failure::Retryable("busy".into()));
        store.write(move |tx| claim::finish(tx, claim, gone.clone())).await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Failed);
        // As its watchers are told.
        assert_eq!(tasks(&store, id).await[0].class, Some(FailureClass::Retryable));
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn undoing_has_failures_of_its_own_and_leaves_the_first_reason() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let worker = engine(&store, &log).start().await.unwrap();
        let plan = Plan { terminal: true, revert_fails: true, ..named("a") };
        let task = NewTask { retry: Retry::never().or_revert(), ..step(plan, &[]) };
        let id = submit(&store, flow(&[], vec![task])).await.id;
        reaches(&store, id, FlowState::Stuck).await;
        let task = tasks(&store, id).await.remove(0);
        assert_eq!(
            (task.error.as_deref(), task.class),
            (Some("cannot undo"), Some(FailureClass::Terminal))
        );
        let failed = failures(&store, &task).await;
        let seen: Vec<_> =
            failed.iter().map(|failed| (failed.undoing, failed.message.as_str())).collect();
        assert_eq!(seen, [(false, "a refused"), (true, "cannot undo")]);
        // What is tried again by hand adds to it.
        store.write(move |tx| retry(tx, id)).await.unwrap();
        sees("another failure", || async {
            (failures(&store, &task).await.len() == 3).then_some(())
        })
        .await;
        worker.stop().await;
        store.close().await;
    }
}
