//! Settings, trust, exposure, constraints, resources, leadership: changes of one thing.

use serde_json::json;
use tutti_model::api::{
    Accepted, Actions, ApplicationConfig, ArtifactInfo, Constraints, ResourceInfo,
};

use crate::charm::charm;
use crate::world::{World, refusal};

const CONFIG: &str = "/v1/models/m/applications/db/config";

#[tokio::test]
async fn settings_have_values_types_and_sources() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        let config: ApplicationConfig = world.get(CONFIG).await;
        let (port, banner, loud) =
            (&config.settings["port"], &config.settings["banner"], &config.settings["loud"]);
        assert_eq!(
            (&port.value, port.source.as_str(), port.kind.as_str()),
            (&Some(json!(80)), "default", "int")
        );
        assert_eq!((&banner.value, banner.source.as_str()), (&Some(json!("")), "default"));
        assert_eq!((&loud.value, loud.source.as_str()), (&None, "unset"));
        let trust = &config.application_config["trust"];
        assert_eq!((&trust.value, trust.kind.as_str()), (&Some(json!(false)), "bool"));
        let change = json!({"set": {"port": "8080", "loud": "true"}});
        assert!(world.patch(CONFIG, &change).await.flow.is_some());
        assert!(world.patch(CONFIG, &change).await.flow.is_none(), "nothing changes");
        let config: ApplicationConfig = world.get(CONFIG).await;
        assert_eq!(config.settings["port"].value, Some(json!(8080)));
        assert_eq!(config.settings["loud"].source, "user");
        world.patch(CONFIG, json!({"reset": ["port"]})).await;
        assert_eq!(
            world.get::<ApplicationConfig>(CONFIG).await.settings["port"].value,
            Some(json!(80))
        );
        assert_eq!(world.application("db").await.generation, 3);
        world.end().await;
    }
}

#[tokio::test]
async fn bad_settings_change_nothing() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        for (change, text) in [
            (json!({"set": {"x": "1"}}), "unknown option \"x\""),
            (json!({"reset": ["x"]}), "unknown option \"x\""),
            (
                json!({"set": {"loud": "true", "port": "p"}}),
                "option \"port\" expected int, got \"p\"",
            ),
        ] {
            let problem = refusal(world.client.patch::<_, Accepted>(CONFIG, &change).await);
            assert_eq!((problem.status, problem.detail.as_str()), (400, text));
        }
        assert_eq!(world.application("db").await.generation, 1);
        world.end().await;
    }
}

#[tokio::test]
async fn units_catch_up_with_every_change() {
    for world in World::all().await {
        world.model().await;
        let _agent = world.agent().await;
        let deployed = world.deploy(&charm("db"), 2).await;
        world.ended(&deployed).await;
        let one = "/v1/models/m/applications/db";
        let changes = [
            world.patch(CONFIG, json!({"set": {"port": "81"}})).await,
            world.put(&format!("{one}/trust"), json!({"on": true})).await,
            world.put(&format!("{one}/exposed"), json!({"on": true})).await,
            world.put(&format!("{one}/leader"), json!({"unit": "db/1"})).await,
        ];
        for accepted in &changes {
            let flow = world.ended(accepted).await;
            assert!(["succeeded", "superseded"].contains(&flow.state.as_str()), "{flow:#?}");
        }
        let application = world.application("db").await;
        assert!(application.trust && application.exposed);
        assert_eq!((application.generation, application.observed_generation), (5, 5));
        assert_eq!(application.sync.state, "in_sync");
        let status = world.status().await;
        assert!(status.applications["db"].units["db/1"].leader);
        assert!(status.applications["db"].exposed);
        for (path, body) in [("trust", json!({"on": true})), ("leader", json!({"unit": "db/1"}))] {
            assert!(world.put(&format!("{one}/{path}"), body).await.flow.is_none(), "{path}");
        }
        world.end().await;
    }
}

#[tokio::test]
async fn constraints_hold_for_machines_to_come() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        world.put("/v1/models/m/constraints", json!({"cores": 2, "mem": "1G"})).await;
        let path = "/v1/models/m/applications/db/constraints";
        world.put(path, json!({"cores": 4})).await;
        assert_eq!(json!(world.get::<Constraints>(path).await), json!({"cores": 4}));
        world.post::<Accepted>("/v1/models/m/applications/db/units", json!({"count": 1})).await;
        let machines = world.status().await.machines;
        assert_eq!(machines["0"].constraints, "");
        assert_eq!(machines["1"].constraints, "cores=4 mem=1024M");
        world.end().await;
    }
}

#[tokio::test]
async fn resources_have_revisions_of_their_own() {
    for world in World::all().await {
        world.model().await;
        let source = charm("db").metadata(
            "resources:\n  dump: {type: file, filename: dump.sql, description: d}\n  \
             image: {type: oci-image}\n",
        );
        world.deploy(&source, 1).await;
        let file = world.directory.path().join("dump");
        let path = "/v1/models/m/applications/db/resources";
        for (revision, content) in [(1, "one"), (2, "two"), (2, "two")] {
            std::fs::write(&file, content).unwrap();
            let artifact: ArtifactInfo =
                world.client.post_file("/v1/artifacts", &file, |_, _| {}).await.unwrap();
            let body = json!({"digest": artifact.digest, "filename": "x"});
            world.put(&format!("{path}/dump"), body).await;
            let resources: Vec<ResourceInfo> = world.get(path).await;
            assert_eq!((resources[0].name.as_str(), resources[0].revision), ("dump", revision));
            assert_eq!(
                (resources[0].digest.as_str(), resources[0].size),
                (artifact.digest.as_str(), 3)
            );
            assert_eq!((resources[1].name.as_str(), resources[1].revision), ("image", 0));
        }
        world.put(&format!("{path}/image"), json!({"text": "ubuntu:24.04"})).await;
        let resources: Vec<ResourceInfo> = world.get(path).await;
        assert_eq!((resources[1].kind.as_str(), resources[1].revision), ("oci-image", 1));
        let absent = json!({"digest": "0".repeat(64)});
        let problem =
            refusal(world.client.put::<_, Accepted>(&format!("{path}/dump"), &absent).await);
        assert_eq!(problem.status, 404);
        let problem = refusal(
            world.client.put::<_, Accepted>(&format!("{path}/nope"), &json!({"text": "x"})).await,
        );
        assert!(problem.detail.contains("nope"), "{}", problem.detail);
        world.end().await;
    }
}

#[tokio::test]
async fn actions_are_listed_with_their_schema() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        let actions: Actions = world.get("/v1/models/m/applications/db/actions").await;
        assert_eq!(actions.0["ping"].description, "pong");
        assert_eq!(actions.0["ping"].schema["type"], "object");
        world.end().await;
    }
}
