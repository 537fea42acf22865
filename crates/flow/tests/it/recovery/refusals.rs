//! What the database does not take is the failure of the task it came of, and nobody else's.

use std::time::Duration;

use serde_json::{Value, json};
use tutti_flow::{
    Binding, Controller, FlowState, NewTask, Retry, Task as _, TaskState, Work,
    claim::{self, Claimant},
    suspend,
};
use tutti_store::{Store, Tx};

use crate::world::{
    Log, Place, Plan, Step, ended, engine, flow, named, reaches, row, sees, step, submit, tasks,
};

/// Lets the database refuse a second task of a flow with the same output.
async fn refuse_twins(store: &Store) {
    let unique = "CREATE UNIQUE INDEX test_output ON flow_task (flow, output)";
    store.write(move |tx: &mut Tx<'_>| tx.exec(unique, ())).await.unwrap();
}

fn titled(task: NewTask) -> NewTask {
    NewTask { title: "a title".into(), ..task }
}

#[tokio::test]
async fn nul_characters_are_passed_on() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let first = titled(step(named("a\0b"), &[]));
        let name = Binding { into: "name".into(), task: 0, from: String::new() };
        let second = NewTask { bindings: vec![name], ..step(named("second"), &[0]) };
        let refused = titled(step(Plan { terminal: true, ..named("c\0d") }, &[1]));
        let id = submit(&store, flow(&["x"], vec![first, second, refused])).await.id;
        let end = ended(&store, id).await;
        let message = "c\u{fffd}d refused";
        assert_eq!((end.state, end.error.as_deref()), (FlowState::Failed, Some(message)));
        let rows = tasks(&store, id).await;
        assert_eq!(rows[0].output, Some(Value::from("made by a\0b")));
        assert_eq!(rows[1].output, Some(Value::from("made by made by a\0b")));
        assert_eq!(rows[2].error.as_deref(), Some(message));
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_refused_answer_is_a_failure_of_its_task() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        refuse_twins(&store).await;
        let engine = engine(&store, &log).start().await.unwrap();
        let reverted = |name: &str, needs: &[usize]| NewTask {
            retry: Retry::times(5).or_revert(),
            ..step(named(name), needs)
        };
        let twins = vec![reverted("one", &[]), reverted("one", &[0]), reverted("two", &[1])];
        let id = submit(&store, flow(&["x"], twins)).await.id;
        let others: Vec<Vec<NewTask>> =
            (0..20).map(|n| vec![step(named(&format!("other {n}")), &[])]).collect();
        let mut ids = Vec::new();
        for tasks in others {
            ids.push(submit(&store, flow(&[], tasks)).await.id);
        }
        for other in ids {
            assert_eq!(ended(&store, other).await.state, FlowState::Succeeded);
        }
        let end = ended(&store, id).await;
        assert_eq!(end.state, FlowState::Reverted);
        let message = end.error.unwrap();
        assert!(message.starts_with("what came of it cannot be stored: "), "{message}");
        assert!(message.contains("onstraint"), "{message}");
        let rows = tasks(&store, id).await;
        assert_eq!(rows[1].error, Some(message.clone()));
        let expected = [TaskState::Reverted, TaskState::Reverted, TaskState::Skipped];
        assert_eq!(rows.iter().map(|row| row.state).collect::<Vec<_>>(), expected);
        let mut lines = log.take();
        lines.retain(|line| !line.contains("other"));
        let undone = format!("~one ({message})");
        assert_eq!(lines, ["+one", "-one", "+one", "-one", &undone, "~one (made by one)"]);
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_task_beside_a_refused_one_runs_again() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        refuse_twins(&store).await;
        let engine = engine(&store, &log).start().await.unwrap();
        let twice = Controller::times(2);
        let plan = vec![
            NewTask { name: "twice".into(), work: Work::Retry(twice), ..NewTask::default() },
            step(named("one"), &[]),
            NewTask { guard: Some(0), ..step(named("one"), &[0, 1]) },
            step(Plan { until: "go on".into(), ..named("beside") }, &[1]),
        ];
        let id = submit(&store, flow(&["x"], plan)).await.id;
        sees("the end of the controller", || async {
            (tasks(&store, id).await[0].state == TaskState::Failed).then_some(())
        })
        .await;
        log.add("go on");
        assert_eq!(ended(&store, id).await.state, FlowState::Reverted);
        let lines = log.take();
        let count = |line: &str| lines.iter().filter(|one| *one == line).count();
        assert_eq!((count("+one"), count("+beside")), (3, 3), "{lines:?}");
        assert_eq!((count("-beside"), count("~beside (made by beside)")), (1, 1), "{lines:?}");
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_flow_without_a_task_to_blame_is_set_aside() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let engine = engine(&store, &log).start().await.unwrap();
        let never = Plan { until: "never".into(), ..named("never") };
        let flows = [flow(&[], vec![step(never.clone(), &[])]), flow(&[], vec![step(never, &[])])];
        let ids = flows.each_ref().map(|flow| flow.id);
        let one = "CREATE UNIQUE INDEX test_suspended ON flow (suspended) WHERE suspended";
        store.write(move |tx: &mut Tx<'_>| tx.exec(one, ())).await.unwrap();
        for flow in flows {
            submit(&store, flow).await;
        }
        for id in ids {
            reaches(&store, id, FlowState::Running).await;
            store.write(move |tx| suspend(tx, id)).await.unwrap();
            sees("the end of the news", || async {
                let left = "SELECT count(*) FROM flow_inbox";
                let count = store.read(move |tx| tx.one::<i64>(left, ())).await;
                (count.map_err(|error: tutti_store::Error| error).unwrap() == 0).then_some(())
            })
            .await;
        }
        assert_eq!(row(&store, ids[0]).await.state, FlowState::Running);
        let aside = row(&store, ids[1]).await;
        assert_eq!(aside.state, FlowState::Parked);
        assert!(aside.error.unwrap().contains("cannot be stored"));
        assert_eq!(tasks(&store, ids[1]).await[0].state, TaskState::MaybeRan);
        drop(engine);
        store.close().await;
    }
}

