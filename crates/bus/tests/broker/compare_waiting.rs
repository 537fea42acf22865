//! Clients that wait are served by the broker in the same order and with the same replies as by a real Redis.

use std::time::{Duration, Instant};

use proptest::{prelude::*, test_runner::TestRunner};
use tutti_bus::{broker::Settings, resp::Value};

use crate::client::{Client, Redis, Served, words};

/// Clients that may wait.
const CLIENTS: usize = 3;

/// How long a reply is waited for at a time, in milliseconds.
const SOON_MS: u64 = 3;

/// How long a step may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// Commands that wait for ever.
const WAITING: &[&str] = &[
    "BLPOP a b 0",
    "BLPOP b 0",
    "BRPOP a 0",
    "BLMPOP 0 2 b a LEFT COUNT 2",
    "XREADGROUP GROUP g ann BLOCK 0 STREAMS s >",
    "XREADGROUP GROUP g bob COUNT 1 BLOCK 0 STREAMS s >",
    "XREADGROUP GROUP h ann BLOCK 0 STREAMS s t > >",
    "XREAD BLOCK 0 STREAMS s $",
    "XREAD BLOCK 0 STREAMS t s 0 $",
];

/// Commands of the client that does not wait.
const WORKING: &[&str] = &[
    "RPUSH a 1",
    "RPUSH a 1 2 3",
    "LPUSH b 4 5",
    "RPUSH a 6",
    "LPOP a",
    "DEL a b",
    "SADD a 1",
    "XADD s * f 1",
    "XADD s * f 2",
    "XADD t * f 3",
    "XGROUP CREATE s g $ MKSTREAM",
    "XGROUP CREATE s h 0 MKSTREAM",
    "XGROUP CREATE t h $ MKSTREAM",
    "XGROUP DESTROY s g",
    "DEL s",
    "SET s 1",
    "XLEN s",
    "XINFO CONSUMERS s g",
    "LRANGE a 0 -1",
    "MULTI|RPUSH a 1|RPUSH b 2|LPOP a|EXEC",
    "MULTI|XADD s * f 4|DEL s|EXEC",
    "MULTI|XADD t * f 5|XADD s * f 6|EXEC",
    "MULTI|RPUSH b 7|RPUSH a 8|EXEC",
    "FLUSHALL",
];

/// One step: a client, or the one that does not wait, and what it says.
type Step = (Option<usize>, &'static str);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let waits =
        (0..CLIENTS, prop::sample::select(WAITING)).prop_map(|(client, line)| (Some(client), line));
    let works = prop::sample::select(WORKING).prop_map(|line| (None, line));
    prop::collection::vec(prop_oneof![2 => waits, 3 => works], 1..25)
}

/// Everything that is said in answer, in order.
fn run(address: std::net::SocketAddr, steps: &[Step]) -> Vec<String> {
    let mut worker = Client::connect(address);
    worker.call(&["FLUSHALL"]);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::connect(address)).collect();
    let mut waits = [false; CLIENTS];
    let mut answers = [const { None }; CLIENTS];
    let mut said = Vec::new();
    for (step, (client, line)) in steps.iter().enumerate() {
        match client {
            Some(client) if waits[*client] => continue,
            Some(client) => {
                clients[*client].send(&words(line));
                waits[*client] = true;
            }
            None => {
                for line in line.split('|') {
                    let reply = worker.call(&words(line));
                    said.push(format!("{step} {line}: {:?}", timeless(reply)));
                }
            }
        }
        // Whoever is not counted as waiting has been answered, or will be.
        let begun = Instant::now();
        while blocked(&mut worker) != waits.iter().filter(|waits| **waits).count() {
            assert!(
                begun.elapsed() < PATIENCE,
                "a client is neither answered nor counted as waiting"
            );
            for (number, client) in clients.iter_mut().enumerate() {
                if waits[number]
                    && let Some(reply) = client.receive_within(SOON_MS)
                {
                    answers[number] = Some(reply);
                    waits[number] = false;
                }
            }
        }
        for (number, reply) in answers.iter_mut().enumerate() {
            if let Some(reply) = reply.take() {
                said.push(format!("{step} client {number}: {:?}", timeless(reply)));
            }
        }
    }
    said
}

/// How many clients a server says are waiting.
fn blocked(worker: &mut Client) -> usize {
    let info = worker.call(&words("INFO clients"));
    let text = String::from_utf8_lossy(info.as_bytes().unwrap()).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
    line.unwrap().parse().unwrap()
}

/// A reply without what is drawn by the clock.
fn timeless(reply: Value) -> Value {
    match reply {
        Value::Bulk(bytes) if bytes.len() > 10 && bytes.contains(&b'-') => {
            Value::Status("an id".to_owned())
        }
        Value::Array(mut items) => {
            if let Some(at) = items.iter().position(|item| item.as_bytes() == Some(b"idle")) {
                items[at + 1] = Value::Null;
            }
            Value::Array(items.into_iter().map(timeless).collect())
        }
        reply => reply,
    }
}

#[test]
fn waiting_clients_are_served_as_by_redis() {
    let Some(redis) = Redis::start() else { return };
    let broker = Served::open(Settings::default());
    let cases =
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(40);
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Default::default()
    };
    let outcome = TestRunner::new(config).run(&steps(), |steps| {
        prop_assert_eq!(run(broker.address, &steps), run(redis.address, &steps), "ours, theirs");
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
