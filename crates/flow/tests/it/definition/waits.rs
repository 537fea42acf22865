//! How long a task and a controller wait between attempts.

use std::time::Duration;

use serde_json::json;
use tutti_flow::{
    Backoff, Clock, Controller, Each, FlowState, NewTask, Retry, TaskState, Timeouts, Work,
};
use tutti_store::Store;
use uuid::Uuid;

use crate::world::{
    Log, Place, Plan, ended, engine, flow, named, reaches, sees, step, submit, tasks,
};

const MINUTE: Duration = Duration::from_secs(60);

/// Fails twice; waits for a minute, then for ten.
fn slow(name: &str, needs: &[usize]) -> NewTask {
    let backoff = Backoff::exponential(MINUTE, 60 * MINUTE).factor(10);
    let retry = Retry::times(3).backoff(backoff);
    NewTask { retry, ..step(Plan { failures: 2, ..named(name) }, needs) }
}

/// Whether the first task waits after this attempt for between half and all of that.
async fn waits(store: &Store, flow: Uuid, attempt: u32, wait: Duration, clock: &Clock) {
    let waiting = sees("a wait", || async {
        let row = tasks(store, flow).await.swap_remove(0);
        (row.state == TaskState::RetryWait && row.attempt == attempt).then_some(row)
    });
    let left = waiting.await.next_at.unwrap() - clock.now();
    let range = (wait / 2 - MINUTE / 4).as_micros()..=wait.as_micros();
    assert!(range.contains(&left.unsigned_abs().into()), "{left} after {attempt}");
}

#[tokio::test]
async fn a_task_waits_between_attempts_as_it_says() {
    for place in Place::all() {
        let (store, log, clock) = (place.open().await, Log::default(), Clock::new());
        let builder = || engine(&store, &log).clock(clock.clone());
        let mut worker = builder().start().await.unwrap();
        let id = submit(&store, flow(&["x"], vec![slow("a", &[])])).await.id;
        for (attempt, wait) in [(1, MINUTE), (2, 10 * MINUTE)] {
            waits(&store, id, attempt, wait, &clock).await;
            // It is stored: another worker knows it as well.
            worker.stop().await;
            worker = builder().start().await.unwrap();
            clock.advance(wait);
        }
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn items_wait_as_their_list_says() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let worker = engine(&store, &log).start().await.unwrap();
        let at_once = Retry::times(9).backoff(Backoff::NONE);
        let each = Each {
            name: "step".into(),
            input: json!({ "failures": 8 }),
            item: "name".into(),
            retry: at_once,
            timeouts: Timeouts::default(),
            labels: Vec::new(),
        };
        let list = NewTask {
            input: json!({ "items": ["a", "b"] }),
            work: Work::Each(Box::new(each)),
            ..NewTask::default()
        };
        // With the usual waits this takes more than a minute.
        let id = submit(&store, flow(&["x"], vec![list])).await.id;
        let end = tokio::time::timeout(Duration::from_secs(30), ended(&store, id)).await;
        assert_eq!(end.unwrap().state, FlowState::Succeeded);
        assert!(tasks(&store, id).await[1..].iter().all(|item| item.attempt == 9));
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_controller_waits_longer_each_time() {
    for place in Place::all() {
        let (store, log, clock) = (place.open().await, Log::default(), Clock::new());
        let worker = engine(&store, &log).clock(clock.clone()).start().await.unwrap();
        let backoff = Backoff::exponential(MINUTE, 60 * MINUTE).factor(10);
        let controller = NewTask {
            work: Work::Retry(Controller::Times { attempts_max: 3, backoff }),
            ..NewTask::default()
        };
        let fails = Plan { terminal: true, ..named("a") };
        let fails = NewTask { guard: Some(0), needs: vec![0], ..step(fails, &[]) };
        let id = submit(&store, flow(&["x"], vec![controller, fails])).await.id;
        for (attempt, wait) in [(1, MINUTE), (2, 10 * MINUTE)] {
            waits(&store, id, attempt, wait, &clock).await;
            clock.advance(wait);
        }
        assert_eq!(ended(&store, id).await.state, FlowState::Reverted);
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_controller_stored_with_a_pause_goes_on_with_it() {
    for place in Place::all() {
        let (store, log, clock) = (place.open().await, Log::default(), Clock::new());
        let controller = NewTask { work: Work::Retry(Controller::times(2)), ..NewTask::default() };
        let fails = Plan { terminal: true, ..named("a") };
        let fails = NewTask { guard: Some(0), needs: vec![0], ..step(fails, &[]) };
        let id = submit(&store, flow(&["x"], vec![controller, fails])).await.id;
        let old =
            r#"{"work":{"retry":{"times":{"attempts_max":2,"pause":{"secs":600,"nanos":0}}}}}"#;
        let make_old = move |tx: &mut tutti_store::Tx<'_>| {
            tx.exec("UPDATE flow_task SET spec = $2 WHERE flow = $1 AND number = 0", (id, old))
        };
        store.write(make_old).await.unwrap();
        let worker = engine(&store, &log).clock(clock.clone()).start().await.unwrap();
        reaches(&store, id, FlowState::Waiting).await;
        clock.advance(10 * MINUTE);
        assert_eq!(ended(&store, id).await.state, FlowState::Reverted);
        assert_eq!(log.lines().iter().filter(|line| *line == "+a").count(), 2);
        worker.stop().await;
        store.close().await;
    }
}
