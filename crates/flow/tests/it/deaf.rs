//! Two processes that do not hear one another: PostgreSQL's notifications never arrive, and everything happens all the same.

use std::time::{Duration, Instant};

use serde_json::json;
use tutti_flow::{FlowState, NewTask, Wait, Work, cancel, signal};

use crate::world::{Log, Place, Plan, ended, engine, flow, named, now, step, submit};

/// A handful of polls.
const SOON: Duration = Duration::from_secs(45);

#[tokio::test]
async fn wake_ups_come_without_notifications() {
    let Some(place) = Place::postgres() else { return };
    let (store, log) = (place.open().await, Log::default());
    let (deaf_place, deaf) = place.deaf(&store).await;
    let worker = engine(&deaf, &log).start().await.unwrap();
    let began = Instant::now();

    let wait = NewTask {
        name: "wait".into(),
        work: Work::Wait(Wait { key: "key".into(), at_least: 1 }),
        ..NewTask::default()
    };
    let with_owner = Plan { until: "go on".into(), ..named("b") };
    let tasks_of_it = vec![step(named("a"), &[]), wait, step(with_owner, &[0])];
    let id = submit(&store, flow(&["x"], tasks_of_it)).await.id;
    let next = submit(&store, flow(&["x"], vec![step(named("next"), &[])])).await.id;
    log.has("+b").await;
    store.write(move |tx| signal(tx, "key", 1, now())).await.unwrap();
    log.add("go on");
    assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
    assert_eq!(ended(&store, next).await.state, FlowState::Succeeded, "its resource became free");

    let stopped = Plan { until_cancelled: true, ..named("c") };
    let id = submit(&store, flow(&["x"], vec![step(stopped, &[])])).await.id;
    log.has("+c").await;
    store.write(move |tx| cancel(tx, id)).await.unwrap();
    assert_eq!(ended(&store, id).await.state, FlowState::Cancelled);

    // What one offers, the other finds; what that answers, the first hears.
    let here = engine(&store, &log).label("here").start().await.unwrap();
    let away = NewTask { labels: vec!["here".into()], ..step(named("d"), &[]) };
    let id = submit(&deaf, flow(&["x"], vec![away, step(named("e"), &[0])])).await.id;
    let flow = ended(&deaf, id).await;
    assert_eq!((flow.state, flow.error), (FlowState::Succeeded, None));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(json!(log.lines().iter().filter(|line| line.starts_with('-')).count()), json!(6));

    here.stop().await;
    worker.stop().await;
    deaf.close().await;
    drop(deaf_place);
    store.close().await;
}
