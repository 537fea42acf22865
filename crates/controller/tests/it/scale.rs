//! More units and fewer units.

use serde_json::json;
use tutti_model::api::{Accepted, MachineInfo};

use crate::charm::charm;
use crate::world::{World, refusal};

const UNITS: &str = "/v1/models/m/applications/db/units";
const REMOVE: &str = "/v1/models/m/units/remove";

#[tokio::test]
async fn units_come_and_go_by_name_or_number() {
    for world in World::all().await {
        world.model().await;
        let _agent = world.agent().await;
        world.deploy(&charm("db"), 1).await;
        let added: Accepted = world.post(UNITS, json!({"count": 3})).await;
        assert_eq!(added.resource["units"], json!(["db/1", "db/2", "db/3"]));
        world.ended(&added).await;
        let removed: Accepted = world.post(REMOVE, json!({"units": ["db/1"]})).await;
        assert_eq!(removed.messages, ["will remove unit db/1"]);
        assert_eq!(world.ended(&removed).await.state, "succeeded");
        let removed: Accepted = world.post(REMOVE, json!({"application": "db", "count": 2})).await;
        assert_eq!(removed.resource["units"], json!(["db/3", "db/2"]));
        assert_eq!(world.ended(&removed).await.state, "succeeded");
        let application = world.application("db").await;
        assert_eq!(application.scale, 1);
        assert_eq!(application.units.keys().collect::<Vec<_>>(), ["db/0"]);
        let machines: Vec<MachineInfo> = world.get("/v1/models/m/machines").await;
        assert_eq!(machines.len(), 1, "machines go with their last unit");
        world.end().await;
    }
}

#[tokio::test]
async fn leadership_moves_when_the_leader_goes() {
    for world in World::all().await {
        world.model().await;
        let _agent = world.agent().await;
        let deployed = world.deploy(&charm("db"), 2).await;
        world.ended(&deployed).await;
        let removed: Accepted = world.post(REMOVE, json!({"units": ["db/0"]})).await;
        world.ended(&removed).await;
        assert!(world.status().await.applications["db"].units["db/1"].leader);
        world.end().await;
    }
}

#[tokio::test]
async fn impossible_wishes_are_refused() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        let metadata = "name: sub\nsubordinate: true\n\
                        requires: {p: {interface: juju-info, scope: container}}\n";
        world.deploy(&charm("sub").with("metadata.yaml", metadata), 0).await;
        for (path, body, text) in [
            (UNITS, json!({"count": 1, "to": ["9"]}), "machine 9 not found"),
            ("/v1/models/m/applications/no/units", json!({}), "application \"no\" not found"),
            ("/v1/models/m/applications/sub/units", json!({}), "subordinate"),
            (REMOVE, json!({"units": ["db/0", "db/7"]}), "unit \"db/7\" not found"),
            (REMOVE, json!({"application": "db", "count": 2}), "it has 1"),
            (REMOVE, json!({}), "no unit was named"),
        ] {
            let problem = refusal(world.client.post::<_, Accepted>(path, &body).await);
            assert!(problem.detail.contains(text), "{path}: {}", problem.detail);
        }
        assert_eq!(world.application("db").await.units.len(), 1);
        world.end().await;
    }
}

#[tokio::test]
async fn machines_with_units_stay() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        let path = "/v1/models/m/machines";
        world.post::<Accepted>(path, json!({"count": 2})).await;
        let problem = refusal(world.client.delete::<Accepted>(&format!("{path}/0")).await);
        assert_eq!(problem.detail, "machine 0 has unit \"db/0\" assigned");
        let removed = world.delete(&format!("{path}/1")).await;
        assert_eq!(world.ended(&removed).await.state, "succeeded");
        let machines: Vec<MachineInfo> = world.get(path).await;
        let numbers: Vec<_> = machines.iter().map(|machine| machine.number.as_str()).collect();
        assert_eq!(numbers, ["0", "2"]);
        world.end().await;
    }
}
