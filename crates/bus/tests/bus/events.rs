//! Events between processes.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::Value as Reply;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tutti_bus::{Announcement, Backoff, Bus, Context, Error, Failure, Start, StateEvents};

use crate::auth::{API, UserRegistered, schema};
use crate::server::{SOON, Server, eventually, on_every_server};

on_every_server! {
    an_event_reaches_every_group_once,
    a_new_group_begins_where_it_wants_to,
    events_fired_while_away_are_delivered_later,
    one_group_shares_its_events,
    a_failing_handler_is_tried_again,
    an_event_that_always_fails_is_put_aside_shown_and_replayed,
    what_cannot_be_read_is_put_aside,
    events_are_in_order,
    announced_events_are_all_fired_or_none,
    events_of_one_key_are_in_order_while_others_overtake,
    an_event_abandoned_by_its_consumer_is_taken_over,
    a_slow_handler_keeps_its_event,
    an_event_seen_before_is_skipped,
    what_does_not_fit_the_schema_is_not_fired,
    everything_of_an_api_is_heard_by_name,
    each_event_may_have_a_stream_of_its_own,
    a_shutdown_acknowledges_what_was_handled,
    a_process_announces_itself,
    announcements_of_a_busy_process_have_a_bound,
    a_setting_that_cannot_be_kept_is_refused_by_name,
}

/// Fast enough for a test.
fn quickly() -> Backoff {
    Backoff::fixed(Duration::from_millis(20))
}

/// A handler that sends what it gets.
fn tell(
    to: &mpsc::Sender<u32>,
) -> impl Fn(UserRegistered, Context) -> futures_util::future::BoxFuture<'static, Result<(), Failure>>
+ Send
+ Sync
+ 'static {
    let to = to.clone();
    move |event, _| {
        let to = to.clone();
        Box::pin(async move {
            to.send(event.number).await?;
            Ok(())
        })
    }
}

async fn next(from: &mut mpsc::Receiver<u32>) -> u32 {
    tokio::time::timeout(SOON, from.recv()).await.expect("an event arrives").unwrap()
}

async fn fire(bus: &Bus, numbers: std::ops::Range<u32>) {
    for number in numbers {
        bus.fire(UserRegistered::number(number)).await.unwrap();
    }
}

/// How many events a group holds.
async fn pending(server: &Server, stream: &str, group: &str) -> u64 {
    let summary: (u64, Reply, Reply, Reply) = server.run(&["XPENDING", stream, group]).await;
    summary.0
}

async fn is_all_acknowledged(server: &Server, group: &str) {
    eventually("all is acknowledged", || async {
        pending(server, &format!("{API}.*:stream"), group).await == 0
    })
    .await;
}

async fn an_event_reaches_every_group_once(server: Server) {
    let (one, other) = (server.bus("one", "1").await, server.bus("other", "1").await);
    let (sender, mut received) = mpsc::channel(10);
    one.listen("listener", tell(&sender)).await.unwrap();
    other.listen("listener", tell(&sender)).await.unwrap();
    let fired = one.fire(UserRegistered::number(7)).await.unwrap();
    assert!(fired.native_id.contains('-'));
    assert_eq!((next(&mut received).await, next(&mut received).await), (7, 7));
    is_all_acknowledged(&server, "one-listener").await;
    is_all_acknowledged(&server, "other-listener").await;
    assert!(received.try_recv().is_err());
    assert!(one.metrics().contains("lightbus_listener_processed_events{"));
}

async fn a_new_group_begins_where_it_wants_to(server: Server) {
    let bus = server.bus("s", "1").await;
    fire(&bus, 0..3).await;
    let (sender, mut received) = mpsc::channel(10);
    bus.listen("new", tell(&sender)).from(Start::New).await.unwrap();
    fire(&bus, 3..4).await;
    assert_eq!(next(&mut received).await, 3);
    bus.listen("all", tell(&sender)).from(Start::Beginning).await.unwrap();
    for number in 0..4 {
        assert_eq!(next(&mut received).await, number);
    }
    let since: jiff::Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    bus.listen("since", tell(&sender)).from(Start::At(since)).await.unwrap();
    assert_eq!(next(&mut received).await, 0);
}

