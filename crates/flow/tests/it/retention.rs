//! What is forgotten of flows that have ended, and when.

use std::time::Duration;

use tutti_flow::{
    Child, Error, Fate, FlowFilter, FlowState, NewFlow, NewTask, Retention, Retry, Wait, Work,
    child_id, forget, prune, query, retry, revert, signal, skip, task_id,
};
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
    flow(&[], vec![NewTask { retry: Retry::never(), ..step(plan, &[]) }])
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

/// A flow of so many tasks that it is not forgotten at once.
fn of_many(resources: &[&str]) -> NewFlow {
    let wait = |number: usize| NewTask {
        name: "wait".into(),
        work: Work::Wait(Wait { key: format!("k{}", number % 2), at_least: 1 }),
        ..NewTask::default()
    };
    flow(resources, (0..2_100).map(wait).collect())
}

/// Such a flow, when it has succeeded.
async fn long(store: &Store, resource: &str) -> Uuid {
    let id = submit(store, of_many(&[resource])).await.id;
    for key in ["k0", "k1"] {
        store.write(move |tx| signal(tx, key, 1, 1)).await.unwrap();
    }
    assert_eq!(ended(store, id).await.state, FlowState::Succeeded);
    id
}

#[tokio::test]
async fn nothing_is_made_of_a_flow_of_which_a_part_is_forgotten() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let id = long(&store, "y").await;
        write(&store, "UPDATE flow SET state = 'failed'").await;
        submit(&store, flow(&["y"], vec![step(named("newer"), &[])])).await;
        assert_eq!(store.write(|tx| prune(tx, i64::MAX, 0)).await.unwrap(), 1, "a part");
        assert_eq!(row(&store, id).await.tasks, 100);
        let gone = |done: tutti_flow::Result<()>| matches!(done, Err(Error::NoFlow { .. }));
        assert!(gone(store.write(move |tx| retry(tx, id)).await));
        assert!(gone(store.write(move |tx| revert(tx, id)).await));
        assert!(gone(store.write(move |tx| skip(tx, task_id(id, 0))).await));
        // What has begun ends, whatever would keep it now.
        write(&store, "DELETE FROM flow_resource WHERE flow <> (SELECT min(id) FROM flow)").await;
        forget(&store, &Retention::default()).await.unwrap();
        assert!(store.read(move |tx| query::flow(tx, id)).await.unwrap().is_none());
        assert_eq!(left_over(&store).await, 0);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_parent_that_is_retried_submits_anew_what_is_being_forgotten() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let work = Work::Flow(Box::new(Child { flow: of_many(&[]), fate: Fate::Joined }));
        let child = NewTask { name: "many".into(), work, ..NewTask::default() };
        let id = submit(&store, flow(&[], vec![child, step(named("after"), &[0])])).await.id;
        for key in ["k0", "k1"] {
            store.write(move |tx| signal(tx, key, 1, 1)).await.unwrap();
        }
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        write(&store, "UPDATE flow SET state = 'failed'").await;
        write(&store, "UPDATE flow_task SET state = 'failed' WHERE number < 2").await;
        assert_eq!(store.write(|tx| prune(tx, i64::MAX, 0)).await.unwrap(), 1, "a part");
        store.write(move |tx| retry(tx, id)).await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        assert_eq!(row(&store, child_id(task_id(id, 0))).await.tasks, 2_100);
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
        long(&store, "y").await;
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
