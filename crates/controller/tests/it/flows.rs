//! Flows, tasks and events.

use std::time::Duration;

use serde_json::{Value, json};
use tutti_model::api::{Accepted, FlowInfo, TaskInfo};

use crate::charm::charm;
use crate::world::{World, refusal};

#[tokio::test]
async fn flows_and_tasks_are_found_by_model_resource_and_state() {
    for world in World::all().await {
        world.model().await;
        world.add_model("n", "").await;
        let accepted = world.deploy(&charm("db"), 2).await;
        let id = accepted.flow.unwrap().id;
        for query in
            ["", "?model=m", "?resource=application/db", "?kind=deploy", "?model=m&limit=1"]
        {
            let flows: Vec<FlowInfo> = world.get(&format!("/v1/flows{query}")).await;
            assert_eq!((flows.len(), flows[0].id.as_str()), (1, id.as_str()), "{query}");
            assert_eq!((flows[0].model.as_str(), flows[0].generation), ("m", Some(1)));
            assert_eq!(flows[0].resources, ["application/db"]);
        }
        for query in ["?model=n", "?resource=application/x", "?state=failed"] {
            assert!(
                world.get::<Vec<FlowInfo>>(&format!("/v1/flows{query}")).await.is_empty(),
                "{query}"
            );
        }
        let path = "/v1/tasks?resource=unit/db/1&state=WAITING,pending";
        let tasks: Vec<TaskInfo> = world.get(path).await;
        assert_eq!((tasks.len(), tasks[0].name.as_str()), (1, "unit.converge"));
        let one: TaskInfo = world.get(&format!("/v1/tasks/{}", tasks[0].id)).await;
        assert_eq!((one.flow.as_str(), one.resource.as_str()), (id.as_str(), "unit/db/1"));
        let problem = refusal(world.client.get::<Vec<TaskInfo>>("/v1/tasks?state=odd").await);
        assert_eq!(problem.status, 400);
        world.end().await;
    }
}

#[tokio::test]
async fn flows_can_be_cancelled_and_retried() {
    for world in World::all().await {
        world.model().await;
        let accepted = world.deploy(&charm("db"), 1).await;
        let path = format!("/v1/flows/{}", accepted.flow.as_ref().unwrap().id);
        world.post::<FlowInfo>(&format!("{path}/cancel"), json!({})).await;
        assert_eq!(world.ended(&accepted).await.state, "cancelled");
        let again =
            refusal(world.client.post::<_, FlowInfo>(&format!("{path}/cancel"), &json!({})).await);
        assert_eq!(again.status, 409, "{}", again.detail);
        assert_eq!(world.application("db").await.sync.state, "failed");
        world.post::<FlowInfo>(&format!("{path}/retry"), json!({})).await;
        let _agent = world.agent().await;
        assert_eq!(world.ended(&accepted).await.state, "succeeded");
        let none = refusal(world.client.get::<FlowInfo>(&format!("/v1/flows/{}", uuid())).await);
        assert_eq!(none.status, 404);
        world.end().await;
    }
}

fn uuid() -> &'static str {
    "01890000-0000-7000-8000-000000000000"
}

#[tokio::test]
async fn a_change_of_the_same_kind_takes_the_place_of_one_that_has_not_begun() {
    for world in World::all().await {
        world.model().await;
        let deployed = world.deploy(&charm("db"), 1).await;
        let path = "/v1/models/m/applications/db/config";
        let first = world.patch(path, json!({"set": {"port": "1"}})).await;
        let second = world.patch(path, json!({"set": {"port": "2"}})).await;
        assert_eq!(world.ended(&first).await.state, "superseded");
        let waiting: FlowInfo =
            world.get(&format!("/v1/flows/{}", second.flow.as_ref().unwrap().id)).await;
        assert_eq!(waiting.state, "blocked");
        assert_eq!(waiting.waiting_for[0].flow, deployed.flow.as_ref().unwrap().id);
        let _agent = world.agent().await;
        assert_eq!(world.ended(&second).await.state, "succeeded");
        world.end().await;
    }
}

#[tokio::test]
async fn a_unit_that_goes_holds_up_nobody() {
    for world in World::all().await {
        world.model().await;
        // Each waits for db/1, the second only once the first has ended.
        world.deploy(&charm("db"), 2).await;
        let path = "/v1/models/m/applications/db/config";
        let configured = world.patch(path, json!({"set": {"port": "1"}})).await;
        world.post::<Accepted>("/v1/models/m/units/remove", json!({"units": ["db/1"]})).await;
        let _agent = world.agent().await;
        assert_eq!(world.ended(&configured).await.state, "succeeded");
        world.end().await;
    }
}

#[tokio::test]
async fn events_resume_where_a_reader_left_off() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        let mut seen = Vec::new();
        let mut events = world.client.events("/v1/events?after=0").await.unwrap();
        let mut last = String::new();
        while !seen.iter().any(|(topic, _)| topic == "tutti.unit") {
            let event = tokio::time::timeout(Duration::from_secs(10), events.next()).await.unwrap();
            let event = event.unwrap().unwrap();
            let body: Value = serde_json::from_str(&event.data).unwrap();
            last = event.id.clone();
            seen.push((event.event, body));
        }
        assert_eq!((seen[0].0.as_str(), &seen[0].1["event"]), ("tutti.model", &json!("created")));
        drop(events);
        world.post::<Accepted>("/v1/models/m/machines", json!({})).await;
        let mut events = world.client.events(&format!("/v1/events?after={last}")).await.unwrap();
        let next = events.next().await.unwrap().unwrap();
        assert_eq!(next.id.parse::<i64>().unwrap(), last.parse::<i64>().unwrap() + 1);
        // A follower does not keep the controller from stopping.
        world.end().await;
    }
}