async fn events_fired_while_away_are_delivered_later(server: Server) {
    let (sender, mut received) = mpsc::channel(10);
    let listener = server.bus("s", "1").await;
    listener.listen("l", tell(&sender)).await.unwrap();
    listener.shutdown().await;
    fire(&server.bus("t", "1").await, 0..3).await;
    let listener = server.bus("s", "1").await;
    listener.listen("l", tell(&sender)).await.unwrap();
    for number in 0..3 {
        assert_eq!(next(&mut received).await, number);
    }
}

async fn one_group_shares_its_events(server: Server) {
    let (sender, mut received) = mpsc::channel(1000);
    let mut receivers = Vec::new();
    for process in ["1", "2"] {
        let bus = server.bus("s", process).await;
        let (own, handled) = mpsc::channel(1000);
        receivers.push(handled);
        let sender = sender.clone();
        bus.listen("l", move |event: UserRegistered, _: Context| {
            let (sender, own) = (sender.clone(), own.clone());
            async move {
                own.send(event.number).await?;
                sender.send(event.number).await?;
                // Neither is so quick that the other gets nothing.
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok(())
            }
        })
        .batch_size(10)
        .await
        .unwrap();
    }
    fire(&server.bus("t", "1").await, 0..200).await;
    let mut numbers = Vec::new();
    for _ in 0..200 {
        numbers.push(next(&mut received).await);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    for handled in &mut receivers {
        assert!(handled.try_recv().is_ok(), "a process got no event at all");
    }
}

async fn a_failing_handler_is_tried_again(server: Server) {
    let bus = server.bus("s", "1").await;
    let (sender, mut received) = mpsc::channel(10);
    bus.listen("l", move |_: UserRegistered, context: Context| {
        let sender = sender.clone();
        async move {
            sender.send(context.deliveries()).await?;
            if context.deliveries() < 3 { Err(Failure::message("not yet")) } else { Ok(()) }
        }
    })
    .retry(5, quickly())
    .await
    .unwrap();
    fire(&bus, 0..1).await;
    for deliveries in 1..=3 {
        assert_eq!(next(&mut received).await, deliveries);
    }
    is_all_acknowledged(&server, "s-l").await;
    assert!(bus.dead_letters("s-l", None, 10).await.unwrap().is_empty());
}

async fn an_event_that_always_fails_is_put_aside_shown_and_replayed(server: Server) {
    let bus = server.bus("s", "1").await;
    let tries = Arc::new(AtomicU32::new(0));
    let (sender, mut received) = mpsc::channel(10);
    let counted = tries.clone();
    bus.listen("l", move |event: UserRegistered, _| {
        let (counted, sender) = (counted.clone(), sender.clone());
        async move {
            if counted.fetch_add(1, Ordering::SeqCst) < 3 {
                return Err(Failure::message("cannot"));
            }
            sender.send(event.number).await?;
            Ok(())
        }
    })
    .retry(3, quickly())
    .await
    .unwrap();
    let (others, mut heard) = mpsc::channel(10);
    bus.listen("other", tell(&others)).await.unwrap();
    let fired = bus.fire(UserRegistered::number(9)).await.unwrap();
    assert_eq!(next(&mut heard).await, 9);
    eventually("it is put aside", || async {
        bus.dead_letters("s-l", None, 10).await.unwrap().len() == 1
    })
    .await;
    assert_eq!(tries.load(Ordering::SeqCst), 3);
    is_all_acknowledged(&server, "s-l").await;
    let letter = bus.dead_letters("s-l", None, 10).await.unwrap().remove(0);
    assert_eq!(
        (letter.error.as_str(), letter.deliveries, letter.event()),
        ("cannot", 3, (API, "user_registered"))
    );
    assert_eq!(letter.native_id, fired.native_id);
    assert_eq!(bus.dead_letter("s-l", &letter.id).await.unwrap(), Some(letter.clone()));
    assert_eq!(bus.dead_letter_groups().await.unwrap(), ["s-l"]);
    assert!(bus.dead_letters("s-l", Some(&letter.id), 10).await.unwrap().is_empty());

    assert!(bus.replay_dead_letter("s-l", &letter.id).await.unwrap());
    assert_eq!(next(&mut received).await, 9);
    assert!(!bus.replay_dead_letter("s-l", &letter.id).await.unwrap());
    assert!(!bus.drop_dead_letter("s-l", &letter.id).await.unwrap());
    assert!(heard.try_recv().is_err(), "the other group has had it");
}

async fn what_cannot_be_read_is_put_aside(server: Server) {
    let bus = server.bus("s", "1").await;
    let (sender, mut received) = mpsc::channel(10);
    bus.listen("l", tell(&sender)).await.unwrap();
    let stream = format!("{API}.*:stream");
    let add = |fields: &[&str]| {
        let words = [&["XADD", &stream, "*"], fields]
            .concat()
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>();
        let server = &server;
        async move {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let _: String = server.run(&words).await;
        }
    };
    let head = ["id", "x", "api_name", API, "event_name", "user_registered", "version", "1"];
    add(&["", ""]).await;
    add(&["what", "is this"]).await;
    add(&[&head[..], &[":username", "ann", ":number", "1"]].concat()).await;
    add(&[&head[..], &[":username", "NaN"]].concat()).await;
    add(&["api_name", API, "event_name", "other", ":broken", "{"]).await;
    add(&[&head[..], &["strange", "1", ":username", "\"ann\"", ":number", "5"]].concat()).await;
    assert_eq!(next(&mut received).await, 5);
    let letters = bus.dead_letters("s-l", None, 10).await.unwrap();
    let errors: Vec<&str> = letters.iter().map(|letter| letter.error.as_str()).collect();
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors[1].contains("username"), "{errors:?}");
    assert!(bus.drop_dead_letter("s-l", &letters[0].id).await.unwrap());
    is_all_acknowledged(&server, "s-l").await;
}

