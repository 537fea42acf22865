//! Storage: from the charm's wish to its end.

use std::collections::BTreeMap;

use tutti_model::agent::{Changes, Step};
use tutti_model::api::{Accepted, AddStorage, Deploy, StorageInfo};

use crate::charm::{Source, charm};
use crate::player::Player;
use crate::world::{World, refusal};

const STORAGE: &str = "/v1/models/m/storage";

fn source() -> Source {
    charm("db").metadata(
        "storage:\n  data: {type: filesystem, multiple: {range: 1-2}}\n  \
         cache: {type: filesystem, multiple: {range: 0-}}\n",
    )
}

#[tokio::test]
async fn storage_is_created_provisioned_added_and_detached() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&source(), 1).await;
        let agent = Player::start(&world).await;
        let snapshot = agent.snapshot("db/0").await;
        assert_eq!(snapshot.storage.keys().collect::<Vec<_>>(), ["data/0"]);
        let data = &snapshot.storage["data/0"];
        assert_eq!((data.pool.as_str(), data.size_mib, data.provisioned), ("rootfs", 1024, false));
        let provisioned = vec![("data/0".to_owned(), "/srv/data".to_owned())];
        agent.step("db/0", Step { provisioned, ..Step::default() }).await;
        let context = agent.context("db/0").await;
        assert_eq!(context.storage["data/0"].location, "/srv/data");
        assert_eq!(context.storage_names, ["cache", "data"]);
        let listed: Vec<StorageInfo> = world.get(STORAGE).await;
        assert_eq!((listed[0].status.as_str(), listed[0].unit.as_str()), ("attached", "db/0"));
        let add = |name: &str, directive: &str| AddStorage {
            name: name.into(),
            directive: directive.into(),
        };
        let path = "/v1/models/m/units/db/0/storage";
        let _: Accepted = world.post(path, add("cache", "tmpfs,2,64M")).await;
        let snapshot = agent.snapshot("db/0").await;
        let cache = &snapshot.storage["cache/1"];
        assert_eq!((cache.pool.as_str(), cache.size_mib), ("tmpfs", 64));
        for (name, directive, text) in [
            ("data", "2", "at most 2 instances supported, 3 specified"),
            ("data", "ebs", "pool \"ebs\" not found, there are rootfs and tmpfs"),
            ("nope", "", "charm \"db\" has no store called \"nope\""),
        ] {
            let refused =
                refusal(world.client.post::<_, Accepted>(path, &add(name, directive)).await);
            assert!(refused.detail.ends_with(text), "{refused}");
        }
        let storage = BTreeMap::from([("data".to_owned(), 1)]);
        let more = agent.flush("db/0", Changes { storage, ..Changes::default() }).await;
        assert!(more.storage.contains_key("data/1"), "storage-add");
        let storage = BTreeMap::from([("data".to_owned(), 1)]);
        let refused = agent.refused("db/0", Changes { storage, ..Changes::default() }).await;
        assert!(refused.detail.contains("at most 2 instances"), "{refused}");
        let detached = vec!["data/1".to_owned()];
        let left = agent.step("db/0", Step { detached, ..Step::default() }).await;
        assert!(!left.storage.contains_key("data/1"));
        world.end().await;
    }
}

#[tokio::test]
async fn directives_are_checked_when_deploying() {
    let world = World::sqlite().await;
    world.model().await;
    let charm = world.upload(&source()).await.url;
    let storage = BTreeMap::from([
        ("data".to_owned(), "ebs,1".to_owned()),
        ("other".to_owned(), String::new()),
    ]);
    let deploy = Deploy { charm: charm.clone(), storage, ..Deploy::default() };
    let path = "/v1/models/m/applications";
    let refused = refusal(world.client.post::<_, Accepted>(path, &deploy).await);
    assert_eq!((refused.status, refused.reasons.len()), (422, 2), "{refused}");
    let storage = BTreeMap::from([("data".to_owned(), "tmpfs,2".to_owned())]);
    let deploy = Deploy { charm, storage, units: Some(2), ..Deploy::default() };
    let _: Accepted = world.post(path, &deploy).await;
    let listed: Vec<StorageInfo> = world.get(STORAGE).await;
    let ids: Vec<_> = listed.iter().map(|one| (one.id.as_str(), one.unit.as_str())).collect();
    assert_eq!(
        ids,
        [("data/0", "db/0"), ("data/1", "db/0"), ("data/2", "db/1"), ("data/3", "db/1")]
    );
    world.end().await;
}
