//! `sync` and `conditions` of every kind of resource: when agents follow, fall silent and return, report
//! otherwise, and when somebody asks for what was wished already.

use std::time::Duration;

use serde_json::json;
use tutti_client::Problem;
use tutti_model::agent::{ContextStatus, Journal, Step};
use tutti_model::api::{
    Accepted, Condition, FlowInfo, FlowPage, MachineInfo, ModelInfo, RelationInfo, Settled, Sync,
    UnitInfo,
};

use crate::charm::charm;
use crate::player::{Player, followed};
use crate::world::{World, refusal};

/// How long agents may be silent in these tests; a player gives signs of life only when told to.
const LEASE: Duration = Duration::from_secs(4);

async fn unit(world: &World, name: &str) -> UnitInfo {
    world.get(&format!("/v1/models/m/units/{name}")).await
}

async fn machine(world: &World) -> MachineInfo {
    world.get("/v1/models/m/machines/0").await
}

/// The relation between applications: the first two are those of peers.
async fn relation(world: &World) -> RelationInfo {
    world.get("/v1/models/m/relations/2").await
}

async fn model(world: &World) -> ModelInfo {
    world.get("/v1/models/m").await
}

/// `sync.state` of a machine, a unit, an application and the model.
async fn states(world: &World) -> [String; 4] {
    let application = world.application("db").await.sync;
    let syncs = [
        machine(world).await.sync,
        unit(world, "db/0").await.sync,
        application,
        model(world).await.sync,
    ];
    for sync in &syncs {
        assert!(sync.applied_generation <= sync.observed_generation, "{sync:?}");
        assert!(!sync.reason.is_empty(), "{sync:?}");
    }
    syncs.map(|sync| sync.state)
}

/// Waits until everything is in sync, which flows find a moment after agents.
async fn settles(world: &World) {
    world.until("all is in sync", async || states(world).await == ["in_sync"; 4]).await;
}

/// Waits until the flow that has the application in hand waits for units.
async fn begins(world: &World) {
    world
        .until("units are waited for", async || {
            world.application("db").await.sync.reason == "waiting"
        })
        .await;
}

/// Whether a flow has the application in hand.
async fn is_under_way(world: &World) -> bool {
    let sync = world.application("db").await.sync;
    ["pending", "syncing"].contains(&sync.state.as_str()) && sync.flow.is_some()
}

/// The words of conditions: status by type.
fn words(conditions: &[Condition]) -> Vec<String> {
    conditions.iter().map(|one| format!("{} {} {}", one.kind, one.status, one.reason)).collect()
}

/// A unit follows everything there is, as an agent does.
async fn follows(agent: &Player<'_>, unit: &str) {
    let snapshot = agent.snapshot(unit).await;
    let step = Step {
        observed_generation: Some(snapshot.generation),
        agent_status: Some(ContextStatus { status: "idle".into(), message: String::new() }),
        workload_status: Some(ContextStatus { status: "active".into(), message: "ready".into() }),
        trouble: Some(String::new()),
        ..Step::default()
    };
    agent.step(unit, step).await;
}

/// A unit says it follows everything, with this changed in what it has.
async fn claims(agent: &Player<'_>, unit: &str, change: impl Fn(&mut Journal)) {
    let snapshot = agent.snapshot(unit).await;
    let mut journal = followed(&snapshot);
    change(&mut journal);
    let step = Step {
        version: snapshot.version,
        journal,
        observed_generation: Some(snapshot.generation),
        ..Step::default()
    };
    agent.send(&snapshot.unit_id, &step).await.unwrap();
}

async fn synced(world: &World, path: &str) -> Accepted {
    world.post(&format!("/v1/models/m/{path}:sync"), json!({})).await
}

/// Flows of this kind about an application, newest first.
async fn resyncs(world: &World) -> FlowPage {
    world.get("/v1/models/m/applications/db/flows?kind=resync").await
}

/// The worlds, with agents that may be silent for [`LEASE`].
async fn worlds() -> Vec<World> {
    let mut worlds = World::all().await;
    for world in &mut worlds {
        world.options.agent_lease = LEASE;
        world.restart().await;
    }
    worlds
}