async fn events_are_in_order(server: Server) {
    let bus = server.bus("s", "1").await;
    let (sender, mut received) = mpsc::channel(1000);
    bus.listen("l", tell(&sender)).await.unwrap();
    fire(&bus, 0..300).await;
    for number in 0..300 {
        assert_eq!(next(&mut received).await, number);
    }
}

async fn announced_events_are_all_fired_or_none(server: Server) {
    let bus = server.bus("s", "1").await;
    bus.own_events(std::slice::from_ref(schema())).await.unwrap();
    let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let seeing = seen.clone();
    bus.listen_dynamic("l", API, "*", move |_, context: Context| {
        seeing.lock().unwrap().push((context.id().to_owned(), context.name().to_owned()));
        std::future::ready(Ok(()))
    })
    .await
    .unwrap();
    let announcement = |id: &str, event: &str, parameters: Value| Announcement {
        id: id.to_owned(),
        api: API.to_owned(),
        event: event.to_owned(),
        parameters,
    };
    let good = [
        announcement("c:1", "user_registered", json!({"username": "ann", "number": 1})),
        announcement("c:2", "other", json!({})),
    ];
    let bad = announcement("c:3", "user_registered", json!({"username": "ann"}));
    let with_bad = [&good[..], &[bad]].concat();
    assert!(matches!(bus.fire_in_order(&with_bad).await, Err(Error::Invalid(_))));
    bus.fire_in_order(&good).await.unwrap();
    bus.fire_in_order(&good).await.unwrap();
    bus.fire_in_order(&[]).await.unwrap();
    eventually("all are heard", || async { seen.lock().unwrap().len() >= 4 }).await;
    let seen = seen.lock().unwrap();
    let seen: Vec<_> = seen.iter().map(|(id, event)| (id.as_str(), event.as_str())).collect();
    let once = [("c:1", "user_registered"), ("c:2", "other")];
    assert_eq!(seen, [once, once].concat());
}

