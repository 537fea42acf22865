//! Secrets: who may do what, and what becomes of revisions.

use std::collections::BTreeMap;

use tutti_model::agent::{
    Changes, ContextSecret, SecretCreate, SecretGrant, SecretHook, SecretRemove, SecretTrack,
    SecretUpdate, Step,
};
use tutti_model::api::{
    Accepted, Integrate, RemoveRelation, SecretAdd, SecretChange, SecretGrantChange, SecretInfo,
};

use crate::charm::charm;
use crate::player::{Player, bag};
use crate::world::{World, refusal};

const SECRETS: &str = "/v1/models/m/secrets";
const ID: &str = "9m4e2mr0ui3e8a215n4g";
const OTHER: &str = "9m4e2mr0ui3e8a215n5g";

fn add(name: &str, pairs: &[(&str, &str)]) -> SecretAdd {
    SecretAdd { name: name.into(), content: bag(pairs), ..SecretAdd::default() }
}

fn content(pairs: &[(&str, &str)]) -> SecretChange {
    SecretChange { content: Some(bag(pairs)), ..SecretChange::default() }
}

fn create(id: &str, application: bool, label: &str) -> Changes {
    let secret = SecretCreate {
        id: id.into(),
        application,
        label: label.into(),
        content: bag(&[("password", "one")]),
        ..SecretCreate::default()
    };
    Changes { secrets_created: vec![secret], ..Changes::default() }
}

fn renew(id: &str, password: &str) -> Changes {
    let content = Some(bag(&[("password", password)]));
    let update = SecretUpdate { id: id.into(), content, ..SecretUpdate::default() };
    Changes { secrets_updated: vec![update], ..Changes::default() }
}

fn grant(id: &str, relation: i64, unit: Option<&str>) -> SecretGrant {
    let unit = unit.map(str::to_owned);
    SecretGrant { id: id.into(), relation: Some(relation), unit, application: None }
}

fn granted(grant: SecretGrant) -> Changes {
    Changes { secrets_granted: vec![grant], ..Changes::default() }
}

fn track(id: &str, revision: i64) -> Changes {
    let track = SecretTrack { revision: Some(revision), label: None };
    Changes { secrets_tracked: BTreeMap::from([(id.to_owned(), track)]), ..Changes::default() }
}

async fn secret(agent: &Player<'_>, unit: &str, id: &str) -> Option<ContextSecret> {
    agent.context(unit).await.secrets.remove(id)
}

#[tokio::test]
async fn users_add_change_show_and_remove() {
    for world in World::all().await {
        world.model().await;
        let added: SecretInfo = world.post(SECRETS, add("pw", &[("password", "x")])).await;
        assert_eq!((added.id.len(), added.revision, added.owner.as_str()), (20, 1, "<model>"));
        assert_eq!(added.created, added.updated);
        let patch = async |name: &str, change: &SecretChange| -> SecretInfo {
            world.client.patch(&format!("{SECRETS}/{name}"), change).await.unwrap()
        };
        assert_eq!(
            patch("pw", &content(&[("password", "x")])).await.revision,
            1,
            "the same content"
        );
        let changed = patch(&format!("secret:{}", added.id), &content(&[("password", "y")])).await;
        assert_eq!(changed.revision, 2);
        assert_ne!(changed.checksum, added.checksum);
        let path = format!("{SECRETS}/pw?reveal=true");
        let shown: SecretInfo = world.get(&path).await;
        assert_eq!(shown.content.unwrap().data, bag(&[("password", "y")]));
        let old: SecretInfo = world.get(&format!("{path}&revision=1")).await;
        assert_eq!(old.content.unwrap().data, bag(&[("password", "x")]));
        let revisions: SecretInfo = world.get(&format!("{SECRETS}/pw?revisions=true")).await;
        assert_eq!(revisions.revisions.len(), 2);
        assert!(revisions.content.is_none());
        let both = format!("{SECRETS}/pw?revisions=true&reveal=true");
        assert_eq!(refusal(world.client.get::<SecretInfo>(&both).await).status, 400);
        // Nobody tracks revision 1.
        let prune = SecretChange { auto_prune: Some(true), ..SecretChange::default() };
        patch("pw", &prune).await;
        let pruned: SecretInfo = world.get(&format!("{SECRETS}/pw?revisions=true")).await;
        assert_eq!(pruned.revisions.iter().map(|one| one.revision).collect::<Vec<_>>(), [2]);
        let listed: Vec<SecretInfo> = world.get(SECRETS).await;
        assert_eq!((listed.len(), listed[0].name.as_str()), (1, "pw"));
        world.client.delete::<()>(&format!("{SECRETS}/pw")).await.unwrap();
        let gone = refusal(world.client.get::<SecretInfo>(&format!("{SECRETS}/pw")).await);
        assert_eq!((gone.status, gone.detail.as_str()), (404, "secret \"pw\" not found"));
        world.end().await;
    }
}

