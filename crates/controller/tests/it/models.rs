//! Models: creation, config, constraints, destruction.

use serde_json::json;
use tutti_model::api::{
    Constraints, Life, ModelConfig, ModelCreate, ModelInfo, ModelKind, RelationInfo,
};

use crate::charm::charm;
use crate::world::{World, refusal};

#[tokio::test]
async fn a_model_has_a_name_of_its_own() {
    for world in World::all().await {
        let model = world.model().await;
        assert_eq!((model.kind, model.cloud.as_str()), (ModelKind::Iaas, "localhost"));
        assert_eq!((model.owner.as_str(), model.status.current.as_str()), ("admin", "available"));
        let again = ModelCreate { name: "m".into(), ..ModelCreate::default() };
        let again = refusal(world.client.post::<_, ModelInfo>("/v1/models", &again).await);
        assert_eq!(again.status, 409);
        assert!(again.detail.contains("already exists"), "{}", again.detail);
        for (name, cloud, wanted) in [
            ("M", "", "invalid model name"),
            ("n", "mars", "cloud \"mars\" not found"),
            (&model.uuid, "", "UUID"),
        ] {
            let request =
                ModelCreate { name: name.into(), cloud: cloud.into(), ..Default::default() };
            let problem = refusal(world.client.post::<_, ModelInfo>("/v1/models", &request).await);
            assert!(problem.detail.contains(wanted), "{}", problem.detail);
        }
        let k8s = world.add_model("k", "local-k8s").await;
        assert_eq!(k8s.kind, ModelKind::Caas);
        for name in [model.uuid.as_str(), "m", "admin/m", "local:admin/m"] {
            let path = format!("/v1/models/{}", tutti_client::encode(name));
            assert_eq!(world.get::<ModelInfo>(&path).await.uuid, model.uuid);
        }
        world.end().await;
    }
}

#[tokio::test]
async fn config_has_defaults_sources_and_types() {
    for world in World::all().await {
        world.model().await;
        let path = "/v1/models/m/config";
        let key = "update-status-hook-interval";
        let config: ModelConfig = world.get(path).await;
        assert_eq!(config.0[key].value, "5m");
        assert_eq!(config.0[key].source, "default");
        let change = json!({"set": {key: "10s"}});
        assert!(world.patch(path, &change).await.flow.is_some());
        assert!(world.patch(path, &change).await.flow.is_none(), "nothing changes");
        let config: ModelConfig = world.get(path).await;
        assert_eq!((&config.0[key].value, config.0[key].source.as_str()), (&json!("10s"), "model"));
        world.patch(path, json!({"reset": [key]})).await;
        assert_eq!(world.get::<ModelConfig>(path).await.0[key].value, "5m");
        let bad = json!({"set": {key: "soon"}});
        let bad = refusal(world.client.patch::<_, ModelInfo>(path, &bad).await);
        assert_eq!(bad.status, 400, "{}", bad.detail);
        world.end().await;
    }
}

#[tokio::test]
async fn constraints_are_numbers_in_mebibytes() {
    for world in World::all().await {
        world.model().await;
        let path = "/v1/models/m/constraints";
        assert_eq!(world.get::<Constraints>(path).await, Constraints::default());
        world.put(path, json!({"mem": "1G", "cores": "4"})).await;
        let constraints = json!(world.get::<Constraints>(path).await);
        assert_eq!(constraints, json!({"cores": 4, "mem": 1024}));
        world.end().await;
    }
}

#[tokio::test]
async fn destruction_takes_everything() {
    for world in World::all().await {
        world.model().await;
        world.post::<serde_json::Value>("/v1/models/m/machines", json!({"count": 1})).await;
        world.deploy(&charm("db"), 2).await;
        let agent = world.agent().await;
        let relations: Vec<RelationInfo> = world.get("/v1/models/m/relations").await;
        assert_eq!(relations.len(), 1, "the peer relation");
        let accepted = world.delete("/v1/models/m").await;
        let flow = world.ended(&accepted).await;
        assert_eq!(flow.state, "succeeded", "{flow:#?}");
        assert_eq!(refusal(world.client.get::<ModelInfo>("/v1/models/m").await).status, 404);
        drop(agent);
        // The name is free again, and nothing of the old model shows.
        let model = world.model().await;
        assert_eq!((model.units, model.applications, model.machines.len()), (0, 0, 0));
        assert_eq!(model.life, Life::Alive);
        world.end().await;
    }
}

#[tokio::test]
async fn a_model_nobody_works_in_is_gone_at_once() {
    for world in World::all().await {
        for applications in [vec![], vec!["a", "b"]] {
            world.model().await;
            for name in applications {
                world.deploy(&charm(name), 2).await;
            }
            let accepted = world.delete("/v1/models/m").await;
            assert_eq!(world.ended(&accepted).await.state, "succeeded");
            assert_eq!(refusal(world.client.get::<ModelInfo>("/v1/models/m").await).status, 404);
        }
        world.end().await;
    }
}
