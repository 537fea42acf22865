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
    places_of_calls_do_not_wait_for_each_other,
    what_is_private_or_unknown_is_not_called_from_outside,
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

async fn places_of_calls_do_not_wait_for_each_other(server: Server) {
    let elsewhere = Server::broker().await.unwrap();
    let place = tutti_bus::Address::url(&elsewhere.url()).unwrap();
    let settings = |service| {
        let mut settings = server.settings(service, "1");
        let there =
            tutti_bus::ApiSettings { call_address: Some(place.clone()), ..Default::default() };
        settings.apis.insert("elsewhere".to_owned(), there);
        settings.calls_max = 1;
        settings
    };
    let worker = tutti_bus::Bus::connect(settings("auth")).await.unwrap();
    let client = tutti_bus::Bus::connect(settings("web")).await.unwrap();
    worker.serve(Auth::default()).await.unwrap();
    worker.serve(Named("elsewhere", Auth::default())).await.unwrap();
    let options = CallOptions { timeout: Some(Duration::from_secs(2)), ..CallOptions::default() };
    for sum in 0..3 {
        for api in [API, API, "elsewhere", "elsewhere"] {
            let arguments = json!({"a": sum, "b": 0});
            let answer: i64 = client.request(api, "add", &arguments, &options).await.unwrap();
            assert_eq!(answer, sum);
        }
    }
}

/// The same service by another name.
struct Named(&'static str, Auth);

impl tutti_bus::Service for Named {
    fn schema(&self) -> &tutti_bus::schema::ApiSchema {
        static SCHEMA: std::sync::OnceLock<tutti_bus::schema::ApiSchema> =
            std::sync::OnceLock::new();
        SCHEMA.get_or_init(|| {
            let document = self.1.schema().document().clone();
            tutti_bus::schema::ApiSchema::new(self.0, 1, document)
        })
    }

    fn execute<'a>(
        &'a self,
        call: tutti_bus::Call<'a>,
    ) -> futures_util::future::BoxFuture<
        'a,
        Result<Box<serde_json::value::RawValue>, tutti_bus::Failure>,
    > {
        self.1.execute(call)
    }
}

async fn what_is_private_or_unknown_is_not_called_from_outside(server: Server) {
    let worker = server.bus("auth", "1").await;
    worker.serve_here(Named("private", Auth::default()));
    worker.serve(Auth::default()).await.unwrap();
    assert_eq!(worker.call("private", "add", json!({"a": 1, "b": 2})).await.unwrap(), json!(3));
    let queue = format!("{API}:rpc_queue");
    for api in ["private", "nobody.knows"] {
        let message = json!({
            "metadata": {"id": api, "api_name": api, "procedure_name": "add",
                         "return_path": format!("redis+key://results:{api}")},
            "kwargs": {"a": 1, "b": 2},
        });
        let _: String = server.run(&["SET", &format!("rpc_expiry_key:{api}"), "1"]).await;
        let _: u64 = server.run(&["RPUSH", &queue, &message.to_string()]).await;
        let (_, result): (String, String) =
            server.run(&["BLPOP", &format!("results:{api}"), "5"]).await;
        let result: Value = serde_json::from_str(&result).unwrap();
        assert_eq!(result["metadata"]["error"], json!(true), "{result}");
        assert_eq!(result["kwargs"]["result"], json!(format!("{api} has no procedure add")));
    }
    assert!(!worker.metrics().contains("nobody.knows"));
}
