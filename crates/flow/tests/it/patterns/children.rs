//! Flows that a task of another submits.

use serde_json::{Value, json};
use tutti_flow::{
    Access, Controller, Error, Fate, FlowFilter, FlowRow, FlowState, NewFlow, TaskState, abandon,
    cancel, child_id,
    pattern::{Pattern, Step, child, each, linear, unordered},
    query, resume, retry, suspend, task_id,
};
use uuid::Uuid;

use crate::world::{row, sees};

use super::{Act, Site, act, build, fails};

/// A flow of one task, and the task that submits it.
fn of(part: Step) -> Step {
    child(build(linear("inner").add(part))).title("child")
}

/// The child of a flow's task.
fn its_child(parent: Uuid, task: usize) -> Uuid {
    child_id(task_id(parent, task))
}

async fn children(site: &Site, parent: Uuid) -> Vec<FlowRow> {
    let filter = FlowFilter { parent: Some(parent), ..FlowFilter::default() };
    site.store.read(move |tx| query::flows(tx, &filter)).await.unwrap()
}

#[tokio::test]
async fn a_joined_child_hands_over_its_output() {
    for site in Site::all().await {
        let flow = linear("p")
            .add(act("a"))
            .add(of(act("c").inject("value", 7)).provides("child"))
            .add(act("b").rebind("value", "child.output"));
        let flow = site.run(flow).await;
        assert_eq!(flow.state, FlowState::Succeeded);
        assert_eq!(site.lines(), "+a -a +c 7 -c +b 7 -b");
        let tasks = site.tasks(flow.id).await;
        let id = its_child(flow.id, 1);
        assert_eq!(tasks[1].output, Some(json!({ "flow": id, "output": 7 })));
        let children = children(&site, flow.id).await;
        assert_eq!(children.len(), 1);
        assert_eq!((children[0].id, children[0].parent), (id, Some((flow.id, tasks[1].id))));
        site.close().await;
    }
}

#[tokio::test]
async fn the_output_of_a_child_is_that_of_its_last_task() {
    for site in Site::all().await {
        let inner = linear("inner")
            .inject("items", [1, 2])
            .add(each::<Act>("items").item("value").inject("name", "m"));
        let flow = linear("p")
            .add(child(build(inner)).provides("child"))
            .add(act("b").rebind("value", "child.output"));
        assert_eq!(site.run(flow).await.state, FlowState::Succeeded);
        assert!(site.lines().ends_with("+b [1,2] -b"));
        site.close().await;
    }
}

#[tokio::test]
async fn a_joined_child_that_fails_fails_its_task() {
    for site in Site::all().await {
        let flow = linear("p").add(act("a")).add(of(fails("c")).or_revert()).add(act("b"));
        let flow = site.run(flow).await;
        assert_eq!(flow.state, FlowState::Reverted);
        let why = format!("flow {} is failed: c refused", its_child(flow.id, 1));
        assert_eq!(flow.error, Some(why));
        assert_eq!(site.lines(), "+a -a +c ~c failed ~a");
        site.close().await;
    }
}

#[tokio::test]
async fn cancelling_the_parent_cancels_a_joined_child_and_waits_for_it() {
    for site in Site::all().await {
        let id = site.submit(linear("p").add(of(act("c").inject("until", "never")))).await;
        site.log.has("+c").await;
        site.wants(move |tx| cancel(tx, id)).await.unwrap();
        let parent = site.ended(id).await;
        let child = crate::world::row(&site.store, its_child(id, 0)).await;
        assert_eq!((parent.state, child.state), (FlowState::Cancelled, FlowState::Cancelled));
        assert!(parent.finished >= child.finished);
        site.close().await;
    }
}

#[tokio::test]
async fn a_failure_beside_a_joined_child_cancels_it() {
    for site in Site::all().await {
        let flow = unordered("p")
            .add(of(act("c").inject("until", "never")))
            .add(fails("b").inject("until", "+c"));
        let id = site.submit(flow).await;
        assert_eq!(site.ended(id).await.state, FlowState::Failed);
        let child = crate::world::row(&site.store, its_child(id, 0)).await;
        assert_eq!(child.state, FlowState::Cancelled);
        site.close().await;
    }
}

