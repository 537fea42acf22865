//! What is forgotten of flows that have ended, and when.

use std::time::Duration;

use tutti_flow::{FlowFilter, FlowState, NewFlow, Retention, Retry, forget, query, signal};
use tutti_store::{Store, Tx};
use uuid::Uuid;

use crate::world::{Log, Place, Plan, ended, engine, flow, named, row, step, submit};

const HOUR: Duration = Duration::from_secs(3_600);

async fn flows(store: &Store) -> Vec<FlowState> {
    let filter = FlowFilter::default();
    let rows = store.read(move |tx| query::flows(tx, &filter)).await.unwrap();
    let mut states: Vec<FlowState> = rows.into_iter().map(|flow| flow.state).collect();
    states.sort_by_key(|state| state.as_str());
    states
}

async fn write(store: &Store, sql: &'static str) {
    store.write(move |tx: &mut Tx<'_>| tx.exec(sql, ())).await.unwrap();
}

fn ends(terminal: bool) -> NewFlow {
    let plan = Plan { terminal, ..named("a") };
    // About nothing, so that it explains nothing either.
    flow(&[], vec![tutti_flow::NewTask { retry: Retry::never(), ..step(plan, &[]) }])
}

/// Rows of tables that should be empty.
async fn left_over(store: &Store) -> i64 {
    let sql = "SELECT (SELECT count(*) FROM flow_task WHERE flow NOT IN (SELECT id FROM flow))
        + (SELECT count(*) FROM flow_failure WHERE flow NOT IN (SELECT id FROM flow))
        + (SELECT count(*) FROM flow_resource WHERE flow NOT IN (SELECT id FROM flow))";
    store.read(move |tx| tx.one(sql, ())).await.map_err(|e: tutti_store::Error| e).unwrap()
}

#[tokio::test]
async fn each_state_has_its_age() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        for terminal in [false, true, false] {
            let id = submit(&store, ends(terminal)).await.id;
            ended(&store, id).await;
        }
        engine.stop().await;
        let all = Retention::default();
        assert_eq!(forget(&store, &all).await.unwrap(), 0, "none is that old");
        // What ended two hours ago is more than an hour old.
        write(&store, "UPDATE flow SET finished = finished - 7200000000").await;
        let hour = all.clone().age(FlowState::Succeeded, Some(HOUR));
        assert_eq!(forget(&store, &hour).await.unwrap(), 2);
        assert_eq!(flows(&store).await, [FlowState::Failed]);
        let never = hour.age(FlowState::Failed, None).flows_max(0);
        assert_eq!(forget(&store, &never).await.unwrap(), 0);
        let both = never.age(FlowState::Failed, Some(HOUR));
        assert_eq!(forget(&store, &both).await.unwrap(), 1);
        assert_eq!((flows(&store).await.len(), left_over(&store).await), (0, 0));
        store.close().await;
    }
}

#[tokio::test]
async fn the_oldest_go_when_there_are_too_many() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let mut ids = Vec::new();
        for terminal in [true, false, true, false, false] {
            let id = submit(&store, ends(terminal)).await.id;
            ended(&store, id).await;
            ids.push(id);
        }
        let waits = submit(&store, flow(&[], vec![step(named("b"), &[])])).await.id;
        ended(&store, waits).await;
        let three = Retention::default().flows_max(3);
        assert_eq!(forget(&store, &three).await.unwrap(), 3);
        assert_eq!(forget(&store, &three).await.unwrap(), 0);
        let find = |id: Uuid| store.read(move |tx| query::flow(tx, id));
        for (number, id) in ids.into_iter().enumerate() {
            assert_eq!(find(id).await.unwrap().is_some(), number > 2, "{number}");
        }
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_flow_of_many_tasks_goes_in_parts_and_what_explains_a_failure_stays() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let failed = flow(&["x"], vec![step(Plan { terminal: true, ..named("a") }, &[])]);
        let failed = submit(&store, failed).await.id;
        ended(&store, failed).await;
        let wait = |number: usize| tutti_flow::NewTask {
            name: "wait".into(),
            work: tutti_flow::Work::Wait(tutti_flow::Wait {
                key: format!("k{}", number % 2),
                at_least: 1,
            }),
            ..tutti_flow::NewTask::default()
        };
        let many = submit(&store, flow(&["y"], (0..2_100).map(wait).collect())).await.id;
        for key in ["k0", "k1"] {
            store.write(move |tx| signal(tx, key, 1, 1)).await.unwrap();
        }
        assert_eq!(ended(&store, many).await.state, FlowState::Succeeded);
        let few = submit(&store, ends(false)).await.id;
        ended(&store, few).await;
        let none = Retention::default().flows_max(0);
        assert_eq!(forget(&store, &none).await.unwrap(), 2);
        assert_eq!(row(&store, failed).await.state, FlowState::Failed);
        assert_eq!((flows(&store).await.len(), left_over(&store).await), (1, 0));
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_worker_forgets_by_itself() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let builder = engine(&store, &log).retention(Retention::default().flows_max(1));
        let first = submit(&store, ends(false)).await.id;
        let engine = builder.start().await.unwrap();
        ended(&store, first).await;
        let second = submit(&store, ends(false)).await.id;
        ended(&store, second).await;
        engine.stop().await;
        // It looks when it begins, and now and then.
        let again = crate::world::engine(&store, &log);
        let again = again.retention(Retention::default().flows_max(1)).start().await.unwrap();
        crate::world::sees("that it is forgotten", || async {
            let found = store.read(move |tx| query::flow(tx, first)).await.unwrap();
            found.is_none().then_some(())
        })
        .await;
        assert_eq!(row(&store, second).await.state, FlowState::Succeeded);
        again.stop().await;
        store.close().await;
    }
}
