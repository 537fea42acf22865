//! Flows submitted to an engine: many together, and begun with that where they can be.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::future::join_all;
use tutti_flow::{Action, Error, FlowState, NewTask, Point, submit_many};

use crate::{
    recovery::expire_leases,
    world::{Log, Place, Plan, ended, engine, flow, named, now, reaches, row, state, step, tasks},
};

#[tokio::test]
async fn a_flow_begins_with_its_submission_and_is_waited_for() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let good = flow(&["x", "y"], vec![step(named("a"), &[]), step(named("b"), &[0])]);
        let id = good.id;
        assert_eq!(engine.run(good).await.unwrap(), FlowState::Succeeded);
        let found = row(&store, id).await;
        assert_eq!(found.started, Some(found.created), "it was taken later");
        assert_eq!(log.take(), ["+a", "-a", "+b", "-b"]);
        let bad = flow(&["x"], vec![step(Plan { terminal: true, ..named("c") }, &[])]);
        assert_eq!(engine.run(bad).await.unwrap(), FlowState::Failed);
        assert_eq!(log.take(), ["+c"]);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn those_of_one_resource_run_one_after_the_other_in_no_more_than_the_places() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).flows_max(3).start().await.unwrap();
        let flows = (0..40).map(|n| {
            let resource = format!("r{}", n % 5);
            flow(&[&resource], vec![step(Plan { millis: 1, ..named(&resource) }, &[])])
        });
        let ends = join_all(flows.map(|flow| engine.run(flow))).await;
        assert!(ends.into_iter().all(|end| end.unwrap() == FlowState::Succeeded));
        let mut running: Vec<String> = Vec::new();
        for line in log.lines() {
            let name = line[1..].to_owned();
            if line.starts_with('+') {
                assert!(!running.contains(&name), "two flows of {name}");
                running.push(name);
                assert!(running.len() <= 3, "{running:?}");
            } else {
                running.retain(|one| *one != name);
            }
        }
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn what_is_submitted_together_keeps_its_order() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let mut flows = Vec::new();
        for n in 0..6 {
            let mut one = flow(&["x"], vec![step(named(&n.to_string()), &[])]);
            // The third takes the place of the second, which it would do in another transaction, too.
            one.converge = n == 1 || n == 2;
            flows.push(one);
        }
        let ids: Vec<_> = flows.iter().map(|flow| flow.id).collect();
        store.write(move |tx| submit_many(tx, &flows, now())).await.unwrap();
        assert_eq!(row(&store, ids[1]).await.superseded_by, Some(ids[2]));
        let tickets = join_all(ids.iter().map(|id| row(&store, *id))).await;
        assert!(tickets.windows(2).all(|two| two[0].ticket < two[1].ticket));
        let engine = engine(&store, &log).start().await.unwrap();
        assert_eq!(engine.ended(ids[5]).await.unwrap(), FlowState::Succeeded);
        let begun: Vec<_> = log.take().into_iter().filter(|line| line.starts_with('+')).collect();
        assert_eq!(begun, ["+0", "+2", "+3", "+4", "+5"]);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn one_that_is_refused_is_refused_alone() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let good = flow(&["x"], vec![step(Plan { millis: 20, ..named("a") }, &[])]);
        let senseless = flow(&["x", "x"], vec![step(named("b"), &[])]);
        let (same, other) = (good.clone(), flow(&["z"], vec![step(named("c"), &[])]));
        let (good, senseless, same, other) = tokio::join!(
            engine.run(good),
            engine.run(senseless),
            engine.run(same),
            engine.run(other)
        );
        assert_eq!(good.unwrap(), FlowState::Succeeded);
        assert!(matches!(senseless, Err(Error::Plan { .. })), "{senseless:?}");
        assert!(matches!(same, Err(Error::Store(_))), "one id, two flows: {same:?}");
        assert_eq!(other.unwrap(), FlowState::Succeeded);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn whoever_stops_waiting_stops_no_flow() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let flow = flow(&["x"], vec![step(named("a"), &[])]);
        let id = flow.id;
        let submission = engine.submit(flow);
        let _ = tokio::time::timeout(std::time::Duration::ZERO, submission).await;
        crate::world::sees("the flow", || async {
            let found = store.read(move |tx| tutti_flow::query::flow(tx, id)).await.unwrap();
            found.map(drop)
        })
        .await;
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_worker_that_counts_as_dead_begins_nothing() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let dead = engine(&store, &log).start().await.unwrap();
        store.write(|tx| tx.exec("DELETE FROM flow_worker", ())).await.unwrap();
        let flow = flow(&["x"], vec![step(named("a"), &[])]);
        let id = flow.id;
        dead.submit(flow).await.unwrap();
        assert_eq!(state(&store, id).await, FlowState::Ready);
        let alive = engine(&store, &log).start().await.unwrap();
        assert_eq!(alive.ended(id).await.unwrap(), FlowState::Succeeded);
        assert_eq!(log.take(), ["+a", "-a"]);
        alive.stop().await;
        drop(dead);
        store.close().await;
    }
}

#[tokio::test]
async fn a_worker_that_counts_as_dead_claims_nothing() {
    for place in Place::all() {
        let (store, logs) = (place.open().await, [Log::default(), Log::default()]);
        let dead = engine(&store, &logs[0]).label("gpu").start().await.unwrap();
        store.write(|tx| tx.exec("DELETE FROM flow_worker", ())).await.unwrap();
        let owner = engine(&store, &Log::default()).start().await.unwrap();
        let labelled = NewTask { labels: vec!["gpu".into()], ..step(named("a"), &[]) };
        let flow = flow(&["x"], vec![labelled]);
        let id = flow.id;
        owner.submit(flow).await.unwrap();
        let alive = engine(&store, &logs[1]).label("gpu").start().await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        let lines = logs.map(|log| log.lines());
        assert_eq!((lines[0].len(), lines[1].len()), (0, 2), "{lines:?}");
        owner.stop().await;
        alive.stop().await;
        drop(dead);
        store.close().await;
    }
}

#[tokio::test]
async fn a_flow_begun_by_a_worker_that_crashed_is_run_by_another() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let crashed = Arc::new(AtomicBool::new(false));
        let crash = Arc::clone(&crashed);
        let probe = move |moment: &tutti_flow::Moment| match moment.point {
            Point::AfterTake if !crash.swap(true, Ordering::Relaxed) => Action::Crash,
            _ => Action::Continue,
        };
        let first = engine(&store, &log).probe(probe).start().await.unwrap();
        let flow = flow(&["x"], vec![step(named("a"), &[])]);
        let id = flow.id;
        let _ = first.submit(flow).await;
        assert!(crashed.load(Ordering::Relaxed), "it did not begin with its submission");
        reaches(&store, id, FlowState::Running).await;
        expire_leases(&store).await;
        let second = engine(&store, &log).start().await.unwrap();
        assert_eq!(second.ended(id).await.unwrap(), FlowState::Succeeded);
        assert_eq!(tasks(&store, id).await[0].attempt, 2, "it may have run");
        assert_eq!(log.take(), ["+a", "-a"]);
        second.stop().await;
        drop(first);
        store.close().await;
    }
}
