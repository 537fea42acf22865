//! Removal always ends: at once, when agents are done, or when the time is up.

use std::time::Duration;

use serde_json::json;
use tutti_model::agent::Step;
use tutti_model::api::{Accepted, ApplicationInfo, FlowInfo, Life, ModelInfo, TaskPage};

use crate::charm::charm;
use crate::player::Player;
use crate::world::{World, refusal};

#[tokio::test]
async fn a_unit_that_never_began_goes_at_once() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 3).await;
        let accepted = world.delete("/v1/models/m/applications/db").await;
        assert_eq!(
            accepted.messages[..2],
            ["will remove application db", "- will remove unit db/0"]
        );
        assert_eq!(world.ended(&accepted).await.state, "succeeded");
        let status = world.status().await;
        assert!(status.applications.is_empty() && status.machines.is_empty());
        world.end().await;
    }
}

#[tokio::test]
async fn related_applications_let_go() {
    for world in World::all().await {
        world.model().await;
        let _agent = world.agent().await;
        world.deploy(&charm("db"), 2).await;
        let deployed = world.deploy(&charm("app"), 1).await;
        world.ended(&deployed).await;
        let endpoints = json!({"endpoints": ["app:backend", "db:db"]});
        let related: Accepted = world.post("/v1/models/m/relations", endpoints).await;
        world.ended(&related).await;
        let status = world.status().await;
        assert_eq!(status.applications["app"].relations["backend"][0].related_application, "db");
        let accepted = world.delete("/v1/models/m/applications/db").await;
        assert_eq!(world.ended(&accepted).await.state, "succeeded");
        let status = world.status().await;
        assert_eq!(status.applications.keys().collect::<Vec<_>>(), ["app"]);
        assert!(!status.applications["app"].relations.contains_key("backend"));
        world.end().await;
    }
}

/// A model whose only unit fails its first hook for ever.
async fn stuck(world: &World) -> crate::agent::Agent {
    world.model().await;
    let agent = world.agent().await;
    agent.break_unit("db/0");
    world.deploy(&charm("db"), 1).await;
    world
        .until("the unit is in error", || async {
            world.status().await.applications["db"].application_status.current == "error"
        })
        .await;
    agent
}

#[tokio::test]
async fn what_is_stuck_says_so_and_goes_with_force() {
    for mut world in World::all().await {
        let agent = stuck(&world).await;
        // Whoever waits for the unit may only begin to.
        world
            .until("it says so", || async {
                world.application("db").await.sync.state == "retrying"
            })
            .await;
        let application = world.application("db").await;
        assert!(application.sync.message.contains("hook failed"), "{:?}", application.sync);
        let tasks: TaskPage = world.get("/v1/tasks?resource=application/db&state=retrying").await;
        assert_eq!(tasks.tasks[0].resource, "unit/db/0");
        world.delete("/v1/models/m/applications/db").await;
        assert_eq!(world.application("db").await.life, Life::Dying, "it waits for its unit");
        // The time runs on while the controller is down.
        world.options.force_wait = Duration::from_secs(1);
        drop(agent);
        world.restart().await;
        let path = "/v1/models/m/applications/db?force=true";
        let accepted = world.delete(path).await;
        world.restart().await;
        let flow = world.ended(&accepted).await;
        assert_eq!(flow.state, "succeeded", "{flow:#?}");
        let gone = world.client.get::<ApplicationInfo>("/v1/models/m/applications/db").await;
        assert_eq!(refusal(gone).status, 404);
        world.end().await;
    }
}

#[tokio::test]
async fn no_wait_means_now() {
    for world in World::all().await {
        let _agent = stuck(&world).await;
        let request = json!({"units": ["db/0"], "force": true, "no_wait": true});
        world.post::<Accepted>("/v1/models/m/units/remove", request).await;
        assert!(world.status().await.applications["db"].units.is_empty());
        world.end().await;
    }
}

#[tokio::test]
async fn a_stuck_model_is_destroyed_by_force() {
    for world in World::all().await {
        let _agent = stuck(&world).await;
        let waiting = world.delete("/v1/models/m").await;
        let flow: FlowInfo = world.get(&format!("/v1/flows/{}", waiting.flow.unwrap().id)).await;
        assert!(flow.finished.is_empty());
        let accepted = world.delete("/v1/models/m?force=true&timeout_ms=200").await;
        assert_eq!(world.ended(&accepted).await.state, "succeeded");
        assert_eq!(refusal(world.client.get::<ModelInfo>("/v1/models/m").await).status, 404);
        world.end().await;
    }
}