#[tokio::test]
async fn an_abandoned_child_fails_its_task() {
    for site in Site::all().await {
        let part = of(act("c").inject("until", "never"));
        let id = site.submit(linear("p").or_revert().add(act("a")).add(part).add(act("b"))).await;
        site.log.has("+c").await;
        let child = its_child(id, 1);
        site.wants(move |tx| abandon(tx, child)).await.unwrap();
        let flow = site.ended(id).await;
        assert_eq!(flow.state, FlowState::Reverted);
        assert_eq!(flow.error, Some(format!("flow {child} is abandoned: somebody gave it up")));
        // What runs of the child is told to stop when its worker notices.
        assert_eq!(site.lines().replace(" -c", ""), "+a -a +c ~a");
        site.close().await;
    }
}

#[tokio::test]
async fn suspending_the_parent_suspends_those_it_waits_for() {
    for site in Site::all().await {
        let innermost = linear("c").add(act("c").inject("until", "go on")).add(act("d"));
        let inner = linear("inner").add(child(build(innermost)));
        let free = of(act("f").inject("until", "go on")).fate(Fate::Free);
        let flow = unordered("p").add(linear("l").add(child(build(inner))).add(act("b"))).add(free);
        let id = site.submit(flow).await;
        let flows = site.tasks(id).await.into_iter().position(|task| task.title == "child");
        let free = its_child(id, flows.unwrap());
        let child = its_child(id, 0);
        let grandchild = its_child(child, 0);
        site.log.has("+c").await;
        site.log.has("+f").await;
        site.wants(move |tx| suspend(tx, id)).await.unwrap();
        site.reaches(id, FlowState::Suspended).await;
        site.reaches(child, FlowState::Suspended).await;
        sees("that its worker has heard", || async {
            row(&site.store, grandchild).await.suspended.then_some(())
        })
        .await;
        site.log.add("go on");
        site.reaches(grandchild, FlowState::Suspended).await;
        assert_eq!(site.ended(free).await.state, FlowState::Succeeded);
        super::a_while().await;
        assert!(!site.lines().contains("+d"), "nothing of it begins: {}", site.lines());
        site.wants(move |tx| resume(tx, id)).await.unwrap();
        assert_eq!(site.ended(id).await.state, FlowState::Succeeded);
        assert!(site.lines().ends_with("+d -d +b -b"), "{}", site.lines());
        site.close().await;
    }
}

#[tokio::test]
async fn a_child_that_began_without_a_worker_is_cancelled_with_its_parent() {
    for mut site in Site::all().await {
        site.stop().await;
        let flow = unordered("p").add(of(act("c"))).add(act("a"));
        let id = site.submit(flow).await;
        for what in [suspend, resume, suspend, cancel] {
            site.store.write(move |tx| what(tx, id)).await.unwrap();
        }
        let child = row(&site.store, its_child(id, 0)).await;
        assert_eq!(child.state, FlowState::Cancelled);
        assert_eq!(row(&site.store, id).await.state, FlowState::Cancelled);
        site.close().await;
    }
}

#[tokio::test]
async fn a_controller_ends_the_children_it_guards_before_it_runs_again() {
    for site in Site::all().await {
        let twice = Controller::times(2);
        let flow = unordered("p")
            .retry(twice)
            .add(of(act("c").inject("until", "mended")))
            .add(act("b").inject("from_run", 2).inject("until", "+c"));
        let id = site.submit(flow).await;
        site.log.has("-b").await;
        site.log.add("mended");
        assert_eq!(site.ended(id).await.state, FlowState::Succeeded);
        let child = crate::world::row(&site.store, its_child(id, 1)).await;
        assert_eq!(child.state, FlowState::Succeeded);
        site.close().await;
    }
}

#[tokio::test]
async fn a_parent_that_runs_again_runs_its_failed_child_again() {
    for site in Site::all().await {
        let flow = linear("p").add(of(act("c").inject("from_run", 2))).add(fails("b"));
        let holding =
            |flow: NewFlow| NewFlow { resources: vec![("room".into(), Access::Exclusive)], ..flow };
        let mut flow = holding(build(flow));
        if let tutti_flow::Work::Flow(child) = &mut flow.tasks[0].work {
            child.flow.resources = vec![("room".into(), Access::Exclusive)];
        }
        let id = site.submit_flow(flow).await;
        assert_eq!(site.ended(id).await.state, FlowState::Failed);
        assert_eq!(site.lines(), "+c");
        site.log.add("+c");
        site.wants(move |tx| retry(tx, id)).await.unwrap();
        let flow = site.ended(id).await;
        assert_eq!((flow.state, flow.error.as_deref()), (FlowState::Failed, Some("b refused")));
        assert_eq!(site.lines(), "+c +c -c +b");
        assert_eq!(children(&site, id).await.len(), 1);
        site.close().await;
    }
}

