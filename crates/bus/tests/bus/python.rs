//! Messages as Python Lightbus 1.1.2 sends them, and what it takes badly.

use std::time::Duration;

use serde_json::{Value, json};

use crate::auth::{API, Auth};
use crate::server::{Server, eventually, on_every_server};

on_every_server! {
    python_calls_are_answered,
    every_call_that_ends_a_python_worker_is_answered_or_survived,
    what_is_sent_is_what_python_reads,
    what_others_know_of_an_api_is_kept_by_who_fires_its_events,
}

/// Calls as Python does, but for the guard, which comes first so that nothing depends on who is quicker; then waits on a
/// list of its own.
async fn call(server: &Server, id: &str, blob: &str, list: &str) -> Option<Value> {
    let _: String = server.run(&["SET", &format!("rpc_expiry_key:{id}"), "1"]).await;
    let _: i64 = server.run(&["RPUSH", &format!("{API}:rpc_queue"), blob]).await;
    let answer: Option<(String, String)> = server.run(&["BLPOP", list, "1"]).await;
    answer.map(|(_, blob)| serde_json::from_str(&blob).unwrap())
}

fn blob(id: &str, procedure: &str, kwargs: &str) -> String {
    format!(
        r#"{{"kwargs": {kwargs}, "metadata": {{"api_name": "{API}", "id": "{id}",
            "procedure_name": "{procedure}", "return_path": "redis+key://{API}.{procedure}:result:{id}"}}}}"#
    )
}

async fn python_calls_are_answered(server: Server) {
    let worker = server.bus("auth", "1").await;
    worker.serve(Auth::default()).await.unwrap();
    let answer = async |id: &str, procedure: &str, kwargs: &str| {
        let list = format!("{API}.{procedure}:result:{id}");
        call(&server, id, &blob(id, procedure, kwargs), &list).await.unwrap()
    };
    let good = answer("1", "add", r#"{"a": 1, "b": 2}"#).await;
    assert_eq!(good["kwargs"], json!({"result": 3}));
    assert_eq!(
        (&good["metadata"]["error"], &good["metadata"]["rpc_message_id"]),
        (&json!(false), &json!("1"))
    );
    assert_eq!(good["metadata"].as_object().unwrap().len(), 3, "Python takes no other key");
    for (id, procedure, kwargs) in [
        ("2", "add", r#"{"a": 1}"#),
        ("3", "add", r#"{"a": 1, "b": 2, "c": 3}"#),
        ("4", "add", r#"{"a": NaN, "b": 2}"#),
        ("5", "add", "null"),
        ("6", "nope", "{}"),
        ("7", "lie", "{}"),
        ("8", "fail", r#"{"why": "x"}"#),
    ] {
        let bad = answer(id, procedure, kwargs).await;
        assert_eq!(bad["metadata"]["error"], json!(true), "{id}");
        assert!(bad["kwargs"]["result"].is_string(), "{id}");
    }
    let ttl: i64 = server.run(&["EXISTS", "rpc_expiry_key:8"]).await;
    assert_eq!(ttl, 0);
}

async fn every_call_that_ends_a_python_worker_is_answered_or_survived(server: Server) {
    let worker = server.bus("auth", "1").await;
    worker.serve(Auth::default()).await.unwrap();
    let matrix = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/compat_matrix.json");
    let matrix: Value = serde_json::from_slice(&std::fs::read(matrix).unwrap()).unwrap();
    let _: String = server.run(&["SET", "rpc_expiry_key:rust-1", "1"]).await;
    for case in matrix["rpc_to_python_worker"].as_array().unwrap() {
        let _: String = server.run(&["SET", "rpc_expiry_key:rust-1", "1"]).await;
        let sent = case["sent"].as_str().unwrap();
        let _: i64 = server.run(&["RPUSH", &format!("{API}:rpc_queue"), sent]).await;
        let return_path = serde_json::from_str::<Value>(sent).ok().and_then(|call| {
            call["metadata"]["return_path"]
                .as_str()?
                .strip_prefix("redis+key://")
                .map(str::to_owned)
        });
        if let Some(list) = return_path {
            let answer: Option<(String, String)> = server.run(&["BLPOP", &list, "5"]).await;
            assert!(answer.is_some(), "no answer: {}", case["case"]);
        }
    }
    eventually("the queue is empty", || async {
        server.run::<u64>(&["LLEN", &format!("{API}:rpc_queue")]).await == 0
    })
    .await;
    assert_eq!(
        server.bus("web", "1").await.call(API, "add", json!({"a": 1, "b": 2})).await.unwrap(),
        json!(3)
    );
}

async fn what_is_sent_is_what_python_reads(server: Server) {
    let client = server.bus("web", "1").await;
    let options =
        tutti_bus::CallOptions { timeout: Some(Duration::from_millis(50)), ..Default::default() };
    let outcome: Result<Value, _> =
        client.request(API, "add", &json!({"a": 1, "b": 2}), &options).await;
    outcome.unwrap_err();
    let sent: String = server.run(&["LPOP", &format!("{API}:rpc_queue")]).await;
    let sent: Value = serde_json::from_str(&sent).unwrap();
    let keys: Vec<&String> = sent["metadata"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["api_name", "id", "procedure_name", "return_path"]);
    assert_eq!(sent["kwargs"], json!({"a": 1, "b": 2}));
    assert!(sent["tutti"]["deadline_ms"].is_u64());
    let ttl: i64 = server
        .run(&["TTL", &format!("rpc_expiry_key:{}", sent["metadata"]["id"].as_str().unwrap())])
        .await;
    assert!((0..=1).contains(&ttl), "{ttl}");

    client.fire(crate::auth::UserRegistered::number(1)).await.unwrap();
    let entries: Vec<(String, Vec<String>)> =
        server.run(&["XRANGE", &format!("{API}.*:stream"), "-", "+"]).await;
    let fields: Vec<&str> = entries[0].1.iter().step_by(2).map(String::as_str).collect();
    assert_eq!(fields, ["id", "api_name", "event_name", "version", ":username", ":number", ""]);
    let schema: String = server.run(&["GET", &format!("schema:{API}")]).await;
    assert_eq!(&serde_json::from_str::<Value>(&schema).unwrap(), crate::auth::schema().document());
}

/// An event of an API that others serve.
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema, tutti_bus::Event)]
#[event(api = "my_company.auth")]
struct CameIn {
    username: String,
}

async fn what_others_know_of_an_api_is_kept_by_who_fires_its_events(server: Server) {
    let stored = async || -> Value {
        let text: Option<String> = server.run(&["GET", &format!("schema:{API}")]).await;
        serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default()
    };
    let has_all = |schema: &Value| {
        schema["events"]["came_in"].is_object()
            && schema["events"]["user_registered"].is_object()
            && schema["rpcs"]["add"].is_object()
    };
    let mut settings = server.settings("s", "1");
    settings.schema_ttl = Duration::from_secs(1);
    let bus = tutti_bus::Bus::connect(settings).await.unwrap();
    bus.fire(CameIn { username: "ann".to_owned() }).await.unwrap();
    assert!(stored().await["events"]["came_in"].is_object());

    // A Python service that comes later knows nothing of this event, and stores what it knows.
    let theirs = crate::auth::schema().document().to_string();
    let _: String = server.run(&["SET", &format!("schema:{API}"), &theirs]).await;
    eventually("both are there", async || has_all(&stored().await)).await;

    let later = server.bus("s", "2").await;
    later.fire(CameIn { username: "bob".to_owned() }).await.unwrap();
    assert!(has_all(&stored().await));
}
