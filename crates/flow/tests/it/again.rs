//! Flows that were retried and wait for their turn again.

use tutti_flow::{
    FlowFilter, FlowState, NewFlow, NewTask, Retry, SyncState, TaskState, Then, cancel, query,
    retry, revert, sync_state, undoers,
};
use tutti_store::{Store, Tx};
use uuid::Uuid;

use crate::world::{
    Log, Place, Plan, ended, engine, flow, named, reaches, row, step, submit, tasks,
};

fn converge(plan: Vec<NewTask>) -> NewFlow {
    NewFlow { converge: true, kind: "configure".into(), ..flow(&["x"], plan) }
}

/// Retries a flow that failed, behind one that has its resource until the log has the line `go`.
async fn wait_again(store: &Store, id: Uuid) -> Uuid {
    let holds = Plan { until: "go".into(), ..named("holds") };
    let holds = submit(store, flow(&["x"], vec![step(holds, &[])])).await.id;
    reaches(store, holds, FlowState::Running).await;
    store.write(move |tx| retry(tx, id)).await.unwrap();
    let waiting = row(store, id).await;
    assert_eq!((waiting.state, waiting.started), (FlowState::Blocked, None));
    holds
}

#[tokio::test]
async fn one_that_waits_again_is_cancelled_at_once() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let plan = Plan { terminal: true, ..named("a") };
        let id = submit(&store, converge(vec![step(plan, &[])])).await.id;
        assert_eq!(ended(&store, id).await.state, FlowState::Failed);
        let holds = wait_again(&store, id).await;
        let sync = store.read(|tx| sync_state(tx, "x")).await.unwrap();
        assert_eq!((sync.state, sync.flow), (SyncState::Pending, Some(id)));
        store.write(move |tx| cancel(tx, id)).await.unwrap();
        assert_eq!(row(&store, id).await.state, FlowState::Cancelled);
        log.add("go");
        ended(&store, holds).await;
        assert_eq!(log.lines().iter().filter(|line| *line == "+a").count(), 1);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn what_it_did_before_is_undone_when_its_turn_comes() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let revertible = Retry { then: Then::Revert, ..Retry::never() };
        let first = NewTask { retry: revertible, ..step(named("a"), &[]) };
        let plan = Plan { terminal: true, ..named("b") };
        let second = NewTask { retry: Retry::never(), ..step(plan, &[0]) };
        let id = submit(&store, converge(vec![first, second])).await.id;
        assert_eq!(ended(&store, id).await.state, FlowState::Failed);
        let holds = wait_again(&store, id).await;
        store.write(move |tx| cancel(tx, id)).await.unwrap();
        store.write(move |tx| cancel(tx, id)).await.unwrap();
        let waiting = row(&store, id).await;
        assert_eq!((waiting.state, waiting.cancelling), (FlowState::Blocked, true));
        // One that takes back what it did cannot give way to a newer one.
        let newer = submit(&store, converge(vec![step(named("c"), &[])])).await.id;
        log.add("go");
        assert_eq!(ended(&store, holds).await.state, FlowState::Succeeded);
        assert_eq!(ended(&store, id).await.state, FlowState::Cancelled);
        assert_eq!(tasks(&store, id).await[0].state, TaskState::Reverted);
        assert_eq!(ended(&store, newer).await.state, FlowState::Succeeded);
        let lines = log.lines();
        let place = |line: &str| lines.iter().position(|one| one == line).unwrap();
        assert!(place("-holds") < place("~a (made by a)"), "{lines:?}");
        assert_eq!(lines.iter().filter(|line| *line == "+b").count(), 1, "{lines:?}");
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn one_that_is_undone_is_seen_to_be() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let id = submit(&store, flow(&["x"], vec![step(named("a"), &[])])).await.id;
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        assert!(!row(&store, id).await.reverting);
        engine.stop().await;
        // Nobody is there to do it.
        let next = submit(&store, flow(&["x"], vec![step(named("b"), &[])])).await.id;
        store.write(move |tx| revert(tx, id)).await.unwrap();
        let waiting = row(&store, id).await;
        assert_eq!((waiting.state, waiting.reverting), (FlowState::Blocked, true));
        store.write(move |tx| cancel(tx, next)).await.unwrap();
        let undone = row(&store, id).await;
        assert_eq!((undone.state, undone.reverting), (FlowState::Reverting, true));
        for (state, found) in [(FlowState::Reverting, 1), (FlowState::Ready, 0)] {
            let filter = FlowFilter { state: vec![state], ..FlowFilter::default() };
            let (flows, open) = store
                .read(move |tx| {
                    Ok::<_, tutti_flow::Error>((query::flows(tx, &filter)?, query::open_flows(tx)?))
                })
                .await
                .unwrap();
            assert_eq!(flows.len(), found, "{state}");
            let counted = open.iter().find(|open| open.state == state).map_or(0, |open| open.count);
            assert_eq!(usize::try_from(counted).unwrap(), found, "{state}");
        }
        store.close().await;
    }
}

