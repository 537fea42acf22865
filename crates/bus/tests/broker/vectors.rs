//! Captured traffic of Python Lightbus with a real Redis, replayed: every command gets the reply that it got there.
//!
//! The engine is asked directly, so the time is that of the capture. Each file is one session: `frames` are commands with their replies,
//! per side (`who`) and connection, with the seconds at which they were sent (`t`) and until they were answered (`dt`).

use std::{collections::HashMap, fs, path::Path};

use serde_json::Value as Json;
use tutti_bus::{
    broker::{
        Settings,
        engine::{Ending, Engine, EngineSettings},
    },
    resp::{OwnedRequest, Value},
};

/// How much idle times may differ from the capture, in milliseconds: those of Redis have passed through a proxy.
const IDLE_TOLERANCE_MS: i64 = 400;

/// One command of a session.
struct Frame {
    connection: String,
    sent_at: f64,
    answered_at: f64,
    command: Vec<Vec<u8>>,
    reply: Json,
}

impl Frame {
    fn read(frame: &Json) -> Self {
        let sent_at = frame["t"].as_f64().unwrap();
        let command = frame["cmd"].as_array().unwrap().iter();
        Self {
            connection: format!("{} {}", frame["who"], frame["conn"]),
            sent_at,
            answered_at: sent_at + frame["dt"].as_f64().unwrap(),
            command: command.map(|word| word.as_str().unwrap().as_bytes().to_vec()).collect(),
            reply: frame["reply"].clone(),
        }
    }

    fn name(&self) -> String {
        let words = self.command.iter().take(2).map(|word| String::from_utf8_lossy(word));
        words.collect::<Vec<_>>().join(" ")
    }

    fn is_cut_off(&self) -> bool {
        self.reply.get("no_reply").is_some()
    }

    /// The id that Redis drew by its clock.
    fn drawn_ms(&self) -> Option<i64> {
        let draws = self.command[0] == b"XADD" && self.command.iter().any(|word| word == b"*");
        let id = if draws { self.reply.as_str() } else { None };
        id?.split('-').next()?.parse().ok()
    }
}

/// A session being replayed.
struct Session {
    engine: Engine,
    frames: Vec<Frame>,
    clients: HashMap<String, u64>,
    /// The frame whose reply a client waits for.
    waiting: HashMap<u64, usize>,
    /// Milliseconds since 1970 at which the session began.
    base: i64,
    compared: usize,
    file: String,
}

impl Session {
    /// A session, if the file is one.
    fn open(path: &Path) -> Option<Self> {
        let json: Json = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let frames: Vec<_> = json["frames"].as_array()?.iter().map(Frame::read).collect();
        let drawn = frames.iter().find_map(|frame| Some((frame.drawn_ms()?, frame.sent_at)));
        let base = drawn.map_or(1_700_000_000_000, |(ms, sent_at)| ms - (sent_at * 1000.0) as i64);
        let settings = EngineSettings {
            databases: 16,
            memory_bytes_max: 0,
            password: None,
            clients_max: Settings::default().clients_max,
            bulk_bytes_max: Settings::default().bulk_bytes_max,
            logs: false,
            process_id: 1,
            started_at: base,
        };
        Some(Self {
            engine: Engine::new(settings),
            frames,
            clients: HashMap::new(),
            waiting: HashMap::new(),
            base,
            compared: 0,
            file: path.file_name().unwrap().to_string_lossy().into_owned(),
        })
    }

    fn replay(mut self) -> usize {
        // Commands when they were sent, and connections that were cut off when that happened.
        let mut events: Vec<(f64, usize, bool)> = Vec::new();
        for (at, frame) in self.frames.iter().enumerate() {
            events.push((frame.sent_at, at, true));
            if frame.is_cut_off() {
                events.push((frame.answered_at, at, false));
            }
        }
        events.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (time, at, is_sent) in events {
            let now = self.frames[at]
                .drawn_ms()
                .filter(|_| is_sent)
                .unwrap_or(self.base + (time * 1000.0) as i64);
            self.engine.tick(now);
            self.hand_out();
            if is_sent {
                self.send(at, now)
            } else {
                self.cut_off(at)
            }
            self.hand_out();
        }
        self.engine.tick(i64::MAX / 2);
        self.hand_out();
        assert!(
            self.waiting.is_empty(),
            "{}: {} were never answered",
            self.file,
            self.waiting.len()
        );
        self.compared
    }

