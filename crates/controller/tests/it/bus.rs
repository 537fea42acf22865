//! What happens is fired on the bus: all of it, in order, with ids that stay, whoever dies meanwhile.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tutti_bus::broker::{Broker, Settings};
use tutti_bus::{Address, Bus, Record};
use tutti_client::Client;
use tutti_controller::{BusOptions, Controller};
use tutti_model::api::{Accepted, ControllerInfo, ModelCreate, ModelInfo};

use crate::charm::charm;
use crate::killed::{Process, bus_socket};
use crate::world::World;

/// How often a controller is killed on each engine.
const ROUNDS: u32 = 6;

/// What is fired of each topic, by the beginning of its API's name.
const TOPICS: &[(&str, &str)] = &[
    ("tutti.model", "tutti.model"),
    ("tutti.application", "tutti.application"),
    ("tutti.unit", "tutti.unit"),
    ("tutti.machine", "tutti.machine"),
    ("relation", "tutti.relation"),
    ("flow.", "tutti.flow"),
    ("task.", "tutti.task"),
    ("operation-task", "tutti.operation"),
];

async fn bus(broker: &Broker) -> Bus {
    let settings = tutti_bus::Settings::new("test", "1", Address::broker(broker));
    Bus::connect(settings).await.unwrap()
}

fn options(broker: &Broker) -> BusOptions {
    BusOptions { address: Address::broker(broker), url: "redis://here".into() }
}

/// All events of Tutti that are on the bus, by their API, oldest first.
async fn fired(bus: &Bus) -> BTreeMap<String, Vec<Record>> {
    let mut fired = BTreeMap::new();
    for stream in bus.streams().await.unwrap() {
        let page = stream.history(None, None, 1_000_000).await.unwrap();
        fired.insert(stream.api, page.records.into_iter().rev().collect());
    }
    fired
}

/// What the outbox has, as a stream that starts from nothing tells it: API, number and model of each event.
async fn announced(client: &Client) -> Vec<(String, i64, Value)> {
    let mut events = client.events("/v1/events?after=0&follow=false").await.unwrap();
    let mut announced = Vec::new();
    while let Some(event) = events.next().await.unwrap() {
        let api = TOPICS.iter().find(|(topic, _)| event.event.starts_with(topic));
        if let Some((_, api)) = api {
            let body: Value = serde_json::from_str(&event.data).unwrap();
            announced.push(((*api).to_owned(), event.id.parse().unwrap(), body["model"].clone()));
        }
    }
    announced
}

