//! How a bus ends: in order, in time, and altogether.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tutti_bus::schema::ApiSchema;
use tutti_bus::{Backoff, Bus, Call, Context, Error, Failure, Service};

use crate::auth::{API, Auth, UserRegistered};
use crate::server::{SOON, Server, eventually, on_every_server};

on_every_server! {
    an_event_left_for_the_next_start_is_not_overtaken,
    handlers_are_dropped_when_time_is_over,
    a_server_that_is_silent_does_not_hold_a_shutdown_up,
    a_bus_that_was_shut_down_leaves_no_connections,
    a_client_ends_with_its_last_clone,
}

async fn next(from: &mut mpsc::Receiver<u32>) -> u32 {
    tokio::time::timeout(SOON, from.recv()).await.expect("an event arrives").unwrap()
}

async fn an_event_left_for_the_next_start_is_not_overtaken(server: Server) {
    let (sender, mut received) = mpsc::channel(10);
    for fails in [true, false] {
        let bus = server.bus("s", "1").await;
        let sender = sender.clone();
        let handler = move |event: UserRegistered, _: Context| {
            let sender = sender.clone();
            async move {
                sender.send(event.number).await?;
                if fails { Err(Failure::message("not yet")) } else { Ok(()) }
            }
        };
        bus.listen("l", handler).retry(5, Backoff::fixed(SOON)).await.unwrap();
        if fails {
            for number in 0..3 {
                bus.fire(UserRegistered::number(number)).await.unwrap();
            }
            assert_eq!(next(&mut received).await, 0);
            // The others wait behind it.
            eventually("all are read", || async {
                let pending: (u64, redis::Value, redis::Value, redis::Value) =
                    server.run(&["XPENDING", &format!("{API}.*:stream"), "s-l"]).await;
                pending.0 == 3
            })
            .await;
            bus.shutdown().await;
        }
    }
    for number in 0..3 {
        assert_eq!(next(&mut received).await, number);
    }
}

/// Says when it is dropped.
struct Guard(mpsc::Sender<u32>);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.try_send(0);
    }
}

async fn handlers_are_dropped_when_time_is_over(server: Server) {
    for concurrency in [1, 2] {
        let mut settings = server.settings("s", "1");
        settings.drain_timeout = Duration::from_millis(100);
        let bus = Bus::connect(settings).await.unwrap();
        let (sender, mut dropped) = mpsc::channel(1);
        let (begin, mut begun) = mpsc::channel(1);
        let handler = move |_: UserRegistered, _: Context| {
            let (guard, begin) = (Guard(sender.clone()), begin.clone());
            async move {
                begin.send(1).await?;
                std::future::pending::<()>().await;
                drop(guard);
                Ok(())
            }
        };
        let listener = format!("l{concurrency}");
        bus.listen(&listener, handler).concurrency(concurrency).await.unwrap();
        bus.fire(UserRegistered::number(1)).await.unwrap();
        next(&mut begun).await;
        bus.shutdown().await;
        assert_eq!(next(&mut dropped).await, 0);
    }
}

async fn a_server_that_is_silent_does_not_hold_a_shutdown_up(mut server: Server) {
    let mut settings = server.settings("auth", "1");
    settings.drain_timeout = Duration::from_millis(100);
    let bus = Bus::connect(settings).await.unwrap();
    bus.serve(Auth::default()).await.unwrap();
    server.stop().await;
    // Takes connections and says nothing.
    let _silent = server.stand_in().await;
    tokio::time::timeout(Duration::from_secs(4), bus.shutdown()).await.expect("it ends in time");
}

/// A service that has its bus, as many do.
struct Owner {
    _bus: Bus,
    auth: Auth,
}

impl Service for Owner {
    fn schema(&self) -> &ApiSchema {
        self.auth.schema()
    }

    fn execute<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Box<RawValue>, Failure>> {
        self.auth.execute(call)
    }
}

/// Connections to the server, without that which asks.
async fn connections(server: &Server) -> usize {
    let list: String = server.run(&["CLIENT", "LIST"]).await;
    list.lines().count() - 1
}

async fn a_bus_that_was_shut_down_leaves_no_connections(server: Server) {
    let bus = server.bus("auth", "1").await;
    bus.serve(Owner { _bus: bus.clone(), auth: Auth::default() }).await.unwrap();
    let seen: Arc<Mutex<Vec<u32>>> = Arc::default();
    let (seeing, of_handler) = (seen.clone(), bus.clone());
    let handler = move |event: UserRegistered, _: Context| {
        seeing.lock().unwrap().push(event.number);
        let _bus = of_handler.clone();
        std::future::ready(Ok(()))
    };
    bus.listen("l", handler).await.unwrap();
    let options = tutti_bus::CallOptions { remote_only: true, ..Default::default() };
    let sum: i64 = bus.request(API, "add", &json!({"a": 1, "b": 2}), &options).await.unwrap();
    assert_eq!(sum, 3);
    assert!(connections(&server).await >= 4);
    bus.shutdown().await;
    assert!(matches!(bus.serve(Auth::default()).await, Err(Error::Closed)));
    drop(bus);
    eventually("all connections end", || async { connections(&server).await == 0 }).await;
}

async fn a_client_ends_with_its_last_clone(server: Server) {
    let client = server.bus("web", "1").await;
    let options =
        tutti_bus::CallOptions { timeout: Some(Duration::from_millis(20)), ..Default::default() };
    let outcome: Result<i64, Error> = client.request("a.b", "c", &json!({}), &options).await;
    outcome.unwrap_err();
    assert!(connections(&server).await >= 1);
    drop(client);
    eventually("all connections end", || async { connections(&server).await == 0 }).await;
}
