//! Whatever bytes come: nothing panics, and nothing is lost count of.
//!
//! `PROPTEST_CASES=1000000 cargo test -p tutti-bus --release --test broker garbage` tries for long.

use proptest::prelude::*;
use tutti_bus::{
    broker::engine::{Ending, Engine, EngineSettings},
    resp::{Limits, Reply as _, RequestParser, Value},
};

use crate::compare::{PLAIN, STREAMS, commands};

const LIMITS: Limits = Limits {
    arguments_max: 1000,
    bulk_bytes_max: 10_000,
    request_bytes_max: 20_000,
    unknown: false,
};

/// As many cases as fit into CI, or as `PROPTEST_CASES` says.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100)
}

/// Requests, some with bytes changed, removed or put in.
fn nearly_requests() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 0..6);
    (prop_oneof![commands(STREAMS), commands(PLAIN)], changes).prop_map(|(commands, changes)| {
        let mut bytes = Vec::new();
        for command in commands {
            bytes.array(command.len());
            command.iter().for_each(|word| bytes.bulk(word.as_bytes()));
        }
        for (place, byte, change) in changes {
            let at = place.index(bytes.len().max(1));
            match change {
                0 if at < bytes.len() => bytes[at] = byte,
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.truncate(at),
                _ => {
                    bytes.insert(at.min(bytes.len()), b"\r\n$*-0123456789"[usize::from(byte) % 15])
                }
            }
        }
        bytes
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let alphabet = prop::sample::select(b"\r\n\r\n$*:+-0123456789aX\"'\\ \xff".to_vec());
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        prop::collection::vec(alphabet, 0..300),
        nearly_requests(),
    ]
}

/// Requests found in pieces of so many bytes, and whether something was wrong.
fn parsed(input: &[u8], step: usize) -> (Vec<Vec<Vec<u8>>>, bool) {
    let mut parser = RequestParser::default();
    let (mut start, mut end, mut found) = (0, 0, Vec::new());
    loop {
        match parser.parse(&input[start..end], &LIMITS) {
            Ok(Some(taken)) => {
                let request = parser.request(&input[start..end]);
                found.push(request.from(0).map(<[u8]>::to_vec).collect());
                start += taken;
            }
            Ok(None) if end == input.len() => return (found, false),
            Ok(None) => end = (end + step).min(input.len()),
            Err(_) => return (found, true),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..Default::default() })]

    #[test]
    fn requests_do_not_depend_on_the_pieces_they_come_in(input in bytes(), step in 1_usize..50) {
        prop_assert_eq!(parsed(&input, step), parsed(&input, usize::MAX / 2));
    }

    #[test]
    fn replies_are_read_or_refused(input in bytes()) {
        if let Ok(Some((_, taken))) = Value::decode(&input, 1000) {
            prop_assert!(taken <= input.len());
        }
    }

    #[test]
    fn the_engine_answers_everything_and_forgets_nothing(input in bytes()) {
        let mut engine = Engine::new(EngineSettings {
            databases: 3, memory_bytes_max: 1 << 20, password: None, clients_max: 10, bulk_bytes_max: 10_000, logs: true,
            process_id: 1, started_at: 0,
        });
        engine.begin(1);
        let (mut client, mut reply) = (engine.connect(String::new(), 1), Vec::new());
        for request in parsed(&input, 100).0 {
            reply.clear();
            let request = request.iter().map(Vec::as_slice).collect::<tutti_bus::resp::OwnedRequest>();
            let outcome = engine.execute(client, request.request(), 5, &mut reply);
            let answer = Value::decode(&reply, usize::MAX);
            match outcome.ending {
                Ending::Answered if request.request().is_empty() => prop_assert!(reply.is_empty()),
                Ending::Answered => prop_assert_eq!(answer.unwrap().unwrap().1, reply.len()),
                Ending::Waits | Ending::Closes => {
                    engine.disconnect(client);
                    client = engine.connect(String::new(), 5);
                }
            }
        }
        engine.disconnect(client);
        let client = engine.connect(String::new(), 6);
        let flush = [b"FLUSHALL".as_slice()].into_iter().collect::<tutti_bus::resp::OwnedRequest>();
        engine.execute(client, flush.request(), 6, &mut reply);
        prop_assert_eq!(engine.memory_used(), 0);
    }
}
