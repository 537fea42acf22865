//! Deployments: what is there at once, and every reason against one.

use serde_json::json;
use tutti_model::api::{Accepted, CharmInfo, Deploy, MachineInfo, RelationInfo, UnitInfo};

use crate::charm::charm;
use crate::world::{World, refusal};

#[tokio::test]
async fn units_are_visible_before_deploy_returns() {
    for world in World::all().await {
        world.model().await;
        let accepted = world.deploy(&charm("db"), 2).await;
        assert_eq!(accepted.resource["units"], json!(["db/0", "db/1"]));
        let status = world.status().await;
        let db = &status.applications["db"];
        assert_eq!((db.charm.as_str(), db.charm_rev, db.scale), ("local:db-0", 0, 2));
        let unit = &db.units["db/0"];
        assert_eq!(unit.workload_status.current, "waiting");
        assert_eq!(unit.workload_status.message, "waiting for machine");
        assert_eq!(unit.juju_status.current, "allocating");
        assert!(unit.leader && !db.units["db/1"].leader);
        assert_eq!(unit.machine, "0");
        assert!(unit.address.starts_with("127.") && unit.address.ends_with(".0.1"));
        assert_eq!(status.machines.keys().collect::<Vec<_>>(), ["0", "1"]);
        assert_eq!(db.relations["cluster"][0].related_application, "db");
        assert_eq!(db.endpoint_bindings["db"], "alpha");
        let application = world.application("db").await;
        assert_eq!((application.generation, application.observed_generation), (1, 0));
        assert_ne!(application.sync.state, "in_sync");
        world.end().await;
    }
}

#[tokio::test]
async fn an_agent_brings_it_in_sync() {
    for world in World::all().await {
        world.model().await;
        let _agent = world.agent().await;
        let accepted = world.deploy(&charm("db"), 2).await;
        let flow = world.ended(&accepted).await;
        assert_eq!(flow.state, "succeeded", "{flow:#?}");
        let names: Vec<_> = flow.tasks.iter().map(|task| task.name.as_str()).collect();
        assert_eq!(names, ["charm.check", "unit.converge", "unit.converge"]);
        let application = world.application("db").await;
        assert_eq!(application.sync.state, "in_sync");
        assert_eq!((application.generation, application.observed_generation), (1, 1));
        // Hooks between peers may come after what the flow waited for.
        world
            .until("both units rest", async || {
                let status = world.status().await;
                let units = status.applications["db"].units.values();
                units.into_iter().all(|unit| unit.juju_status.current == "idle")
            })
            .await;
        let status = world.status().await;
        assert_eq!(status.applications["db"].application_status.current, "active");
        world.end().await;
    }
}

#[tokio::test]
async fn revisions_grow_per_model_and_name() {
    for world in World::all().await {
        world.model().await;
        let mut revisions = Vec::new();
        for source in
            [charm("a"), charm("a"), charm("b"), charm("a").with("revision", "7"), charm("a")]
        {
            revisions.push(world.upload(&source).await.url);
        }
        assert_eq!(revisions, ["local:a-0", "local:a-1", "local:b-0", "local:a-7", "local:a-8"]);
        let listed: Vec<CharmInfo> = world.get("/v1/models/m/charms").await;
        assert_eq!(listed.len(), 5);
        world.end().await;
    }
}

#[tokio::test]
async fn unit_numbers_survive_removal_on_machines_only() {
    for world in World::all().await {
        for (model, cloud, second) in [("m", "localhost", "db/1"), ("k", "local-k8s", "db/0")] {
            world.add_model(model, cloud).await;
            let archive = charm("db").pack(world.directory.path());
            let path = format!("/v1/models/{model}");
            let upload = format!("{path}/charms");
            let charm: CharmInfo =
                world.client.post_file(&upload, &archive, |_, _| {}).await.unwrap();
            let request = Deploy { charm: charm.url, ..Deploy::default() };
            let applications = format!("{path}/applications");
            let first: Accepted = world.post(&applications, &request).await;
            assert_eq!(first.resource["units"], json!(["db/0"]));
            let removed = world.delete(&format!("{applications}/db")).await;
            assert_eq!(world.ended(&removed).await.state, "succeeded");
            let again: Accepted = world.post(&applications, &request).await;
            assert_eq!(again.resource["units"], json!([second]));
        }
        world.end().await;
    }
}

