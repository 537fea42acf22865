//! A task for each item of a list that is known only when the flow runs.

use std::time::Duration;

use serde_json::json;
use tutti_flow::{
    Controller, FlowState, Retry, TaskState, cancel,
    pattern::{Pattern, Step, each, linear},
    retry, skip, task_id,
};

use super::{Act, Site, act};

/// Acts for each item of the list `items`.
fn act_each(name: &str) -> Step {
    each::<Act>("items")
        .item("value")
        .inject("name", name)
        .named(name)
        .title(name)
        .retry(Retry::never())
        .provides("made")
}

fn over(items: serde_json::Value) -> Pattern {
    linear("p").add(act("list").inject("value", items).provides("items"))
}

#[tokio::test]
async fn map_and_reduce() {
    for site in Site::all().await {
        let flow = over(json!([1, 2, 3])).add(act_each("m")).add(act("r").rebind("value", "made"));
        let flow = site.run(flow).await;
        assert_eq!(flow.state, FlowState::Succeeded);
        let lines = site.log.lines();
        assert_eq!(lines[lines.len() - 2..], ["+r [1,2,3]", "-r"]);
        for item in ["+m 1", "+m 2", "+m 3"] {
            assert!(lines[2..8].contains(&item.to_owned()), "{lines:?}");
        }
        let tasks = site.tasks(flow.id).await;
        assert_eq!((flow.tasks, tasks.len()), (6, 6));
        assert_eq!(tasks[1].output, Some(json!([1, 2, 3])));
        assert_eq!(tasks[5].title, "act 3");
        site.close().await;
    }
}

#[tokio::test]
async fn an_empty_list_is_done_at_once() {
    for site in Site::all().await {
        let flow = over(json!([])).add(act_each("m")).add(act("r").rebind("value", "made"));
        let flow = site.run(flow).await;
        assert_eq!((flow.state, flow.tasks), (FlowState::Succeeded, 3));
        assert_eq!(site.lines(), "+list [] -list +r [] -r");
        site.close().await;
    }
}

#[tokio::test]
async fn what_is_no_list_fails() {
    for site in Site::all().await {
        let flow = site.run(over(json!("many")).add(act_each("m"))).await;
        assert_eq!(
            (flow.state, flow.error.as_deref()),
            (FlowState::Failed, Some("its `items` are not a list"))
        );
        site.close().await;
    }
}

#[tokio::test]
async fn an_item_that_fails_ends_the_flow_as_the_task_says() {
    for site in Site::all().await {
        let flow = site.run(over(json!([1, 2])).add(act_each("m").inject("only", 1))).await;
        assert_eq!((flow.state, flow.error.as_deref()), (FlowState::Failed, Some("m refused")));
        let tasks = site.tasks(flow.id).await;
        let states: Vec<TaskState> = tasks.iter().map(|task| task.state).collect();
        use TaskState::{Failed, Succeeded};
        assert_eq!(states, [Succeeded, Failed, Succeeded, Failed]);
        site.lines();
        // Running it again, only what failed runs.
        let id = flow.id;
        site.wants(move |tx| retry(tx, id)).await.unwrap();
        assert_eq!(site.ended(id).await.state, FlowState::Failed);
        assert_eq!(site.lines(), "+m 2");
        assert_eq!(site.tasks(id).await.len(), 4);
        site.close().await;
    }
}

#[tokio::test]
async fn a_list_that_failed_is_skipped_with_its_items() {
    for site in Site::all().await {
        let flow = over(json!([1, 2])).add(act_each("m").inject("only", 1)).add(act("r"));
        let id = site.run(flow).await.id;
        site.lines();
        site.wants(move |tx| skip(tx, task_id(id, 1))).await.unwrap();
        assert_eq!(site.ended(id).await.state, FlowState::Succeeded);
        assert_eq!(site.lines(), "+r -r");
        let tasks = site.tasks(id).await;
        let states: Vec<TaskState> = tasks.iter().map(|task| task.state).collect();
        use TaskState::{Skipped, Succeeded};
        assert_eq!(states, [Succeeded, Skipped, Succeeded, Succeeded, Skipped]);
        site.close().await;
    }
}

#[tokio::test]
async fn items_are_undone_after_what_relies_on_them() {
    for site in Site::all().await {
        let flow =
            over(json!([1, 2])).add(act_each("m")).add(act("r").inject("from_run", 9).or_revert());
        let flow = site.run(flow).await;
        assert_eq!(flow.state, FlowState::Reverted);
        let lines = site.lines();
        assert!(lines.ends_with("+r ~r failed ~m ~m ~list"), "{lines}");
        let tasks = site.tasks(flow.id).await;
        assert!(tasks.iter().all(|task| task.state == TaskState::Reverted));
        site.close().await;
    }
}

