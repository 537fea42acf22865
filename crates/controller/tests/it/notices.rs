//! Bus events that charms listen to, and what workloads raise, reach units as notices: each once, in order.

use serde_json::json;
use tutti_bus::broker::{Broker, Settings};
use tutti_bus::{Address, Bus};
use tutti_controller::BusOptions;
use tutti_model::agent::{ContextNotice, Hook, HookStep, Operation, Snapshot, Step};
use tutti_model::api::Accepted;

use crate::charm::{Source, charm};
use crate::player::Player;
use crate::world::World;

const LISTENING: &str = "x-tutti: {bus: {listen: [auth.came_in, shop.*]}}\n";

async fn bus(broker: &Broker) -> Bus {
    let settings = tutti_bus::Settings::new("test", "1", Address::broker(broker));
    Bus::connect(settings).await.unwrap()
}

/// Worlds with a bus.
async fn worlds() -> Vec<(World, Broker)> {
    let mut worlds = Vec::new();
    for mut world in World::all().await {
        let broker = Broker::open(Settings::default()).await.unwrap();
        world.stop().await;
        let url = "redis://here".to_owned();
        world.options.bus = Some(BusOptions { address: Address::broker(&broker), url });
        world.start_again().await;
        worlds.push((world, broker));
    }
    worlds
}

fn listening(name: &str) -> Source {
    charm(name).metadata(LISTENING)
}

/// What the unit is told next, once there is something; it is told.
async fn told(world: &World, agent: &Player<'_>, unit: &str) -> ContextNotice {
    world.until("a notice waits", || async { agent.snapshot(unit).await.notice.is_some() }).await;
    let snapshot = agent.snapshot(unit).await;
    let hook = snapshot.notice.clone().unwrap();
    let mut step = Step { version: snapshot.version, want_context: true, ..Step::default() };
    step.journal.clone_from(&snapshot.journal);
    step.journal.installed = true;
    step.journal.charm = Some(snapshot.charm.clone());
    step.journal.operation =
        Operation::RunHook { hook: Hook::Notice(hook.clone()), step: HookStep::Pending };
    let answer = agent.send(&snapshot.unit_id, &step).await.unwrap();
    let Snapshot { journal, version, .. } = answer.snapshot.unwrap();
    let context = answer.context.unwrap();
    assert_eq!(context.bus, "redis://here");
    let mut step = Step { version, journal, noticed: Some(hook), ..Step::default() };
    step.journal.operation = Operation::Continue;
    agent.send(&snapshot.unit_id, &step).await.unwrap();
    context.notice.unwrap()
}

#[tokio::test]
async fn every_unit_is_told_of_what_its_charm_listens_to() {
    for (mut world, broker) in worlds().await {
        world.model().await;
        let bus = bus(&broker).await;
        bus.fire_dynamic("auth", "came_in", json!({"number": 0})).await.unwrap();
        world.deploy(&listening("db"), 2).await;
        world.deploy(&charm("web"), 1).await;
        // The bus is told while the controller is away.
        world.stop().await;
        let first = bus.fire_dynamic("auth", "came_in", json!({"number": 1})).await.unwrap();
        bus.fire_dynamic("auth", "went", json!({"number": 2})).await.unwrap();
        bus.fire_dynamic("shop", "sold", json!({"number": 3})).await.unwrap();
        world.start_again().await;
        let agent = Player::start(&world).await;
        for unit in ["db/0", "db/1"] {
            let mut notices = [told(&world, &agent, unit).await, told(&world, &agent, unit).await];
            // They are of two APIs, between which there is no order.
            notices.sort_by_key(|notice| notice.key.clone());
            let expected = ContextNotice {
                id: first.id.clone(),
                kind: "bus".into(),
                key: "auth.came_in".into(),
                data: "{\"number\":1}".into(),
            };
            assert_eq!(notices[0], expected);
            assert_eq!(
                (notices[1].key.as_str(), notices[1].data.as_str()),
                ("shop.sold", "{\"number\":3}")
            );
            assert_eq!(agent.snapshot(unit).await.notice, None);
        }
        assert_eq!(agent.snapshot("web/0").await.notice, None);
        for number in 0..=25 {
            bus.fire_dynamic("shop", "sold", json!({"number": number})).await.unwrap();
        }
        world.restart().await;
        let agent = Player::start(&world).await;
        for number in 0..=25 {
            let notice = told(&world, &agent, "db/0").await;
            assert_eq!(notice.data, format!("{{\"number\":{number}}}"));
        }
        assert_eq!(agent.snapshot("db/0").await.notice, None);
        world.delete("/v1/models/m?force=true&timeout_ms=100").await;
        world
            .until("all is removed", || async {
                world.get::<Vec<serde_json::Value>>("/v1/models").await.is_empty()
            })
            .await;
        assert_eq!(world.leftovers(&["notice", "bus_listener"]).await, []);
        bus.shutdown().await;
        broker.shutdown().await;
    }
}

#[tokio::test]
async fn a_workload_raises_a_notice_for_its_unit() {
    for (world, broker) in worlds().await {
        let model = world.model().await;
        world.deploy(&charm("db"), 2).await;
        let bus = bus(&broker).await;
        let agent = Player::start(&world).await;
        for raised in [
            json!({"model": "m", "unit": "db/7", "key": "nobody"}),
            json!({"model": "x", "unit": "db/0", "key": "nobody"}),
            json!({"model": "m", "unit": "db/1", "key": "big", "data": {"x": "x".repeat(70_000)}}),
            json!({"model": model.uuid, "unit": "db/1", "key": "full"}),
            json!({"model": "m", "unit": "db/1", "key": "empty", "data": {"free": 1}}),
        ] {
            bus.fire_dynamic("tutti.notice", "raised", raised).await.unwrap();
        }
        for (key, data) in [("full", "{}"), ("empty", "{\"free\":1}")] {
            let notice = told(&world, &agent, "db/1").await;
            assert_eq!(
                (notice.kind.as_str(), notice.key.as_str(), notice.data.as_str()),
                ("custom", key, data)
            );
        }
        assert_eq!(agent.snapshot("db/1").await.notice, None);
        assert_eq!(agent.snapshot("db/0").await.notice, None);
        world.end().await;
        bus.shutdown().await;
        broker.shutdown().await;
    }
}

#[tokio::test]
async fn a_refresh_changes_what_an_application_hears() {
    for (world, broker) in worlds().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        let bus = bus(&broker).await;
        bus.fire_dynamic("shop", "sold", json!({"number": 1})).await.unwrap();
        let url = world.upload(&listening("db")).await.url;
        world.post::<Accepted>("/v1/models/m/applications/db/refresh", json!({"charm": url})).await;
        bus.fire_dynamic("shop", "sold", json!({"number": 2})).await.unwrap();
        let agent = Player::start(&world).await;
        assert_eq!(told(&world, &agent, "db/0").await.data, "{\"number\":2}");
        world.end().await;
        bus.shutdown().await;
        broker.shutdown().await;
    }
}
