//! The built-in broker beside a real Redis: the same loads, one after another.
//!
//! `cargo bench -p tutti-bus --bench broker [-- WORD …]` measures the loads whose names contain one of the words. Where there is no
//! redis-server only the broker is measured. Servers stand side by side that promise the same: nothing, what the system has (and the
//! disk a second later), what the disk has. They take turns, and each figure is the best of five runs with the median beside it: what
//! else the machine does makes runs slower, never faster, and how far the two are apart says how much it did. What is not logged
//! is measured where nothing is.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a measurement that cannot go on fails")]

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tutti_bus::broker::{Durability, Settings};

#[path = "../tests/broker/client.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod client;

use client::{Client, Redis, Served, words};

const RUNS: usize = 5;
const RUN: Duration = Duration::from_millis(400);

/// About as long as an event of Lightbus with three parameters.
const EVENT: [&str; 14] = [
    "id",
    "e42f4ad8-e4be-11f1-b86c-02fc00000001",
    "api_name",
    "my_company.auth",
    "event_name",
    "user_registered",
    "version",
    "1",
    ":username",
    "\"ann\"",
    ":email",
    "\"ann@example.com\"",
    ":is_admin",
    "false",
];

/// A call of Lightbus, about.
const CALL: &str = r#"{"kwargs": {"a": 1, "b": 2}, "metadata": {"api_name": "my_company.auth", "id": "0b6f4cce-e4bf-11f1-aad6-02fc00000001",
    "procedure_name": "add", "return_path": "redis+key://tutti:result:me"}}"#;

type Load = fn(SocketAddr) -> f64;

/// Whether what a load does is logged.
const LOGGED: bool = true;
const PLAIN: bool = false;

const LOADS: &[(&str, bool, Load)] = &[
    ("PING, one after another", PLAIN, |address| one_after_another(address, words("PING"))),
    ("XADD, one after another", LOGGED, |address| one_after_another(address, event())),
    ("XADD, 50 in flight on one connection", LOGGED, |address| in_flight(address, event(), 50)),
    ("XADD, 50 connections", LOGGED, |address| connections(address, event(), 50)),
    ("LPUSH, 50 connections", PLAIN, |address| connections(address, words("LPUSH list value"), 50)),
    ("RPC, one after another", PLAIN, |address| calls(address, 1)),
    ("RPC, 50 callers, one result list", PLAIN, |address| calls(address, 50)),
    ("events consumed, 100 at a time", LOGGED, |address| consumed(address, 100)),
];

fn event() -> Vec<String> {
    let head = words("XADD my_company.auth.*:stream MAXLEN ~ 100000 *");
    head.into_iter().chain(EVENT.iter().map(|&field| field.to_owned())).collect()
}

/// How often per second something is done that `act` does several times.
fn rate(mut act: impl FnMut() -> u64) -> f64 {
    let (begun, mut done) = (Instant::now(), 0);
    while begun.elapsed() < RUN {
        done += act();
    }
    done as f64 / begun.elapsed().as_secs_f64()
}

fn one_after_another(address: SocketAddr, command: Vec<String>) -> f64 {
    let mut client = Client::connect(address);
    rate(|| {
        client.call(&command);
        1
    })
}

fn in_flight(address: SocketAddr, command: Vec<String>, count: usize) -> f64 {
    let mut client = Client::connect(address);
    let commands = vec![command; count];
    rate(|| {
        client.send_all(&commands);
        (0..count).for_each(|_| drop(client.receive()));
        count as u64
    })
}

fn connections(address: SocketAddr, command: Vec<String>, count: usize) -> f64 {
    let mut clients: Vec<_> = (0..count).map(|_| Client::connect(address)).collect();
    rate(|| {
        clients.iter_mut().for_each(|client| client.send(&command));
        clients.iter_mut().for_each(|client| drop(client.receive()));
        count as u64
    })
}

/// The protocol of Lightbus, with one result list: a caller with so many calls under way, and a worker that takes as many at once.
fn calls(address: SocketAddr, callers: usize) -> f64 {
    let ended = Arc::new(AtomicBool::new(false));
    let is_ended = ended.clone();
    let worker = thread::spawn(move || {
        let mut client = Client::connect(address);
        let take = words(&format!("BLMPOP 0.1 1 my_company.auth:rpc_queue LEFT COUNT {callers}"));
        while !is_ended.load(Ordering::Relaxed) {
            let taken = client.call(&take);
            let Some(parts) = taken.as_array() else { continue };
            let count = parts[1].as_array().unwrap().len();
            client.send_all(&vec![words("DEL rpc_expiry_key:some"); count]);
            (0..count).for_each(|_| drop(client.receive()));
            let answers =
                [words("LPUSH tutti:result:me {\"result\":3}"), words("EXPIRE tutti:result:me 60")];
            client.send_all(&vec![answers; count].concat());
            (0..2 * count).for_each(|_| drop(client.receive()));
        }
    });
    let (mut sender, mut receiver) = (Client::connect(address), Client::connect(address));
    let call = [
        words("SET rpc_expiry_key:some 1 EX 5"),
        ["RPUSH", "my_company.auth:rpc_queue", CALL].map(str::to_owned).to_vec(),
    ];
    let (start, take) =
        (vec![call.clone(); callers].concat(), words("BLMPOP 5 1 tutti:result:me LEFT COUNT 64"));
    sender.send_all(&start);
    let rate = rate(|| {
        let taken = receiver.call(&take);
        let count = taken.as_array().unwrap()[1].as_array().unwrap().len();
        sender.send_all(&vec![call.clone(); count].concat());
        // Replies to what was sent before.
        (0..2 * count).for_each(|_| drop(sender.receive()));
        count as u64
    });
    ended.store(true, Ordering::Relaxed);
    worker.join().unwrap();
    rate
}