#[tokio::test]
async fn every_reason_at_once() {
    for world in World::all().await {
        world.model().await;
        let source = charm("db").metadata("assumes: [k8s-api]\n");
        let charm = world.upload(&source).await.url;
        let request = json!({
            "charm": charm,
            "config": {"nope": "1", "port": "many"},
            "constraints": {"speed": "fast"},
            "storage": {"data": "1G"},
            "bindings": {"nope": "mars"},
            "to": ["7"],
            "base": "beos@5",
        });
        let path = "/v1/models/m/applications";
        let problem = refusal(world.client.post::<_, Accepted>(path, &request).await);
        assert_eq!((problem.status, problem.code.as_str()), (422, "refused"));
        for reason in [
            "charm assumes k8s-api",
            "unknown option \"nope\"",
            "option \"port\" expected int, got \"many\"",
            "\"speed\"",
            "no store called \"data\"",
            "space \"mars\" not found",
            "cannot bind endpoint \"nope\"",
            "machine 7 not found",
        ] {
            let found = problem.reasons.iter().any(|one| one.contains(reason));
            assert!(found, "{reason}: {:#?}", problem.reasons);
        }
        assert!(world.status().await.applications.is_empty());
        world.end().await;
    }
}

#[tokio::test]
async fn names_are_checked_and_taken_once() {
    for world in World::all().await {
        world.model().await;
        let charm = world.upload(&charm("db")).await.url;
        let path = "/v1/models/m/applications";
        world.post::<Accepted>(path, json!({"charm": charm})).await;
        let again = refusal(world.client.post::<_, Accepted>(path, &json!({"charm": charm})).await);
        assert!(again.status == 422 && again.detail.contains("already exists"), "{again:?}");
        let many = json!({"charm": charm, "application": "many", "units": u32::MAX});
        let many = refusal(world.client.post::<_, Accepted>(path, &many).await);
        assert!(many.detail.contains("too many"), "{}", many.detail);
        for name in ["Db", "db-0", ""] {
            let request = json!({"charm": charm, "application": name});
            let result = world.client.post::<_, Accepted>(path, &request).await;
            assert_eq!(refusal(result).status, 422, "{name}");
        }
        let unknown = json!({"charm": "local:db-9"});
        assert_eq!(refusal(world.client.post::<_, Accepted>(path, &unknown).await).status, 404);
        world.end().await;
    }
}

#[tokio::test]
async fn placement_uses_machines_that_exist() {
    for world in World::all().await {
        world.model().await;
        let added: Accepted = world.post("/v1/models/m/machines", json!({})).await;
        assert_eq!(added.messages, ["created machine 0"]);
        let charm = world.upload(&charm("db")).await.url;
        let request = json!({"charm": charm, "units": 2, "to": ["0"]});
        world.post::<Accepted>("/v1/models/m/applications", request).await;
        let machines: Vec<MachineInfo> = world.get("/v1/models/m/machines").await;
        let units: Vec<_> = machines.iter().map(|machine| machine.units.clone()).collect();
        assert_eq!(units, [["db/0"], ["db/1"]]);
        world.end().await;
    }
}

#[tokio::test]
async fn the_catalogue_is_deployed_by_name() {
    for world in World::all().await {
        world.model().await;
        let archive = charm("db").pack(world.directory.path());
        for revision in [0, 1] {
            let charm: CharmInfo =
                world.client.post_file("/v1/catalogue", &archive, |_, _| {}).await.unwrap();
            assert_eq!(charm.revision, revision);
        }
        let path = "/v1/models/m/applications";
        world.post::<Accepted>(path, json!({"charm": "db"})).await;
        world
            .post::<Accepted>(path, json!({"charm": "db", "application": "old", "revision": 0}))
            .await;
        let status = world.status().await;
        let db = &status.applications["db"];
        assert_eq!(
            (db.charm.as_str(), db.charm_origin.as_str(), db.charm_rev),
            ("db", "charmhub", 1)
        );
        assert_eq!(status.applications["old"].charm_rev, 0);
        let missing = refusal(world.client.post::<_, Accepted>(path, &json!({"charm": "x"})).await);
        assert_eq!(missing.status, 404);
        world.end().await;
    }
}

#[tokio::test]
async fn show_unit_and_peers() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        let unit: UnitInfo = world.get("/v1/models/m/units/db/0").await;
        assert_eq!((unit.charm.as_str(), unit.machine.as_str()), ("local:db-0", "0"));
        assert!(unit.leader);
        let relations: Vec<RelationInfo> = world.get("/v1/models/m/relations").await;
        assert_eq!(relations[0].key, "db:cluster");
        world.end().await;
    }
}
