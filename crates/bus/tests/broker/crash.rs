//! The broker is killed at any instant: every event that was acknowledged to who fired it is there, and groups go on where they were.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use tutti_bus::{
    broker::{Broker, Settings},
    resp::Value,
};

use crate::client::{Client, PATIENCE, words};

/// The log of a broker that this test program is to be.
const DATA: &str = "TUTTI_TEST_BROKER_DATA";

/// How often it is killed.
const ROUNDS: u64 = 6;

/// Events that one of those who fire has under way.
const IN_FLIGHT: usize = 8;

/// What is added to a payload, in bytes: so that the stream is longer than what is written anew with one commit.
const PADDING_BYTES: usize = 8000;

/// Events there are before the broker is killed for the first time.
const EVENTS_MIN: usize = 1500;

/// The log is written anew from the first commit after a start, so that the broker dies in the middle of that.
const REWRITE_BYTES_MIN: usize = 0;

#[test]
#[ignore = "is the broker of the other test"]
fn broker() {
    let Ok(data) = std::env::var(DATA) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let settings = Settings {
            data: Some(data.into()),
            rewrite_bytes_min: REWRITE_BYTES_MIN,
            ..Settings::default()
        };
        let broker = Broker::open(settings).await.unwrap();
        let address = broker.listen_tcp(([127, 0, 0, 1], 0).into()).await.unwrap();
        println!("\nlistens on {address}");
        std::future::pending::<()>().await;
    });
}

struct Process(Child, SocketAddr);

impl Process {
    fn start(data: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::broker", "--ignored", "--nocapture"])
            .env(DATA, data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listens on ")?.parse().ok())
            .expect("the broker says where it listens");
        Self(child, address)
    }

    fn kill(self) {}
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What was promised.
#[derive(Default)]
struct Promises {
    /// Payloads by the ids under which they were acknowledged to who fired them.
    fired: BTreeMap<String, String>,
    /// Ids of which the acknowledgement was acknowledged.
    done: BTreeSet<String>,
    /// Ids that were given to a consumer.
    delivered: BTreeSet<String>,
}

fn text(value: &Value) -> String {
    String::from_utf8_lossy(value.as_bytes().unwrap()).into_owned()
}

/// Fires events until the broker is gone.
fn fire(address: SocketAddr, name: &str, promises: &Mutex<Promises>) {
    let mut client = Client::connect(address);
    let padding = "x".repeat(PADDING_BYTES);
    for number in 0.. {
        let payloads: Vec<_> =
            (0..IN_FLIGHT).map(|event| format!("{name} {number} {event} {padding}")).collect();
        let commands: Vec<_> =
            payloads.iter().map(|payload| vec!["XADD", "s", "*", "f", payload]).collect();
        if !client.try_send_all(&commands) {
            return;
        }
        for payload in payloads {
            match client.receive_or_gone() {
                Some(id) => promises.lock().unwrap().fired.insert(text(&id), payload),
                None => return,
            };
        }
    }
}

/// Reads and acknowledges until the broker is gone, or for so long nothing comes.
fn consume(address: SocketAddr, quiet_ms: &str, promises: &Mutex<Promises>) {
    let mut client = Client::connect(address);
    let history = words("XREADGROUP GROUP g me STREAMS s 0");
    let block = format!("XREADGROUP GROUP g me COUNT 20 BLOCK {quiet_ms} STREAMS s >");
    let mut command = history;
    loop {
        if !client.try_send_all(&[command]) {
            return;
        }
        let Some(reply) = client.receive_or_gone() else { return };
        let Some(streams) = reply.as_array() else { return };
        let entries = streams[0].as_array().unwrap()[1].as_array().unwrap();
        let ids: Vec<_> = entries.iter().map(|entry| text(&entry.as_array().unwrap()[0])).collect();
        command = words(&block);
        if ids.is_empty() {
            continue;
        }
        let mut acknowledge = words("XACK s g");
        acknowledge.extend(ids.iter().cloned());
        {
            let mut promises = promises.lock().unwrap();
            let again = ids.iter().find(|id| promises.done.contains(*id));
            assert_eq!(again, None, "was done, and is given out again");
            promises.delivered.extend(ids.iter().cloned());
        }
        if !client.try_send_all(&[acknowledge]) {
            return;
        }
        if client.receive_or_gone().is_none() {
            return;
        }
        promises.lock().unwrap().done.extend(ids);
    }
}

fn entries(client: &mut Client) -> BTreeMap<String, String> {
    let entry = |entry: &Value| {
        let parts = entry.as_array().unwrap();
        (text(&parts[0]), text(&parts[1].as_array().unwrap()[1]))
    };
    let mut found = BTreeMap::new();
    let mut from = "-".to_owned();
    loop {
        let reply = client.call(&words(&format!("XRANGE s {from} + COUNT 20")));
        let page: Vec<_> = reply.as_array().unwrap().iter().map(entry).collect();
        let Some((last, _)) = page.last() else { return found };
        from = format!("({last}");
        found.extend(page);
    }
}

fn count_fired(promises: &Mutex<Promises>) -> usize {
    promises.lock().unwrap().fired.len()
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_the_broker_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("bus.db");
    let promises = Arc::new(Mutex::new(Promises::default()));
    for round in 0..ROUNDS {
        let process = Process::start(&data);
        let address = process.1;
        if round == 0 {
            let reply = Client::connect(address).call(&words("XGROUP CREATE s g 0 MKSTREAM"));
            assert_eq!(reply, Value::Status("OK".to_owned()));
        }
        let mut threads = Vec::new();
        for name in ["ann", "bob"] {
            let promises = promises.clone();
            threads
                .push(thread::spawn(move || fire(address, &format!("{round} {name}"), &promises)));
        }
        let consumer = promises.clone();
        threads.push(thread::spawn(move || consume(address, "0", &consumer)));
        let (begun, before) = (Instant::now(), count_fired(&promises));
        let wanted = if round == 0 { EVENTS_MIN } else { before + IN_FLIGHT };
        while count_fired(&promises) < wanted && begun.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(31 * round));
        process.kill();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
    let process = Process::start(&data);
    consume(process.1, "300", &promises);
    let mut client = Client::connect(process.1);
    let (there, promises) = (entries(&mut client), promises.lock().unwrap());
    assert!(promises.fired.len() > EVENTS_MIN, "only {} events were fired", promises.fired.len());
    for (id, payload) in &promises.fired {
        assert!(there.get(id) == Some(payload), "{id} was acknowledged and is not there");
        assert!(promises.delivered.contains(id), "{id} was never delivered");
    }
    assert_eq!(client.call(&words("XPENDING s g")).as_array().unwrap()[0], Value::Integer(0));
    process.kill();
}
