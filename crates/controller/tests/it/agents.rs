//! Sessions, long polls, and steps that apply once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tutti_model::agent::{
    Changes, ContextStatus, OpenPort, Report, Snapshot, Step, StepAnswer, UnitChanges,
};
use tutti_model::api::{ConfigChange, RemoveUnits};

use crate::charm::charm;
use crate::player::{Player, bag, write};
use crate::world::{World, refusal};

fn configure(key: &str, value: &str) -> ConfigChange {
    ConfigChange { set: bag(&[(key, value)]), reset: Vec::new() }
}

const CONFIG: &str = "/v1/models/m/applications/db/config";

#[tokio::test]
async fn a_step_whose_answer_was_lost_does_not_apply_twice() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        let agent = Player::start(&world).await;
        let snapshot = agent.enter_all("db/0").await;
        let peer = *snapshot.relations.keys().next().unwrap();
        let mut changes = write(peer, true, &[("secret", "1")]);
        changes.state.insert("count".into(), Some("1".into()));
        let mut step =
            Step { version: snapshot.version, changes: Some(changes), ..Step::default() };
        step.journal.status_set = true;
        let id = snapshot.unit_id.clone();
        let first = agent.send(&id, &step).await.unwrap().snapshot.unwrap();
        assert_eq!(first.version, snapshot.version + 1);
        assert_eq!(first.relations[&peer].applications["db"], 1);
        let again = refusal(agent.send(&id, &step).await);
        assert_eq!((again.status, again.code.as_str()), (409, "stale-journal"));
        let current: Snapshot = serde_json::from_slice(&again.body).unwrap();
        assert_eq!(current, first);
        assert!(current.journal.status_set, "the agent knows its own journal again");
        world.end().await;
    }
}

#[tokio::test]
async fn of_steps_on_one_version_one_applies() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        let agent = Player::start(&world).await;
        let snapshot = agent.enter_all("db/0").await;
        let peer = *snapshot.relations.keys().next().unwrap();
        let steps: Vec<_> = (0..8)
            .map(|n| Step {
                version: snapshot.version,
                changes: Some(write(peer, true, &[("winner", &n.to_string())])),
                ..Step::default()
            })
            .collect();
        let sent = steps.iter().map(|step| agent.send(&snapshot.unit_id, step));
        let answers = futures_util::future::join_all(sent).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        let after = agent.snapshot("db/0").await;
        assert_eq!(after.version, snapshot.version + 1);
        assert_eq!(after.relations[&peer].applications["db"], 1);
        world.end().await;
    }
}

#[tokio::test]
async fn a_newer_session_fences_off_older_ones() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        let old = Player::start(&world).await;
        let after = old.changes(0, 0).await.after;
        let path = old.path(&format!("changes?after={after}&wait_ms=120000&"));
        let poll = world.client.get::<UnitChanges>(&path);
        let begun = Instant::now();
        let (poll, new) = tokio::join!(poll, async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Player::start(&world).await
        });
        assert_eq!(refusal(poll).code, "stale-session");
        assert!(begun.elapsed() < Duration::from_secs(60));
        let id = new.id("db/0").await;
        for refused in [
            refusal(world.client.get::<Snapshot>(&old.path(&format!("units/{id}?"))).await),
            refusal(old.send(&id, &Step::default()).await),
            refusal(
                world
                    .client
                    .post::<_, ()>(&old.path(&format!("units/{id}/reports?")), &[] as &[Report])
                    .await,
            ),
        ] {
            assert_eq!((refused.status, refused.code.as_str()), (409, "stale-session"));
        }
        assert_eq!(new.snapshot("db/0").await.version, 0, "a fenced step changes nothing");
        world.end().await;
    }
}

#[tokio::test]
async fn a_long_poll_misses_nothing() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        let agent = Player::start(&world).await;
        let mut after = agent.changes(0, 0).await.after;
        let empty = agent.changes(after, 30).await;
        assert_eq!((empty.units.len(), empty.after), (0, after));
        let changing = async {
            for port in 1..=30 {
                world.patch(CONFIG, configure("port", &port.to_string())).await;
            }
            agent.snapshot("db/0").await.generation
        };
        let polling = async {
            let mut seen = 0;
            while seen < 30 {
                let changes = agent.changes(after, 1000).await;
                if changes.units.is_empty() {
                    return after;
                }
                seen += changes.units.len();
                after = changes.after;
            }
            after
        };
        let (last, (), polled) = tokio::join!(changing, async {}, polling);
        let missed = agent.changes(polled, 0).await;
        assert!(polled == last || missed.after == last, "{polled} {last}");
        let begun = Instant::now();
        let (woken, _) = tokio::join!(agent.changes(last, 120_000), async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            world.patch(CONFIG, configure("banner", "hi")).await
        });
        assert_eq!(woken.units[0].name, "db/0");
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
        world.end().await;
    }
}

#[tokio::test]
async fn a_gone_unit_is_told_once() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 2).await;
        let agent = Player::start(&world).await;
        agent.step("db/1", Step::default()).await;
        let after = agent.changes(0, 0).await.after;
        let remove = RemoveUnits { units: vec!["db/1".into()], ..RemoveUnits::default() };
        let accepted = world.post("/v1/models/m/units/remove", &remove).await;
        agent.die("db/1").await;
        let changes = agent.changes(after, 0).await;
        let gone: Vec<_> = changes.units.iter().filter(|unit| unit.gone).collect();
        assert_eq!((gone.len(), gone[0].name.as_str(), gone[0].model.as_str()), (1, "db/1", "m"));
        assert!(agent.changes(changes.after, 0).await.units.iter().all(|unit| !unit.gone));
        assert_eq!(world.ended(&accepted).await.state, "succeeded");
        let path = agent.path(&format!("units/{}?", gone[0].id));
        let reports = agent.path(&format!("units/{}/reports?", gone[0].id));
        for refused in [
            refusal(world.client.get::<Snapshot>(&path).await),
            refusal(agent.send(&gone[0].id, &Step::default()).await),
            refusal(world.client.post::<_, ()>(&reports, &[] as &[Report]).await),
        ] {
            assert_eq!((refused.status, refused.code.as_str()), (404, "unit-not-found"));
        }
        // What an agent asks for in vain must not look like that.
        for path in [format!("/v1/agents/0/unit/{}", gone[0].id), path.replace("/v1", "")] {
            let refused = refusal(world.client.get::<Snapshot>(&path).await);
            assert_eq!((refused.status, refused.code.as_str()), (404, "not-found"), "{path}");
        }
        world.end().await;
    }
}

