//! Failures of a kind each: of databases, clocks, workers, tasks, and of people's timing.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use serde_json::json;
use tutti_flow::{
    Action, Clock, Each, Engine, Error, Failure, FlowState, NewTask, Point, Retry, Task,
    TaskContext, TaskState, Timeouts, Work, abandon, cancel, retry, revert,
};
use tutti_store::{Backend, Store};

use crate::world::{
    Log, Place, Plan, ended, engine, flow, named, reaches, sees, state, step, submit, tasks,
};

use super::expire_leases;

#[tokio::test]
async fn a_flow_nobody_was_told_of_is_found() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let flow = flow(&[], vec![step(named("a"), &[])]);
        let id = flow.id;
        let submission = flow.clone();
        store
            .write(move |tx| {
                tutti_flow::submit(tx, submission.clone(), crate::world::now())?;
                tx.exec("UPDATE flow SET state = 'blocked' WHERE id = $1", (id,))?;
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        let ready = move |tx: &mut tutti_store::Tx<'_>| {
            tx.exec("UPDATE flow SET state = 'ready' WHERE id = $1", (id,))
        };
        store.write(ready).await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_worker_declared_dead_writes_nothing() {
    for place in Place::all() {
        let (store, log, other) = (place.open().await, Log::default(), Log::default());
        let first = engine(&store, &log).start().await.unwrap();
        let plan = |name| Plan { until: "go on".into(), ..named(name) };
        let tasks_of_it = vec![step(plan("a"), &[]), step(plan("b"), &[0])];
        let id = submit(&store, flow(&["x"], tasks_of_it)).await.id;
        log.has("+a").await;
        expire_leases(&store).await;
        // Its flow is given back, but nobody has it yet.
        let late = log.clone();
        let second = engine(&store, &other).probe(move |moment| {
            let wait = moment.point == Point::BeforeTake && !late.lines().contains(&"-a".into());
            if wait { Action::Pause(Duration::from_millis(500)) } else { Action::Continue }
        });
        let second = second.start().await.unwrap();
        log.add("go on");
        other.has("+a").await;
        // The first stops without having written anything.
        let counters = first.counters();
        first.stop().await;
        assert_eq!(counters.read().fenced, 1);
        assert_eq!(tasks(&store, id).await[0].state, TaskState::Running);
        other.add("go on");
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        assert_eq!(tasks(&store, id).await[0].attempt, 2);
        assert!(!log.lines().contains(&"+b".into()), "who lost a flow does not go on with it");
        second.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn connections_that_break_are_made_again() {
    let Some(place) = Place::postgres() else { return };
    let (store, log) = (place.open().await, Log::default());
    let name = format!("broken_{}", uuid::Uuid::now_v7().simple());
    let url = format!("{}&application_name={name}", place.url);
    let broken = Store::open(&url, tutti_flow::MIGRATIONS).await.unwrap();
    let worker = engine(&broken, &log).start().await.unwrap();
    let mut flows = Vec::new();
    for n in 0..10 {
        let steps = (0..10).map(|at: usize| {
            let needs: Vec<usize> = at.checked_sub(1).into_iter().collect();
            step(Plan { millis: 2, ..named(&format!("{n}.{at}")) }, &needs)
        });
        flows.push(submit(&store, flow(&[&format!("r{}", n % 3)], steps.collect())).await.id);
    }
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let name = name.clone();
        let cut = move |tx: &mut tutti_store::Tx<'_>| {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE application_name = $1";
            tx.all::<bool>(sql, (&name,))
        };
        store.read(cut).await.unwrap();
    }
    for id in flows {
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        let rows = tasks(&store, id).await;
        assert!(rows.iter().all(|task| task.state == TaskState::Succeeded && task.attempt <= 2));
    }
    worker.stop().await;
    broken.close().await;
    store.close().await;
}

#[tokio::test]
async fn a_list_is_added_once_and_a_failure_announced_once() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let each = Each {
            name: "step".into(),
            input: json!({}),
            item: "name".into(),
            retry: Retry::never(),
            timeouts: tutti_flow::Timeouts::default(),
            labels: Vec::new(),
        };
        let list = NewTask {
            name: "list".into(),
            input: json!({ "items": ["one", "two"] }),
            work: Work::Each(Box::new(each)),
            needs: vec![0],
            ..NewTask::default()
        };
        let fails = Plan { terminal: true, ..named("c") };
        let fails = NewTask { retry: Retry::never(), ..step(fails, &[1]) };
        // The flow goes on when it fails.
        let slow = step(Plan { millis: 600, ..named("slow") }, &[1]);
        let plan = vec![step(named("first"), &[]), list, fails, slow];
        let id = submit(&store, flow(&["x"], plan)).await.id;
        // Every other time it is not answered that a boundary is written.
        let count = AtomicU32::new(0);
        let worker = engine(&store, &log).probe(move |moment| {
            let odd = || count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
            if moment.point == Point::AfterBoundary && odd() {
                Action::Fail
            } else {
                Action::Continue
            }
        });
        let worker = worker.start().await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Failed);
        worker.stop().await;
        assert_eq!(tasks(&store, id).await.len(), 6);
        let mut lines = log.lines();
        lines[2..6].sort();
        lines[6..].sort();
        let expected = ["+first", "-first", "+one", "+two", "-one", "-two", "+c", "+slow", "-slow"];
        assert_eq!(lines, expected);
        let events = store.outbox_after(0, 1_000).await.unwrap();
        let topics: Vec<&str> = events.iter().map(|event| event.topic.as_str()).collect();
        assert_eq!(topics, ["task.failed", "flow.ended"]);
        store.close().await;
    }
}