/// Waits until whoever gave no sign of life counts as silent.
async fn silence(world: &World) {
    world
        .until("the agent counts as silent", async || machine(world).await.sync.state == "unknown")
        .await;
}

/// A model with one unit, which has followed everything there is.
async fn one_unit(world: &World) -> Player<'_> {
    world.model().await;
    let agent = Player::start(world).await;
    world.deploy(&charm("db"), 1).await;
    follows(&agent, "db/0").await;
    settles(world).await;
    agent
}

#[tokio::test]
async fn every_kind_of_resource_says_how_far_it_is() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        begins(&world).await;
        assert_eq!(states(&world).await, ["pending", "pending", "syncing", "in_sync"]);
        assert_eq!(
            words(&machine(&world).await.conditions),
            ["AgentConnected unknown agent-never-heard"]
        );
        assert_eq!(machine(&world).await.status.current, "pending");
        let agent = Player::start(&world).await;
        assert_eq!(states(&world).await, ["in_sync", "pending", "syncing", "in_sync"]);
        let begun = Step {
            agent_status: Some(ContextStatus {
                status: "executing".into(),
                message: String::new(),
            }),
            ..Step::default()
        };
        agent.step("db/0", begun).await;
        assert_eq!(states(&world).await, ["in_sync", "syncing", "syncing", "in_sync"]);
        let info = unit(&world, "db/0").await;
        assert_eq!(info.sync.reason, "waiting", "of the flow that waits for it");
        assert!(info.sync.flow.is_some() && info.generation > 0);
        assert_eq!(
            words(&info.conditions),
            [
                "AgentReporting true agent-heard",
                "Installed false not-yet",
                "WorkloadActive false waiting"
            ]
        );
        let status = world.status().await;
        assert_eq!(status.applications["db"].units["db/0"].sync_state, "syncing");
        assert_eq!(status.machines["0"].sync_state, "");
        follows(&agent, "db/0").await;
        settles(&world).await;
        let application = world.application("db").await;
        assert_eq!(
            words(&application.conditions),
            ["Converged true in_sync", "LeaderElected true elected"]
        );
        assert_eq!(application.conditions[0].observed_generation, 1);
        assert_eq!(
            words(&model(&world).await.conditions),
            ["Available true available", "AgentsReporting true agents-heard"]
        );
        let status = world.status().await;
        assert_eq!(
            status.applications["db"].sync.as_ref(),
            Some(&application.sync),
            "the same everywhere"
        );
        assert_eq!(status.applications["db"].units["db/0"].sync_state, "");
        world.end().await;
    }
}

#[tokio::test]
async fn hooks_that_fail_make_a_unit_retry_or_wait_for_somebody() {
    for world in World::all().await {
        world.model().await;
        let agent = Player::start(&world).await;
        world.deploy(&charm("db"), 1).await;
        begins(&world).await;
        let trouble = Some("hook failed: \"install\"".to_owned());
        agent.step("db/0", Step { trouble, ..Step::default() }).await;
        let sync = unit(&world, "db/0").await.sync;
        assert_eq!((sync.state.as_str(), sync.reason.as_str()), ("retrying", "hook-failed"));
        assert_eq!(sync.message, "hook failed: \"install\"");
        assert!(sync.flow.is_some() && sync.task.is_some(), "{sync:?}");
        assert_eq!(world.application("db").await.sync.state, "retrying");
        let never = json!({"set": {"automatically-retry-hooks": "false"}});
        world.patch("/v1/models/m/config", never).await;
        assert_eq!(unit(&world, "db/0").await.sync.state, "failed", "nobody runs it again");
        let path = "/v1/models/m/units/db/0/resolved";
        world.post::<Accepted>(path, json!({"skip": false})).await;
        assert_eq!(unit(&world, "db/0").await.sync.state, "retrying");
        follows(&agent, "db/0").await;
        settles(&world).await;
        world.end().await;
    }
}

