//! Which flow goes first, and at which worker.

use tutti_flow::{Engine, FlowState, NewFlow, pattern::linear};
use uuid::Uuid;

use super::{Act, Site, act, build};

fn named(name: &str, model: &str, priority: i32) -> NewFlow {
    let flow = build(linear("p").add(act(name)));
    NewFlow { model: Some(model.into()), priority, ..flow }
}

/// Submits flows to a worker that takes one at a time; answers in which order they began.
async fn order(site: &mut Site, flows: Vec<NewFlow>) -> Vec<String> {
    site.stop().await;
    let ids: Vec<Uuid> = flows.iter().map(|flow| flow.id).collect();
    for flow in flows {
        site.submit_flow(flow).await;
    }
    site.engine = Some(site.builder().flows_max(1).start().await.unwrap());
    for id in ids {
        assert_eq!(site.ended(id).await.state, FlowState::Succeeded);
    }
    site.log.take().into_iter().filter(|line| line.starts_with('+')).collect()
}

#[tokio::test]
async fn greater_priorities_go_first() {
    for mut site in Site::all().await {
        let flows = [("a", 0), ("b", 5), ("c", -5), ("d", 5), ("e", 0)];
        let flows = flows.map(|(name, priority)| named(name, "one", priority));
        assert_eq!(order(&mut site, flows.into()).await, ["+b", "+d", "+a", "+e", "+c"]);
        site.close().await;
    }
}

#[tokio::test]
async fn a_model_with_many_flows_does_not_hold_up_one_with_few() {
    for mut site in Site::all().await {
        let mut flows: Vec<NewFlow> = (0..50).map(|_| named("many", "many", 0)).collect();
        flows.extend([named("few", "few", 0), named("few", "few", 0)]);
        let order = order(&mut site, flows).await;
        let last = order.iter().rposition(|line| line == "+few").unwrap();
        assert!(last < 5, "{order:?}");
        site.close().await;
    }
}

#[tokio::test]
async fn a_model_that_slept_has_no_claim_to_all_the_turns_it_missed() {
    for mut site in Site::all().await {
        let flows = (0..10).map(|_| named("busy", "busy", 0)).collect();
        order(&mut site, flows).await;
        let mut flows: Vec<NewFlow> = (0..10).map(|_| named("late", "late", 0)).collect();
        flows.extend((0..10).map(|_| named("busy", "busy", 0)));
        let order = order(&mut site, flows).await;
        let first = order.iter().position(|line| line == "+busy").unwrap();
        assert!(first < 4, "{order:?}");
        site.close().await;
    }
}

#[tokio::test]
async fn a_worker_without_the_handler_leaves_the_flow_to_one_that_has_it() {
    for mut site in Site::all().await {
        site.stop().await;
        let other = Engine::builder(site.store.clone()).start().await.unwrap();
        site.start().await;
        for _ in 0..5 {
            let flow = site.run(linear("p").add(act("a")).add(act("b"))).await;
            assert_eq!(flow.state, FlowState::Succeeded, "{:?}", flow.error);
        }
        other.stop().await;
        site.close().await;
    }
}

#[tokio::test]
async fn what_nobody_knows_is_set_aside_until_somebody_does() {
    for mut site in Site::all().await {
        site.stop().await;
        let other = Engine::builder(site.store.clone()).start().await.unwrap();
        let id = site.submit(linear("p").add(act("a"))).await;
        let flow = site.ended(id).await;
        assert_eq!(
            (flow.state, flow.error.as_deref()),
            (FlowState::Parked, Some("no worker knows the task `act`"))
        );
        other.stop().await;
        site.start().await;
        site.wants(move |tx| tutti_flow::retry(tx, id)).await.unwrap();
        assert_eq!(site.ended(id).await.state, FlowState::Succeeded);
        site.close().await;
    }
}

#[tokio::test]
async fn a_handler_that_is_missing_halfway_moves_the_flow_on() {
    for mut site in Site::all().await {
        site.stop().await;
        let log = site.log.clone();
        let acting = Engine::builder(site.store.clone()).task(Act(log)).start().await.unwrap();
        let joining = Engine::builder(site.store.clone())
            .task(super::inputs::Join(site.log.clone()))
            .start()
            .await
            .unwrap();
        let join = tutti_flow::pattern::task::<super::inputs::Join>();
        let flow = linear("p").add(act("a").provides("first")).add(join).add(act("b"));
        let flow = site.run(flow).await;
        assert_eq!(flow.state, FlowState::Succeeded, "{:?}", flow.error);
        assert_eq!(site.lines(), "+a -a a +b -b");
        acting.stop().await;
        joining.stop().await;
        site.close().await;
    }
}