async fn fate(fate: Fate, parent_fails: bool, expected: FlowState) {
    for site in Site::all().await {
        let last = if parent_fails { fails("b") } else { act("b") };
        let flow = linear("p")
            .add(of(act("c").inject("until", "go on")).fate(fate))
            .add(last.inject("until", "+c"));
        let flow = site.run(flow).await;
        assert_eq!(flow.state == FlowState::Failed, parent_fails);
        let id = its_child(flow.id, 0);
        assert_eq!(site.tasks(flow.id).await[0].state, TaskState::Succeeded);
        assert_eq!(site.tasks(flow.id).await[0].output, Some(Value::String(id.to_string())));
        if expected == FlowState::Succeeded {
            super::a_while().await;
            assert_eq!(crate::world::state(&site.store, id).await, FlowState::Running);
            site.log.add("go on");
        }
        assert_eq!(site.ended(id).await.state, expected);
        site.close().await;
    }
}

#[tokio::test]
async fn a_bound_child_is_cancelled_with_its_parent() {
    fate(Fate::Bound, true, FlowState::Cancelled).await;
}

#[tokio::test]
async fn a_bound_child_outlives_a_parent_that_succeeds() {
    fate(Fate::Bound, false, FlowState::Succeeded).await;
}

#[tokio::test]
async fn a_free_child_outlives_its_parent() {
    fate(Fate::Free, true, FlowState::Succeeded).await;
}

#[tokio::test]
async fn a_joined_child_runs_under_its_parents_resources() {
    for site in Site::all().await {
        let about = |pattern: Pattern, names: &[&str]| NewFlow {
            resources: names.iter().map(|name| ((*name).into(), Access::Exclusive)).collect(),
            ..build(pattern)
        };
        let inner = about(linear("inner").add(act("c").inject("until", "go on")), &["room"]);
        let parent = about(linear("p").add(child(inner.clone())), &["house", "room"]);
        let next = about(linear("next").add(act("n")), &["room"]);
        let parent = site.submit_flow(parent).await;
        let next = site.submit_flow(next).await;
        site.log.has("+c").await;
        assert_eq!(crate::world::state(&site.store, next).await, FlowState::Blocked);
        site.log.add("go on");
        assert_eq!(site.ended(parent).await.state, FlowState::Succeeded);
        assert_eq!(site.ended(next).await.state, FlowState::Succeeded);
        // A parent that waits for what it does not hold could wait for ever.
        let refused = about(linear("p").add(child(inner)), &["house"]);
        let refused = site
            .store
            .write(move |tx| tutti_flow::submit(tx, refused.clone(), crate::world::now()));
        assert!(matches!(refused.await, Err(Error::Plan { .. })));
        site.close().await;
    }
}

#[tokio::test]
async fn a_child_is_not_forgotten_before_its_parent() {
    for site in Site::all().await {
        let flow = linear("p").add(of(act("c"))).add(act("b").inject("until", "go on"));
        let id = site.submit(flow).await;
        site.log.has("+b").await;
        let forget = || site.store.write(move |tx| tutti_flow::prune(tx, i64::MAX, 0));
        assert_eq!(forget().await.unwrap(), 0);
        site.log.add("go on");
        site.ended(id).await;
        assert_eq!(forget().await.unwrap(), 2);
        site.close().await;
    }
}

#[tokio::test]
async fn children_have_children() {
    for mut site in Site::all().await {
        site.make_mortal().await;
        let innermost = of(act("c").inject("until", "go on"));
        let flow = linear("p").add(child(build(linear("middle").add(innermost)))).add(act("b"));
        let id = site.submit(flow).await;
        site.log.has("+c").await;
        site.kill();
        site.start().await;
        site.log.add("go on");
        assert_eq!(site.ended(id).await.state, FlowState::Succeeded);
        site.close().await;
    }
}
