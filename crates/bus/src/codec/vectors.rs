//! What Python Lightbus 1.1.2 really sent, read and written again.

use std::path::Path;

use serde_json::Value;

use super::*;

fn vector(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// All commands of this name in all captured sessions.
pub(super) fn commands(command: &str) -> Vec<Vec<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let session = vector(entry.unwrap().file_name().to_str().unwrap());
        let frames = session["frames"].as_array().cloned().unwrap_or_default();
        for frame in frames.iter().filter(|frame| frame["cmd"][0] == command) {
            found.push(serde_json::from_value(frame["cmd"].clone()).unwrap());
        }
    }
    found
}

fn json(bytes: &[u8]) -> Value {
    lenient::from_slice(bytes).unwrap()
}

fn assert_call_round_trips(queue: &str, blob: &str) {
    let call = CallIn::decode(blob.as_bytes()).unwrap();
    assert_eq!(keys::call_queue(&call.api), queue);
    let again = CallOut {
        id: &call.id,
        api: &call.api,
        procedure: &call.procedure,
        results: &call.results,
        arguments: &call.arguments,
        extension: &Extension::default(),
    };
    assert_eq!(json(&again.encode().unwrap()), json(blob.as_bytes()));
}

#[test]
fn calls() {
    let calls = commands("RPUSH");
    assert!(calls.len() >= 4);
    for call in &calls {
        assert_call_round_trips(&call[1], &call[2]);
    }
    let messages = &vector("encoders.json")["messages"];
    let text = |name: &str| messages["rpc"][name].as_str().unwrap();
    assert_call_round_trips(text("key"), text("blob"));
    let call = CallIn::decode(text("blob").as_bytes()).unwrap();
    assert_eq!(keys::guard(&call.id), text("expiry_key"));
    assert_eq!(call.results, messages["result_ok"]["key"].as_str().unwrap());
}

fn assert_result_round_trips(blob: &str) {
    let value = json(blob.as_bytes());
    let read = ResultIn::decode(blob.as_bytes()).unwrap();
    let again = ResultOut {
        id: value["metadata"]["id"].as_str().unwrap(),
        call_id: &read.call_id,
        outcome: read.outcome.as_deref(),
    };
    let mut again = json(&again.encode().unwrap());
    // Beside Python's metadata there is only our own key, where nobody looks.
    again.as_object_mut().unwrap().remove("tutti");
    assert_eq!(again, value);
}

#[test]
fn results() {
    let results = commands("LPUSH");
    assert!(results.len() >= 3);
    for result in &results {
        assert_result_round_trips(&result[2]);
    }
    let messages = &vector("encoders.json")["messages"];
    for name in ["result_ok", "result_error"] {
        assert_result_round_trips(messages[name]["blob"].as_str().unwrap());
    }
}

/// Reads the fields of an entry, writes them, and compares: metadata as text, parameters as values.
fn assert_event_round_trips(stream: &str, fields: &[(String, String)]) {
    let bytes = fields.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes()));
    let Some(event) = EventIn::decode("1-1", bytes).unwrap() else {
        assert!(fields.iter().all(|(key, _)| key.is_empty()));
        return;
    };
    assert!(
        [true, false]
            .map(|each| keys::stream(&event.api, &event.name, each))
            .contains(&stream.to_owned())
    );
    let again = EventOut {
        id: &event.id,
        api: &event.api,
        name: &event.name,
        version: event.version,
        parameters: &event.parameters,
        extension: &Extension::default(),
    };
    let comparable = |key: &str, value: &str| {
        let value = if key.starts_with(':') { json(value.as_bytes()) } else { Value::from(value) };
        (key.to_owned(), value)
    };
    let mut sent: Vec<_> = fields.iter().map(|(key, value)| comparable(key, value)).collect();
    let mut written = Vec::new();
    let again = again.encode(|key, value| {
        written.push(comparable(str::from_utf8(key).unwrap(), str::from_utf8(value).unwrap()));
    });
    again.unwrap();
    sent.sort_by(|a, b| a.0.cmp(&b.0));
    written.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(sent, written);
}

