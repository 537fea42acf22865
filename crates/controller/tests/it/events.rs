//! The stream of events.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tutti_client::Events;
use tutti_model::api::Accepted;
use tutti_store::Store;

use crate::charm::charm;
use crate::world::{World, refusal};

/// The next event: number, topic, body.
async fn next(events: &mut Events) -> (i64, String, Value) {
    let event = tokio::time::timeout(Duration::from_secs(10), events.next()).await.unwrap();
    let event = event.unwrap().unwrap();
    (event.id.parse().unwrap(), event.event, serde_json::from_str(&event.data).unwrap())
}

#[tokio::test]
async fn events_resume_where_a_reader_left_off() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        let mut seen = Vec::new();
        let mut events = world.client.events("/v1/events?after=0").await.unwrap();
        let mut last = String::new();
        while !seen.iter().any(|(topic, _)| topic == "tutti.unit") {
            let event = tokio::time::timeout(Duration::from_secs(10), events.next()).await.unwrap();
            let event = event.unwrap().unwrap();
            let body: Value = serde_json::from_str(&event.data).unwrap();
            last = event.id.clone();
            seen.push((event.event, body));
        }
        assert_eq!((seen[0].0.as_str(), &seen[0].1["event"]), ("tutti.model", &json!("created")));
        drop(events);
        world.post::<Accepted>("/v1/models/m/machines", json!({})).await;
        let mut events = world.client.events(&format!("/v1/events?after={last}")).await.unwrap();
        assert_eq!(next(&mut events).await.0, last.parse::<i64>().unwrap() + 1);
        // A follower does not keep the controller from stopping.
        world.end().await;
    }
}

#[tokio::test]
async fn a_reader_chooses_topic_and_model() {
    for world in World::all().await {
        let model = world.model().await;
        world.add_model("n", "").await;
        world.post::<Accepted>("/v1/models/n/machines", json!({})).await;
        world.post::<Accepted>("/v1/models/m/machines", json!({})).await;
        let mut events =
            world.client.events("/v1/events?after=0&topic=tutti.machine").await.unwrap();
        for name in ["n", "m"] {
            let (_, topic, body) = next(&mut events).await;
            assert_eq!((topic.as_str(), &body["model"]), ("tutti.machine", &json!(name)));
        }
        for name in ["m", &model.uuid] {
            let path = format!("/v1/events?after=0&model={name}");
            let mut events = world.client.events(&path).await.unwrap();
            assert_eq!(next(&mut events).await.2["event"], "created");
            assert_eq!(next(&mut events).await.2["machine"], 0);
            let (_, topic, body) = next(&mut events).await;
            assert_eq!((topic.as_str(), &body["model"]), ("flow.ended", &json!("m")));
            assert_eq!(body["uuid"], json!(model.uuid));
        }
        let none = refusal(world.client.events("/v1/events?model=x").await);
        assert_eq!(none.status, 404);
        world.end().await;
    }
}

#[tokio::test]
async fn who_comes_back_says_what_was_seen() {
    for world in World::all().await {
        world.model().await;
        world.post::<Accepted>("/v1/models/m/machines", json!({})).await;
        let mut socket = UnixStream::connect(world.options.socket()).await.unwrap();
        let request = "GET /v1/events?after=0 HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 1\r\n\r\n";
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut read = String::new();
        while !read.contains("id: 2\n") {
            let mut bytes = [0; 4096];
            let reading = tokio::time::timeout(Duration::from_secs(10), socket.read(&mut bytes));
            let length = reading.await.unwrap().unwrap();
            assert!(length > 0, "the stream has ended: {read}");
            read.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
        assert!(!read.contains("id: 1\n"), "{read}");
        let bad = [("Last-Event-ID", "x")];
        let answer = world.send("GET", "/v1/events", &bad, &Value::Null).await;
        assert_eq!(answer.status, 400);
        let late = [("Last-Event-ID", "999999")];
        let answer = world.send("GET", "/v1/events?after=0", &late, &Value::Null).await;
        assert_eq!(answer.status, 410, "the header counts");
        world.end().await;
    }
}

#[tokio::test]
async fn who_does_not_follow_reads_to_the_end() {
    for world in World::all().await {
        world.model().await;
        world.post::<Accepted>("/v1/models/m/machines", json!({"count": 300})).await;
        let mut events = world.client.events("/v1/events?follow=false").await.unwrap();
        let mut read = 0;
        while let Some(event) = events.next().await.unwrap() {
            read += 1;
            assert_eq!(event.id, read.to_string());
        }
        assert!(read > 300, "{read}");
        world.end().await;
    }
}

#[tokio::test]
async fn who_has_missed_events_is_told_to_read_anew() {
    let mut world = World::sqlite().await;
    world.model().await;
    world.stop().await;
    let file = world.options.data.join("tutti.db").display().to_string();
    let store = Store::open(&file, &[]).await.unwrap();
    assert_eq!(store.outbox_kept().await.unwrap(), (0, 1));
    store.outbox_prune(i64::MAX).await.unwrap();
    assert_eq!(store.outbox_kept().await.unwrap(), (1, 1));
    store.close().await;
    world.start_again().await;
    let gone = refusal(world.client.events("/v1/events?after=0").await);
    assert_eq!((gone.status, gone.code.as_str()), (410, "gone"));
    assert!(gone.detail.contains("follow from 1 on"), "{}", gone.detail);
    let mut events = world.client.events("/v1/events?after=1").await.unwrap();
    world.post::<Accepted>("/v1/models/m/machines", json!({})).await;
    assert_eq!(next(&mut events).await.0, 2);
    world.end().await;
}

#[tokio::test]
async fn a_reader_that_is_behind_gets_every_event_in_order() {
    for world in World::all().await {
        world.model().await;
        let mut events = world.client.events("/v1/events?after=0&topic=tutti.").await.unwrap();
        world.post::<Accepted>("/v1/models/m/machines", json!({"count": 600})).await;
        let mut last = 0;
        for number in -1..600 {
            let (seq, _, body) = next(&mut events).await;
            assert!(seq > last);
            last = seq;
            if number >= 0 {
                assert_eq!(body["machine"], number);
            }
        }
        world.end().await;
    }
}

#[tokio::test]
async fn what_failed_is_named_as_everywhere_else() {
    for world in World::all().await {
        world.model().await;
        let charm = world.upload(&charm("db")).await.url;
        std::fs::rename(world.options.data.join("artifacts"), world.directory.path().join("away"))
            .unwrap();
        let deploy = json!({"charm": charm, "units": 1});
        let deployed: Accepted = world.post("/v1/models/m/applications", deploy).await;
        assert_eq!(world.ended(&deployed).await.state, "failed");
        let mut events = world.client.events("/v1/events?after=0&topic=task.failed").await.unwrap();
        let (_, _, body) = next(&mut events).await;
        assert_eq!((&body["resource"], &body["model"]), (&json!("application/db"), &json!("m")));
        world.end().await;
    }
}