#[tokio::test]
async fn an_item_that_fails_with_others_under_way_reverts_all_of_them() {
    for site in Site::all().await {
        let flow = over(json!([1, 2, 3])).add(act_each("m").inject("only", 2)).or_revert();
        let flow = site.run(flow).await;
        assert_eq!(flow.state, FlowState::Reverted);
        let lines = site.lines();
        assert_eq!(lines.matches("~m failed").count(), 2, "{lines}");
        assert!(lines.ends_with("~list"), "{lines}");
        site.close().await;
    }
}

#[tokio::test]
async fn each_run_of_a_controller_has_a_list_of_its_own() {
    for site in Site::all().await {
        let values = vec![json!([1, 2, 3]), json!([4, 5])];
        let flow = linear("g")
            .retry(Controller::ForEach { values })
            .providing("items")
            .add(act_each("m"))
            .add(act("r").rebind("value", "made").inject("only", json!([4, 5])));
        let flow = site.run(flow).await;
        assert_eq!(flow.state, FlowState::Succeeded);
        let lines = site.log.lines();
        assert_eq!(lines.iter().filter(|line| line.starts_with("~m")).count(), 3);
        assert_eq!(lines[lines.len() - 2..], ["+r [4,5]", "-r"]);
        site.close().await;
    }
}

#[tokio::test]
async fn an_item_that_fails_under_a_controller_gives_the_next_run_a_new_list() {
    for mut site in Site::all().await {
        site.make_mortal().await;
        let values = vec![json!([1, 2]), json!([2, 2]), json!([])];
        let flow = linear("p")
            .add(
                linear("g")
                    .retry(Controller::ForEach { values })
                    .providing("items")
                    .add(act_each("m").inject("only", 1).inject("until", "go on")),
            )
            .add(act("behind").rebind("value", "made"));
        let id = site.submit(flow).await;
        site.log.has("+m 2").await;
        // The items are found again by whoever takes over.
        site.kill();
        site.start().await;
        site.log.add("go on");
        assert_eq!(site.ended(id).await.state, FlowState::Succeeded);
        assert!(site.lines().ends_with("+behind [] -behind"));
        let tasks = site.tasks(id).await;
        assert_eq!(tasks[1].output, Some(json!([])));
        assert_eq!(tasks.len(), 7, "items of earlier runs are history");
        site.close().await;
    }
}

#[tokio::test]
async fn a_flow_that_is_run_again_finds_its_items_again() {
    for site in Site::all().await {
        let flow =
            over(json!([1, 2])).add(act_each("m")).add(act("r").inject("from_run", 2).or_revert());
        let id = site.run(flow).await.id;
        site.wants(move |tx| retry(tx, id)).await.unwrap();
        assert_eq!(site.ended(id).await.state, FlowState::Succeeded);
        assert_eq!(site.tasks(id).await.len(), 5);
        // Among items of several runs too.
        let values = vec![json!([1, 2]), json!([1]), json!([3, 4])];
        let flow = linear("g")
            .retry(Controller::ForEach { values })
            .providing("items")
            .add(act_each("m"))
            .add(act("r").rebind("value", "made").inject("from_run", 2));
        let id = site.run(flow).await.id;
        site.log.take();
        site.log.add("+r [1]");
        site.wants(move |tx| retry(tx, id)).await.unwrap();
        assert_eq!(site.ended(id).await.state, FlowState::Succeeded);
        let tasks = site.tasks(id).await;
        assert_eq!(tasks[1].output, Some(json!([1])));
        site.close().await;
    }
}

#[tokio::test]
async fn a_list_of_lists() {
    for site in Site::all().await {
        let flow = over(json!([[1], [2, 3]]))
            .add(act_each("m"))
            .add(each::<Act>("made").item("value").inject("name", "n").retry(Retry::never()));
        let flow = site.run(flow).await;
        assert_eq!((flow.state, flow.tasks), (FlowState::Succeeded, 7));
        site.close().await;
    }
}

#[tokio::test]
async fn cancelling_a_list() {
    for site in Site::all().await {
        let items: Vec<u32> = (0..20).collect();
        let flow =
            over(json!(items)).add(act_each("m").inject("until", "never")).add(act("behind"));
        let id = site.submit(flow).await;
        site.log.has("+m 19").await;
        site.wants(move |tx| cancel(tx, id)).await.unwrap();
        let flow = tokio::time::timeout(Duration::from_secs(20), site.ended(id)).await.unwrap();
        assert_eq!(flow.state, FlowState::Cancelled);
        site.close().await;
    }
}