async fn events_of_one_key_are_in_order_while_others_overtake(server: Server) {
    let bus = server.bus("s", "1").await;
    let seen: Arc<Mutex<Vec<(String, u32)>>> = Arc::default();
    let (running, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (seeing, counted) = (seen.clone(), most.clone());
    bus.listen("l", move |event: UserRegistered, _| {
        let (seeing, running, counted) = (seeing.clone(), running.clone(), counted.clone());
        async move {
            counted.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(u64::from(event.number % 3))).await;
            running.fetch_sub(1, Ordering::SeqCst);
            seeing.lock().unwrap().push((event.username, event.number));
            Ok(())
        }
    })
    .concurrency(4)
    .ordered_by("username")
    .await
    .unwrap();
    let users = ["ann", "bob", "eve", "joe", "kim", "lea", "max", "zoe"];
    for number in 0..20 {
        for username in users {
            bus.fire(UserRegistered { username: username.to_owned(), number }).await.unwrap();
        }
    }
    eventually("all is handled", || async { seen.lock().unwrap().len() == 160 }).await;
    assert!((2..=4).contains(&most.load(Ordering::SeqCst)), "{most:?}");
    let seen = seen.lock().unwrap();
    for username in users {
        let of_user = seen.iter().filter(|(name, _)| name == username);
        let numbers: Vec<u32> = of_user.map(|(_, number)| *number).collect();
        assert_eq!(numbers, (0..20).collect::<Vec<_>>());
    }
}

/// Settings with which an event changes hands after half a second.
fn impatient(server: &Server, process: &str) -> tutti_bus::Settings {
    let mut settings = server.settings("s", process);
    settings.default_api.acknowledgement_timeout = Duration::from_millis(500);
    settings.default_api.reclaim_interval = Duration::from_millis(200);
    settings
}

async fn an_event_abandoned_by_its_consumer_is_taken_over(server: Server) {
    let bus = Bus::connect(impatient(&server, "1")).await.unwrap();
    let (sender, mut received) = mpsc::channel(10);
    let deliveries = Arc::new(AtomicU32::new(0));
    let stream = format!("{API}.*:stream");
    let _: String = server.run(&["XGROUP", "CREATE", &stream, "s-l", "$", "MKSTREAM"]).await;
    fire(&bus, 4..5).await;
    let _: Reply =
        server.run(&["XREADGROUP", "GROUP", "s-l", "dead", "STREAMS", &stream, ">"]).await;
    let counted = deliveries.clone();
    bus.listen("l", move |event: UserRegistered, context: Context| {
        let sender = sender.clone();
        counted.store(context.deliveries(), Ordering::SeqCst);
        async move {
            sender.send(event.number).await?;
            Ok(())
        }
    })
    .await
    .unwrap();
    assert_eq!(next(&mut received).await, 4);
    assert_eq!(deliveries.load(Ordering::SeqCst), 2);
    is_all_acknowledged(&server, "s-l").await;
}

async fn a_slow_handler_keeps_its_event(server: Server) {
    let runs = Arc::new(AtomicU32::new(0));
    for process in ["1", "2"] {
        let bus = Bus::connect(impatient(&server, process)).await.unwrap();
        let counted = runs.clone();
        bus.listen("l", move |_: UserRegistered, _| {
            let counted = counted.clone();
            async move {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(2)).await;
                Ok(())
            }
        })
        .await
        .unwrap();
    }
    fire(&server.bus("t", "1").await, 0..1).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    is_all_acknowledged(&server, "s-l").await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

