//! Relations from their beginning to their end.

use std::time::Duration;

use tutti_model::agent::Step;
use tutti_model::api::{
    Accepted, Integrate, Life, RelationInfo, RemoveRelation, RemoveUnits, UnitInfo,
};

use crate::charm::{Source, charm};
use crate::player::{Player, bag, write};
use crate::world::{World, refusal};

const RELATIONS: &str = "/v1/models/m/relations";
const REMOVE: &str = "/v1/models/m/relations/remove";

fn ends(left: &str, right: &str) -> Integrate {
    Integrate { endpoints: vec![left.into(), right.into()] }
}

fn removal(left: &str, right: &str) -> RemoveRelation {
    RemoveRelation { endpoints: vec![left.into(), right.into()], ..RemoveRelation::default() }
}

/// `web/0` requires `backend` of `db/0` and `db/1`; everybody is in. Answers the relation's number.
async fn related(world: &World) -> (Player<'_>, i64) {
    world.model().await;
    world.deploy(&charm("db"), 2).await;
    world.deploy(&charm("web"), 1).await;
    let agent = Player::start(world).await;
    let accepted: Accepted = world.post(RELATIONS, ends("web:backend", "db:db")).await;
    assert_eq!(accepted.resource["key"], "web:backend db:db");
    let number = accepted.resource["relation"].as_i64().unwrap();
    for unit in ["db/0", "db/1", "web/0"] {
        agent.enter_all(unit).await;
    }
    (agent, number)
}

#[tokio::test]
async fn databags_reach_the_other_side_and_only_real_changes_do() {
    for world in World::all().await {
        let (agent, number) = related(&world).await;
        let web = agent.snapshot("web/0").await.relations[&number].clone();
        assert!(web.in_scope && !web.peer);
        assert_eq!(web.members.keys().collect::<Vec<_>>(), ["db/0", "db/1"]);
        assert_eq!(web.applications["db"], 0);
        let version = web.members["db/1"];
        let before = agent.snapshot("db/0").await.generation;
        agent.flush("db/1", write(number, false, &[("host", "x"), ("port", "1")])).await;
        let web = agent.snapshot("web/0").await;
        assert_eq!(web.relations[&number].members["db/1"], version + 1);
        assert_eq!(agent.snapshot("db/0").await.generation, before, "no concern of db/0");
        agent.flush("db/1", write(number, false, &[("host", "x")])).await;
        let same = agent.snapshot("web/0").await;
        assert_eq!(same.relations, web.relations);
        assert_eq!(same.generation, web.generation, "nobody is woken for nothing");
        agent.flush("db/1", write(number, false, &[("port", "")])).await;
        let context = agent.context("web/0").await;
        let units = &context.relations[&number].units;
        let address = &agent.snapshot("db/1").await.address;
        let expected = [
            ("egress-subnets", format!("{address}/32")),
            ("host", "x".to_owned()),
            ("ingress-address", address.clone()),
            ("private-address", address.clone()),
        ];
        assert_eq!(units["db/1"].len(), 4);
        assert!(expected.iter().all(|(key, value)| units["db/1"][*key] == *value), "{units:?}");
        world.end().await;
    }
}

#[tokio::test]
async fn application_databags_are_the_leaders() {
    for world in World::all().await {
        let (agent, number) = related(&world).await;
        agent.flush("db/0", write(number, true, &[("url", "u")])).await;
        let web = agent.snapshot("web/0").await;
        assert_eq!(web.relations[&number].applications["db"], 1);
        let contexts = [agent.context("db/0").await, agent.context("db/1").await];
        assert_eq!(contexts[0].relations[&number].application, bag(&[("url", "u")]));
        assert!(contexts[1].relations[&number].application.is_empty(), "followers may not read it");
        assert_eq!(agent.context("web/0").await.relations[&number].remote, bag(&[("url", "u")]));
        let refused = agent.refused("db/1", write(number, true, &[("url", "v")])).await;
        assert_eq!(refused.detail, "cannot apply changes: \"db/1\" is not leader of \"db\"");
        // Over a peer relation every unit reads it, and the leader hears of its own write.
        let (peer, _) = agent.snapshot("db/1").await.relations.into_iter().next().unwrap();
        let own = agent.flush("db/0", write(peer, true, &[("token", "t")])).await;
        assert_eq!(own.relations[&peer].applications["db"], 1);
        let follower = agent.context("db/1").await;
        assert_eq!(follower.relations[&peer].application, bag(&[("token", "t")]));
        assert_eq!(agent.snapshot("db/1").await.relations[&peer].applications["db"], 1);
        world.end().await;
    }
}