#[tokio::test]
async fn bad_secrets_are_refused() {
    let world = World::sqlite().await;
    world.model().await;
    let _: SecretInfo = world.post(SECRETS, add("pw", &[("password", "x")])).await;
    for (request, status, text) in [
        (add("pw", &[("password", "x")]), 409, "secret with name \"pw\" already exists"),
        (add("new", &[]), 400, "empty secret value not valid"),
        (add("new", &[("ab", "x")]), 400, "key \"ab\" not valid"),
        (add("", &[("password", "x")]), 400, "secret name \"\" not valid"),
    ] {
        let refused = refusal(world.client.post::<_, SecretInfo>(SECRETS, &request).await);
        assert_eq!(refused.status, status);
        assert!(refused.detail.starts_with(text), "{refused}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_users_secret_is_read_by_those_granted_it() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        world.deploy(&charm("web"), 1).await;
        let agent = Player::start(&world).await;
        let added: SecretInfo = world.post(SECRETS, add("pw", &[("password", "x")])).await;
        let applications = SecretGrantChange { applications: vec!["db".into()] };
        let grant = format!("{SECRETS}/pw/grant");
        world.client.post::<_, ()>(&grant, &applications).await.unwrap();
        let seen = secret(&agent, "db/0", &added.id).await.unwrap();
        assert_eq!((seen.owner.as_str(), seen.owned, seen.tracked), ("model", false, 0));
        assert_eq!(seen.revisions[&1], bag(&[("password", "x")]));
        assert!(secret(&agent, "web/0", &added.id).await.is_none());
        agent.flush("db/0", track(&added.id, 1)).await;
        agent.flush("web/0", track(&added.id, 1)).await;
        assert!(agent.snapshot("web/0").await.secrets_consumed.is_empty());
        let before = agent.snapshot("db/0").await;
        assert_eq!(before.secrets_consumed[&added.id].latest, 1);
        let change = content(&[("password", "y")]);
        let path = format!("{SECRETS}/pw");
        let _: SecretInfo = world.client.patch(&path, &change).await.unwrap();
        let after = agent.snapshot("db/0").await;
        assert_eq!(after.secrets_consumed[&added.id].latest, 2);
        assert_eq!(after.secrets_consumed[&added.id].tracked, 1);
        assert!(after.generation > before.generation);
        let both = secret(&agent, "db/0", &added.id).await.unwrap().revisions;
        assert_eq!(both.keys().collect::<Vec<_>>(), [&1, &2], "the tracked and the latest");
        let info: SecretInfo = world.get(&path).await;
        assert_eq!(info.access[0].target, "application-db");
        let revoke = format!("{SECRETS}/pw/revoke");
        world.client.post::<_, ()>(&revoke, &applications).await.unwrap();
        assert!(secret(&agent, "db/0", &added.id).await.is_none());
        assert!(agent.snapshot("db/0").await.secrets_consumed.is_empty());
        world.end().await;
    }
}

/// `db/0`, `db/1` and `web/0`, related and in scope; answers the relation.
async fn related(world: &World) -> (Player<'_>, i64) {
    world.model().await;
    world.deploy(&charm("db"), 2).await;
    world.deploy(&charm("web"), 2).await;
    let agent = Player::start(world).await;
    let ends = Integrate { endpoints: vec!["web:backend".into(), "db:db".into()] };
    let accepted: Accepted = world.post("/v1/models/m/relations", &ends).await;
    for unit in ["db/0", "db/1", "web/0", "web/1"] {
        agent.enter_all(unit).await;
    }
    (agent, accepted.resource["relation"].as_i64().unwrap())
}

#[tokio::test]
async fn who_may_do_what_with_a_charms_secret() {
    for world in World::all().await {
        let (agent, relation) = related(&world).await;
        let leader = "cannot apply changes: this unit is not the leader";
        let denied = "cannot apply changes: permission denied";
        assert_eq!(agent.refused("db/1", create(ID, true, "")).await.detail, leader);
        agent.flush("db/0", create(ID, true, "admin")).await;
        agent.flush("db/1", create(OTHER, false, "own")).await;
        // Every unit of the owning application reads, the leader manages, others know nothing.
        let seen = secret(&agent, "db/1", ID).await.unwrap();
        assert_eq!((seen.owner.as_str(), seen.owned), ("application", true));
        assert!(secret(&agent, "web/0", ID).await.is_none());
        assert!(secret(&agent, "db/0", OTHER).await.is_none(), "another unit's own secret");
        assert_eq!(agent.refused("db/1", renew(ID, "two")).await.detail, leader);
        assert_eq!(agent.refused("web/0", renew(ID, "two")).await.detail, denied);
        assert_eq!(agent.refused("db/0", renew(OTHER, "two")).await.detail, denied);
        let missing = agent.refused("db/0", renew("9m4e2mr0ui3e8a215n9g", "x")).await;
        assert!(missing.detail.ends_with("secret \"9m4e2mr0ui3e8a215n9g\" not found"), "{missing}");
        let twice = agent.refused("db/0", create("9m4e2mr0ui3e8a215n7g", true, "admin")).await;
        assert!(twice.detail.contains("secret with label \"admin\" already exists"), "{twice}");
        // A grant to the application, and one to a single unit.
        agent.flush("db/0", granted(grant(ID, relation, None))).await;
        agent.flush("db/1", granted(grant(OTHER, relation, Some("web/1")))).await;
        let remote = secret(&agent, "web/0", ID).await.unwrap();
        assert_eq!((remote.owner.as_str(), remote.owned), ("db", false));
        assert_eq!(remote.label, "", "the owner's label is the owner's");
        assert!(secret(&agent, "web/0", OTHER).await.is_none());
        assert_eq!(secret(&agent, "web/1", OTHER).await.unwrap().owner, "db/1");
        let access = &secret(&agent, "db/0", ID).await.unwrap().access[0];
        assert_eq!(access.target, "application-web");
        assert_eq!(access.scope, "relation-web.backend#db.db");
        let stranger = agent.refused("db/0", granted(grant(ID, relation, Some("db/1")))).await;
        assert!(stranger.detail.contains("not at the other end"), "{stranger}");
        let revoke =
            Changes { secrets_revoked: vec![grant(ID, relation, None)], ..Changes::default() };
        agent.flush("db/0", revoke).await;
        assert!(secret(&agent, "web/0", ID).await.is_none());
        let user = refusal(world.client.delete::<()>(&format!("{SECRETS}/{ID}")).await);
        assert_eq!(user.status, 403, "{user}");
        world.end().await;
    }
}

#[tokio::test]
async fn revisions_nobody_tracks_are_the_owners_business() {
    for world in World::all().await {
        let (agent, relation) = related(&world).await;
        agent.flush("db/0", create(ID, true, "")).await;
        agent.flush("db/0", granted(grant(ID, relation, None))).await;
        agent.flush("web/0", track(ID, 1)).await;
        let before = agent.snapshot("web/0").await;
        let owner = agent.flush("db/0", renew(ID, "two")).await;
        assert_eq!(owner.secrets_obsolete.get(ID), Some(&vec![]), "web/0 still tracks 1");
        assert_eq!(
            agent.flush("db/0", renew(ID, "two")).await.secrets_obsolete[ID],
            [] as [i64; 0]
        );
        let consumer = agent.snapshot("web/0").await;
        assert!(consumer.generation > before.generation);
        assert_eq!(consumer.secrets_consumed[ID].latest, 2);
        let before = agent.snapshot("db/0").await.generation;
        agent.flush("web/0", track(ID, 2)).await;
        let owner = agent.snapshot("db/0").await;
        assert_eq!(owner.secrets_obsolete[ID], [1]);
        assert!(owner.generation > before, "the owner is woken");
        assert!(agent.snapshot("db/1").await.secrets_obsolete.is_empty(), "only the leader's");
        let removal = SecretRemove { id: ID.into(), revision: Some(1) };
        let removal = Changes { secrets_removed: vec![removal], ..Changes::default() };
        assert_eq!(agent.flush("db/0", removal).await.secrets_obsolete[ID], [] as [i64; 0]);
        // The relation ends, and with it what it granted.
        let request = RemoveRelation { id: Some(relation), ..RemoveRelation::default() };
        let _: Accepted = world.post("/v1/models/m/relations/remove", &request).await;
        for unit in ["db/0", "db/1", "web/0", "web/1"] {
            agent.step(unit, Step { leave: vec![relation], ..Step::default() }).await;
        }
        assert!(secret(&agent, "web/0", ID).await.is_none());
        assert!(agent.snapshot("web/0").await.secrets_consumed.is_empty());
        world.end().await;
    }
}

#[tokio::test]
async fn rotation_and_expiry_come_when_due() {
    for world in World::all().await {
        let (agent, _) = related(&world).await;
        let mut changes = create(ID, false, "");
        changes.secrets_created[0].rotation = "hourly".into();
        changes.secrets_created[0].expiry = "2020-01-01T00:00:00Z".into();
        let snapshot = agent.flush("db/0", changes).await;
        assert!(snapshot.secrets_rotate.is_empty(), "in an hour");
        let hook = SecretHook { secret: ID.into(), label: String::new(), revision: 1 };
        assert_eq!(snapshot.secrets_expired, std::slice::from_ref(&hook));
        let expired = Step { expired: Some(hook.clone()), ..Step::default() };
        assert!(agent.step("db/0", expired).await.secrets_expired.is_empty(), "asked again later");
        let rotated = Step { rotated: Some(hook), ..Step::default() };
        agent.step("db/0", rotated).await;
        let info: SecretInfo = world.get(&format!("{SECRETS}/{ID}")).await;
        assert_eq!((info.rotation.as_deref(), info.owner.as_str()), (Some("hourly"), "db/0"));
        assert!(info.rotates.is_some());
        let bad = SecretUpdate {
            id: ID.into(),
            rotation: Some("sometimes".into()),
            ..SecretUpdate::default()
        };
        let bad = Changes { secrets_updated: vec![bad], ..Changes::default() };
        assert!(agent.refused("db/0", bad).await.detail.contains("rotate policy"));
        world.end().await;
    }
}
