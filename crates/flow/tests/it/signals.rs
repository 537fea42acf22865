//! Tasks that wait for news from outside.

use serde_json::json;
use tutti_flow::{
    Failure, FlowState, NewTask, Retry, TaskState, Wait, Work, cancel, complete, prune_signals,
    retry, signal, signal_gone, task_id, trouble,
};
use tutti_store::Store;

use crate::world::{
    Log, Place, ended, engine, flow, named, now, reaches, state, step, submit, tasks,
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