#[tokio::test]
async fn a_relation_stays_until_the_last_unit_has_left() {
    for world in World::all().await {
        let (agent, number) = related(&world).await;
        agent.flush("db/0", write(number, false, &[("k", "v")])).await;
        let accepted: Accepted = world.post(REMOVE, removal("db", "web")).await;
        assert_eq!(agent.snapshot("web/0").await.relations[&number].life, Life::Dying);
        for unit in ["db/0", "db/1"] {
            agent.step(unit, Step { leave: vec![number], ..Step::default() }).await;
        }
        let web = agent.snapshot("web/0").await;
        assert!(web.relations[&number].members.is_empty());
        let readable = &agent.context("web/0").await.relations[&number];
        assert_eq!(readable.units["db/0"]["k"], "v", "readable while departing");
        assert!(world.status().await.applications["db"].relations.contains_key("db"));
        let listed: Vec<RelationInfo> = world.get(RELATIONS).await;
        assert!(listed.iter().any(|one| one.id == number && one.life == Life::Dying));
        let left = agent.step("web/0", Step { leave: vec![number], ..Step::default() }).await;
        assert!(!left.relations.contains_key(&number));
        let status = world.status().await;
        assert!(!status.applications["db"].relations.contains_key("db"));
        assert!(!status.applications["web"].relations.contains_key("backend"));
        assert_eq!(world.ended(&accepted).await.state, "succeeded");
        // Late words about a relation that is gone are no error.
        agent.flush("db/0", write(number, true, &[("late", "1")])).await;
        agent.step("db/0", Step { leave: vec![number], ..Step::default() }).await;
        agent.step("db/0", Step { enter: vec![number], ..Step::default() }).await;
        let again: Accepted = world.post(RELATIONS, ends("web:backend", "db:db")).await;
        assert_eq!(again.resource["relation"], number + 1);
        world.end().await;
    }
}

#[tokio::test]
async fn a_relation_nobody_entered_goes_at_once() {
    for world in World::all().await {
        related(&world).await;
        world.deploy(&charm("app"), 1).await;
        let _: Accepted = world.post(RELATIONS, ends("app:backend", "db:db")).await;
        let accepted: Accepted = world.post(REMOVE, removal("app:backend", "db")).await;
        assert_eq!(world.ended(&accepted).await.state, "succeeded");
        world.end().await;
    }
}

#[tokio::test]
async fn force_does_not_wait_for_ever() {
    for mut world in World::all().await {
        world.options.force_wait = Duration::from_millis(300);
        world.restart().await;
        let (agent, number) = related(&world).await;
        let force = RemoveRelation { id: Some(number), force: true, ..RemoveRelation::default() };
        let accepted: Accepted = world.post(REMOVE, &force).await;
        let dying = agent.snapshot("web/0").await;
        assert_eq!(dying.relations[&number].life, Life::Dying, "time to leave by itself");
        assert_eq!(world.ended(&accepted).await.state, "succeeded");
        let gone = agent.snapshot("web/0").await;
        assert!(!gone.relations.contains_key(&number) && gone.generation > dying.generation);
        world.end().await;
    }
}

#[tokio::test]
async fn a_leaving_unit_leaves_its_words_behind() {
    for world in World::all().await {
        let (agent, number) = related(&world).await;
        agent.flush("db/1", write(number, false, &[("k", "v")])).await;
        let remove = RemoveUnits { units: vec!["db/1".into()], ..RemoveUnits::default() };
        let _: Accepted = world.post("/v1/models/m/units/remove", &remove).await;
        let before = agent.snapshot("web/0").await;
        assert!(before.relations[&number].members.contains_key("db/1"));
        agent.die("db/1").await;
        let after = agent.snapshot("web/0").await;
        assert!(!after.relations[&number].members.contains_key("db/1"));
        assert!(after.generation > before.generation);
        assert_eq!(agent.context("web/0").await.relations[&number].units["db/1"]["k"], "v");
        let (peer, _) = agent.snapshot("db/0").await.relations.into_iter().next().unwrap();
        assert!(agent.snapshot("db/0").await.relations[&peer].members.is_empty());
        world.end().await;
    }
}

#[tokio::test]
async fn refusals_are_jujus() {
    let world = World::sqlite().await;
    let (_agent, _) = related(&world).await;
    let add = async |left: &str, right: &str| {
        refusal(world.client.post::<_, Accepted>(RELATIONS, &ends(left, right)).await)
    };
    let remove = async |left: &str, right: &str| {
        refusal(world.client.post::<_, Accepted>(REMOVE, &removal(left, right)).await)
    };
    let exists = add("web:backend", "db:db").await;
    assert_eq!((exists.status, exists.code.as_str()), (409, "conflict"));
    assert!(exists.detail.contains("relation web:backend db:db already exists"), "{exists}");
    let ambiguous = add("web", "db").await;
    assert!(ambiguous.detail.starts_with("ambiguous relation: "), "{ambiguous}");
    assert_eq!(add("web", "nothing").await.detail, "application \"nothing\" not found");
    let missing = remove("a", "b").await;
    assert_eq!(
        (missing.status, missing.detail.as_str()),
        (404, "relation matching \"a b\" not found")
    );
    let peer = remove("db:cluster", "db:cluster").await;
    assert_eq!(peer.status, 409, "{peer}");
    world.end().await;
}

