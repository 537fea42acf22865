//! Tasks that wait for news from outside.

use std::time::Duration;

use serde_json::json;
use tutti_flow::{
    Clock, Failure, FlowState, NewFlow, NewTask, Retry, TaskState, Timeouts, Wait, Work, cancel,
    complete, prune_signals, retry, signal, signal_gone, sync_state, task_id, trouble,
};
use tutti_store::{Store, Tx};
use uuid::Uuid;

use crate::world::{
    Log, Place, ended, engine, flow, named, now, reaches, row, state, step, submit, tasks,
};

fn wait(key: &str, at_least: i64, needs: &[usize]) -> NewTask {
    NewTask {
        name: "unit.converge".into(),
        work: Work::Wait(Wait { key: key.into(), at_least }),
        ..step(named("wait"), needs)
    }
}

async fn send(store: &Store, key: &'static str, value: i64) {
    store.write(move |tx| signal(tx, key, value, now())).await.unwrap();
}

#[tokio::test]
async fn a_wait_needs_no_worker() {
    for place in Place::all() {
        let store = place.open().await;
        send(&store, "unit/db/0", 3).await;
        let plan = vec![wait("unit/db/0", 3, &[]), wait("unit/db/1", 5, &[0])];
        let first = submit(&store, flow(&["app/db"], plan.clone())).await;
        assert_eq!(first.state, FlowState::Waiting);
        let second = submit(&store, flow(&["app/db"], plan)).await;
        let rows = tasks(&store, first.id).await;
        assert_eq!(
            (rows[0].state, &rows[0].output),
            (TaskState::Succeeded, &Some(json!({"value": 3})))
        );
        assert_eq!(rows[1].state, TaskState::Waiting);
        send(&store, "unit/db/1", 4).await;
        assert_eq!(state(&store, first.id).await, FlowState::Waiting);
        send(&store, "unit/db/1", 6).await;
        // The second finds both values already there and ends in the same transaction.
        assert_eq!(state(&store, first.id).await, FlowState::Succeeded);
        assert_eq!(state(&store, second.id).await, FlowState::Succeeded);
        send(&store, "unit/db/1", 1).await;
        let third = submit(&store, flow(&[], vec![wait("unit/db/1", 6, &[])])).await;
        assert_eq!(third.state, FlowState::Succeeded, "a smaller value takes nothing back");
        store.close().await;
    }
}

#[tokio::test]
async fn waits_and_work_mix() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let slow = crate::world::Plan { until: "-b".into(), ..named("slow") };
        let plan = vec![
            step(named("a"), &[]),
            wait("k", 1, &[0]),
            step(named("b"), &[1]),
            step(slow, &[0]),
            step(named("c"), &[2, 3]),
        ];
        let id = submit(&store, flow(&["x"], plan)).await.id;
        log.has("+slow").await;
        // The worker has the flow and learns of the signal meanwhile.
        send(&store, "k", 1).await;
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        assert_eq!(log.lines(), ["+a", "-a", "+slow", "+b", "-b", "-slow", "+c", "-c"]);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn trouble_shows_and_passes() {
    for place in Place::all() {
        let store = place.open().await;
        let id = submit(&store, flow(&["x"], vec![wait("k", 1, &[])])).await.id;
        let tell =
            |text: Option<&'static str>| store.write(move |tx| trouble(tx, "k", text, now()));
        tell(Some("hook failed: install")).await.unwrap();
        let rows = tasks(&store, id).await;
        assert_eq!(rows[0].state, TaskState::Retrying);
        assert_eq!(rows[0].error.as_deref(), Some("hook failed: install"));
        let late = submit(&store, flow(&[], vec![wait("k", 2, &[])])).await.id;
        assert_eq!(tasks(&store, late).await[0].state, TaskState::Retrying);
        tell(None).await.unwrap();
        let rows = tasks(&store, id).await;
        assert_eq!((rows[0].state, rows[0].error.as_deref()), (TaskState::Waiting, None));
        tell(Some("again")).await.unwrap();
        send(&store, "k", 1).await;
        assert_eq!(state(&store, id).await, FlowState::Succeeded);
        store.write(move |tx| signal_gone(tx, "k", now())).await.unwrap();
        assert_eq!(state(&store, late).await, FlowState::Succeeded);
        assert_eq!(tasks(&store, late).await[0].output, Some(json!({"gone": true})));
        let fresh = submit(&store, flow(&[], vec![wait("k", 1, &[])])).await;
        assert_eq!(fresh.state, FlowState::Waiting, "the key is forgotten");
        store.close().await;
    }
}

