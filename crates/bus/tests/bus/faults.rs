//! Servers that go away, and what they lose.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tutti_bus::{Bus, Context};

use crate::auth::{API, Auth, UserRegistered};
use crate::server::{Server, eventually, on_every_server};

on_every_server! {
    no_event_is_lost_when_the_server_is_killed_under_load,
    calls_go_on_after_connections_were_killed,
    a_group_that_is_gone_is_made_again_where_it_was,
    a_stream_that_is_gone_is_read_again_from_its_beginning,
    a_server_that_has_lost_all_is_listened_to_again,
    calls_wait_for_a_server_that_comes_back,
    what_is_handled_when_a_connection_breaks_is_not_delivered_again,
}

type Seen = Arc<Mutex<HashSet<u32>>>;

async fn listen(bus: &Bus) -> Seen {
    let seen: Seen = Arc::default();
    let seeing = seen.clone();
    bus.listen("l", move |event: UserRegistered, _: Context| {
        let seeing = seeing.clone();
        async move {
            seeing.lock().unwrap().insert(event.number);
            Ok(())
        }
    })
    .await
    .unwrap();
    seen
}

async fn no_event_is_lost_when_the_server_is_killed_under_load(mut server: Server) {
    let listener = server.bus("s", "1").await;
    let seen = listen(&listener).await;
    let mut settings = server.settings("t", "1");
    settings.default_api.fire_timeout = Duration::from_secs(20);
    let source = Bus::connect(settings).await.unwrap();
    let firing: Vec<_> = (0..4)
        .map(|part: u32| {
            let source = source.clone();
            tokio::spawn(async move {
                for number in part * 500..part * 500 + 500 {
                    source.fire(UserRegistered::number(number)).await.unwrap();
                }
            })
        })
        .collect();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        server.stop().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.start_again().await;
    }
    for part in firing {
        part.await.unwrap();
    }
    eventually("every event is seen", || async { seen.lock().unwrap().len() == 2_000 }).await;
}

async fn calls_go_on_after_connections_were_killed(server: Server) {
    let (worker, client) = (server.bus("auth", "1").await, server.bus("web", "1").await);
    worker.serve(Auth::default()).await.unwrap();
    for sum in 0..3 {
        assert_eq!(client.call(API, "add", json!({"a": sum, "b": 0})).await.unwrap(), json!(sum));
        let _: i64 = server.run(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        // What is sent in the instant in which a connection ends may have arrived, and is not sent again.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(client.call(API, "add", json!({"a": 9, "b": 0})).await.unwrap(), json!(9));
}

async fn a_group_that_is_gone_is_made_again_where_it_was(server: Server) {
    let bus = server.bus("s", "1").await;
    let seen = listen(&bus).await;
    bus.fire(UserRegistered::number(1)).await.unwrap();
    eventually("the first is seen", || async { seen.lock().unwrap().len() == 1 }).await;
    let stream = format!("{API}.*:stream");
    let _: i64 = server.run(&["XGROUP", "DESTROY", &stream, "s-l"]).await;
    for number in 2..10 {
        bus.fire(UserRegistered::number(number)).await.unwrap();
    }
    eventually("the others are seen", || async { seen.lock().unwrap().len() == 9 }).await;
}

async fn a_stream_that_is_gone_is_read_again_from_its_beginning(server: Server) {
    let bus = server.bus("s", "1").await;
    let seen = listen(&bus).await;
    bus.fire(UserRegistered::number(1)).await.unwrap();
    eventually("the first is seen", || async { seen.lock().unwrap().len() == 1 }).await;
    let _: String = server.run(&["FLUSHALL"]).await;
    bus.fire(UserRegistered::number(2)).await.unwrap();
    eventually("the second is seen", || async { seen.lock().unwrap().len() == 2 }).await;
}

async fn a_server_that_has_lost_all_is_listened_to_again(server: Server) {
    let bus = server.bus("s", "1").await;
    let seen = listen(&bus).await;
    bus.fire(UserRegistered::number(1)).await.unwrap();
    eventually("the first is seen", || async { seen.lock().unwrap().len() == 1 }).await;
    // As after a restart without its data: the listener connects again and finds no group.
    let _: i64 = server.run(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    let _: String = server.run(&["FLUSHALL"]).await;
    bus.fire(UserRegistered::number(2)).await.unwrap();
    eventually("the second is seen", || async { seen.lock().unwrap().len() == 2 }).await;
}

async fn calls_wait_for_a_server_that_comes_back(mut server: Server) {
    let (worker, client) = (server.bus("auth", "1").await, server.bus("web", "1").await);
    worker.serve(Auth::default()).await.unwrap();
    client.call(API, "add", json!({"a": 1, "b": 2})).await.unwrap();
    server.stop().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let call = tokio::spawn(async move { client.call(API, "add", json!({"a": 1, "b": 2})).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.start_again().await;
    assert_eq!(call.await.unwrap().unwrap(), json!(3));
}

async fn what_is_handled_when_a_connection_breaks_is_not_delivered_again(server: Server) {
    let bus = server.bus("s", "1").await;
    let runs: Arc<Mutex<Vec<u32>>> = Arc::default();
    let (counted, release) = (runs.clone(), Arc::new(tokio::sync::Notify::new()));
    let released = release.clone();
    bus.listen("l", move |event: UserRegistered, _: Context| {
        let (counted, released) = (counted.clone(), released.clone());
        async move {
            counted.lock().unwrap().push(event.number);
            if event.number == 1 {
                released.notified().await;
            }
            Ok(())
        }
    })
    .concurrency(2)
    .await
    .unwrap();
    bus.fire(UserRegistered::number(1)).await.unwrap();
    eventually("the first is begun", || async { *runs.lock().unwrap() == [1] }).await;
    let _: i64 = server.run(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    // This is read after the listener has connected again and looked for what it held.
    bus.fire(UserRegistered::number(2)).await.unwrap();
    eventually("the second is seen", || async { *runs.lock().unwrap() == [1, 2] }).await;
    let stream = format!("{API}.*:stream");
    let pending = ["XPENDING", &stream, "s-l", "-", "+", "1"];
    let held: Vec<(String, String, i64, u32)> = server.run(&pending).await;
    assert_eq!(held[0].3, 1, "deliveries");
    release.notify_one();
    eventually("all is acknowledged", || async {
        server.run::<Vec<(String, String, i64, u32)>>(&pending).await.is_empty()
    })
    .await;
    assert_eq!(*runs.lock().unwrap(), [1, 2]);
}