    fn send(&mut self, at: usize, now: i64) {
        let connection = self.frames[at].connection.clone();
        let engine = &mut self.engine;
        let client =
            *self.clients.entry(connection).or_insert_with(|| engine.connect(String::new(), now));
        let request: OwnedRequest = self.frames[at].command.iter().map(Vec::as_slice).collect();
        let mut reply = Vec::new();
        let outcome = engine.execute(client, request.request(), now, &mut reply);
        match outcome.ending {
            Ending::Answered => self.compare(at, &reply),
            Ending::Waits => assert_eq!(self.waiting.insert(client, at), None),
            Ending::Closes => panic!("{}: closed by {}", self.file, self.frames[at].name()),
        }
    }

    fn cut_off(&mut self, at: usize) {
        if let Some(client) = self.clients.remove(&self.frames[at].connection) {
            self.waiting.remove(&client);
            self.engine.disconnect(client);
        }
    }

    fn hand_out(&mut self) {
        for outgoing in self.engine.take_outgoing() {
            let at = self.waiting.remove(&outgoing.client).unwrap();
            self.compare(at, &outgoing.reply);
        }
    }

    fn compare(&mut self, at: usize, reply: &[u8]) {
        let frame = &self.frames[at];
        let (ours, length) = Value::decode(reply, usize::MAX).unwrap().unwrap();
        assert_eq!(length, reply.len());
        let ordered = !matches!(frame.command[0].as_slice(), b"SMEMBERS");
        // A client may have given up just when its time was over.
        let over = frame.is_cut_off() && ours == Value::NullArray;
        let equal = over || same(&ours, &frame.reply, ordered);
        let (file, name) = (&self.file, frame.name());
        assert!(
            equal,
            "{file} at {}: {name}: ours {ours:?}, theirs {}",
            frame.sent_at, frame.reply
        );
        self.compared += 1;
    }
}

fn same(ours: &Value, theirs: &Json, ordered: bool) -> bool {
    match (ours, theirs) {
        (Value::Status(text), theirs) => theirs["status"].as_str() == Some(text),
        (Value::Error(text), theirs) => theirs["error"].as_str() == Some(text),
        (Value::Null | Value::NullArray, theirs) => theirs.is_null(),
        (Value::Integer(number), theirs) => theirs.as_i64().is_some_and(|other| {
            // Larger ones are idle times.
            *number == other || other > 10 && (number - other).abs() < IDLE_TOLERANCE_MS
        }),
        (Value::Bulk(bytes), theirs) => theirs.as_str().is_some_and(|text| {
            text.as_bytes() == bytes
                || is_schema(text) && is_schema(&String::from_utf8_lossy(bytes))
        }),
        (Value::Array(items), Json::Array(others)) => {
            let mut items: Vec<_> = items.iter().collect();
            let mut others: Vec<_> = others.iter().collect();
            if !ordered {
                items.sort_by_key(|item| item.as_bytes().map(<[u8]>::to_vec));
                others.sort_by_key(|other| other.as_str().map(str::to_owned));
            }
            items.len() == others.len()
                && items.iter().zip(others).all(|(ours, theirs)| same(ours, theirs, true))
        }
        (Value::Array(_), _) => false,
    }
}

/// Schemas are in some of the files only; elsewhere a note stands in their place.
fn is_schema(text: &str) -> bool {
    text == "<schema, see schema_save>" || text.starts_with("{\"events\": ")
}

#[test]
fn captured_sessions_get_the_same_replies() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut compared = 0;
    for entry in fs::read_dir(directory).unwrap() {
        compared += Session::open(&entry.unwrap().path()).map_or(0, Session::replay);
    }
    assert!(compared > 860, "only {compared} replies were compared");
}