/// A principal with a subordinate; their agent is gone.
async fn silent_pair(world: &World) {
    let agent = world.agent().await;
    world.deploy(&charm("db"), 1).await;
    let logger = charm("logger").with(
        "metadata.yaml",
        "name: logger\nsubordinate: true\nrequires: {host: {interface: juju-info, scope: container}}\n",
    );
    world.deploy(&logger, 0).await;
    let endpoints = json!({"endpoints": ["logger", "db"]});
    world.post::<Accepted>("/v1/models/m/relations", endpoints).await;
    world
        .until("the subordinate is there", || async {
            let status = world.status().await;
            let units = &status.applications["db"].units;
            let mut beside = units.values().flat_map(|unit| unit.subordinates.values());
            beside.any(|unit| unit.workload_status.current == "active")
        })
        .await;
    drop(agent);
}

#[tokio::test]
async fn a_model_with_subordinates_is_destroyed_by_force() {
    for world in World::all().await {
        world.model().await;
        silent_pair(&world).await;
        let accepted = world.delete("/v1/models/m?force=true&timeout_ms=200").await;
        assert_eq!(world.ended(&accepted).await.state, "succeeded");
        world.end().await;
    }
}

#[tokio::test]
async fn force_helps_also_those_who_asked_without_it_before() {
    for mut world in World::all().await {
        world.options.force_wait = Duration::from_millis(200);
        world.restart().await;
        world.model().await;
        silent_pair(&world).await;
        let mut relation = json!({"endpoints": ["logger", "db"]});
        world.post::<Accepted>("/v1/models/m/relations/remove", &relation).await;
        relation["force"] = json!(true);
        world.post::<Accepted>("/v1/models/m/relations/remove", &relation).await;
        world
            .until("the subordinate is gone", || async {
                let status = world.status().await;
                status.applications["db"].units.values().all(|unit| unit.subordinates.is_empty())
            })
            .await;
        world.end().await;
    }
}

#[tokio::test]
async fn a_dying_application_takes_no_more_wishes() {
    for world in World::all().await {
        let _agent = stuck(&world).await;
        world.delete("/v1/models/m/applications/db").await;
        let path = "/v1/models/m/applications/db/units";
        let problem = refusal(world.client.post::<_, Accepted>(path, &json!({"count": 1})).await);
        assert_eq!(problem.detail, "application \"db\" is being removed");
        assert_eq!((problem.status, problem.code.as_str()), (409, "resource-deleting"));
        // To ask for it again is not to change it.
        world.delete("/v1/models/m/applications/db").await;
        world.delete("/v1/models/m").await;
        let path = "/v1/models/m/machines";
        let problem = refusal(world.client.post::<_, Accepted>(path, &json!({})).await);
        assert_eq!(problem.detail, "model \"m\" is being destroyed");
        assert_eq!((problem.status, problem.code.as_str()), (409, "resource-deleting"));
        world.end().await;
    }
}

#[tokio::test]
async fn resolved_is_for_units_in_error() {
    for world in World::all().await {
        let _agent = stuck(&world).await;
        let path = "/v1/models/m/units/db/0/resolved";
        let accepted: Accepted = world.post(path, json!({"skip": true})).await;
        assert!(accepted.flow.is_some());
        let again: Accepted = world.post(path, json!({"skip": true})).await;
        assert!(again.flow.is_none());
        world.deploy(&charm("app"), 1).await;
        let fine = refusal(
            world.client.post::<_, Accepted>("/v1/models/m/units/app/0/resolved", &json!({})).await,
        );
        assert_eq!(fine.detail, "unit \"app/0\" is not in an error state");
        world.end().await;
    }
}

#[tokio::test]
async fn a_change_of_what_is_being_removed_ends_with_it() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        let agent = Player::start(&world).await;
        agent.step("db/0", Step::default()).await;
        let removed = world.delete("/v1/models/m/applications/db").await;
        let path = "/v1/models/m/applications/db/config";
        let configured = world.patch(path, json!({"set": {"port": "1"}})).await;
        let path = "/v1/models/m/applications/db/exposed";
        let refused = refusal(world.client.put::<_, Accepted>(path, &json!({"on": true})).await);
        assert_eq!((refused.status, refused.code.as_str()), (409, "resource-deleting"));
        agent.die("db/0").await;
        assert_eq!(world.ended(&removed).await.state, "succeeded");
        assert_eq!(world.ended(&configured).await.state, "cancelled");
        world.end().await;
    }
}