#[tokio::test]
async fn relations_are_as_far_as_their_units() {
    for world in World::all().await {
        world.model().await;
        let agent = Player::start(&world).await;
        world.deploy(&charm("db"), 2).await;
        world.deploy(&charm("web"), 1).await;
        for unit in ["db/0", "db/1", "web/0"] {
            follows(&agent, unit).await;
        }
        let accepted: Accepted = world
            .post("/v1/models/m/relations", json!({"endpoints": ["web:backend", "db:db"]}))
            .await;
        let info = relation(&world).await;
        assert_eq!((info.sync.state.as_str(), info.generation), ("pending", 1));
        assert_eq!(info.sync.flow, accepted.flow.as_ref().map(|flow| flow.id.clone()));
        assert_eq!(words(&info.conditions), ["Joined false joining"]);
        for unit in ["db/0", "web/0"] {
            agent.enter_all(unit).await;
            follows(&agent, unit).await;
        }
        let info = relation(&world).await;
        assert_eq!(info.conditions[0].message, "2 of 3 units are in it");
        assert_eq!((info.sync.state.as_str(), info.sync.applied_generation), ("syncing", 0));
        agent.enter_all("db/1").await;
        follows(&agent, "db/1").await;
        for unit in ["db/0", "web/0"] {
            follows(&agent, unit).await;
        }
        assert_eq!(world.ended(&accepted).await.state, "succeeded");
        let info = relation(&world).await;
        assert_eq!((info.sync.state.as_str(), info.sync.applied_generation), ("in_sync", 1));
        assert_eq!(words(&info.conditions), ["Joined true joined"]);
        let request = json!({"endpoints": ["web:backend", "db:db"]});
        let removed: Accepted = world.post("/v1/models/m/relations/remove", request).await;
        let info = relation(&world).await;
        assert_eq!((info.sync.state.as_str(), info.generation), ("syncing", 2));
        assert_eq!(info.sync.flow, removed.flow.as_ref().map(|flow| flow.id.clone()));
        assert_eq!(words(&info.conditions), ["Joined false leaving"]);
        world.end().await;
    }
}

#[tokio::test]
async fn a_relation_does_not_wait_for_a_unit_that_goes() {
    for world in World::all().await {
        world.model().await;
        let agent = Player::start(&world).await;
        world.deploy(&charm("db"), 2).await;
        world.deploy(&charm("web"), 1).await;
        for unit in ["db/0", "db/1", "web/0"] {
            follows(&agent, unit).await;
        }
        let request = json!({"endpoints": ["web:backend", "db:db"]});
        world.post::<Accepted>("/v1/models/m/relations", request).await;
        let trouble = Some("hook failed: \"start\"".to_owned());
        agent.step("db/1", Step { trouble, ..Step::default() }).await;
        assert_eq!(relation(&world).await.sync.state, "retrying");
        let remove = json!({"units": ["db/1"]});
        world.post::<Accepted>("/v1/models/m/units/remove", remove).await;
        let info = relation(&world).await;
        assert_eq!(info.conditions[0].message, "0 of 2 units are in it");
        assert_eq!(info.sync.state, "pending", "{:?}", info.sync);
        world.end().await;
    }
}

#[tokio::test]
async fn what_depends_on_a_silent_agent_is_unknown_until_it_returns() {
    for world in worlds().await {
        let agent = one_unit(&world).await;
        let before = machine(&world).await.conditions.remove(0).since;
        silence(&world).await;
        assert_eq!(states(&world).await, ["unknown"; 4]);
        let info = unit(&world, "db/0").await;
        assert_eq!(info.sync.reason, "agent-silent");
        assert!(info.sync.message.starts_with("agent 0 was last heard of at 20"), "{info:?}");
        assert_eq!(
            words(&info.conditions),
            [
                "AgentReporting false agent-silent",
                "Installed false not-yet",
                "WorkloadActive unknown agent-silent"
            ]
        );
        assert_eq!(
            words(&world.application("db").await.conditions),
            ["Converged unknown unknown", "LeaderElected unknown agent-silent"]
        );
        assert_eq!(words(&machine(&world).await.conditions), ["AgentConnected false agent-silent"]);
        assert_eq!(machine(&world).await.status.current, "down");
        assert_eq!(words(&model(&world).await.conditions)[1], "AgentsReporting false agent-silent");
        let status = world.status().await;
        assert_eq!(status.applications["db"].units["db/0"].sync_state, "unknown");
        assert_eq!(status.machines["0"].sync_state, "unknown");
        // What is wished meanwhile is accepted, and waits.
        let path = "/v1/models/m/applications/db/config";
        let configured = world.patch(path, json!({"set": {"port": "1"}})).await;
        let sync = world.application("db").await.sync;
        assert_eq!(sync.state, "unknown");
        assert_eq!(sync.flow, configured.flow.as_ref().map(|flow| flow.id.clone()));
        // A sign of life, and all is known again: what it has not followed is under way.
        agent.changes(0, 0).await;
        assert_eq!(states(&world).await, ["in_sync", "syncing", "syncing", "in_sync"]);
        follows(&agent, "db/0").await;
        settles(&world).await;
        let since = machine(&world).await.conditions.remove(0).since;
        assert!(since > before, "heard of again since {since}, before since {before}");
        world.end().await;
    }
}

