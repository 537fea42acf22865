//! Which flow goes first, and at which worker.

use tutti_flow::{Access, Engine, FlowState, NewFlow, pattern::linear};
use uuid::Uuid;

use super::{Act, Site, act, build};

fn named(name: &str, model: &str, priority: i32) -> NewFlow {
    let flow = build(linear("p").add(act(name)));
    NewFlow { model: Some(model.into()), priority, ..flow }
}

/// Submits flows to a worker that takes one at a time; answers in which order they began.
async fn order(site: &mut Site, flows: Vec<NewFlow>) -> Vec<String> {
    order_at(site, 1, flows).await
}

/// The same for a worker that takes so many.
async fn order_at(site: &mut Site, flows_max: usize, flows: Vec<NewFlow>) -> Vec<String> {
    site.stop().await;
    let ids: Vec<Uuid> = flows.iter().map(|flow| flow.id).collect();
    for flow in flows {
        site.submit_flow(flow).await;
    }
    site.engine = Some(site.builder().flows_max(flows_max).start().await.unwrap());
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

/// A long row of flows about a library, and behind it one about a garden; answers when that began.
async fn turn_of_the_garden(
    site: &mut Site,
    places: usize,
    access: Access,
    garden: NewFlow,
) -> usize {
    let library =
        || NewFlow { resources: vec![("library".into(), access)], ..named("library", "one", 0) };
    let mut flows: Vec<NewFlow> = (0..20).map(|_| library()).collect();
    flows.push(NewFlow { resources: vec![("garden".into(), access)], ..garden });
    let order = order_at(site, places, flows).await;
    order.iter().position(|line| line == "+garden").unwrap()
}

#[tokio::test]
async fn a_row_of_flows_that_share_a_resource_goes_before_what_came_later_in_its_model() {
    for mut site in Site::all().await {
        let garden = |model, priority| named("garden", model, priority);
        let mut turn =
            async |garden| turn_of_the_garden(&mut site, 1, Access::Shared, garden).await;
        assert_eq!(turn(garden("one", 0)).await, 20);
        assert_eq!(turn(garden("one", 1)).await, 0);
        assert!(turn(garden("two", 0)).await < 3);
        site.close().await;
    }
}

#[tokio::test]
async fn a_row_of_flows_that_hold_a_resource_alone_takes_one_place() {
    for mut site in Site::all().await {
        let garden = || named("garden", "one", 0);
        assert!(turn_of_the_garden(&mut site, 2, Access::Exclusive, garden()).await < 2);
        // Where there is only one, it takes that.
        assert_eq!(turn_of_the_garden(&mut site, 1, Access::Exclusive, garden()).await, 20);
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