#[tokio::test]
async fn clocks_jump() {
    let hour = Duration::from_secs(3600);
    for place in Place::all() {
        let (store, log, clock) = (place.open().await, Log::default(), Clock::new());
        let worker = engine(&store, &log).lease(Duration::from_secs(3)).clock(clock.clone());
        let worker = worker.start().await.unwrap();
        let slow = Plan { until: "jumped".into(), ..named("slow") };
        let sleep = NewTask { work: Work::Sleep(hour), ..NewTask::default() };
        let running = submit(&store, flow(&["x"], vec![step(slow, &[])])).await.id;
        let sleeping = submit(&store, flow(&[], vec![sleep.clone(), step(named("woken"), &[0])]));
        let sleeping = sleeping.await.id;
        reaches(&store, sleeping, FlowState::Waiting).await;
        log.has("+slow").await;
        clock.advance(hour * 2);
        assert_eq!(ended(&store, sleeping).await.state, FlowState::Succeeded);
        clock.set_back(hour * 4);
        // What was due stays done, and new work is taken at once.
        let next = submit(&store, flow(&[], vec![step(named("next"), &[])])).await.id;
        assert_eq!(ended(&store, next).await.state, FlowState::Succeeded);
        log.add("jumped");
        assert_eq!(ended(&store, running).await.state, FlowState::Succeeded);
        assert_eq!(tasks(&store, running).await[0].attempt, 1, "leases go by another clock");
        assert_eq!(log.lines().iter().filter(|line| *line == "+woken").count(), 1);
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn undoing_that_kills_its_workers_is_stuck() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let done = NewTask { retry: Retry::never().or_revert(), ..step(named("a"), &[]) };
        let fails = Plan { terminal: true, ..named("b") };
        let fails = NewTask { retry: Retry::never().or_revert(), ..step(fails, &[0]) };
        let id = submit(&store, flow(&["x"], vec![done, fails])).await.id;
        let deaths = std::sync::Arc::new(AtomicU32::new(0));
        for death in 1..=4 {
            let count = deaths.clone();
            let worker = engine(&store, &log).probe(move |moment| {
                if moment.point != Point::BeforeRevert {
                    return Action::Continue;
                }
                count.fetch_add(1, Ordering::Relaxed);
                Action::Crash
            });
            let worker = worker.start().await.unwrap();
            if death == 4 {
                assert_eq!(ended(&store, id).await.state, FlowState::Stuck);
            } else {
                let died = || async { (deaths.load(Ordering::Relaxed) >= death).then_some(()) };
                sees("a death", died).await;
            }
            drop(worker);
            expire_leases(&store).await;
        }
        store.write(move |tx| retry(tx, id)).await.unwrap();
        let worker = engine(&store, &log).start().await.unwrap();
        let over = || async { (state(&store, id).await == FlowState::Reverted).then_some(()) };
        sees("it is undone", over).await;
        assert_eq!(log.lines(), ["+a", "-a", "+b", "~b (b refused)", "~a (made by a)"]);
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn hours_of_trouble_pass() {
    for place in Place::all() {
        let (store, log, clock) = (place.open().await, Log::default(), Clock::new());
        let worker = engine(&store, &log).clock(clock.clone()).start().await.unwrap();
        let down = Plan { failures: 20, ..named("a") };
        let down = NewTask { retry: Retry::forever(), ..step(down, &[]) };
        let id = submit(&store, flow(&["x"], vec![down])).await.id;
        sees("the end", || async {
            clock.advance(Duration::from_secs(300));
            state(&store, id).await.is_ended().then_some(())
        })
        .await;
        let row = &tasks(&store, id).await[0];
        assert_eq!((row.state, row.attempt), (TaskState::Succeeded, 21));
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_retry_that_comes_too_late_is_not_begun() {
    for place in Place::all() {
        let (store, log, clock) = (place.open().await, Log::default(), Clock::new());
        let worker = engine(&store, &log).clock(clock.clone()).start().await.unwrap();
        let down = Plan { failures: 20, ..named("a") };
        let total = Some(Duration::from_secs(3600));
        let timeouts = Timeouts { total, ..Timeouts::default() };
        let down = NewTask { retry: Retry::forever(), timeouts, ..step(down, &[]) };
        let id = submit(&store, flow(&["x"], vec![down])).await.id;
        sees("a failure", || async {
            (tasks(&store, id).await[0].state == TaskState::RetryWait).then_some(())
        })
        .await;
        let tried = log.lines().len();
        clock.advance(Duration::from_secs(7200));
        let flow = ended(&store, id).await;
        assert_eq!((flow.state, log.lines().len()), (FlowState::Failed, tried));
        let row = &tasks(&store, id).await[0];
        assert_eq!((row.state, &row.error), (TaskState::Failed, &flow.error));
        assert!(!flow.error.unwrap().contains("longer"));
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn cancelling_too_late_is_refused() {
    for place in Place::all() {
        let (store, log, clock) = (place.open().await, Log::default(), Clock::new());
        let hold = log.clone();
        let worker = engine(&store, &log).clock(clock.clone()).probe(move |moment| {
            let held =
                moment.point == Point::BeforeRevert && !hold.lines().contains(&"go on".into());
            if held { Action::Pause(Duration::from_millis(300)) } else { Action::Continue }
        });
        let worker = worker.start().await.unwrap();
        let fails = Plan { terminal: true, ..named("a") };
        let fails = NewTask { retry: Retry::never().or_revert(), ..step(fails, &[]) };
        let id = submit(&store, flow(&["x"], vec![fails])).await.id;
        reaches(&store, id, FlowState::Reverting).await;
        let refused = store.write(move |tx| cancel(tx, id)).await;
        assert!(matches!(refused, Err(Error::Reverting { .. })), "{refused:?}");
        log.add("go on");
        assert_eq!(ended(&store, id).await.state, FlowState::Reverted);
        let refused = store.write(move |tx| cancel(tx, id)).await;
        let reverted = matches!(refused, Err(Error::Ended { state: FlowState::Reverted, .. }));
        assert!(reverted, "{refused:?}");
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn an_abandoned_flow_is_out_of_its_workers_hands() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let worker = engine(&store, &log).start().await.unwrap();
        let slow = Plan { until: "abandoned".into(), ..named("a") };
        let plan = vec![step(slow, &[]), step(named("b"), &[0])];
        let id = submit(&store, flow(&["x"], plan)).await.id;
        let next = submit(&store, flow(&["x"], vec![step(named("next"), &[])])).await.id;
        log.has("+a").await;
        store.write(move |tx| abandon(tx, id)).await.unwrap();
        assert_eq!(ended(&store, next).await.state, FlowState::Succeeded);
        log.add("abandoned");
        log.has("-a").await;
        worker.stop().await;
        let rows = tasks(&store, id).await;
        assert_eq!((rows[0].state, &rows[0].output), (TaskState::MaybeRan, &None));
        assert_eq!(state(&store, id).await, FlowState::Abandoned);
        assert_eq!(log.lines(), ["+a", "+next", "-next", "abandoned", "-a"]);
        store.close().await;
    }
}

#[tokio::test]
async fn an_attempt_that_failed_is_undone_also_if_its_flow_was_cancelled_before_the_next() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let worker = engine(&store, &log).start().await.unwrap();
        let busy = NewTask {
            retry: Retry::forever(),
            ..step(Plan { failures: u32::MAX, ..named("b") }, &[0])
        };
        let id = submit(&store, flow(&["x"], vec![step(named("a"), &[]), busy])).await.id;
        log.has("+b").await;
        reaches(&store, id, FlowState::Waiting).await;
        store.write(move |tx| cancel(tx, id)).await.unwrap();
        reaches(&store, id, FlowState::Cancelled).await;
        store.write(move |tx| revert(tx, id)).await.unwrap();
        reaches(&store, id, FlowState::Reverted).await;
        let lines = log.lines();
        assert_eq!(lines[lines.len() - 2..], ["~b (b busy)", "~a (made by a)"]);
        worker.stop().await;
        store.close().await;
    }
}

/// Answers something JSON cannot say.
struct Odd;

impl Task for Odd {
    const NAME: &'static str = "odd";
    type Input = ();
    type Output = BTreeMap<Vec<u8>, u8>;

    async fn execute(&self, _: TaskContext, (): ()) -> Result<Self::Output, Failure> {
        Ok([(vec![1], 1)].into())
    }
}

#[tokio::test]
async fn an_output_that_is_no_json_fails_for_good() {
    for place in Place::all() {
        let store = place.open().await;
        let worker = Engine::builder(store.clone()).task(Odd).start().await.unwrap();
        let odd = NewTask { name: "odd".into(), ..NewTask::default() };
        let id = submit(&store, flow(&[], vec![odd])).await.id;
        assert_eq!(ended(&store, id).await.state, FlowState::Failed);
        let row = &tasks(&store, id).await[0];
        assert_eq!((row.attempt, &row.output), (1, &None));
        assert!(row.error.as_deref().unwrap_or_default().contains("JSON"), "{row:?}");
        worker.stop().await;
        store.close().await;
    }
}

/// A handler only the newer worker has.
struct Fresh;

impl Task for Fresh {
    const NAME: &'static str = "fresh";
    type Input = ();
    type Output = ();

    async fn execute(&self, _: TaskContext, (): ()) -> Result<(), Failure> {
        Ok(())
    }
}

#[tokio::test]
async fn old_and_new_workers_share_the_work() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let new = engine(&store, &log).task(Fresh).start().await.unwrap();
        let old = engine(&store, &log).start().await.unwrap();
        let fresh =
            |need| NewTask { name: "fresh".into(), needs: vec![need], ..NewTask::default() };
        let mut flows = Vec::new();
        for n in 0..10 {
            let plan = vec![
                step(named(&format!("{n}.0")), &[]),
                fresh(0),
                step(named(&format!("{n}.2")), &[1]),
            ];
            flows.push(submit(&store, flow(&[], plan)).await.id);
        }
        for id in flows {
            assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        }
        // Nobody is left who knows the task.
        new.stop().await;
        let id = submit(&store, flow(&[], vec![step(named("a"), &[]), fresh(0)])).await.id;
        assert_eq!(ended(&store, id).await.state, FlowState::Parked);
        old.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_full_disk_stops_nothing_for_ever() {
    let place = Place::sqlite();
    let (store, log) = (place.open().await, Log::default());
    assert_eq!(store.backend(), Backend::Sqlite);
    let worker = engine(&store, &log).start().await.unwrap();
    let large = "x".repeat(100_000);
    let waits = Plan { until: "full".into(), ..named("a") };
    let plan = vec![step(waits, &[]), step(named(&large), &[0]), step(named(&large), &[1])];
    let id = submit(&store, flow(&["x"], plan)).await.id;
    log.has("+a").await;
    let no_more = |tx: &mut tutti_store::Tx<'_>| tx.one::<i64>("PRAGMA max_page_count = 1", ());
    store.write(no_more).await.unwrap();
    log.add("full");
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!state(&store, id).await.is_ended());
    let more = |tx: &mut tutti_store::Tx<'_>| tx.one::<i64>("PRAGMA max_page_count = 1000000", ());
    store.write(more).await.unwrap();
    assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
    let attempts: Vec<u32> = tasks(&store, id).await.iter().map(|task| task.attempt).collect();
    assert_eq!(attempts, [1, 1, 1], "results wait in memory until they can be written");
    worker.stop().await;
    store.check().await.unwrap();
    store.close().await;
}