#[tokio::test]
async fn an_agent_that_waits_for_news_is_not_silent() {
    for world in worlds().await {
        let agent = one_unit(&world).await;
        let after = agent.changes(0, 0).await.after;
        let begun = std::time::Instant::now();
        while begun.elapsed() < LEASE * 2 {
            agent.changes(after, 60_000).await;
            assert_eq!(machine(&world).await.sync.state, "in_sync");
        }
        world.end().await;
    }
}

#[tokio::test]
async fn a_unit_found_to_be_otherwise_is_repaired_once_and_then_stays_to_be_seen() {
    for world in World::all().await {
        world.model().await;
        let agent = Player::start(&world).await;
        world.deploy(&charm("db"), 2).await;
        for unit in ["db/0", "db/1"] {
            follows(&agent, unit).await;
        }
        claims(&agent, "db/1", |journal| journal.charm_modified = 7).await;
        // The repair was queued with the report: the flow touched both units.
        let repair = resyncs(&world).await.flows.remove(0);
        assert!(repair.finished.is_empty() && repair.generation.is_none(), "{repair:?}");
        assert!(is_under_way(&world).await);
        assert_eq!(world.application("db").await.sync.flow.as_ref(), Some(&repair.id));
        begins(&world).await;
        assert_eq!(unit(&world, "db/1").await.sync.state, "syncing");
        follows(&agent, "db/0").await;
        claims(&agent, "db/1", |journal| journal.charm = None).await;
        let sync = unit(&world, "db/1").await.sync;
        assert_eq!((sync.state.as_str(), sync.reason.as_str()), ("drifted", "drift"));
        let charm = agent.snapshot("db/1").await.charm.url;
        assert_eq!(sync.message, format!("db/1 runs no charm, not {charm}"));
        let application = world.application("db").await;
        assert_eq!(application.sync.state, "drifted");
        assert_eq!(application.sync.applied_generation, application.generation);
        assert_eq!(words(&application.conditions)[0], "Converged false drifted");
        assert_eq!(unit(&world, "db/0").await.sync.state, "in_sync");
        assert_eq!(resyncs(&world).await.flows.len(), 1, "it does not help to repeat it at once");
        let accepted = synced(&world, "applications/db").await;
        assert!(is_under_way(&world).await);
        assert_eq!(world.application("db").await.generation, application.generation);
        for unit in ["db/0", "db/1"] {
            follows(&agent, unit).await;
        }
        assert_eq!(world.ended(&accepted).await.state, "succeeded");
        settles(&world).await;
        assert_eq!(unit(&world, "db/1").await.sync.state, "in_sync");
        world.end().await;
    }
}

#[tokio::test]
async fn what_was_wished_already_can_be_asked_for_again() {
    for world in World::all().await {
        let agent = one_unit(&world).await;
        for path in ["applications/db", "units/db/0"] {
            assert_eq!(synced(&world, path).await.flow, None, "{path} is as wished");
        }
        let path = "/v1/models/m/applications/db/config";
        let configured = world.patch(path, json!({"set": {"port": "1"}})).await;
        let id = configured.flow.unwrap().id;
        world.post::<serde_json::Value>(&format!("/v1/flows/{id}:cancel"), json!({})).await;
        assert_eq!(world.application("db").await.sync.state, "failed");
        let first = synced(&world, "applications/db").await.flow.unwrap();
        assert_eq!((first.kind.as_str(), first.generation), ("resync", None));
        assert!(is_under_way(&world).await);
        let again: Accepted = world.post("/v1/models/m/applications/db/sync", json!({})).await;
        assert_eq!(again.flow.unwrap().id, first.id, "it is the same work");
        let one = synced(&world, "units/db/0").await.flow.unwrap();
        assert_eq!(one.resources, ["unit/db/0"]);
        follows(&agent, "db/0").await;
        for flow in [&first, &one] {
            let _: FlowInfo = world.get(&format!("/v1/flows/{}?wait_ms=60000", flow.id)).await;
        }
        let sync: Sync = world.application("db").await.sync;
        assert_eq!(
            (sync.state.as_str(), sync.applied_generation),
            ("in_sync", 2),
            "also what was cancelled"
        );
        assert_eq!(unit(&world, "db/0").await.sync.state, "in_sync");
        world.end().await;
    }
}