#[tokio::test]
async fn an_oversized_databag_is_refused() {
    for world in World::all().await {
        let (agent, number) = related(&world).await;
        let before = agent.snapshot("db/0").await;
        let large = "x".repeat(5 * 1024 * 1024);
        let problem = agent.refused("db/0", write(number, false, &[("large", &large)])).await;
        let expected =
            format!("cannot apply changes: the databag of db/0 in relation {number} would");
        assert!(problem.detail.starts_with(&expected), "{}", problem.detail);
        let problem = agent.refused("db/0", write(number, true, &[("nul", "a\0b")])).await;
        assert!(problem.detail.contains("NUL"), "{}", problem.detail);
        assert_eq!(agent.snapshot("db/0").await, before);
        world.end().await;
    }
}

fn subordinate() -> Source {
    charm("logger").metadata("subordinate: true\n").with(
        "metadata.yaml",
        "name: logger\nsummary: s\ndescription: d\nsubordinate: true\n\
         requires: {host: {interface: juju-info, scope: container}}\n",
    )
}

#[tokio::test]
async fn subordinates_follow_their_principal() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 2).await;
        world.deploy(&subordinate(), 0).await;
        let agent = Player::start(&world).await;
        let accepted: Accepted = world.post(RELATIONS, ends("logger", "db")).await;
        let number = accepted.resource["relation"].as_i64().unwrap();
        agent.enter_all("db/0").await;
        agent.enter_all("db/1").await;
        let (first, second) = (agent.snapshot("logger/0").await, agent.snapshot("logger/1").await);
        assert_eq!(first.principal.as_deref(), Some("db/0"));
        assert_eq!(agent.snapshot("db/0").await.subordinates, ["logger/0"]);
        agent.enter_all("logger/0").await;
        agent.enter_all("logger/1").await;
        let seen = agent.snapshot("logger/1").await.relations[&number].clone();
        assert_eq!(seen.members.keys().collect::<Vec<_>>(), ["db/1"], "only the one beside");
        assert!(seen.container_scoped);
        let principal = agent.snapshot("db/0").await.relations[&number].clone();
        assert_eq!(principal.members.keys().collect::<Vec<_>>(), ["logger/0"]);
        assert!(principal.implicit);
        // Without the relation they have nothing to live for.
        let _: Accepted = world.post(REMOVE, removal("logger", "db")).await;
        for unit in [&first.unit, &second.unit] {
            assert_eq!(agent.snapshot(unit).await.life, Life::Dying);
        }
        agent.die("logger/0").await;
        assert_eq!(agent.snapshot("db/0").await.subordinates, [] as [&str; 0]);
        agent.die("logger/1").await;
        for unit in ["db/0", "db/1"] {
            agent.step(unit, Step { leave: vec![number], ..Step::default() }).await;
        }
        assert!(!world.status().await.applications["db"].relations.contains_key("juju-info"));
        world.end().await;
    }
}

#[tokio::test]
async fn a_lost_subordinate_is_made_again() {
    let world = World::sqlite().await;
    world.model().await;
    world.deploy(&charm("db"), 1).await;
    world.deploy(&subordinate(), 0).await;
    let agent = Player::start(&world).await;
    let _: Accepted = world.post(RELATIONS, ends("logger", "db")).await;
    agent.enter_all("db/0").await;
    agent.enter_all("logger/0").await;
    let remove = RemoveUnits { units: vec!["db/0".into()], ..RemoveUnits::default() };
    let _: Accepted = world.post("/v1/models/m/units/remove", &remove).await;
    assert_eq!(agent.snapshot("logger/0").await.life, Life::Dying);
    agent.die("logger/0").await;
    assert!(agent.snapshot("db/0").await.subordinates.is_empty(), "a dying principal gets none");
    agent.die("db/0").await;
    world.end().await;
}

#[tokio::test]
async fn show_unit_shows_relations() {
    let world = World::sqlite().await;
    let (agent, number) = related(&world).await;
    agent.flush("db/0", write(number, true, &[("url", "u")])).await;
    let info: UnitInfo = world.get("/v1/models/m/units/web/0").await;
    let relation = info.relation_info.iter().find(|one| one.relation_id == number).unwrap();
    assert_eq!((relation.endpoint.as_str(), relation.related_endpoint.as_str()), ("backend", "db"));
    assert_eq!(relation.application_data, bag(&[("url", "u")]));
    assert!(relation.local_unit.in_scope);
    assert_eq!(relation.related_units.len(), 2);
    world.end().await;
}
