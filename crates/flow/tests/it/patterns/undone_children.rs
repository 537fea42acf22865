//! Flows of tasks that are undone with the flow that waited for them.

use tutti_flow::{
    Access, Controller, FlowState, NewFlow, TaskState, abandon, cancel, child_id,
    pattern::{Pattern, Step, child, linear, unordered, wait},
    retry, revert, task_id,
};
use uuid::Uuid;

use crate::world::{row, state};

use super::{Site, act, build, fails};

fn its_child(parent: Uuid, task: usize) -> Uuid {
    child_id(task_id(parent, task))
}

/// A task that submits a flow of these tasks, one after the other.
fn inner(parts: impl IntoIterator<Item = Step>) -> Step {
    child(build(parts.into_iter().fold(linear("inner"), Pattern::add))).title("child")
}

#[tokio::test]
async fn what_a_child_did_is_undone_in_its_turn() {
    for site in Site::all().await {
        let about =
            |flow: NewFlow| NewFlow { resources: vec![("room".into(), Access::Exclusive)], ..flow };
        let innermost = inner([act("d"), act("e")]);
        let flow = linear("p")
            .add(act("a"))
            .add(inner([act("c"), innermost]))
            .add(act("b"))
            .add(fails("x").or_revert().inject("until", "go on"));
        let mut flow = about(build(flow));
        if let tutti_flow::Work::Flow(child) = &mut flow.tasks[1].work {
            child.flow.resources = vec![("room".into(), Access::Exclusive)];
        }
        let id = site.submit_flow(flow).await;
        let next = site.submit_flow(about(build(linear("next").add(act("n"))))).await;
        site.log.has("+x").await;
        assert_eq!(state(&site.store, its_child(id, 1)).await, FlowState::Succeeded);
        site.log.add("go on");
        assert_eq!(site.ended(id).await.state, FlowState::Reverted);
        assert_eq!(site.ended(next).await.state, FlowState::Succeeded);
        let done = "+a -a +c -c +d -d +e -e +b -b +x go on";
        assert_eq!(site.lines(), format!("{done} ~x failed ~b ~e ~d ~c ~a +n -n"));
        assert_eq!(site.tasks(id).await[1].state, TaskState::Reverted);
        let child = its_child(id, 1);
        for flow in [child, its_child(child, 1)] {
            assert_eq!(state(&site.store, flow).await, FlowState::Reverted);
        }
        site.close().await;
    }
}

#[tokio::test]
async fn a_flow_that_has_succeeded_is_undone_by_hand_with_its_children() {
    for site in Site::all().await {
        let flow = linear("p")
            .add(act("a"))
            .add(unordered("u").add(inner([act("c")])).add(inner([act("d")])));
        let id = site.submit(flow).await;
        assert_eq!(site.ended(id).await.state, FlowState::Succeeded);
        site.log.take();
        site.wants(move |tx| revert(tx, id)).await.unwrap();
        site.reaches(id, FlowState::Reverted).await;
        let lines = site.lines();
        assert!(["~c ~d ~a", "~d ~c ~a"].contains(&lines.as_str()), "{lines}");
        site.wants(move |tx| retry(tx, id)).await.unwrap();
        site.reaches(id, FlowState::Succeeded).await;
        assert_eq!(site.lines().matches("-c").count(), 1, "it is run again");
        site.close().await;
    }
}

#[tokio::test]
async fn cancelling_undoes_what_children_did_before() {
    for mut site in Site::all().await {
        let flow = linear("p")
            .or_revert()
            .add(act("a"))
            .add(unordered("u").add_all(["c", "d", "e"].map(|name| inner([act(name)]))))
            .add(wait("never", 1));
        let id = site.submit(flow).await;
        site.reaches(id, FlowState::Waiting).await;
        super::a_while().await;
        site.stop().await;
        site.log.take();
        // Nobody has the flow while it is undone.
        site.wants(move |tx| cancel(tx, id)).await.unwrap();
        assert_eq!(state(&site.store, id).await, FlowState::Reverting);
        site.start().await;
        assert_eq!(site.ended(id).await.state, FlowState::Cancelled);
        let lines = site.lines();
        assert!(lines.len() == "~c ~d ~e ~a".len() && lines.ends_with("~a"), "{lines}");
        site.close().await;
    }
}

#[tokio::test]
async fn a_child_that_cannot_be_undone_leaves_its_parent_stuck() {
    for site in Site::all().await {
        let flow = linear("p")
            .add(act("a"))
            .add(inner([act("c").inject("knot", "mended"), act("d")]))
            .add(fails("x").or_revert());
        let id = site.submit(flow).await;
        let flow = site.ended(id).await;
        let why = format!("flow {} is stuck: c cannot be undone", its_child(id, 1));
        assert_eq!((flow.state, flow.error.as_ref()), (FlowState::Stuck, Some(&why)));
        let task = site.tasks(id).await.remove(1);
        assert_eq!((task.state, task.error), (TaskState::RevertFailed, Some(why)));
        assert_eq!(site.lines(), "+a -a +c -c +d -d +x ~x failed ~d ~c");
        site.log.add("mended");
        site.wants(move |tx| retry(tx, id)).await.unwrap();
        site.reaches(id, FlowState::Reverted).await;
        assert_eq!(site.lines(), "mended ~c ~a");
        assert_eq!(state(&site.store, its_child(id, 1)).await, FlowState::Reverted);
        site.close().await;
    }
}

#[tokio::test]
async fn a_child_given_up_is_nobodys_to_undo() {
    for site in Site::all().await {
        let flow = linear("p")
            .add(act("a"))
            .add(inner([act("c").inject("knot", "never")]))
            .add(fails("x").or_revert());
        let id = site.submit(flow).await;
        assert_eq!(site.ended(id).await.state, FlowState::Stuck);
        let child = its_child(id, 1);
        site.wants(move |tx| abandon(tx, child)).await.unwrap();
        site.wants(move |tx| retry(tx, id)).await.unwrap();
        site.reaches(id, FlowState::Reverted).await;
        assert!(site.lines().ends_with("~c ~a"));
        site.close().await;
    }
}

#[tokio::test]
async fn a_controller_runs_the_children_again_that_it_has_undone() {
    for site in Site::all().await {
        let twice = Controller::times(2);
        let flow =
            linear("p").retry(twice).add(inner([act("c")])).add(act("b").inject("from_run", 2));
        assert_eq!(site.run(flow).await.state, FlowState::Succeeded);
        assert_eq!(site.lines(), "+c -c +b ~b failed ~c +c -c +b -b");
        site.close().await;
    }
}

#[tokio::test]
async fn a_worker_that_dies_meanwhile_is_no_loss() {
    for mut site in Site::all().await {
        site.make_mortal().await;
        let flow = linear("p")
            .add(act("a"))
            .add(inner([act("c").inject("undone_after", "go on")]))
            .add(fails("x").or_revert());
        let id = site.submit(flow).await;
        site.log.has("~c").await;
        site.kill();
        site.start().await;
        site.log.add("go on");
        assert_eq!(site.ended(id).await.state, FlowState::Reverted);
        assert_eq!(site.lines(), "+a -a +c -c +x ~x failed ~c go on ~c ~a");
        assert!(row(&site.store, its_child(id, 1)).await.finished.is_some());
        site.close().await;
    }
}