#[test]
fn events() {
    let events = commands("XADD");
    assert!(events.len() >= 10);
    for command in &events {
        let fields =
            command.iter().skip_while(|word| *word != "*").skip(1).cloned().collect::<Vec<_>>();
        let fields: Vec<_> =
            fields.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        assert_event_round_trips(&command[1], &fields);
    }
    let event = &vector("encoders.json")["messages"]["event"];
    let fields: Vec<(String, String)> = serde_json::from_value(event["fields"].clone()).unwrap();
    for stream in ["stream_per_api", "stream_per_event"] {
        assert_event_round_trips(event[stream].as_str().unwrap(), &fields);
    }
}

#[test]
fn streams() {
    for case in vector("encoders.json")["streams"].as_array().unwrap() {
        let per_event = case["stream_use"] == "per_event";
        let mut streams: Vec<String> = case["listen_for"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| {
                keys::stream(pair[0].as_str().unwrap(), pair[1].as_str().unwrap(), per_event)
            })
            .collect();
        streams.dedup();
        assert_eq!(serde_json::to_value(streams).unwrap(), case["streams"]);
    }
}

#[test]
fn every_value_python_writes_is_read() {
    for case in vector("encoders.json")["deform"].as_array().unwrap() {
        if let Some(text) = case["json"].as_str() {
            json(text.as_bytes());
        }
    }
}

#[test]
fn values_are_written_as_python_writes_them() {
    use crate::value::{Bytes, DateTime, Decimal};
    let written = |python: &str| {
        let cases = vector("encoders.json");
        let case = cases["deform"]
            .as_array()
            .unwrap()
            .iter()
            .find(|case| case["python"] == python)
            .cloned();
        case.unwrap_or_else(|| panic!("no case {python}"))["json"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        serde_json::to_string(&Bytes(b"\x00\xffhi".to_vec())).unwrap(),
        written("b'\\x00\\xffhi'")
    );
    let decimal: Decimal = "12.50".parse().unwrap();
    assert_eq!(serde_json::to_string(&decimal).unwrap(), written("Decimal('12.50')"));
    let moment = written(
        "datetime(2024, 2, 29, 13, 5, 7, 250000, tzinfo=timezone(timedelta(hours=-5, minutes=-30)))",
    );
    let moment: DateTime = serde_json::from_str(&moment).unwrap();
    assert_eq!(moment.to_string(), "2024-02-29T18:35:07.250000+00:00");
    let id: uuid::Uuid = "12345678-1234-5678-1234-567812345678".parse().unwrap();
    assert_eq!(
        serde_json::to_string(&id).unwrap(),
        written("UUID('12345678-1234-5678-1234-567812345678')")
    );
}

/// The messages that end a Python worker are read by us, or refused with a reason.
#[test]
fn what_ends_a_python_peer_is_survived() {
    let matrix = vector("compat_matrix.json");
    for case in matrix["rpc_to_python_worker"].as_array().unwrap() {
        let sent = case["sent"].as_str().unwrap();
        let name = case["case"].as_str().unwrap();
        let unanswerable = [
            "no return_path",
            "empty return_path",
            "return_path of another scheme",
            "not JSON",
            "no id",
            "empty id",
        ];
        match CallIn::decode(sent.as_bytes()) {
            Ok(call) => assert!(!call.results.is_empty(), "{name}"),
            Err(_) => {
                assert!(unanswerable.iter().any(|each| name.contains(each)), "{name}: {sent}")
            }
        }
    }
    for case in matrix["event_to_python_listener"].as_array().unwrap() {
        let Ok(fields) = serde_json::from_value::<Vec<(String, String)>>(case["sent"].clone())
        else {
            continue;
        };
        // It returns; the outcome, an event or a reason, is the listener's to deal with.
        let bytes = fields.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes()));
        drop(EventIn::decode("1-1", bytes));
    }
}