async fn an_event_seen_before_is_skipped(server: Server) {
    let bus = server.bus("s", "1").await;
    let (sender, mut received) = mpsc::channel(10);
    bus.listen("l", tell(&sender)).deduplicate(Duration::from_secs(60)).await.unwrap();
    let stream = format!("{API}.*:stream");
    for (id, number) in [("a", "1"), ("a", "1"), ("b", "2")] {
        let fields = [
            "id",
            id,
            "api_name",
            API,
            "event_name",
            "user_registered",
            "version",
            "1",
            ":username",
            "\"ann\"",
            ":number",
            number,
        ];
        let _: String = server.run(&[&["XADD", &stream, "*"], &fields[..]].concat()).await;
        is_all_acknowledged(&server, "s-l").await;
    }
    assert_eq!((next(&mut received).await, next(&mut received).await), (1, 2));
}

async fn what_does_not_fit_the_schema_is_not_fired(server: Server) {
    let bus = server.bus("s", "1").await;
    fire(&bus, 0..1).await;
    let outcome =
        bus.fire_dynamic(API, "user_registered", json!({"username": "ann", "number": "1"})).await;
    assert!(
        matches!(&outcome, Err(Error::Invalid(message)) if message.contains("number")),
        "{outcome:?}"
    );
    // Another process knows the schema from the bus.
    let other = server.bus("t", "1").await;
    let outcome = other.fire_dynamic(API, "user_registered", json!({"username": "ann"})).await;
    assert!(
        matches!(&outcome, Err(Error::Invalid(message)) if message.contains("number")),
        "{outcome:?}"
    );
    let length: u64 = server.run(&["XLEN", &format!("{API}.*:stream")]).await;
    assert_eq!(length, 1);
}

async fn everything_of_an_api_is_heard_by_name(server: Server) {
    let bus = server.bus("s", "1").await;
    let seen: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
    let seeing = seen.clone();
    bus.listen_dynamic("l", API, "*", move |parameters, context| {
        let seeing = seeing.clone();
        async move {
            seeing.lock().unwrap().push((context.name().to_owned(), parameters));
            Ok(())
        }
    })
    .await
    .unwrap();
    fire(&bus, 1..2).await;
    bus.fire_dynamic(API, "other", json!({})).await.unwrap();
    eventually("both are heard", || async { seen.lock().unwrap().len() == 2 }).await;
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0], ("user_registered".to_owned(), json!({"username": "ann", "number": 1})));
    assert_eq!(seen[1], ("other".to_owned(), json!({})));
}

async fn each_event_may_have_a_stream_of_its_own(server: Server) {
    let mut settings = server.settings("s", "1");
    settings.default_api.stream_per_event = true;
    let bus = Bus::connect(settings).await.unwrap();
    let (sender, mut received) = mpsc::channel(10);
    bus.listen("l", tell(&sender)).await.unwrap();
    fire(&bus, 6..7).await;
    assert_eq!(next(&mut received).await, 6);
    let length: u64 = server.run(&["XLEN", &format!("{API}.user_registered:stream")]).await;
    assert_eq!(length, 1);
}

async fn a_shutdown_acknowledges_what_was_handled(server: Server) {
    let bus = server.bus("s", "1").await;
    let (sender, mut received) = mpsc::channel(1000);
    bus.listen("l", tell(&sender)).await.unwrap();
    fire(&server.bus("t", "1").await, 0..100).await;
    next(&mut received).await;
    bus.shutdown().await;
    let mut handled = 1;
    while received.try_recv().is_ok() {
        handled += 1;
    }
    let unread: u64 = 100 - handled;
    assert_eq!(pending(&server, &format!("{API}.*:stream"), "s-l").await, 0);
    // The rest goes to who listens next, and nothing twice.
    let bus = server.bus("s", "1").await;
    bus.listen("l", tell(&sender)).await.unwrap();
    for _ in 0..unread {
        next(&mut received).await;
    }
    is_all_acknowledged(&server, "s-l").await;
    assert!(received.try_recv().is_err());
}