#[tokio::test]
async fn asking_again_can_be_waited_for_and_is_refused_where_it_makes_no_sense() {
    for world in World::all().await {
        world.model().await;
        let agent = Player::start(&world).await;
        world.deploy(&charm("db"), 1).await;
        for _ in 0..2 {
            claims(&agent, "db/0", |journal| journal.charm = None).await;
        }
        assert_eq!(unit(&world, "db/0").await.sync.state, "drifted");
        let path = "/v1/models/m/units/db/0:sync";
        let nothing = json!({});
        let asked = world.send("POST", path, &[("Prefer", "wait=30")], &nothing);
        let followed = async {
            world
                .until("the unit shall look again", async || {
                    unit(&world, "db/0").await.sync.state == "syncing"
                })
                .await;
            follows(&agent, "db/0").await;
        };
        let (answer, ()) = tokio::join!(asked, followed);
        assert_eq!((answer.status, answer.header("preference-applied")), (200, "wait=30"));
        let settled: Settled = answer.json();
        assert_eq!((settled.sync.state.as_str(), settled.problem), ("in_sync", None));
        let body = json!({});
        for (path, status) in [
            ("applications/db:destroy", 400),
            ("applications/db", 400),
            ("units/db/0:destroy", 400),
            ("applications/nobody:sync", 404),
            ("units/db/7:sync", 404),
        ] {
            let answer = world.send("POST", &format!("/v1/models/m/{path}"), &[], &body).await;
            assert_eq!(answer.status, status, "{path}: {}", answer.body);
        }
        world.delete("/v1/models/m/applications/db").await;
        for path in ["applications/db:sync", "units/db/0:sync"] {
            let path = format!("/v1/models/m/{path}");
            let problem: Problem = refusal(world.client.post::<_, Accepted>(&path, &body).await);
            assert_eq!(
                (problem.status, problem.code.as_str()),
                (409, "resource-deleting"),
                "{path}"
            );
        }
        world.end().await;
    }
}

#[tokio::test]
async fn so_many_flows_of_a_model_may_be_unfinished_and_no_more() {
    for mut world in World::all().await {
        world.options.flows_max = 2;
        world.restart().await;
        world.model().await;
        world.add_model("n", "").await;
        // Without an agent no deployment ends.
        let charm = world.upload(&charm("db")).await.url;
        let deploy = |name: &str| json!({"charm": charm, "application": name, "units": 1});
        let path = "/v1/models/m/applications";
        for name in ["a", "b"] {
            assert_eq!(world.send("POST", path, &[], &deploy(name)).await.status, 202);
        }
        let refused = world.send("POST", path, &[], &deploy("c")).await;
        assert_eq!((refused.status, refused.header("retry-after")), (429, "5"));
        let problem: Problem = refused.json();
        assert_eq!(problem.code, "model-full");
        assert!(
            problem.detail.starts_with("model m has 2 flows that have not ended"),
            "{problem:?}"
        );
        let names: Vec<tutti_model::api::ApplicationInfo> = world.get(path).await;
        assert_eq!(names.len(), 2, "nothing has changed");
        let elsewhere = json!({"count": 1});
        assert_eq!(world.send("POST", "/v1/models/n/machines", &[], &elsewhere).await.status, 202);
        let removed = world.send("DELETE", &format!("{path}/a"), &[], &json!({})).await;
        assert_eq!(removed.status, 202, "there is always room for a removal");
        assert_eq!(world.send("POST", path, &[], &deploy("c")).await.status, 202);
        world.end().await;
    }
}
