//! Order per resource, sharing, and newer flows in the place of older ones.

use std::time::Duration;

use tutti_flow::{
    Access, Error, FlowState, NewFlow, NewTask, Retry, SyncState, Wait, WaitingFor, Work, query,
    submit_many, sync_state,
};

use crate::world::{Log, Place, Plan, ended, engine, flow, named, now, sees, state, step, submit};

#[tokio::test]
async fn flows_on_one_resource_run_one_by_one_in_order() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let mut ids = Vec::new();
        for n in 0..8 {
            let plan = vec![step(Plan { millis: 5, ..named(&n.to_string()) }, &[])];
            let resources = if n % 2 == 0 { &["a", "b"] } else { &["b", "c"] };
            ids.push(submit(&store, flow(resources, plan)).await.id);
        }
        let engine = engine(&store, &log).start().await.unwrap();
        for id in ids {
            assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        }
        let expected: Vec<_> = (0..8).flat_map(|n| [format!("+{n}"), format!("-{n}")]).collect();
        assert_eq!(log.lines(), expected);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn shared_flows_run_together_and_a_writer_is_not_overtaken() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let reader = |name| NewFlow {
            resources: vec![("net".into(), Access::Shared)],
            ..flow(&[], vec![step(Plan { millis: 60, ..named(name) }, &[])])
        };
        let one = submit(&store, reader("r1")).await;
        let two = submit(&store, reader("r2")).await;
        let writer = submit(&store, flow(&["net"], vec![step(named("w"), &[])])).await;
        let three = submit(&store, reader("r3")).await;
        assert_eq!((one.state, two.state), (FlowState::Ready, FlowState::Ready));
        assert_eq!((writer.state, three.state), (FlowState::Blocked, FlowState::Blocked));
        let before = |flow, place| vec![WaitingFor { resource: "net".into(), flow, place }];
        assert_eq!(writer.waiting_for, before(two.id, 3));
        assert_eq!(three.waiting_for, before(writer.id, 4));
        let engine = engine(&store, &log).start().await.unwrap();
        ended(&store, three.id).await;
        let lines = log.lines();
        assert!(lines[..2].iter().all(|line| line.starts_with("+r")), "{lines:?}");
        assert_eq!(lines[4..], ["+w", "-w", "+r3", "-r3"]);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_newer_converging_flow_takes_the_place_of_unstarted_ones() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        // The first one runs until all others are submitted.
        let converge = |name: &str, generation| {
            let until = if generation == 1 { "submitted" } else { "" };
            let plan = Plan { until: until.into(), ..named(name) };
            NewFlow {
                converge: true,
                generation: Some(generation),
                ..flow(&["app/db"], vec![step(plan, &[])])
            }
        };
        let engine = engine(&store, &log).start().await.unwrap();
        let running = submit(&store, converge("1", 1)).await.id;
        crate::world::reaches(&store, running, FlowState::Running).await;
        let old = submit(&store, converge("2", 2)).await.id;
        let other = NewFlow { kind: "other".into(), ..converge("x", 9) };
        let middle = submit(&store, converge("3", 3)).await.id;
        assert_eq!(state(&store, old).await, FlowState::Superseded);
        let other = submit(&store, other).await.id;
        let newest = submit(&store, converge("4", 4)).await.id;
        // Another flow stands between them, and may rely on what the older one does.
        assert_eq!(state(&store, middle).await, FlowState::Blocked);
        log.add("submitted");
        for id in [running, middle, other, newest] {
            assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        }
        let old = ended(&store, old).await;
        assert_eq!(old.superseded_by, Some(middle));
        let done: Vec<_> = log.lines().into_iter().filter(|line| line.starts_with('-')).collect();
        assert_eq!(done, ["-1", "-3", "-x", "-4"]);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn sync_state_follows_the_flows() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let sync = || store.read(|tx| sync_state(tx, "app/db"));
        assert_eq!(sync().await.unwrap().state, SyncState::InSync);
        let converge =
            |plan| NewFlow { converge: true, ..flow(&["app/db"], vec![step(plan, &[])]) };
        let good = submit(&store, converge(named("a"))).await.id;
        let found = sync().await.unwrap();
        assert_eq!((found.state, found.flow), (SyncState::Pending, Some(good)));
        let engine = engine(&store, &log).start().await.unwrap();
        ended(&store, good).await;
        assert_eq!(sync().await.unwrap().state, SyncState::InSync);
        let bad = submit(&store, converge(Plan { failures: 1, ..named("b") })).await.id;
        let found = sees("a retry", || async {
            let sync = sync().await.unwrap();
            (sync.state == SyncState::Retrying).then_some(sync)
        });
        let found = found.await;
        assert_eq!(found.reason, "retrying");
        assert_eq!(
            (found.message.as_str(), found.task),
            ("b busy", Some(tutti_flow::task_id(bad, 0)))
        );
        ended(&store, bad).await;
        assert_eq!(sync().await.unwrap().state, SyncState::InSync);
        let failed = submit(&store, converge(Plan { terminal: true, ..named("c") })).await.id;
        ended(&store, failed).await;
        let found = sync().await.unwrap();
        assert_eq!((found.state, found.message.as_str()), (SyncState::Failed, "c refused"));
        // An action says nothing about desired state.
        ended(&store, submit(&store, flow(&["app/db"], vec![])).await.id).await;
        assert_eq!(sync().await.unwrap().flow, Some(failed));
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn what_waits_keeps_its_resources_and_what_is_set_aside_does_not() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let wait = Wait { key: "key".into(), at_least: 1 };
        let waits = NewTask { work: Work::Wait(wait), ..NewTask::default() };
        let unknown = NewTask { name: "unknown".into(), ..NewTask::default() };
        let knotted = Plan { terminal: true, revert_fails: true, ..named("a") };
        let knotted = NewTask { retry: Retry::never().or_revert(), ..step(knotted, &[]) };
        for (task, expected, next) in [
            (waits, FlowState::Waiting, FlowState::Blocked),
            (unknown, FlowState::Parked, FlowState::Succeeded),
            (knotted, FlowState::Stuck, FlowState::Succeeded),
        ] {
            let resource = expected.as_str();
            let first =
                submit(&store, flow(&[resource], vec![task, step(named("b"), &[0])])).await.id;
            crate::world::reaches(&store, first, expected).await;
            let second = submit(&store, flow(&[resource], vec![step(named("c"), &[])])).await.id;
            crate::world::reaches(&store, second, next).await;
        }
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn plans_that_make_no_sense_are_refused() {
    let place = Place::sqlite();
    let store = place.open().await;
    let mut cyclic = flow(&["a"], vec![step(named("a"), &[]), step(named("b"), &[])]);
    cyclic.tasks[1].needs = vec![1];
    for bad in [cyclic, flow(&["a", "a"], vec![]), flow(&[""], vec![]), flow(&["a\nb"], vec![])] {
        let refused =
            store.write(move |tx| tutti_flow::submit(tx, bad.clone(), 0)).await.unwrap_err();
        assert!(matches!(refused, Error::Plan { .. }), "{refused:?}");
    }
    let none = store.read(|tx| query::flows(tx, &tutti_flow::FlowFilter::default())).await.unwrap();
    assert_eq!(none, []);
    tokio::time::sleep(Duration::from_millis(1)).await;
    store.close().await;
}

#[tokio::test]
async fn a_long_queue_is_not_counted_to_its_end_for_everyone_in_it() {
    for place in Place::all() {
        let store = place.open().await;
        let one = || flow(&["net"], vec![step(named("a"), &[])]);
        let flows: Vec<_> = (0..1_004).map(|_| one()).collect();
        store.write(move |tx| submit_many(tx, &flows, now()).map(drop)).await.unwrap();
        let last = submit(&store, one()).await;
        assert_eq!(last.waiting_for[0].place, query::PLACE_MAX);
        let places = store.read(move |tx| query::places(tx, last.id)).await.unwrap();
        assert_eq!(places, [("net".to_owned(), 1_005)]);
        store.close().await;
    }
}
