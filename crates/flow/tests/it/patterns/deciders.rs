//! Conditions, and how far "no" spreads.

use serde_json::{Value, json};
use tutti_flow::{
    Condition, Controller, Depth, FlowState,
    pattern::{Pattern, Step, graph, linear, unordered},
};

use super::{Site, act, fails};

fn decide(answer: impl Into<Value>) -> Step {
    act("decide").inject("value", answer.into()).provides("answer")
}

/// A decider and three tasks in a nested flow, and one behind it.
fn asked(answer: bool, depth: Depth) -> Pattern {
    linear("p")
        .add(
            linear("inner")
                .add(decide(answer))
                .add(act("a").when("answer", Condition::True, depth))
                .add(act("b"))
                .add(act("c")),
        )
        .add(act("d"))
}

async fn check(depth: Depth, expected: &str) {
    for site in Site::all().await {
        let flow = site.run(asked(false, depth)).await;
        assert_eq!(flow.state, FlowState::Succeeded);
        assert_eq!(site.lines(), format!("+decide false -decide{expected}"));
        let skipped = site.states(flow.id).await.matches("skipped").count();
        assert_eq!(skipped, 4 - expected.matches('+').count());
        let flow = site.run(asked(true, depth)).await;
        assert_eq!((flow.state, flow.tasks_open), (FlowState::Succeeded, 0));
        assert_eq!(site.lines(), "+decide true -decide +a -a +b -b +c -c +d -d");
        site.close().await;
    }
}

#[tokio::test]
async fn decider_depth_all() {
    check(Depth::All, "").await;
}

#[tokio::test]
async fn decider_depth_flow() {
    check(Depth::Flow, " +d -d").await;
}

#[tokio::test]
async fn decider_depth_neighbors() {
    check(Depth::Neighbors, " +c -c +d -d").await;
}

#[tokio::test]
async fn decider_depth_atom() {
    check(Depth::Atom, " +b -b +c -c +d -d").await;
}

#[tokio::test]
async fn deciders_sit_on_links_too() {
    for site in Site::all().await {
        let when = |value: &str| Condition::Equals(json!(value));
        let flow = graph("p")
            .add(decide("left"))
            .add_all(["left", "right", "after"].map(act))
            .link_when("decide", "left", when("left"), Depth::All)
            .link_when("decide", "right", when("right"), Depth::All)
            .link("left", "after");
        let flow = site.run(flow).await;
        assert_eq!(flow.state, FlowState::Succeeded);
        assert_eq!(
            site.states(flow.id).await,
            "decide succeeded, left succeeded, right skipped, after succeeded"
        );
        site.close().await;
    }
}

#[tokio::test]
async fn all_conditions_must_hold_and_parts_can_be_asked_for() {
    for site in Site::all().await {
        let of = |size: u32, kind: &str| {
            linear("p")
                .add(decide(json!({ "size": size, "kind": kind })))
                .add(
                    act("a")
                        .when(
                            "answer.size",
                            Condition::OneOf(vec![json!(1), json!(2)]),
                            Depth::Atom,
                        )
                        .when("answer.kind", Condition::Equals(json!("ssd")), Depth::All),
                )
                .add(act("b"))
        };
        for (size, kind, expected) in [
            (2, "ssd", "a succeeded, b succeeded"),
            (3, "ssd", "a skipped, b succeeded"),
            // The widest of the depths counts.
            (3, "tape", "a skipped, b skipped"),
        ] {
            let flow = site.run(of(size, kind)).await;
            assert_eq!(flow.state, FlowState::Succeeded);
            assert_eq!(site.states(flow.id).await, format!("decide succeeded, {expected}"));
        }
        site.close().await;
    }
}

#[tokio::test]
async fn a_pattern_is_skipped_whole() {
    for site in Site::all().await {
        let flow = linear("p")
            .add(decide(false))
            .add(
                unordered("maybe")
                    .when("answer", Condition::True, Depth::Flow)
                    .add(linear("l").add(act("a")).add(act("b")))
                    .add(act("c")),
            )
            .add(act("d"));
        let flow = site.run(flow).await;
        assert_eq!(flow.state, FlowState::Succeeded);
        assert_eq!(
            site.states(flow.id).await,
            "decide succeeded, a skipped, b skipped, c skipped, d succeeded"
        );
        site.close().await;
    }
}

#[tokio::test]
async fn a_skipped_controller_decides_nothing() {
    for site in Site::all().await {
        let twice = Controller::times(2);
        let flow = linear("p").add(decide(false)).add(
            linear("maybe")
                .retry(twice)
                .when("answer", Condition::True, Depth::Atom)
                .add(fails("a")),
        );
        let flow = site.run(flow).await;
        assert_eq!(flow.state, FlowState::Failed);
        assert_eq!(site.lines(), "+decide false -decide +a");
        site.close().await;
    }
}

#[tokio::test]
async fn a_new_run_decides_anew() {
    for site in Site::all().await {
        let values = vec![json!("no"), json!("yes")];
        let flow = linear("p")
            .add(
                linear("guarded")
                    .retry(Controller::ForEach { values })
                    .providing("value")
                    .add(act("decide").provides("answer"))
                    .add(
                        unordered("both")
                            .add(act("a").when(
                                "answer",
                                Condition::Equals(json!("yes")),
                                Depth::All,
                            ))
                            .add(act("b").inject("only", "yes")),
                    ),
            )
            .add(act("behind"));
        let flow = site.run(flow).await;
        assert_eq!(flow.state, FlowState::Succeeded);
        let states = site.states(flow.id).await;
        assert_eq!(states, "decide succeeded, a succeeded, b succeeded, behind succeeded");
        site.close().await;
    }
}
