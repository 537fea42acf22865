//! How far an application is, whatever became of the flows about it.

use serde_json::json;
use tutti_model::agent::Step;
use tutti_model::api::{Accepted, FlowInfo};

use crate::charm::charm;
use crate::player::Player;
use crate::world::World;

/// State, and the generations wished for, handled and in force.
async fn sync(world: &World) -> (String, [i64; 3]) {
    let application = world.application("db").await;
    let sync = application.sync;
    (sync.state, [application.generation, sync.observed_generation, sync.applied_generation])
}

fn is(state: &str, generations: [i64; 3]) -> (String, [i64; 3]) {
    (state.to_owned(), generations)
}

/// A unit handles everything there is.
async fn catches_up(agent: &Player<'_>, unit: &str) {
    let observed_generation = Some(agent.snapshot(unit).await.generation);
    agent.step(unit, Step { observed_generation, ..Step::default() }).await;
}

async fn ask(world: &World, of: &Accepted, verb: &str) {
    let id = &of.flow.as_ref().unwrap().id;
    world.post::<FlowInfo>(&format!("/v1/flows/{id}:{verb}"), json!({})).await;
}

#[tokio::test]
async fn newer_flows_do_not_hide_a_unit_that_stays_behind() {
    for world in World::all().await {
        world.model().await;
        let agent = Player::start(&world).await;
        let deployed = world.deploy(&charm("db"), 1).await;
        assert_eq!(sync(&world).await.1, [1, 0, 0]);
        catches_up(&agent, "db/0").await;
        assert_eq!(world.ended(&deployed).await.state, "succeeded");
        assert_eq!(sync(&world).await, is("in_sync", [1, 1, 1]));
        let path = "/v1/models/m/applications/db/config";
        let configured = world.patch(path, json!({"set": {"port": "1"}})).await;
        assert_eq!(sync(&world).await, is("syncing", [2, 1, 1]));
        ask(&world, &configured, "cancel").await;
        assert_eq!(sync(&world).await, is("failed", [2, 2, 1]));
        let path = "/v1/models/m/applications/db/units";
        let added: Accepted = world.post(path, json!({"count": 1})).await;
        catches_up(&agent, "db/1").await;
        assert_eq!(world.ended(&added).await.state, "succeeded");
        assert_eq!(sync(&world).await, is("failed", [3, 3, 1]));
        let said = world.application("db").await.sync;
        assert_eq!(said.flow, configured.flow.as_ref().map(|flow| flow.id.clone()));
        ask(&world, &configured, "retry").await;
        assert_eq!(sync(&world).await, is("syncing", [3, 3, 1]));
        ask(&world, &configured, "abandon").await;
        assert_eq!(sync(&world).await, is("failed", [3, 3, 1]));
        // By itself, with nobody waiting for it.
        catches_up(&agent, "db/0").await;
        assert_eq!(sync(&world).await, is("in_sync", [3, 3, 3]));
        world.end().await;
    }
}

#[tokio::test]
async fn what_needs_no_unit_is_in_force_though_its_flow_was_cancelled() {
    for world in World::all().await {
        world.model().await;
        let agent = Player::start(&world).await;
        let deployed = world.deploy(&charm("db"), 1).await;
        let path = "/v1/models/m/applications/db/exposed";
        let exposed = world.put(path, json!({"on": true})).await;
        ask(&world, &exposed, "cancel").await;
        assert_eq!(sync(&world).await.1, [2, 0, 0]);
        catches_up(&agent, "db/0").await;
        assert_eq!(world.ended(&deployed).await.state, "succeeded");
        assert_eq!(sync(&world).await, is("in_sync", [2, 2, 2]));
        world.end().await;
    }
}