#[tokio::test]
async fn changed_and_changed_back_is_no_change() {
    let world = World::sqlite().await;
    world.model().await;
    world.deploy(&charm("db"), 1).await;
    let agent = Player::start(&world).await;
    let before = agent.snapshot("db/0").await;
    world.patch(CONFIG, configure("port", "81")).await;
    let changed = agent.snapshot("db/0").await;
    assert_ne!(before.config_hash, changed.config_hash);
    assert_eq!(before.trust_hash, changed.trust_hash);
    // The default, set explicitly: what the charm sees is what it saw before.
    world.patch(CONFIG, configure("port", "80")).await;
    let back = agent.snapshot("db/0").await;
    assert_eq!(before.config_hash, back.config_hash);
    assert!(back.generation > changed.generation);
    let context = agent.context("db/0").await;
    assert_eq!(context.config["port"], 80);
    assert!(context.config["loud"].is_null());
    world.end().await;
}

#[tokio::test]
async fn a_refused_step_leaves_nothing_behind() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 2).await;
        let agent = Player::start(&world).await;
        let peer = *agent.enter_all("db/1").await.relations.keys().next().unwrap();
        let before = agent.snapshot("db/1").await;
        let mut changes = write(peer, true, &[("a", "1")]);
        changes.relations.extend(write(peer, false, &[("b", "2")]).relations);
        changes.state.insert("k".into(), Some("v".into()));
        changes.storage.insert("nothing".into(), 1);
        let problem = agent.refused("db/1", changes).await;
        assert_eq!(problem.reasons.len(), 2, "{problem:?}");
        assert_eq!(problem.reasons[0], "\"db/1\" is not leader of \"db\"");
        assert!(problem.detail.starts_with("cannot apply changes: "), "{}", problem.detail);
        assert_eq!(agent.snapshot("db/1").await, before);
        let context = agent.context("db/1").await;
        assert!(context.state.is_empty());
        assert!(!context.relations[&peer].unit.contains_key("b"));
        world.end().await;
    }
}

#[tokio::test]
async fn ports_state_and_statuses() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        let agent = Player::start(&world).await;
        let port =
            |from, to| OpenPort { protocol: "tcp".into(), from, to, endpoint: String::new() };
        let state =
            |value: Option<&str>| BTreeMap::from([("key".to_owned(), value.map(str::to_owned))]);
        let open = vec![port(80, 80), port(8000, 8010)];
        let changes = Changes { open_ports: open, state: state(Some("v")), ..Changes::default() };
        agent.flush("db/0", changes).await;
        let context = agent.context("db/0").await;
        assert_eq!(context.ports, [port(80, 80), port(8000, 8010)]);
        assert_eq!(context.state, bag(&[("key", "v")]));
        let close = vec![port(80, 80)];
        let changes = Changes { close_ports: close, state: state(None), ..Changes::default() };
        agent.flush("db/0", changes).await;
        let status = |status: &str, message: &str| ContextStatus {
            status: status.into(),
            message: message.into(),
        };
        agent
            .report(
                "db/0",
                &[
                    Report::Status { application: false, status: status("blocked", "no\0 disk") },
                    Report::WorkloadVersion { version: "9.1".into() },
                ],
            )
            .await;
        let snapshot = agent.snapshot("db/0").await;
        agent
            .step(
                "db/0",
                Step {
                    observed_generation: Some(snapshot.generation),
                    agent_status: Some(status("idle", "")),
                    ..Step::default()
                },
            )
            .await;
        let db = &world.status().await.applications["db"];
        let unit = &db.units["db/0"];
        assert_eq!(unit.open_ports, ["8000-8010/tcp"]);
        assert_eq!(unit.workload_status.current, "blocked");
        assert_eq!(unit.workload_status.message, "no\u{fffd} disk");
        assert_eq!(unit.juju_status.current, "idle");
        assert_eq!(db.version, "9.1");
        world.patch(CONFIG, configure("port", "81")).await;
        let unit = &world.status().await.applications["db"].units["db/0"];
        assert_eq!(unit.juju_status.current, "executing", "not idle before it has seen the change");
        world.end().await;
    }
}

#[tokio::test]
async fn impossible_journals_and_strangers_are_refused() {
    let world = World::sqlite().await;
    world.model().await;
    world.deploy(&charm("db"), 1).await;
    let agent = Player::start(&world).await;
    let id = agent.id("db/0").await;
    let mut step = Step::default();
    step.journal.started = true;
    step.journal.stopped = true;
    step.journal.removed = true;
    let refused = refusal(agent.send(&id, &step).await);
    assert_eq!(refused.status, 400, "{refused:?}");
    let path = format!("/v1/agents/7/units/{id}/steps?session={}", agent.session);
    let stranger = refusal(world.client.post::<_, StepAnswer>(&path, &Step::default()).await);
    assert_eq!(stranger.code, "stale-session");
    world.end().await;
}
