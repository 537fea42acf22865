//! What was written down makes the same state again, also when the log was written anew meanwhile.

use proptest::prelude::*;
use tutti_bus::{
    broker::engine::{Engine, EngineSettings},
    resp::{OwnedRequest, Value},
};

use crate::compare::{Command, PLAIN, STREAMS, commands, normal};

/// When all of it happens, in milliseconds since 1970.
const NOW: i64 = 1_700_000_000_000;

/// How much is written anew between two commands: little, so that a pass takes many.
const REWRITE_BYTES: usize = 60;

pub(crate) fn engine() -> Engine {
    Engine::new(EngineSettings {
        databases: 3,
        memory_bytes_max: 0,
        password: None,
        clients_max: 10,
        bulk_bytes_max: 1 << 20,
        logs: true,
        process_id: 1,
        started_at: NOW,
    })
}

fn ask(engine: &mut Engine, client: u64, command: &[String]) -> Value {
    let request: OwnedRequest = command.iter().map(String::as_bytes).collect();
    let mut reply = Vec::new();
    engine.execute(client, request.request(), NOW, &mut reply);
    Value::decode(&reply, usize::MAX).unwrap().map_or(Value::Null, |(value, _)| value)
}

/// Everything that is kept, as it is answered.
fn state(engine: &mut Engine) -> Vec<String> {
    let client = engine.connect(String::new(), NOW);
    let mut seen = Vec::new();
    for database in ["0", "1", "2"] {
        ask(engine, client, &["SELECT".to_owned(), database.to_owned()]);
        for key in ["a", "b", "c", "d", "s", "t"] {
            let mut see = |words: &[&str]| {
                let command: Command = words.iter().map(|word| (*word).to_owned()).collect();
                let reply = normal(&command, ask(engine, client, &command));
                seen.push(format!("{database} {words:?} {reply:?}"));
                reply
            };
            match see(&["TYPE", key]) {
                Value::Status(kind) if kind == "list" => {
                    seen.pop();
                    seen.push(format!(
                        "{database} {:?} {:?}",
                        ["TYPE", key],
                        Value::Status("none".to_owned())
                    ));
                    continue;
                }
                Value::Status(kind) if kind == "none" => continue,
                _ => (),
            }
            see(&["GET", key]);
            see(&["SMEMBERS", key]);
            see(&["PTTL", key]);
            see(&["XRANGE", key, "-", "+"]);
            see(&["XINFO", "STREAM", key]);
            see(&["XINFO", "GROUPS", key]);
            for group in ["g", "h"] {
                see(&["XINFO", "CONSUMERS", key, group]);
                see(&["XPENDING", key, group]);
                see(&["XPENDING", key, group, "-", "+", "100"]);
            }
        }
    }
    seen
}

fn mixed() -> impl Strategy<Value = Vec<Command>> {
    (commands(STREAMS), commands(PLAIN), any::<u64>()).prop_map(|(mut all, plain, seed)| {
        // Shuffled into each other.
        for (number, command) in plain.into_iter().enumerate() {
            let place = seed.rotate_left(number as u32 * 7) as usize % (all.len() + 1);
            all.insert(place, command);
        }
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_pass_that_was_cut_off_changes_nothing(
        all in mixed(),
        rewrites_at in 0_usize..40,
        dies_at in 0_usize..80,
    ) {
        let mut ours = engine();
        ours.begin(NOW);
        let client = ours.connect(String::new(), NOW);
        let mut log = Vec::new();
        let mut pass = None;
        for (at, command) in all.iter().take(dies_at).enumerate() {
            ask(&mut ours, client, command);
            if at == rewrites_at {
                log.push(ours.take_effects().0);
                pass = Some(ours.begin_snapshot());
            }
            if let Some(snapshot) = &mut pass {
                ours.continue_snapshot(snapshot, 1);
            }
        }
        log.push(ours.take_effects().0);
        let mut again = engine();
        log.iter().for_each(|row| again.replay(row).unwrap());
        again.begin(NOW);
        prop_assert_eq!(state(&mut again), state(&mut ours));
    }

    #[test]
    fn the_log_makes_the_same_state_again(all in mixed(), rewrites_at in 0_usize..80) {
        let mut ours = engine();
        ours.begin(NOW);
        let client = ours.connect(String::new(), NOW);
        let mut log = Vec::new();
        let mut pass = None;
        for (at, command) in all.iter().enumerate() {
            ask(&mut ours, client, command);
            if at == rewrites_at {
                // As by the broker: what was recorded so far is in rows of its own, and they are dropped when the pass is through.
                log.push(ours.take_effects().0);
                pass = Some((ours.begin_snapshot(), log.len()));
            }
            if let Some((snapshot, _)) = &mut pass {
                ours.continue_snapshot(snapshot, REWRITE_BYTES);
            }
            if at % 3 == 0 {
                log.push(ours.take_effects().0);
            }
        }
        let needed_from = match &mut pass {
            Some((snapshot, first)) => {
                while !ours.continue_snapshot(snapshot, REWRITE_BYTES) {}
                *first
            }
            None => 0,
        };
        log.push(ours.take_effects().0);
        for rows in [&log[..], &log[needed_from..]] {
            let mut again = engine();
            rows.iter().for_each(|row| again.replay(row).unwrap());
            again.begin(NOW);
            prop_assert_eq!(state(&mut again), state(&mut ours));
        }
    }
}

#[test]
fn a_long_stream_is_whole_wherever_a_pass_through_it_is_cut_off() {
    let mut ours = engine();
    ours.begin(NOW);
    let client = ours.connect(String::new(), NOW);
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Command>();
    ask(&mut ours, client, &words("XGROUP CREATE s g 0 MKSTREAM"));
    (1..=20).for_each(|id| drop(ask(&mut ours, client, &words(&format!("XADD s {id} f {id}")))));
    ask(&mut ours, client, &words("XREADGROUP GROUP g me COUNT 3 STREAMS s >"));
    ask(&mut ours, client, &words("PEXPIREAT s 1800000000000"));
    let mut log = vec![ours.take_effects().0];
    let mut pass = ours.begin_snapshot();
    while !ours.continue_snapshot(&mut pass, 1) {
        log.push(ours.take_effects().0);
        let mut again = engine();
        log.iter().for_each(|row| again.replay(row).unwrap());
        again.begin(NOW);
        assert_eq!(state(&mut again), state(&mut ours));
    }
    assert!(log.len() > 20);
}

#[test]
fn a_log_that_is_cut_off_is_refused() {
    let mut engine = engine();
    assert!(
        engine.replay(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n").is_err()
    );
    assert!(engine.replay(b"*2\r\n$6\r\nSELECT\r\n$2\r\n99\r\n").is_err());
    assert!(engine.replay(b"*1\r\n$5\r\nOTHER\r\n").is_err());
}