#[tokio::test]
async fn a_flow_that_cannot_be_begun_keeps_no_other() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        refuse_twins(&store).await;
        let gate = || NewTask { name: "gate".into(), work: Work::Gate, ..NewTask::default() };
        // Both gates answer the same, in the transaction in which the flow is taken.
        let twins = || vec![gate(), gate(), step(named("bad"), &[0, 1])];
        let mut flows = Vec::new();
        for number in 0..6 {
            let plan = if number % 3 == 1 { twins() } else { vec![step(named("good"), &[])] };
            flows.push(submit(&store, flow(&[], plan)).await.id);
        }
        let engine = engine(&store, &log).start().await.unwrap();
        for (number, id) in flows.into_iter().enumerate() {
            let end = ended(&store, id).await;
            if number % 3 == 1 {
                assert_eq!(end.state, FlowState::Parked);
                assert!(end.error.unwrap().starts_with("it cannot be begun: "));
            } else {
                assert_eq!(end.state, FlowState::Succeeded);
            }
        }
        assert!(!log.lines().contains(&"+bad".to_owned()));
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_flow_that_is_set_aside_waits_for_no_claim_that_is_over() {
    let minute = Duration::from_secs(60);
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        refuse_twins(&store).await;
        let engine = engine(&store, &log).start().await.unwrap();
        let remote = Claimant {
            name: "r".into(),
            handlers: [Step::NAME.to_owned()].into(),
            labels: ["gpu".to_owned()].into(),
        };
        let never = Plan { until: "never".into(), ..named("never") };
        let offered = |name| NewTask { labels: vec!["gpu".into()], ..step(named(name), &[]) };
        let plan = vec![step(never, &[]), offered("one"), offered("two")];
        let id = submit(&store, flow(&[], plan)).await.id;
        log.has("+never").await;
        let claiming = move |tx: &mut Tx<'_>| claim::claim(tx, &remote, 2, minute);
        let claims = store.write(claiming).await.unwrap();
        let claims = [claims[0].id, claims[1].id];
        let same = move |tx: &mut Tx<'_>| {
            claims.into_iter().try_for_each(|id| claim::finish(tx, id, Ok(json!("twin"))))
        };
        store.write(same).await.unwrap();
        let end = ended(&store, id).await;
        assert_eq!(end.state, FlowState::Parked);
        assert!(end.error.unwrap().contains("cannot be stored"));
        let states = tasks(&store, id).await.into_iter().map(|task| task.state);
        assert_eq!(states.collect::<Vec<_>>(), [TaskState::MaybeRan; 3]);
        engine.stop().await;
        store.close().await;
    }
}
