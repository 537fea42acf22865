//! Captured traffic of Python Lightbus with something wrong: the broker's parsers refuse it or read what is there, and take no more
//! memory than their limits say.

use std::{fs, path::Path};

use serde_json::Value as Json;
use tutti_bus::{
    broker::engine::{Ending, Engine, EngineSettings},
    resp::{DEPTH_MAX, Limits, OwnedRequest, Reply as _, RequestParser, Value},
};

use crate::mutate::{Numbers, mutated, rounds};

const LIMITS: Limits = Limits {
    arguments_max: 1000,
    bulk_bytes_max: 100_000,
    request_bytes_max: 200_000,
    unknown: false,
};

const MEMORY_BYTES_MAX: usize = 1 << 20;

/// Commands and replies as they were on the wire: a few commands one after another, as clients send them, and single replies.
fn captured() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let (mut commands, mut replies) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let session: Json = serde_json::from_str(&text).unwrap();
        for frame in session["frames"].as_array().into_iter().flatten() {
            let words = frame["cmd"].as_array().unwrap();
            let words: Vec<_> = words.iter().map(|word| word.as_str().unwrap()).collect();
            let mut bytes = Vec::new();
            bytes.array(words.len());
            words.iter().for_each(|word| bytes.bulk(word.as_bytes()));
            commands.push(bytes);
            let mut bytes = Vec::new();
            encode_json(&mut bytes, &frame["reply"]);
            replies.push(bytes);
        }
    }
    let pipelines = commands.chunks(4).map(<[_]>::concat).collect();
    (pipelines, replies)
}

fn encode_json(bytes: &mut Vec<u8>, reply: &Json) {
    match reply {
        Json::Null => bytes.null(),
        Json::Number(number) => bytes.integer(number.as_i64().unwrap_or_default()),
        Json::String(text) => bytes.bulk(text.as_bytes()),
        Json::Array(items) => {
            bytes.array(items.len());
            items.iter().for_each(|item| encode_json(bytes, item));
        }
        Json::Object(members) => match members.get("error").and_then(Json::as_str) {
            Some(error) => bytes.error(error),
            None => bytes.status("OK"),
        },
        Json::Bool(_) => bytes.null_array(),
    }
}

fn encode(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Status(text) => bytes.status(text),
        Value::Error(text) => bytes.error(text),
        Value::Integer(number) => bytes.integer(*number),
        Value::Bulk(content) => bytes.bulk(content),
        Value::Null => bytes.null(),
        Value::Array(items) => {
            bytes.array(items.len());
            items.iter().for_each(|item| encode(bytes, item));
        }
        Value::NullArray => bytes.null_array(),
    }
}

/// A line cannot hold the half of a line break, which may have been read in one.
fn with_whole_lines(value: Value) -> Value {
    let plain = |text: String| text.replace(['\r', '\n'], " ");
    match value {
        Value::Status(text) => Value::Status(plain(text)),
        Value::Error(text) => Value::Error(plain(text)),
        Value::Array(items) => Value::Array(items.into_iter().map(with_whole_lines).collect()),
        other => other,
    }
}

/// Values in it, and how deep they lie.
fn size(value: &Value) -> (usize, usize) {
    let items = value.as_array().unwrap_or_default().iter().map(size);
    items.fold((1, 0), |(count, depth), (more, deeper)| (count + more, depth.max(deeper + 1)))
}

#[test]
fn replies_with_something_wrong_are_refused_or_read() {
    let (_, replies) = captured();
    let mut read = 0;
    for round in 0..rounds() {
        let bytes = mutated(&replies, &mut Numbers(round));
        let Ok(Some((value, taken))) = Value::decode(&bytes, 10_000) else { continue };
        read += 1;
        assert!(taken <= bytes.len(), "round {round}");
        let (count, depth) = size(&value);
        assert!(count <= taken && depth <= DEPTH_MAX + 1, "round {round}");
        let mut again = Vec::new();
        encode(&mut again, &value);
        let whole = again.len();
        let value = with_whole_lines(value);
        assert_eq!(Value::decode(&again, 10_000), Ok(Some((value, whole))), "round {round}");
    }
    assert!(read > rounds() / 10, "only {read} were read");
}

/// The requests in some bytes, as far as they can be read.
fn requests(bytes: &[u8], round: u64) -> Vec<OwnedRequest> {
    let (mut parser, mut at, mut found) = (RequestParser::default(), 0, Vec::new());
    while let Ok(Some(taken)) = parser.parse(&bytes[at..], &LIMITS) {
        let request = parser.request(&bytes[at..]);
        assert!(taken > 0 && at + taken <= bytes.len(), "round {round}");
        assert!(request.len() <= LIMITS.arguments_max, "round {round}");
        assert!(request.from(0).map(<[u8]>::len).sum::<usize>() <= taken, "round {round}");
        found.push(request.to_owned());
        at += taken;
    }
    found
}

fn engine(memory_bytes_max: usize) -> Engine {
    Engine::new(EngineSettings {
        databases: 16,
        memory_bytes_max,
        password: None,
        clients_max: 10,
        bulk_bytes_max: LIMITS.bulk_bytes_max,
        logs: true,
        process_id: 1,
        started_at: 0,
    })
}

#[test]
fn requests_with_something_wrong_are_refused_or_carried_out() {
    let (commands, _) = captured();
    let mut read = 0;
    for round in 0..rounds() {
        let bytes = mutated(&commands, &mut Numbers(round));
        let mut broker = engine(MEMORY_BYTES_MAX);
        broker.begin(1);
        let mut client = broker.connect(String::new(), 1);
        for owned in requests(&bytes, round) {
            read += 1;
            let request = owned.request();
            let mut again = Vec::new();
            again.array(request.len());
            request.from(0).for_each(|argument| again.bulk(argument));
            let reread = requests(&again, round);
            assert_eq!(reread.len(), 1, "round {round}");
            assert!(reread[0].request().from(0).eq(request.from(0)), "round {round}");
            let mut reply = Vec::new();
            let outcome = broker.execute(client, request, 5, &mut reply);
            match outcome.ending {
                Ending::Answered if request.is_empty() => assert!(reply.is_empty()),
                Ending::Answered => {
                    let (_, taken) = Value::decode(&reply, usize::MAX).unwrap().unwrap();
                    assert_eq!(taken, reply.len(), "round {round}");
                }
                Ending::Waits | Ending::Closes => {
                    broker.disconnect(client);
                    client = broker.connect(String::new(), 5);
                }
            }
        }
        let most = MEMORY_BYTES_MAX + 10 * bytes.len() + 10_000;
        assert!(broker.memory_used() <= most, "round {round}");
        // Whatever was done can be repeated.
        let (log, _) = broker.take_effects();
        let mut other = engine(0);
        other.replay(&log).unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
    assert!(read > rounds(), "only {read} were read");
}
