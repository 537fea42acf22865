//! What those are told who follow flows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tutti_flow::{
    Action, Error, FailureClass, FlowChange, FlowNews, FlowState, Follower, NewFlow, NewTask,
    Point, Retry, TaskState, Wait, Work, abandon, cancel, resume, retry, revert, signal, suspend,
};
use tutti_store::{Store, Tx};
use uuid::Uuid;

use crate::world::{
    Log, PATIENCE, Place, Plan, ended, engine, flow, named, now, reaches, step, submit,
};

async fn next(follower: &mut Follower) -> FlowNews {
    let next = tokio::time::timeout(PATIENCE, follower.next()).await;
    next.expect("an event in time").unwrap().news
}

/// The next changes of flows, each with the flow and where it stood and stands.
async fn changes<const N: usize>(follower: &mut Follower) -> Vec<(Uuid, FlowState, FlowState)> {
    let mut seen = Vec::new();
    while seen.len() < N {
        if let FlowNews::Flow(FlowChange { flow, from, to, .. }) = next(follower).await {
            seen.push((flow, from.unwrap(), to));
        }
    }
    seen
}

async fn does(store: &Store, what: impl Fn(&mut Tx<'_>) -> Result<(), Error> + Send + 'static) {
    store.write(what).await.unwrap();
}

fn waits(key: &str) -> NewTask {
    let work = Work::Wait(Wait { key: key.into(), at_least: 1 });
    NewTask { name: "wait".into(), work, ..NewTask::default() }
}

#[tokio::test]
async fn an_end_says_what_of_and_from_where_and_what_is_usual_is_not_told() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let worker = engine(&store, &log).start().await.unwrap();
        let mut follower = Follower::open(&store, None).await.unwrap();
        // It is blocked, becomes ready, runs, waits and goes on: only its end is told.
        let first = submit(&store, flow(&["x"], vec![waits("a")])).await.id;
        let tasks = vec![step(named("a"), &[]), waits("b")];
        let second = submit(&store, flow(&["y", "x"], tasks)).await.id;
        does(&store, |tx| signal(tx, "a", 1, now())).await;
        reaches(&store, second, FlowState::Waiting).await;
        does(&store, |tx| signal(tx, "b", 1, now())).await;
        ended(&store, second).await;
        let FlowNews::Flow(of_first) = next(&mut follower).await else { panic!("a flow's") };
        assert_eq!((of_first.flow, of_first.resources), (first, vec!["x".to_owned()]));
        let FlowNews::Flow(of_second) = next(&mut follower).await else { panic!("a flow's") };
        let expected = FlowChange {
            flow: second,
            kind: "test".into(),
            title: "test the engine".into(),
            model: Some("one".into()),
            resources: vec!["x".into(), "y".into()],
            from: Some(FlowState::Waiting),
            to: FlowState::Succeeded,
            error: None,
            superseded_by: None,
        };
        assert_eq!(of_second, expected);
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_failure_a_retry_and_undoing_are_told() {
    use FlowState::{Failed, Ready, Reverted, Reverting, Running, Stuck, Succeeded};
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let worker = engine(&store, &log).start().await.unwrap();
        let mut follower = Follower::open(&store, None).await.unwrap();
        let plan = Plan { terminal: true, ..named("a") };
        let id = submit(&store, flow(&[], vec![step(plan.clone(), &[])])).await.id;
        let FlowNews::Task(task) = next(&mut follower).await else { panic!("a task's") };
        assert_eq!((task.flow, task.name.as_str(), task.state), (id, "step", TaskState::Failed));
        assert_eq!(
            (task.class, task.error.as_deref()),
            (Some(FailureClass::Terminal), Some("a refused"))
        );
        assert_eq!(changes::<1>(&mut follower).await, [(id, Running, Failed)]);
        does(&store, move |tx| retry(tx, id)).await;
        let again = [(id, Failed, Ready), (id, Running, Failed)];
        assert_eq!(changes::<2>(&mut follower).await, again);
        // Undone by itself, and by hand.
        let undone = NewTask { retry: Retry::never().or_revert(), ..step(plan, &[]) };
        let own = submit(&store, flow(&[], vec![undone])).await.id;
        let expected = [(own, Running, Reverting), (own, Reverting, Reverted)];
        assert_eq!(changes::<2>(&mut follower).await, expected);
        let done = submit(&store, flow(&[], vec![step(named("b"), &[])])).await.id;
        ended(&store, done).await;
        does(&store, move |tx| revert(tx, done)).await;
        let expected =
            [(done, Running, Succeeded), (done, Succeeded, Reverting), (done, Reverting, Reverted)];
        assert_eq!(changes::<3>(&mut follower).await, expected);
        let plan = Plan { terminal: true, revert_fails: true, ..named("c") };
        let undone = NewTask { retry: Retry::never().or_revert(), ..step(plan, &[]) };
        let stuck = submit(&store, flow(&[], vec![undone])).await.id;
        reaches(&store, stuck, Stuck).await;
        does(&store, move |tx| abandon(tx, stuck)).await;
        let expected = [
            (stuck, Running, Reverting),
            (stuck, Reverting, Stuck),
            (stuck, Stuck, FlowState::Abandoned),
        ];
        assert_eq!(changes::<3>(&mut follower).await, expected);
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn suspending_is_told_at_once_wherever_a_flow_is() {
    use FlowState::{Blocked, Cancelled, Running, Suspended, Waiting};
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let worker = engine(&store, &log).start().await.unwrap();
        let mut follower = Follower::open(&store, None).await.unwrap();
        let plan = Plan { until: "go on".into(), ..named("a") };
        let tasks = vec![step(plan, &[]), NewTask { needs: vec![0], ..waits("never") }];
        let running = submit(&store, flow(&["x"], tasks)).await.id;
        log.has("+a").await;
        let blocked = submit(&store, flow(&["x"], vec![waits("never")])).await.id;
        let waiting = submit(&store, flow(&[], vec![waits("never")])).await.id;
        let ids = [running, blocked, waiting];
        for id in ids {
            // Twice is the same.
            does(&store, move |tx| suspend(tx, id)).await;
            let from = match id {
                id if id == running => Running,
                id if id == blocked => Blocked,
                _ => Waiting,
            };
            assert_eq!(changes::<1>(&mut follower).await, [(id, from, Suspended)]);
            does(&store, move |tx| suspend(tx, id)).await;
        }
        log.add("go on");
        reaches(&store, running, Suspended).await;
        does(&store, move |tx| resume(tx, waiting)).await;
        does(&store, move |tx| resume(tx, blocked)).await;
        let expected = [(waiting, Suspended, Waiting), (blocked, Suspended, Blocked)];
        assert_eq!(changes::<2>(&mut follower).await, expected);
        does(&store, move |tx| cancel(tx, running)).await;
        assert_eq!(changes::<1>(&mut follower).await, [(running, Suspended, Cancelled)]);
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_change_is_told_once_whether_its_commit_was_answered_or_not() {
    for point in [Point::BeforeBoundary, Point::AfterBoundary] {
        for place in Place::all() {
            let (store, log) = (place.open().await, Log::default());
            let armed = Arc::new(AtomicU32::new(0));
            let shots = Arc::clone(&armed);
            let worker = engine(&store, &log).probe(move |moment| {
                let fails = moment.point == point
                    && shots
                        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                        .is_ok();
                if fails { Action::Fail } else { Action::Continue }
            });
            let worker = worker.start().await.unwrap();
            let plan = Plan { until: "go on".into(), ..named("a") };
            let id = submit(&store, flow(&[], vec![step(plan, &[]), waits("never")])).await.id;
            log.has("+a").await;
            let mut follower = Follower::open(&store, None).await.unwrap();
            armed.store(1, Ordering::Relaxed);
            does(&store, move |tx| suspend(tx, id)).await;
            let told = [(id, FlowState::Running, FlowState::Suspended)];
            assert_eq!(changes::<1>(&mut follower).await, told);
            does(&store, move |tx| cancel(tx, id)).await;
            log.add("go on");
            let told = [(id, FlowState::Suspended, FlowState::Cancelled)];
            assert_eq!(changes::<1>(&mut follower).await, told, "{point:?}");
            assert_eq!(armed.load(Ordering::Relaxed), 0);
            worker.stop().await;
            store.close().await;
        }
    }
}

#[tokio::test]
async fn flows_that_never_began_say_why_they_ended() {
    for place in Place::all() {
        let store = place.open().await;
        let mut follower = Follower::open(&store, None).await.unwrap();
        let new = || NewFlow { converge: true, ..flow(&["x"], vec![step(named("a"), &[])]) };
        let older = submit(&store, new()).await.id;
        let newer = submit(&store, new()).await.id;
        let FlowNews::Flow(change) = next(&mut follower).await else { panic!("a flow's") };
        assert_eq!((change.flow, change.superseded_by), (older, Some(newer)));
        assert_eq!((change.from, change.to), (Some(FlowState::Ready), FlowState::Superseded));
        let unheard = NewTask { name: "unheard".into(), ..NewTask::default() };
        let log = Log::default();
        let worker = engine(&store, &log).start().await.unwrap();
        let parked = submit(&store, flow(&[], vec![unheard])).await.id;
        reaches(&store, parked, FlowState::Parked).await;
        let ends = changes::<2>(&mut follower).await;
        let has_parked = ends.iter().any(|end| (end.0, end.2) == (parked, FlowState::Parked));
        assert!(has_parked, "{ends:?}");
        worker.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn who_comes_back_goes_on_where_it_was_unless_that_is_forgotten() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let worker = engine(&store, &log).start().await.unwrap();
        let mut ids = Vec::new();
        for _ in 0..3 {
            let id = submit(&store, flow(&[], vec![step(named("a"), &[])])).await.id;
            ended(&store, id).await;
            ids.push(id);
        }
        let mut first = Follower::open(&store, Some(0)).await.unwrap();
        let seen = first.next().await.unwrap();
        assert!((now() - seen.at).abs() < 60_000_000);
        // Other programs' events are passed over.
        does(&store, |tx| Ok(tx.outbox("other", &1)?)).await;
        let mut back = Follower::open(&store, Some(seen.seq)).await.unwrap();
        let rest: Vec<Uuid> =
            changes::<2>(&mut back).await.into_iter().map(|change| change.0).collect();
        assert_eq!(rest, ids[1..]);
        let silence = tokio::time::timeout(Duration::from_millis(50), back.next()).await;
        assert!(silence.is_err(), "{silence:?}");
        assert!(store.outbox_prune(i64::MAX).await.unwrap() > 0);
        for after in [0, i64::MAX] {
            let gone = Follower::open(&store, Some(after)).await;
            assert!(matches!(gone, Err(Error::Forgotten { .. })), "{gone:?}");
        }
        let late = submit(&store, flow(&[], vec![step(named("a"), &[])])).await.id;
        ended(&store, late).await;
        assert_eq!(changes::<1>(&mut back).await[0].0, late, "it had seen all that is gone");
        first.next().await.unwrap();
        first.next().await.unwrap();
        worker.stop().await;
        store.close().await;
    }
}