#[tokio::test]
async fn work_done_elsewhere_is_completed_by_task() {
    for place in Place::all() {
        let store = place.open().await;
        let action = |then: Retry| {
            let mut new = flow(&["unit/db/0"], vec![]);
            let key = task_id(new.id, 0).to_string();
            new.tasks.push(NewTask { retry: then, ..wait(&key, 1, &[]) });
            new
        };
        let good = submit(&store, action(Retry::never())).await.id;
        let bad = submit(&store, action(Retry::never().or_revert())).await.id;
        let report = |flow, result: Result<serde_json::Value, Failure>| {
            let id = task_id(flow, 0);
            store.write(move |tx| complete(tx, id, result.clone(), now()))
        };
        assert!(report(bad, Ok(json!(1))).await.is_err(), "it is blocked");
        report(good, Err(Failure::Retryable("busy".into()))).await.unwrap();
        assert_eq!(tasks(&store, good).await[0].state, TaskState::Retrying);
        report(good, Ok(json!({"done": 1}))).await.unwrap();
        report(good, Ok(json!({"done": 2}))).await.unwrap();
        assert_eq!(tasks(&store, good).await[0].output, Some(json!({"done": 1})));
        report(bad, Err(Failure::Terminal("exit 1".into()))).await.unwrap();
        let ended = ended(&store, bad).await;
        assert_eq!((ended.state, ended.error.as_deref()), (FlowState::Reverted, Some("exit 1")));
        store.close().await;
    }
}

#[tokio::test]
async fn a_waiting_flow_can_be_cancelled() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let id =
            submit(&store, flow(&["x"], vec![step(named("a"), &[]), wait("k", 1, &[0])])).await.id;
        reaches(&store, id, FlowState::Waiting).await;
        store.write(move |tx| tutti_flow::cancel(tx, id)).await.unwrap();
        assert_eq!(state(&store, id).await, FlowState::Cancelled);
        send(&store, "k", 1).await;
        assert_eq!(tasks(&store, id).await[1].state, TaskState::Cancelled);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_signal_does_not_make_a_ready_flow_forget_its_work() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let plan = vec![step(named("a"), &[]), wait("k", 1, &[])];
        let id = submit(&store, flow(&["x"], plan)).await.id;
        send(&store, "k", 1).await;
        assert_eq!(state(&store, id).await, FlowState::Ready);
        let engine = engine(&store, &log).start().await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_signal_does_not_make_a_flow_forget_its_undoing() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let done = NewTask { retry: Retry::never().or_revert(), ..step(named("a"), &[]) };
        let plan = vec![done, wait("late", 1, &[0])];
        let id = submit(&store, flow(&["x"], plan)).await.id;
        let worker = engine(&store, &log).start().await.unwrap();
        reaches(&store, id, FlowState::Waiting).await;
        worker.stop().await;
        store.write(move |tx| cancel(tx, id)).await.unwrap();
        assert_eq!(state(&store, id).await, FlowState::Reverting, "it is to be undone");
        send(&store, "late", 1).await;
        assert_eq!(state(&store, id).await, FlowState::Reverting);
        let worker = engine(&store, &log).start().await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Cancelled);
        assert_eq!(log.lines(), ["+a", "-a", "~a (made by a)"]);
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn last_signals_are_kept_for_those_who_may_wait() {
    for place in Place::all() {
        let store = place.open().await;
        for key in ["unit/0", "unit/1", "unit/2"] {
            send(&store, key, i64::MAX).await;
        }
        send(&store, "unit/3", 7).await;
        let done = submit(&store, flow(&[], vec![wait("unit/0", 1, &[])])).await;
        assert_eq!(done.state, FlowState::Succeeded);
        let plan = vec![wait("unit/3", 8, &[]), wait("unit/1", 1, &[0])];
        let id = submit(&store, flow(&[], plan)).await.id;
        store.write(move |tx| cancel(tx, id)).await.unwrap();
        assert_eq!(store.write(prune_signals).await.unwrap(), 2, "of units 0 and 2");
        store.write(move |tx| retry(tx, id)).await.unwrap();
        send(&store, "unit/3", 8).await;
        assert_eq!(state(&store, id).await, FlowState::Succeeded);
        store.close().await;
    }
}