/// The numbers of events, those that were fired again left out.
fn numbers(records: &[Record]) -> Vec<i64> {
    let mut numbers = Vec::new();
    for record in records {
        let number = record.parameters["seq"].as_i64().unwrap();
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    numbers
}

/// Waits until all that was announced has been fired; answers it.
async fn caught_up(client: &Client, bus: &Bus) -> BTreeMap<String, Vec<Record>> {
    let begun = Instant::now();
    loop {
        let announced = announced(client).await;
        let fired = fired(bus).await;
        let count: usize = fired.values().map(|records| numbers(records).len()).sum();
        if count == announced.len() {
            check(client, bus, &announced, &fired).await;
            return fired;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{count} of {}", announced.len());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Everything is there in order, under its id, and fits the schema that is on the bus.
async fn check(
    client: &Client,
    bus: &Bus,
    announced: &[(String, i64, Value)],
    fired: &BTreeMap<String, Vec<Record>>,
) {
    let info: ControllerInfo = client.get("/v1").await.unwrap();
    bus.schemas().await.unwrap();
    for (api, records) in fired {
        let of_this = announced.iter().filter(|(name, _, _)| name == api);
        let expected: Vec<i64> = of_this.clone().map(|(_, number, _)| *number).collect();
        assert_eq!(numbers(records), expected, "{api}");
        let models: BTreeMap<_, _> = of_this.map(|(_, number, model)| (*number, model)).collect();
        for record in records {
            let number = record.parameters["seq"].as_i64().unwrap();
            assert_eq!(record.id, format!("{}:{number}", info.uuid));
            assert_eq!(&record.parameters["model"], models[&number], "{record:?}");
            bus.check_record(record).unwrap();
        }
    }
}

#[tokio::test]
async fn what_happens_is_fired_once_and_in_order() {
    for mut world in World::all().await {
        // What happens without a bus waits.
        world.model().await;
        world.stop().await;
        let broker = Broker::open(Settings::default()).await.unwrap();
        world.options.bus = Some(options(&broker));
        world.start_again().await;
        let bus = bus(&broker).await;
        let _agent = world.agent().await;
        let deployed = world.deploy(&charm("db"), 2).await;
        world.ended(&deployed).await;
        let deployed = world.deploy(&charm("web"), 1).await;
        world.ended(&deployed).await;
        let ends = json!({"endpoints": ["web:backend", "db:db"]});
        let integrated: Accepted = world.post("/v1/models/m/relations", ends).await;
        world.ended(&integrated).await;
        world.delete("/v1/models/m/applications/web").await;
        let destroyed = world.delete("/v1/models/m").await;
        world.ended(&destroyed).await;
        let fired = caught_up(&world.client, &bus).await;
        for records in fired.values() {
            assert_eq!(
                numbers(records).len(),
                records.len(),
                "nothing failed, nothing is repeated"
            );
        }
        let events = |api: &str| -> Vec<&str> {
            fired[api].iter().map(|record| record.event.as_str()).collect()
        };
        assert_eq!(events("tutti.model"), ["created", "dying", "removed"]);
        let of_both = |record: &&Record| record.parameters["key"] == "web:backend db:db";
        let of_both =
            fired["tutti.relation"].iter().filter(of_both).map(|record| record.event.as_str());
        assert_eq!(of_both.collect::<Vec<_>>(), ["created", "removed"]);
        let of_unit = |record: &&Record| record.parameters["unit"] == "db/0";
        let of_unit: Vec<_> = fired["tutti.unit"].iter().filter(of_unit).collect();
        assert_eq!(of_unit[0].event, "created");
        assert_eq!(of_unit.last().unwrap().event, "removed");
        world
            .until("nothing waits", || async {
                let answer = world.send("GET", "/v1/metrics", &[], &Value::Null).await;
                answer.body.contains("\ntutti_bus_events_waiting 0\n")
            })
            .await;
        world.end().await;
        bus.shutdown().await;
        broker.shutdown().await;
    }
}

async fn broker_at(data: &Path, socket: &Path) -> Broker {
    let settings = Settings { data: Some(data.join("bus.db")), ..Settings::default() };
    let broker = Broker::open(settings).await.unwrap();
    broker.listen_unix(socket).await.unwrap();
    broker
}

#[tokio::test]
async fn nothing_is_lost_or_moved_when_controller_and_bus_die() {
    for mut world in World::all().await {
        world.stop().await;
        let socket = bus_socket(&world.options);
        let mut broker = broker_at(&world.options.data, &socket).await;
        let mut process = Process::start(&world.options).await;
        let model = ModelCreate { name: "m".into(), ..ModelCreate::default() };
        process.client().await.post::<_, ModelInfo>("/v1/models", &model).await.unwrap();
        for round in 0..ROUNDS {
            let client = process.client().await;
            let work = async {
                loop {
                    let _ = client.post::<_, Accepted>("/v1/models/m/machines", &json!({})).await;
                }
            };
            // Different instants, whatever the machine does meanwhile.
            let time = Duration::from_millis(150 + 37 * u64::from(round));
            let _ = tokio::time::timeout(time, work).await;
            broker = if round % 2 == 1 {
                broker.shutdown().await;
                // It goes on without a bus.
                client.post::<_, Accepted>("/v1/models/m/machines", &json!({})).await.unwrap();
                process.kill();
                broker_at(&world.options.data, &socket).await
            } else {
                process.kill();
                broker
            };
            process = Process::start(&world.options).await;
        }
        let bus = bus(&broker).await;
        let fired = caught_up(&process.client().await, &bus).await;
        assert!(fired["tutti.machine"].len() >= ROUNDS as usize);
        drop(process);
        bus.shutdown().await;
        broker.shutdown().await;
    }
}

#[tokio::test]
async fn one_of_several_controllers_fires() {
    for mut world in World::all().await {
        if world.options.database.is_none() {
            world.end().await;
            continue;
        }
        world.stop().await;
        let broker = Broker::open(Settings::default()).await.unwrap();
        world.options.bus = Some(options(&broker));
        world.start_again().await;
        let mut options = world.options.clone();
        options.data = world.directory.path().join("other");
        let other = Controller::start(options.clone()).await.unwrap();
        let address = format!("unix:{}", options.socket().display());
        let second = Client::connect(&address.parse().unwrap()).await.unwrap();
        let bus = bus(&broker).await;
        world.model().await;
        let add = async |client: &Client| {
            for _ in 0..20 {
                client.post::<_, Accepted>("/v1/models/m/machines", &json!({})).await.unwrap();
            }
        };
        tokio::join!(add(&world.client), add(&second));
        let fired = caught_up(&world.client, &bus).await;
        assert_eq!(fired["tutti.machine"].len(), 40, "each is fired once");
        // Whoever fired lets go of it.
        world.stop().await;
        second.post::<_, Accepted>("/v1/models/m/machines", &json!({})).await.unwrap();
        caught_up(&second, &bus).await;
        other.stop().await;
        bus.shutdown().await;
        broker.shutdown().await;
    }
}