#[tokio::test]
async fn one_that_waits_again_gives_way_to_a_newer_one() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let plan = Plan { terminal: true, ..named("a") };
        let id = submit(&store, converge(vec![step(plan, &[])])).await.id;
        assert_eq!(ended(&store, id).await.state, FlowState::Failed);
        let holds = wait_again(&store, id).await;
        let newer = submit(&store, converge(vec![step(named("c"), &[])])).await.id;
        let gone = row(&store, id).await;
        assert_eq!((gone.state, gone.superseded_by), (FlowState::Superseded, Some(newer)));
        log.add("go");
        for id in [holds, newer] {
            assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        }
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn what_may_have_had_an_effect_before_is_undone_although_it_did_not_begin_again() {
    for place in Place::all() {
        for then in [Then::Fail, Then::Revert] {
            let (store, log) = (place.open().await, Log::default());
            let engine = engine(&store, &log).start().await.unwrap();
            let plan = Plan { terminal: true, ..named("a") };
            let first = NewTask { retry: Retry::never(), ..step(plan, &[]) };
            let retry = Retry { then, ..Retry::never() };
            let second = NewTask { retry, ..step(named("b"), &[0]) };
            let id = submit(&store, flow(&["x"], vec![first, second])).await.id;
            assert_eq!(ended(&store, id).await.state, FlowState::Failed);
            let holds = wait_again(&store, id).await;
            store.write(move |tx| cancel(tx, id)).await.unwrap();
            if then == Then::Fail {
                assert_eq!(row(&store, id).await.state, FlowState::Cancelled);
                let asked = store.read(move |tx| undoers(tx, id)).await.unwrap();
                assert_eq!(asked.into_iter().collect::<Vec<_>>(), ["step"]);
                store.write(move |tx| revert(tx, id)).await.unwrap();
            }
            log.add("go");
            assert_eq!(ended(&store, holds).await.state, FlowState::Succeeded);
            ended(&store, id).await;
            assert_eq!(tasks(&store, id).await[0].state, TaskState::Reverted);
            let undone = |line: &&String| line.starts_with("~a");
            let lines = log.take();
            assert_eq!(lines.iter().filter(undone).collect::<Vec<_>>(), ["~a (unknown)"]);
            assert_eq!(lines.iter().filter(|line| *line == "+a").count(), 1, "{lines:?}");
            // It was undone: there is nothing left to be undone when it is tried once more.
            store.write(move |tx| retry_and_cancel(tx, id)).await.unwrap();
            let asked = store.read(move |tx| undoers(tx, id)).await.unwrap();
            assert!(asked.is_empty(), "{asked:?}");
            engine.stop().await;
            store.close().await;
        }
    }
}

fn retry_and_cancel(tx: &mut Tx<'_>, id: Uuid) -> tutti_flow::Result<()> {
    retry(tx, id)?;
    cancel(tx, id)
}