/// How many tasks of a flow are in this state.
async fn count(store: &Store, id: Uuid, state: TaskState) -> usize {
    tasks(store, id).await.iter().filter(|task| task.state == state).count()
}

#[tokio::test]
async fn signals_come_one_by_one() {
    const WAITS: usize = 6;
    for place in Place::all() {
        for meet in [false, true] {
            let mut store = place.open().await;
            let keys: Vec<String> = (0..WAITS).map(|at| format!("{meet}/{at}")).collect();
            let mut plan: Vec<NewTask> = keys.iter().map(|key| wait(key, 1, &[])).collect();
            if meet {
                let waits: Vec<usize> = (0..WAITS).collect();
                plan.push(NewTask { work: Work::Gate, ..step(named("gate"), &waits) });
            }
            let tasks_max = plan.len();
            let new = NewFlow { generation: Some(1), ..flow(&["x"], plan) };
            let id = submit(&store, new).await.id;
            for (at, key) in keys.into_iter().enumerate() {
                assert_eq!(row(&store, id).await.state, FlowState::Waiting);
                assert_eq!(row(&store, id).await.tasks_open, (tasks_max - at) as i64);
                let subject = key.clone();
                let tell = move |tx: &mut Tx<'_>| trouble(tx, &subject, Some("busy"), now());
                store.write(tell).await.unwrap();
                assert_eq!(count(&store, id, TaskState::Retrying).await, 1);
                let sync = store.read(|tx| sync_state(tx, "x")).await.unwrap();
                assert_eq!((sync.message.as_str(), sync.task), ("busy", Some(task_id(id, at))));
                if at % 2 == 0 {
                    // The process dies, and another one has the database.
                    store.close().await;
                    store = place.open().await;
                }
                store.write(move |tx| signal(tx, &key, 7, now())).await.unwrap();
                let done = tasks(&store, id).await.remove(at);
                let expected = (TaskState::Succeeded, Some(json!({"value": 7})), None);
                assert_eq!((done.state, done.output, done.error), expected);
                assert!(done.finished.is_some());
            }
            assert_eq!(row(&store, id).await.state, FlowState::Succeeded);
            assert_eq!(count(&store, id, TaskState::Succeeded).await, tasks_max);
            let events = store.outbox_after(0, 1000).await.unwrap();
            let ends = events.iter().filter(|event| event.body.contains(&id.to_string()));
            assert_eq!(ends.count(), 1, "its end, and nothing else");
            store.close().await;
        }
    }
}

#[tokio::test]
async fn what_ended_without_a_signal_holds_nobody_up() {
    for place in Place::all() {
        let store = place.open().await;
        let new = flow(&[], vec![]);
        let key = task_id(new.id, 0).to_string();
        let id =
            submit(&store, NewFlow { tasks: vec![wait(&key, 1, &[]), wait("k", 1, &[])], ..new })
                .await
                .id;
        let task = task_id(id, 0);
        store.write(move |tx| complete(tx, task, Ok(json!("done")), now())).await.unwrap();
        assert_eq!(state(&store, id).await, FlowState::Waiting);
        assert_eq!(tasks(&store, id).await[0].output, Some(json!("done")));
        send(&store, "k", 1).await;
        assert_eq!(state(&store, id).await, FlowState::Succeeded);
        store.close().await;
    }
}

#[tokio::test]
async fn a_wait_in_time_leaves_the_others_their_time() {
    for place in Place::all() {
        let (store, log, clock) = (place.open().await, Log::default(), Clock::new());
        let engine = engine(&store, &log).clock(clock.clone()).start().await.unwrap();
        let timed = |key: &str, seconds| NewTask {
            timeouts: Timeouts {
                attempt: Some(Duration::from_secs(seconds)),
                ..Timeouts::default()
            },
            ..wait(key, 1, &[])
        };
        let id = submit(&store, flow(&[], vec![timed("a", 100), timed("b", 300)])).await.id;
        send(&store, "a", 1).await;
        clock.advance(Duration::from_secs(200));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(count(&store, id, TaskState::Waiting).await, 1);
        clock.advance(Duration::from_secs(200));
        assert_eq!(ended(&store, id).await.state, FlowState::Failed);
        assert_eq!(tasks(&store, id).await[0].state, TaskState::Succeeded);
        engine.stop().await;
        store.close().await;
    }
}
