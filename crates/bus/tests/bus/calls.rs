//! Calls between processes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tutti_bus::{CallOptions, Error, FailureKind};

use crate::auth::{API, Auth};
use crate::server::{Server, eventually, on_every_server};

on_every_server! {
    a_call_is_answered,
    many_calls_at_a_time_each_get_their_own_answer,
    failures_say_what_went_wrong,
    what_does_not_fit_the_schema_is_not_sent,
    nobody_answers,
    a_deadline_goes_with_the_call,
    at_most_so_many_calls_run_at_a_time,
    an_api_of_this_process_is_called_directly,
    a_shutdown_finishes_what_runs,
    nothing_is_left_behind,
}

fn remote(error: Error) -> (FailureKind, String) {
    match error {
        Error::Remote { failure, .. } => (failure.kind, failure.message),
        other => panic!("{other}"),
    }
}

async fn a_call_is_answered(server: Server) {
    let (worker, client) = (server.bus("auth", "1").await, server.bus("web", "1").await);
    worker.serve(Auth::default()).await.unwrap();
    assert_eq!(client.call(API, "add", json!({"a": 1, "b": 2})).await.unwrap(), json!(3));
    let metrics = client.metrics();
    let line = format!(
        "lightbus_called_rpcs{{api_name=\"{API}\",service_name=\"web\",transport_name=\"redis\"}} 1"
    );
    assert!(metrics.contains(&line), "{metrics}");
}

async fn many_calls_at_a_time_each_get_their_own_answer(server: Server) {
    let (worker, client) = (server.bus("auth", "1").await, server.bus("web", "1").await);
    worker.serve(Auth::default()).await.unwrap();
    let calls = (0..500).map(|a| {
        let client = client.clone();
        async move { client.call(API, "add", json!({"a": a, "b": 1})).await.unwrap() }
    });
    let answers = futures_util::future::join_all(calls).await;
    assert_eq!(answers, (1..=500).map(Value::from).collect::<Vec<_>>());
}

async fn failures_say_what_went_wrong(server: Server) {
    let (worker, client) = (server.bus("auth", "1").await, server.bus("web", "1").await);
    worker.serve(Auth::default()).await.unwrap();
    let failure = |procedure: &'static str, arguments: Value| {
        let client = client.clone();
        async move { remote(client.call(API, procedure, arguments).await.unwrap_err()) }
    };
    assert_eq!(
        failure("fail", json!({"why": "é"})).await,
        (FailureKind::Failed, "failed: é".to_owned())
    );
    let (kind, message) = failure("lie", json!({})).await;
    assert_eq!(kind, FailureKind::InvalidResult, "{message}");
    let (kind, message) = failure("panic", json!({})).await;
    assert_eq!((kind, message.contains("panicked")), (FailureKind::Failed, true), "{message}");
}

async fn what_does_not_fit_the_schema_is_not_sent(server: Server) {
    let (worker, client) = (server.bus("auth", "1").await, server.bus("web", "1").await);
    worker.serve(Auth::default()).await.unwrap();
    worker.shutdown().await;
    for (procedure, arguments, says) in [
        ("add", json!({"a": 1}), "b"),
        ("add", json!({"a": 1, "b": "2"}), "b"),
        ("add", json!({"a": 1, "b": 2, "c": 3}), "c"),
        ("nope", json!({}), "nope"),
    ] {
        match client.call(API, procedure, arguments).await.unwrap_err() {
            Error::Invalid(message) => assert!(message.contains(says), "{message}"),
            other => panic!("{other}"),
        }
    }
    let waiting: u64 = server.run(&["LLEN", &format!("{API}:rpc_queue")]).await;
    assert_eq!(waiting, 0);
}

async fn nobody_answers(server: Server) {
    let client = server.bus("web", "1").await;
    let options =
        CallOptions { timeout: Some(Duration::from_millis(100)), ..CallOptions::default() };
    let outcome: Result<Value, Error> = client.request("a.b", "c", &json!({}), &options).await;
    assert!(
        matches!(outcome.unwrap_err(), Error::Timeout { timeout, .. } if timeout.as_millis() <= 100)
    );
    let lives: i64 = server.run(&["LLEN", "a.b:rpc_queue"]).await;
    assert_eq!(lives, 1, "the call stays in the queue, for who comes later to drop it");
}

async fn a_deadline_goes_with_the_call(server: Server) {
    let (worker, client) = (server.bus("auth", "1").await, server.bus("web", "1").await);
    worker.serve(Auth::default()).await.unwrap();
    let options = CallOptions { timeout: Some(Duration::from_secs(3)), ..CallOptions::default() };
    let left: u64 = client.request(API, "time_left", &json!({}), &options).await.unwrap();
    assert!((1_000..=3_000).contains(&left), "{left}");
    let trace: String = client.request(API, "trace", &json!({}), &options).await.unwrap();
    assert_eq!((trace.len(), trace.starts_with("00-")), (55, true), "{trace}");
}

async fn at_most_so_many_calls_run_at_a_time(server: Server) {
    let mut settings = server.settings("auth", "1");
    settings.calls_max = 2;
    let worker = tutti_bus::Bus::connect(settings).await.unwrap();
    worker.serve(Auth::default()).await.unwrap();
    let client = server.bus("web", "1").await;
    let begun = Instant::now();
    let calls = (0..4).map(|_| client.call(API, "sleep", json!({"milliseconds": 200})));
    for outcome in futures_util::future::join_all(calls).await {
        outcome.unwrap();
    }
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
}

async fn an_api_of_this_process_is_called_directly(server: Server) {
    let bus = server.bus("auth", "1").await;
    bus.serve(Auth::default()).await.unwrap();
    let before: String = server.run(&["INFO", "commandstats"]).await;
    assert_eq!(bus.call(API, "add", json!({"a": 1, "b": 2})).await.unwrap(), json!(3));
    assert!(matches!(bus.call(API, "add", json!({"a": 1})).await, Err(Error::Invalid(_))));
    let after: String = server.run(&["INFO", "commandstats"]).await;
    let pushes = |stats: &str| stats.lines().find(|line| line.contains("rpush")).map(str::to_owned);
    assert_eq!(pushes(&before), pushes(&after));
    let options = CallOptions { remote_only: true, ..CallOptions::default() };
    let sum: i64 = bus.request(API, "add", &json!({"a": 1, "b": 2}), &options).await.unwrap();
    assert_eq!(sum, 3);
}

async fn a_shutdown_finishes_what_runs(server: Server) {
    let (worker, client) = (server.bus("auth", "1").await, server.bus("web", "1").await);
    worker.serve(Auth::default()).await.unwrap();
    let call =
        tokio::spawn(async move { client.call(API, "sleep", json!({"milliseconds": 500})).await });
    let queue = format!("{API}:rpc_queue");
    tokio::time::sleep(Duration::from_millis(200)).await;
    worker.shutdown().await;
    assert_eq!(call.await.unwrap().unwrap(), Value::Null);
    let waiting: u64 = server.run(&["LLEN", &queue]).await;
    assert_eq!(waiting, 0);
}

async fn nothing_is_left_behind(server: Server) {
    let (worker, client) = (server.bus("auth", "1").await, server.bus("web", "1").await);
    worker.serve(Auth::default()).await.unwrap();
    for _ in 0..20 {
        client.call(API, "add", json!({"a": 1, "b": 2})).await.unwrap();
    }
    eventually("only schemas are left", || async {
        let mut keys: Vec<String> = server.run(&["KEYS", "*"]).await;
        keys.sort();
        keys == [format!("schema:{API}"), "schemas".to_owned()]
    })
    .await;
}
