//! Flows of which many wait at the same place: what the end of each costs, and what it leads to.

use serde_json::json;
use tutti_flow::{
    Controller, FlowState, NewFlow, TaskState, cancel, child_id,
    pattern::{Pattern, Step, child, linear, unordered, wait},
    signal, task_id,
};
use uuid::Uuid;

use crate::world::{now, state};

use super::{Site, act, build};

/// A flow that waits for a key.
fn waits_for(key: usize) -> Step {
    child(build(linear("inner").add(wait(format!("key/{key}"), 1)))).title(format!("c{key}"))
}

fn many(count: usize) -> Pattern {
    unordered("many").add_all((0..count).map(waits_for))
}

fn its_child(parent: Uuid, task: usize) -> Uuid {
    child_id(task_id(parent, task))
}

/// Submits a flow and lets it wait without a worker.
async fn left_alone(site: &mut Site, flow: NewFlow) -> Uuid {
    let id = site.submit_flow(flow).await;
    site.reaches(id, FlowState::Waiting).await;
    site.stop().await;
    id
}

async fn send(site: &Site, key: usize) {
    let key = format!("key/{key}");
    site.store.write(move |tx| signal(tx, &key, 7, now())).await.unwrap();
}

/// Makes a flow's first task unreadable, or readable again: whoever loads the flow fails.
async fn set_needs(site: &Site, flow: Uuid, needs: Option<&'static str>) {
    let sql = "UPDATE flow_task SET needs = $2 WHERE flow = $1 AND number = 0";
    let changed = site.store.write(move |tx| tx.exec(sql, (flow, needs)));
    let changed: Result<u64, tutti_store::Error> = changed.await;
    assert_eq!(changed.unwrap(), 1);
}

#[tokio::test]
async fn the_end_of_a_child_leaves_its_parent_unread_while_others_are_waited_for() {
    const CHILDREN: usize = 4;
    for meet in [false, true] {
        for mut site in Site::all().await {
            let flow = linear("p").add(many(CHILDREN));
            let flow = if meet { flow.add(act("after")) } else { flow };
            let id = left_alone(&mut site, build(flow)).await;
            set_needs(&site, id, Some("none")).await;
            for key in 0..CHILDREN - 1 {
                send(&site, key).await;
                assert_eq!(state(&site.store, its_child(id, key)).await, FlowState::Succeeded);
                assert_eq!(state(&site.store, id).await, FlowState::Waiting);
                let task = site.tasks(id).await.remove(key);
                let output = json!({ "flow": its_child(id, key), "output": { "value": 7 } });
                assert_eq!((task.state, task.output), (TaskState::Succeeded, Some(output)));
                assert!(task.finished.is_some());
            }
            set_needs(&site, id, None).await;
            send(&site, CHILDREN - 1).await;
            site.start().await;
            assert_eq!(site.ended(id).await.state, FlowState::Succeeded);
            assert_eq!(site.lines(), if meet { "+after -after" } else { "" });
            let left: i64 = site
                .store
                .read(|tx| tx.one("SELECT count(*) FROM flow_wait", ()))
                .await
                .map_err(|error: tutti_store::Error| error)
                .unwrap();
            assert_eq!(left, 0, "nothing is waited for");
            site.close().await;
        }
    }
}

#[tokio::test]
async fn a_flow_is_cancelled_with_all_it_waits_for() {
    const CHILDREN: usize = 350;
    for mut site in Site::all().await {
        let flow = linear("p").add(many(CHILDREN)).add(act("after"));
        let id = left_alone(&mut site, build(flow)).await;
        site.wants(move |tx| cancel(tx, id)).await.unwrap();
        // As many as fit into a transaction; a worker goes on.
        assert_eq!(state(&site.store, id).await, FlowState::Ready);
        let count = "SELECT count(*) FROM flow WHERE state = 'cancelled'";
        let cancelled: Result<usize, tutti_store::Error> =
            site.store.read(move |tx| tx.one(count, ())).await;
        assert_eq!(cancelled.unwrap(), 100);
        site.start().await;
        assert_eq!(site.ended(id).await.state, FlowState::Cancelled);
        let tasks = site.tasks(id).await;
        let events = site.store.outbox_after(0, 10_000).await.unwrap();
        for (number, task) in tasks.iter().filter(|task| task.title.starts_with('c')).enumerate() {
            let child = its_child(id, number);
            assert_eq!(state(&site.store, child).await, FlowState::Cancelled);
            let why = format!("flow {child} is cancelled: no reason given");
            assert_eq!((task.state, task.error.as_ref()), (TaskState::Failed, Some(&why)));
            let of_child = format!("\"flow\":\"{child}\"");
            let of_task = format!("\"task\":\"{}\"", task.id);
            for part in [of_child, of_task] {
                let said = events.iter().filter(|event| event.body.contains(&part)).count();
                assert_eq!(said, 1, "{part} is announced once");
            }
        }
        site.close().await;
    }
}

#[tokio::test]
async fn a_controller_waits_for_the_children_it_guards_alone() {
    for site in Site::all().await {
        let twice = Controller::times(2);
        let slow = child(build(linear("inner").add(act("c").inject("until", "mended"))));
        let guarded = unordered("guarded")
            .retry(twice)
            .add(slow)
            .add(act("b").inject("from_run", 2).inject("until", "+c"));
        let id = site.submit(unordered("p").add(guarded).add(waits_for(0))).await;
        site.log.has("-b").await;
        site.log.add("mended");
        send(&site, 0).await;
        assert_eq!(site.ended(id).await.state, FlowState::Succeeded);
        site.close().await;
    }
}
