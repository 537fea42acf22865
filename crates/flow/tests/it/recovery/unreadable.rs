//! Flows whose rows cannot be read are set aside, and hold up nobody else.

use std::time::Duration;

use serde_json::json;
use tutti_flow::{
    Child, Error, Fate, FlowRow, FlowState, NewFlow, NewTask, Retry, TaskState, Wait, Work,
    abandon,
    claim::{self, Claimant},
    retry, signal,
};
use tutti_store::{Store, Tx};
use uuid::Uuid;

use crate::world::{
    Log, Place, Plan, ended, engine, flow, named, now, reaches, row, sees, state, step, submit,
    tasks,
};

/// Changes rows of a flow as nobody should.
async fn damage(store: &Store, id: Uuid, sql: &'static str) {
    store.write(move |tx: &mut Tx<'_>| tx.exec(sql, (id,))).await.unwrap();
}

async fn set_aside(store: &Store, id: Uuid, reason: &str) -> FlowRow {
    let flow = ended(store, id).await;
    assert_eq!(flow.state, FlowState::Parked);
    let message = flow.error.clone().unwrap();
    assert!(message.contains(reason), "{message}, not {reason}");
    flow
}

/// What damages a flow of two tasks, and what its message says.
const DAMAGES: &[(&str, &str)] = &[
    ("UPDATE flow_task SET spec = '{' WHERE flow = $1 AND number = 1", "task 1: its plan: EOF"),
    (
        "UPDATE flow_task SET spec = '{\"work\":\"dream\"}' WHERE flow = $1 AND number = 0",
        "task 0: its plan: unknown variant `dream`",
    ),
    ("UPDATE flow_task SET needs = 'x' WHERE flow = $1 AND number = 1", "task 1: its needs: "),
    ("UPDATE flow_task SET needs = '[7]' WHERE flow = $1 AND number = 1", "names task 7 of 2"),
    ("DELETE FROM flow_task WHERE flow = $1 AND number = 0", "task 1: task 0 is missing"),
    (
        "UPDATE flow_task SET state = 'dreaming' WHERE flow = $1 AND number = 1",
        "its tasks: column 11 is `dreaming`, not TaskState",
    ),
    (
        "UPDATE flow SET ending = 'dreamt' WHERE id = $1",
        "its row: column 8 is `dreamt`, not FlowState",
    ),
    ("INSERT INTO flow_inbox (flow, id, event) VALUES ($1, 'x', '{}')", "is text of 1 bytes"),
];

#[tokio::test]
async fn others_are_taken() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let plan = || vec![step(named("a"), &[]), step(named("b"), &[0])];
        let mut damaged = Vec::new();
        let mut whole = Vec::new();
        for (number, (sql, reason)) in DAMAGES.iter().enumerate() {
            let resource = format!("r{number}");
            let id = submit(&store, flow(&[&resource], plan())).await.id;
            damage(&store, id, sql).await;
            damage(&store, id, "UPDATE flow SET nudged = TRUE WHERE id = $1").await;
            damaged.push((id, *reason));
            whole.push(submit(&store, flow(&[&resource], plan())).await.id);
        }
        let engine = engine(&store, &log).start().await.unwrap();
        for id in whole {
            assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        }
        for (id, reason) in damaged {
            set_aside(&store, id, reason).await;
            assert!(tasks(&store, id).await.iter().all(|task| task.finished.is_some()));
        }
        assert_eq!(engine.counters().read().lease_losses, 0);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn what_is_mended_goes_on() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let id = submit(&store, flow(&["x"], vec![step(named("a"), &[])])).await.id;
        damage(&store, id, "UPDATE flow_task SET state = 'dreaming' WHERE flow = $1").await;
        let engine = engine(&store, &log).start().await.unwrap();
        set_aside(&store, id, "`dreaming`").await;
        // It may have had its effect.
        assert_eq!(tasks(&store, id).await[0].state, TaskState::MaybeRan);
        store.write(move |tx| retry(tx, id)).await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn what_was_being_undone_is_stuck() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let first = engine(&store, &log).probe(|moment| match moment.point {
            tutti_flow::Point::BeforeRevert => tutti_flow::Action::Crash,
            _ => tutti_flow::Action::Continue,
        });
        let first = first.start().await.unwrap();
        let done = NewTask { retry: Retry::never().or_revert(), ..step(named("a"), &[]) };
        let fails = Plan { terminal: true, ..named("b") };
        let fails = NewTask { retry: Retry::never().or_revert(), ..step(fails, &[0]) };
        let id = submit(&store, flow(&["x"], vec![done, fails])).await.id;
        reaches(&store, id, FlowState::Reverting).await;
        damage(&store, id, "UPDATE flow_task SET needs = '[0' WHERE flow = $1 AND number = 1")
            .await;
        drop(first);
        super::expire_leases(&store).await;
        let engine = engine(&store, &log).start().await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Stuck);
        damage(&store, id, "UPDATE flow_task SET needs = '[0]' WHERE flow = $1 AND number = 1")
            .await;
        store.write(move |tx| retry(tx, id)).await.unwrap();
        reaches(&store, id, FlowState::Reverted).await;
        assert_eq!(log.lines()[3..], ["~b (b refused)", "~a (made by a)"]);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_signal_reaches_the_others() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let waits = || {
            let wait = Wait { key: "key".into(), at_least: 1 };
            let wait = NewTask { work: Work::Wait(wait), ..NewTask::default() };
            flow(&[], vec![wait, step(named("a"), &[0])])
        };
        let damaged = submit(&store, waits()).await.id;
        let whole = submit(&store, waits()).await.id;
        for id in [damaged, whole] {
            reaches(&store, id, FlowState::Waiting).await;
        }
        damage(&store, damaged, "UPDATE flow_task SET spec = '{' WHERE flow = $1 AND number = 1")
            .await;
        store.write(|tx| signal(tx, "key", 1, now())).await.unwrap();
        assert_eq!(ended(&store, whole).await.state, FlowState::Succeeded);
        set_aside(&store, damaged, "task 1: its plan").await;
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn news_that_cannot_be_read_parks_a_running_flow() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let slow = Plan { until: "go on".into(), ..named("a") };
        let id = submit(&store, flow(&["x"], vec![step(slow, &[]), step(named("b"), &[0])])).await;
        let id = id.id;
        log.has("+a").await;
        store
            .write(move |tx: &mut Tx<'_>| {
                let news = "INSERT INTO flow_inbox (flow, id, event) VALUES ($1, $2, '\"dream\"')";
                tx.exec(news, (id, Uuid::now_v7()))?;
                tx.exec("UPDATE flow SET nudged = TRUE WHERE id = $1", (id,))?;
                tx.ring(tutti_flow::TOPIC);
                Ok::<_, tutti_store::Error>(())
            })
            .await
            .unwrap();
        sees("the end of the news", || async {
            let left = "SELECT NOT EXISTS (SELECT 1 FROM flow_inbox)";
            let none = store.read(move |tx: &mut Tx<'_>| tx.one::<bool>(left, ())).await;
            none.unwrap().then_some(())
        })
        .await;
        log.add("go on");
        set_aside(&store, id, "news for it cannot be read: unknown variant `dream`").await;
        let states: Vec<TaskState> = tasks(&store, id).await.iter().map(|row| row.state).collect();
        assert_eq!(states, [TaskState::Succeeded, TaskState::Skipped]);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_child_ends_though_its_parent_cannot_be_read() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let slow = Plan { until: "go on".into(), ..named("child") };
        let child = Child { flow: flow(&[], vec![step(slow, &[])]), fate: Fate::Joined };
        let child = NewTask { work: Work::Flow(Box::new(child)), ..NewTask::default() };
        let parent: NewFlow = flow(&["x"], vec![child, step(named("after"), &[0])]);
        let id = submit(&store, parent).await.id;
        log.has("+child").await;
        damage(&store, id, "UPDATE flow_task SET spec = '{' WHERE flow = $1 AND number = 1").await;
        log.add("go on");
        set_aside(&store, id, "task 1: its plan").await;
        let child = tutti_flow::child_id(tutti_flow::task_id(id, 0));
        assert_eq!(ended(&store, child).await.state, FlowState::Succeeded);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn an_offer_that_cannot_be_read_keeps_no_other() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let owner = engine(&store, &log).start().await.unwrap();
        let mut flows = Vec::new();
        for _ in 0..2 {
            let task = NewTask { labels: vec!["gpu".into()], ..step(named("a"), &[]) };
            let id = submit(&store, flow(&[], vec![task])).await.id;
            sees("the offer", || async { tasks(&store, id).await[0].offer.clone() }).await;
            flows.push(id);
        }
        damage(&store, flows[0], "UPDATE flow_offer SET input = '{' WHERE flow = $1").await;
        let worker = Claimant {
            name: "remote".into(),
            handlers: ["step".to_owned()].into(),
            labels: ["gpu".to_owned()].into(),
        };
        let lease = Duration::from_secs(30);
        let claims = store.write(move |tx| claim::claim(tx, &worker, 2, lease)).await.unwrap();
        assert_eq!(claims.iter().map(|claim| claim.flow).collect::<Vec<_>>(), flows[1..]);
        let failed = ended(&store, flows[0]).await;
        assert_eq!(failed.state, FlowState::Failed);
        assert!(failed.error.unwrap().starts_with("its offer cannot be read: "));
        let claim = claims[0].id;
        store.write(move |tx| claim::finish(tx, claim, Ok(json!("done")))).await.unwrap();
        assert_eq!(ended(&store, flows[1]).await.state, FlowState::Succeeded);
        owner.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn whoever_abandons_one_sets_it_aside_first() {
    for place in Place::all() {
        let store = place.open().await;
        let id = submit(&store, flow(&["x"], vec![step(named("a"), &[])])).await.id;
        let next = submit(&store, flow(&["x"], vec![step(named("b"), &[])])).await.id;
        // No worker ever takes it.
        damage(&store, id, "UPDATE flow SET state = 'dreaming' WHERE id = $1").await;
        for expected in [FlowState::Parked, FlowState::Abandoned] {
            store.write(move |tx| abandon(tx, id)).await.unwrap();
            assert_eq!(row(&store, id).await.state, expected);
        }
        let again = store.write(move |tx| abandon(tx, id)).await;
        assert!(matches!(again, Err(Error::Ended { .. })), "{again:?}");
        assert_eq!(state(&store, next).await, FlowState::Ready);
        store.close().await;
    }
}
