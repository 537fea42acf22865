//! What runs when.

use tutti_flow::{
    FlowState,
    pattern::{graph, linear, unordered},
};

use super::{Site, act};

#[tokio::test]
async fn linear_flow() {
    for site in Site::all().await {
        let flow = site.run(linear("p").add_all(["a", "b", "c"].map(act))).await;
        assert_eq!(flow.state, FlowState::Succeeded);
        assert_eq!(site.lines(), "+a -a +b -b +c -c");
        site.close().await;
    }
}

#[tokio::test]
async fn unordered_flow() {
    for site in Site::all().await {
        // Each waits for the other to have begun.
        let flow = unordered("p")
            .add(act("a").inject("until", "+b"))
            .add(act("b").inject("until", "+a"))
            .add(act("c").inject("until", "-a"));
        assert_eq!(site.run(flow).await.state, FlowState::Succeeded);
        site.close().await;
    }
}

#[tokio::test]
async fn graph_flow() {
    for site in Site::all().await {
        // Added in an order in which they cannot run.
        let flow = graph("p")
            .add(act("last"))
            .add(act("sum").rebind("value", "two").provides("sum"))
            .add(act("two").rebind("value", "one").provides("two"))
            .add(act("one").inject("value", 1).provides("one"))
            .link("sum", "last");
        let flow = site.run(flow).await;
        assert_eq!(flow.state, FlowState::Succeeded);
        assert_eq!(site.lines(), "+one 1 -one +two 1 -two +sum 1 -sum +last -last");
        site.close().await;
    }
}

#[tokio::test]
async fn graph_flow_runs_what_is_independent_at_the_same_time() {
    for site in Site::all().await {
        let flow = graph("p")
            .add(act("root").provides("root"))
            .add(act("left").rebind("value", "root").inject("until", "+right \"root\""))
            .add(act("right").rebind("value", "root").inject("until", "+left \"root\""))
            .add(act("join"))
            .link("left", "join")
            .link("right", "join");
        assert_eq!(site.run(flow).await.state, FlowState::Succeeded);
        let lines = site.lines();
        assert!(lines.starts_with("+root -root +") && lines.ends_with("+join -join"), "{lines}");
        site.close().await;
    }
}

#[tokio::test]
async fn targeted_flow() {
    for site in Site::all().await {
        let flow = graph("p")
            .add(act("one").provides("one"))
            .add(act("two").rebind("value", "one").provides("two"))
            .add(act("beside"))
            .add(act("behind").rebind("value", "two"))
            .target("two");
        let flow = site.run(flow).await;
        assert_eq!((flow.state, flow.tasks), (FlowState::Succeeded, 2));
        assert_eq!(site.lines(), "+one -one +two \"one\" -two");
        site.close().await;
    }
}

#[tokio::test]
async fn nested_flows() {
    for site in Site::all().await {
        let flow = linear("p")
            .add(act("first"))
            .add(
                unordered("both")
                    .add(linear("left").add(act("l1")).add(act("l2").inject("until", "+r1")))
                    .add(linear("right").add(act("r1").inject("until", "+l2")).add(act("r2"))),
            )
            .add(graph("last").add(act("y").rebind("value", "x")).add(act("x").provides("x")));
        assert_eq!(site.run(flow).await.state, FlowState::Succeeded);
        let lines = site.lines();
        assert!(lines.starts_with("+first -first +"), "{lines}");
        assert!(lines.ends_with("+x -x +y \"x\" -y"), "{lines}");
        assert!(lines.contains("+r2 -r2"), "{lines}");
        site.close().await;
    }
}
