//! Controllers within controllers, and what happens to them when a worker dies.

use serde_json::json;
use tutti_flow::{
    Controller, FlowState, TaskState, cancel,
    pattern::{linear, unordered},
};

use super::{Site, act, fails};

fn times(attempts_max: u32) -> Controller {
    Controller::times(attempts_max)
}

fn each_of(values: &[&str]) -> Controller {
    Controller::ForEach { values: values.iter().map(|value| json!(value)).collect() }
}

#[tokio::test]
async fn an_inner_controller_starts_over_with_each_run_of_the_outer() {
    for site in Site::all().await {
        let inner = linear("inner")
            .retry(each_of(&["x", "y"]))
            .providing("value")
            .add(act("b").inject("from_run", 2).inject("only", "y"));
        let flow = linear("outer").retry(times(3)).add(act("a")).add(inner);
        assert_eq!(site.run(flow).await.state, FlowState::Succeeded);
        assert_eq!(
            site.lines(),
            "+a -a +b \"x\" ~b failed +b \"y\" ~b failed ~a +a -a +b \"x\" ~b failed +b \"y\" -b"
        );
        site.close().await;
    }
}

#[tokio::test]
async fn an_inner_controller_that_gives_up_hands_the_failure_outwards_to_the_end() {
    for site in Site::all().await {
        let inner = linear("inner").retry(times(2)).add(fails("b"));
        let middle = linear("middle").retry(Controller::AlwaysRevert).add(act("m")).add(inner);
        let flow = linear("p")
            .add(act("first"))
            .add(linear("outer").retry(times(2)).add(act("a")).add(middle));
        let flow = site.run(flow).await;
        assert_eq!((flow.state, flow.error.as_deref()), (FlowState::Reverted, Some("b refused")));
        let run = "+a -a +m -m +b ~b failed +b ~b failed ~m ~a";
        assert_eq!(site.lines(), format!("+first -first {run} {run} ~first"));
        site.close().await;
    }
}

#[tokio::test]
async fn an_outer_failure_undoes_what_an_inner_controller_guards() {
    for site in Site::all().await {
        let inner = linear("inner").retry(times(2)).add(act("b"));
        let flow = linear("outer").retry(times(2)).add(inner).add(act("c").inject("from_run", 2));
        assert_eq!(site.run(flow).await.state, FlowState::Succeeded);
        assert_eq!(site.lines(), "+b -b +c ~c failed ~b +b -b +c -c");
        site.close().await;
    }
}

#[tokio::test]
async fn both_fail_at_the_same_time() {
    for site in Site::all().await {
        // The inner one is about to run again when the outer one has to undo everything.
        let inner = linear("inner")
            .retry(times(2))
            .add(act("slow").inject("until", "+c"))
            .add(act("b").inject("from_run", 2));
        let flow = unordered("outer")
            .retry(times(2))
            .add(inner)
            .add(act("c").inject("from_run", 2).inject("until", "+slow"));
        let flow = site.run(flow).await;
        assert_eq!(flow.state, FlowState::Succeeded);
        let tasks = site.tasks(flow.id).await;
        assert!(tasks.iter().all(|task| task.state == TaskState::Succeeded), "{tasks:?}");
        site.close().await;
    }
}

#[tokio::test]
async fn a_controller_survives_the_death_of_its_worker() {
    for mut site in Site::all().await {
        site.make_mortal().await;
        let flow = linear("p")
            .add(
                linear("g")
                    .retry(each_of(&["x", "y", "z"]))
                    .providing("value")
                    .add(act("a"))
                    .add(act("b").inject("only", "z").inject("until", "go on")),
            )
            .add(act("behind"));
        let id = site.submit(flow).await;
        site.log.has("+b \"x\"").await;
        site.log.add("go on");
        site.log.has("+b \"y\"").await;
        site.kill();
        site.start().await;
        assert_eq!(site.ended(id).await.state, FlowState::Succeeded);
        let lines = site.lines();
        assert!(lines.ends_with("+a \"z\" -a +b \"z\" -b +behind \"z\" -behind"), "{lines}");
        assert!(!lines.contains("+b \"x\" ~b failed ~a +b"), "{lines}");
        site.close().await;
    }
}

#[tokio::test]
async fn cancelling_undoes_what_a_controller_guards() {
    for site in Site::all().await {
        let flow = linear("g")
            .retry(times(9))
            .add(act("a"))
            .add(act("b").inject("until", "never"))
            .add(act("c"));
        let id = site.submit(flow).await;
        site.log.has("+b").await;
        site.wants(move |tx| cancel(tx, id)).await.unwrap();
        assert_eq!(site.ended(id).await.state, FlowState::Cancelled);
        assert_eq!(site.lines(), "+a -a +b -b ~b ~a");
        site.close().await;
    }
}