/// With a server that is gone announcements would pile up.
async fn announcements_of_a_busy_process_have_a_bound(mut server: Server) {
    let mut settings = server.settings("s", "1");
    settings.announcements.metrics = true;
    let bus = Bus::connect(settings).await.unwrap();
    bus.serve_here(crate::auth::Auth::default());
    server.stop().await;
    for _ in 0..2_000 {
        bus.call(API, "add", json!({"a": 1, "b": 2})).await.unwrap();
    }
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert!(tasks < 2_000, "{tasks} tasks");
}

async fn a_setting_that_cannot_be_kept_is_refused_by_name(server: Server) {
    let mut settings = server.settings("s", "1");
    settings.calls_max = usize::MAX;
    settings.default_api.acknowledgement_timeout = Duration::ZERO;
    let error = Bus::connect(settings).await.err().unwrap().to_string();
    assert!(error.contains("calls_max must be between"), "{error}");
    assert!(error.contains("default_api.acknowledgement_timeout must be at least"), "{error}");
    let bus = server.bus("s", "1").await;
    let (sender, mut received) = mpsc::channel(10);
    let outcome = bus.listen("l", tell(&sender)).concurrency(usize::MAX).await;
    assert!(
        matches!(&outcome, Err(Error::Invalid(message)) if message.contains("concurrency of the listener l")),
        "{outcome:?}"
    );
    // As long as ever possible is no mistake here.
    bus.listen("l", tell(&sender)).deduplicate(Duration::MAX).await.unwrap();
    fire(&bus, 1..2).await;
    assert_eq!(next(&mut received).await, 1);
    is_all_acknowledged(&server, "s-l").await;
    bus.serve(crate::auth::Auth::default()).await.unwrap();
    let options = tutti_bus::CallOptions { timeout: Some(Duration::MAX), remote_only: true };
    let sum: i64 = bus.request(API, "add", &json!({"a": 1, "b": 2}), &options).await.unwrap();
    assert_eq!(sum, 3);
}

async fn a_process_announces_itself(server: Server) {
    let watcher = server.bus("watcher", "1").await;
    let seen: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
    for api in ["internal.state", "internal.metrics"] {
        let seeing = seen.clone();
        watcher
            .listen_dynamic(api, api, "*", move |parameters, context| {
                let seeing = seeing.clone();
                async move {
                    seeing.lock().unwrap().push((context.name().to_owned(), parameters));
                    Ok(())
                }
            })
            .await
            .unwrap();
    }
    let mut settings = server.settings("s", "1");
    settings.announcements.metrics = true;
    settings.announcements.state =
        Some(StateEvents { ping_interval: Some(Duration::from_millis(100)) });
    let bus = Bus::connect(settings).await.unwrap();
    let fired = bus.fire(UserRegistered::number(3)).await.unwrap();
    let names = || seen.lock().unwrap().iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    eventually("it is there", || async { names().iter().any(|name| name == "worker_ping") }).await;
    bus.shutdown().await;
    eventually("it stopped", || async { names().iter().any(|name| name == "worker_stopped") })
        .await;
    eventually("the event is told of", || async {
        names().iter().any(|name| name == "event_fired")
    })
    .await;
    let seen = seen.lock().unwrap();
    let (_, event) = seen.iter().find(|(name, _)| name == "event_fired").unwrap();
    assert_eq!((&event["event_id"], &event["kwargs"]["number"]), (&json!(fired.id), &json!(3)));
    let (_, stopped) = seen.iter().find(|(name, _)| name == "worker_stopped").unwrap();
    assert_eq!(
        stopped.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["process_name", "timestamp"]
    );
}
