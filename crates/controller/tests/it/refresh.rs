//! Refreshes: plans, refusals, and what is written.

use serde_json::json;
use tutti_model::api::{Accepted, ApplicationConfig, RefreshPlan, RelationInfo};

use crate::charm::charm;
use crate::world::{World, refusal};

const REFRESH: &str = "/v1/models/m/applications/db/refresh";

#[tokio::test]
async fn a_newer_revision_arrives_everywhere() {
    for world in World::all().await {
        world.model().await;
        let _agent = world.agent().await;
        let deployed = world.deploy(&charm("db"), 2).await;
        world.ended(&deployed).await;
        let set = json!({"set": {"port": "81", "loud": "true"}});
        world.patch("/v1/models/m/applications/db/config", set).await;
        let next = charm("db")
            .with("config.yaml", "options: {port: {type: int, default: 90}, extra: {type: string}}")
            .metadata("storage: {data: {type: filesystem}}\n");
        let next = world.upload(&next).await;
        let accepted: Accepted =
            world.post(REFRESH, json!({"charm": next.url, "config": {"extra": "e"}})).await;
        assert!(accepted.messages[0].contains("loud"), "{:?}", accepted.messages);
        assert_eq!(world.ended(&accepted).await.state, "succeeded");
        let application = world.application("db").await;
        assert_eq!(
            (application.charm.as_str(), application.sync.state.as_str()),
            ("local:db-1", "in_sync")
        );
        let config: ApplicationConfig = world.get("/v1/models/m/applications/db/config").await;
        let value = |key: &str| config.settings[key].value.clone().unwrap();
        assert_eq!((value("port"), value("extra")), (json!(81), json!("e")));
        assert!(!config.settings.contains_key("loud"));
        // Hooks between peers may come after what the flow waited for.
        world
            .until("the unit rests", async || {
                let status = world.status().await;
                status.applications["db"].units["db/1"].juju_status.current == "idle"
            })
            .await;
        let status = world.status().await;
        assert_eq!(status.applications["db"].units["db/1"].upgrading_from, "");
        assert_eq!(status.storage.storage.len(), 2, "existing units get required storage");
        world.end().await;
    }
}

#[tokio::test]
async fn a_dry_run_tells_everything_and_does_nothing() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db").with("old.txt", "o").with("same.txt", "s"), 1).await;
        let next = charm("db")
            .with("new.txt", "n")
            .with("same.txt", "s")
            .with("dispatch", "#!/bin/sh\ntrue\n")
            .metadata("extra-bindings: {admin: }\n");
        let next = world.upload(&next).await.url;
        let plan: RefreshPlan = world.post(REFRESH, json!({"charm": next, "dry_run": true})).await;
        assert_eq!((plan.from.as_str(), plan.to.as_str()), ("local:db-0", "local:db-1"));
        assert_eq!(
            (plan.files_added, plan.files_removed),
            (vec!["new.txt".into()], vec!["old.txt".into()])
        );
        assert_eq!(plan.files_changed, ["dispatch", "metadata.yaml"]);
        assert_eq!(plan.units["db/0"], "takes the new charm when it installs");
        assert!(plan.refusals.is_empty() && !plan.up_to_date);
        assert_eq!(world.application("db").await.charm, "local:db-0");
        world.end().await;
    }
}

#[tokio::test]
async fn every_refusal_at_once_and_nothing_written() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        world.deploy(&charm("app"), 1).await;
        let endpoints = json!({"endpoints": ["app:backend", "db:db"]});
        world.post::<Accepted>("/v1/models/m/relations", endpoints).await;
        let next = charm("db").with(
            "metadata.yaml",
            "name: db\nsubordinate: true\nrequires: {x: {interface: x, scope: container}}\n",
        );
        let next = world.upload(&next).await.url;
        let request = json!({"charm": next, "config": {"nope": "1"}});
        let problem = refusal(world.client.post::<_, Accepted>(REFRESH, &request).await);
        assert_eq!(problem.status, 422);
        assert!(
            problem.detail.starts_with("cannot upgrade application \"db\""),
            "{}",
            problem.detail
        );
        for reason in [
            "cannot change an application's subordinacy",
            "would break relation \"app:backend db:db\"",
            "unknown option \"nope\"",
        ] {
            assert!(problem.reasons.iter().any(|one| one == reason), "{:#?}", problem.reasons);
        }
        let other = world.upload(&charm("other")).await.url;
        let problem =
            refusal(world.client.post::<_, Accepted>(REFRESH, &json!({"charm": other})).await);
        assert_eq!(problem.detail, "cannot refresh \"db\" to \"other\"");
        assert_eq!(world.application("db").await.generation, 1);
        world.end().await;
    }
}

#[tokio::test]
async fn never_a_silent_nothing() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        let problem = refusal(world.client.post::<_, Accepted>(REFRESH, &json!({})).await);
        assert_eq!(problem.detail, "refreshing a local charm requires either --path or --switch");
        let same = json!({"charm": "local:db-0"});
        let accepted: Accepted = world.post(REFRESH, &same).await;
        assert_eq!(accepted.messages, ["charm \"db\": already up-to-date"]);
        assert!(accepted.flow.is_none());
        // What else was asked for applies although the charm stays.
        let trust = json!({"charm": "local:db-0", "trust": true});
        assert!(world.post::<Accepted>(REFRESH, &trust).await.flow.is_some());
        assert!(world.application("db").await.trust);
        world.upload(&charm("db")).await;
        world.post::<Accepted>(REFRESH, json!({"charm": "local:db-1"})).await;
        let back = refusal(world.client.post::<_, Accepted>(REFRESH, &same).await);
        assert!(back.detail.contains("not newer than revision 1"), "{}", back.detail);
        world.end().await;
    }
}

#[tokio::test]
async fn peers_follow_the_charm() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        let next =
            charm("db").with("metadata.yaml", "name: db\npeers: {ring: {interface: ring}}\n");
        let next = world.upload(&next).await.url;
        world.post::<Accepted>(REFRESH, json!({"charm": next})).await;
        let relations: Vec<RelationInfo> = world.get("/v1/models/m/relations").await;
        let keys: Vec<_> = relations.iter().map(|relation| relation.key.as_str()).collect();
        assert_eq!(keys, ["db:ring"]);
        world.end().await;
    }
}