/// Events that wait are given out and acknowledged, a batch at a time.
fn consumed(address: SocketAddr, batch: usize) -> f64 {
    const EVENTS: usize = 50_000;
    let mut client = Client::connect(address);
    for _ in 0..EVENTS / 1000 {
        client.send_all(&vec![event(); 1000]);
        (0..1000).for_each(|_| drop(client.receive()));
    }
    client.call(&words("XGROUP CREATE my_company.auth.*:stream g 0"));
    let read =
        words(&format!("XREADGROUP GROUP g me COUNT {batch} STREAMS my_company.auth.*:stream >"));
    let (begun, done) = (Instant::now(), AtomicU64::new(0));
    loop {
        let reply = client.call(&read);
        let Some(streams) = reply.as_array() else { break };
        let entries = streams[0].as_array().unwrap()[1].as_array().unwrap();
        let ids =
            entries.iter().map(|entry| entry.as_array().unwrap()[0].as_bytes().unwrap().to_vec());
        let mut acknowledge: Vec<_> =
            words("XACK my_company.auth.*:stream g").into_iter().map(String::into_bytes).collect();
        acknowledge.extend(ids);
        client.call(&acknowledge);
        done.fetch_add(entries.len() as u64, Ordering::Relaxed);
    }
    done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

/// The best rate of each server, and the median.
fn rates(servers: &[&Server], load: Load) -> Vec<(f64, f64)> {
    let mut rates = vec![Vec::new(); servers.len()];
    for _ in 0..RUNS {
        for (server, rates) in servers.iter().zip(&mut rates) {
            Client::connect(server.address).call(&["FLUSHALL"]);
            rates.push(load(server.address));
        }
    }
    rates.iter_mut().for_each(|rates| rates.sort_by(f64::total_cmp));
    rates.iter().map(|rates| (rates[RUNS - 1], rates[RUNS / 2])).collect()
}

/// A server that is measured.
struct Server {
    name: &'static str,
    keeps: bool,
    address: SocketAddr,
    _running: Running,
}

#[expect(dead_code, reason = "a server runs until it is dropped")]
enum Running {
    Broker(Served),
    Redis(Redis),
}

fn broker(name: &'static str, settings: Settings) -> Server {
    let keeps = settings.data.is_some();
    let served = Served::open(settings);
    Server { name, keeps, address: served.address, _running: Running::Broker(served) }
}

fn redis(name: &'static str, folder: &Path, keeps: Option<&str>) -> Option<Server> {
    let folder = folder.join(name);
    std::fs::create_dir(&folder).unwrap();
    let folder = folder.to_str().unwrap();
    let append = if keeps.is_some() { "yes" } else { "no" };
    let sync = keeps.unwrap_or("no");
    let settings = ["--save", "", "--dir", folder, "--appendonly", append, "--appendfsync", sync];
    let server = Redis::start_with(&settings)?;
    let address = server.address;
    Some(Server { name, keeps: keeps.is_some(), address, _running: Running::Redis(server) })
}

fn main() {
    let wanted: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let folder = tempfile::tempdir().unwrap();
    let with_log = |name: &str, durability| {
        let data = Some(folder.path().join(name));
        Settings { data, durability, ..Settings::default() }
    };
    let servers: Vec<Server> = [
        redis("Redis, memory", folder.path(), None),
        Some(broker("broker, memory", Settings::default())),
        redis("Redis, everysec", folder.path(), Some("everysec")),
        Some(broker("broker, log", with_log("process.db", Durability::Process))),
        redis("Redis, always", folder.path(), Some("always")),
        Some(broker("broker, disk", with_log("disk.db", Durability::Disk))),
    ]
    .into_iter()
    .flatten()
    .collect();
    let names: Vec<_> = servers.iter().map(|server| server.name).collect();
    println!("| per second, best (median) | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(servers.len()));
    for (name, is_logged, load) in LOADS {
        if !wanted.is_empty() && !wanted.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        let measured: Vec<&Server> =
            servers.iter().filter(|server| *is_logged || !server.keeps).collect();
        let mut rates = rates(&measured, *load).into_iter();
        let figures: Vec<_> = servers
            .iter()
            .map(|server| match (*is_logged || !server.keeps).then(|| rates.next()).flatten() {
                Some((best, median)) => format!("{best:.0} ({median:.0})"),
                None => String::new(),
            })
            .collect();
        println!("| {name} | {} |", figures.join(" | "));
    }
}
