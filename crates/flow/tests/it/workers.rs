//! Tasks that need what their flow's owner lacks: labels, offers, claims.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use tutti_flow::{
    Action, Engine, Error, Failure, FlowState, NewTask, Outcome, Point, Retry, TaskState, cancel,
    claim::{self, Claim, Claimant},
    query, resume, suspend,
};
use tutti_store::Store;
use uuid::Uuid;

use crate::world::{
    Log, Place, Plan, Step, ended, engine, flow, named, reaches, row, sees, step, submit, tasks,
};

const LEASE: Duration = Duration::from_secs(30);

fn labelled(plan: Plan, needs: &[usize], labels: &[&str]) -> NewTask {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    NewTask { labels, ..step(plan, needs) }
}

fn remote(labels: &[&str]) -> Claimant {
    Claimant {
        name: "remote".into(),
        handlers: BTreeSet::from(["step".to_owned()]),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
    }
}

async fn claim_one(store: &Store, worker: &Claimant, lease: Duration) -> Claim {
    sees("a claim", || async {
        let worker = worker.clone();
        let claims = store.write(move |tx| claim::claim(tx, &worker, 1, lease)).await.unwrap();
        claims.into_iter().next()
    })
    .await
}

async fn finish(
    store: &Store,
    claim: Uuid,
    result: Result<serde_json::Value, Failure>,
) -> Result<(), Error> {
    store.write(move |tx| claim::finish(tx, claim, result.clone())).await
}

async fn offered(store: &Store, flow: Uuid, number: usize) -> String {
    let seen = sees("an offer", || async {
        let task = tasks(store, flow).await.swap_remove(number);
        task.offer.filter(|_| task.state == TaskState::Offered)
    });
    seen.await.to_string()
}

#[tokio::test]
async fn a_task_runs_only_where_all_its_labels_are() {
    for place in Place::all() {
        let store = place.open().await;
        let logs = [Log::default(), Log::default(), Log::default()];
        let plain = engine(&store, &logs[0]).start().await.unwrap();
        let gpu = engine(&store, &logs[1]).label("gpu").start().await.unwrap();
        let both = engine(&store, &logs[2]).label("gpu").label("zone=a").start().await.unwrap();
        for _ in 0..5 {
            let chain = vec![
                labelled(named("zone"), &[], &["zone=a"]),
                step(named("anywhere"), &[0]),
                labelled(named("gpu"), &[1], &["gpu"]),
                labelled(named("both"), &[2], &["zone=a", "gpu"]),
            ];
            let id = submit(&store, flow(&["x"], chain)).await.id;
            assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
            assert!(tasks(&store, id).await.iter().all(|task| task.attempt == 1));
        }
        let [plain_log, gpu_log, both_log] = logs.map(|log| log.lines());
        assert!(plain_log.iter().all(|line| line.ends_with("anywhere")), "{plain_log:?}");
        assert!(!gpu_log.iter().any(|line| line.ends_with("zone") || line.ends_with("both")));
        assert_eq!(both_log.iter().filter(|line| *line == "-both").count(), 5);
        assert_eq!(both_log.iter().filter(|line| *line == "-zone").count(), 5);
        for engine in [plain, gpu, both] {
            engine.stop().await;
        }
        store.close().await;
    }
}

#[tokio::test]
async fn without_a_worker_for_it_a_task_waits_and_says_so() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let plain = engine(&store, &log).start().await.unwrap();
        let id = submit(&store, flow(&["x"], vec![labelled(named("a"), &[], &["gpu"])])).await.id;
        assert_eq!(
            offered(&store, id, 0).await,
            "waiting for a worker with label gpu that knows step"
        );
        reaches(&store, id, FlowState::Waiting).await;
        let gpu = engine(&store, &log).label("gpu").start().await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        plain.stop().await;
        gpu.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn tasks_of_one_flow_run_at_different_workers_at_the_same_time() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let one = engine(&store, &log).label("zone=a").start().await.unwrap();
        let other = engine(&store, &log).label("zone=b").start().await.unwrap();
        let until = |name, until: &str| Plan { until: until.into(), ..named(name) };
        let tasks_of_it = vec![
            labelled(until("a", "+b"), &[], &["zone=a"]),
            labelled(until("b", "+a"), &[], &["zone=b"]),
            step(named("c"), &[0, 1]),
        ];
        let id = submit(&store, flow(&["x"], tasks_of_it)).await.id;
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        one.stop().await;
        other.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_claim_is_made_kept_and_finished() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let owner = engine(&store, &log).start().await.unwrap();
        let chain = vec![
            labelled(named("a"), &[], &["gpu"]),
            NewTask {
                bindings: vec![tutti_flow::Binding {
                    into: "name".into(),
                    task: 0,
                    from: "/made".into(),
                }],
                ..step(named("b"), &[])
            },
        ];
        let id = submit(&store, flow(&["x"], chain)).await.id;
        offered(&store, id, 0).await;
        let nobody = remote(&[]);
        let none = store.write(move |tx| claim::claim(tx, &nobody, 9, LEASE)).await.unwrap();
        assert_eq!(none, [], "it has no such label");
        let got = claim_one(&store, &remote(&["gpu"]), LEASE).await;
        assert_eq!((got.flow, got.attempt, &got.input["name"]), (id, 1, &json!("a")));
        assert_eq!(got.idempotency_key(), format!("{}-execute", got.task));
        let task = tasks(&store, id).await.swap_remove(0);
        assert_eq!(task.state, TaskState::Running);
        assert_eq!(task.offer.unwrap().to_string(), "claimed by worker remote");
        let claim = got.id;
        let standing = store
            .write(move |tx| {
                claim::progress(tx, claim, 0.5)?;
                claim::log(tx, claim, "half way")?;
                claim::beat(tx, claim, 2 * LEASE)
            })
            .await
            .unwrap();
        assert!(standing.lease_until > got.lease_until && !standing.cancelled);
        finish(&store, claim, Ok(json!({"made": "z"}))).await.unwrap();
        let late = finish(&store, claim, Ok(json!(1))).await;
        assert!(matches!(late, Err(Error::ClaimLost { .. })), "{late:?}");
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        assert_eq!(log.lines(), ["+z", "-z"]);
        let rows = tasks(&store, id).await;
        assert_eq!((rows[0].progress, rows[0].attempt), (Some(0.5), 1));
        let lines = store.read(move |tx| query::log(tx, id, Some(0))).await.unwrap();
        assert_eq!(lines[0].line, "half way");
        owner.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn who_is_not_heard_of_loses_the_claim() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let owner = engine(&store, &log).start().await.unwrap();
        let id = submit(&store, flow(&["x"], vec![labelled(named("a"), &[], &["gpu"])])).await.id;
        let first = claim_one(&store, &remote(&["gpu"]), Duration::from_millis(200)).await;
        let second = claim_one(&store, &remote(&["gpu"]), LEASE).await;
        assert_eq!((first.attempt, second.attempt), (1, 2), "the attempt that was lost counts");
        assert_eq!(first.idempotency_key(), second.idempotency_key());
        assert!((second.epoch, second.attempt) > (first.epoch, first.attempt), "it can be fenced");
        let (one, late) = (first.id, finish(&store, first.id, Ok(json!("late"))).await);
        assert!(matches!(late, Err(Error::ClaimLost { .. })), "{late:?}");
        let late = store.write(move |tx| claim::beat(tx, one, LEASE)).await;
        assert!(matches!(late, Err(Error::ClaimLost { .. })), "{late:?}");
        finish(&store, second.id, Ok(json!("in time"))).await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        assert_eq!(tasks(&store, id).await[0].output, Some(json!("in time")));
        owner.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_task_that_kills_its_claimants_is_set_aside() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let owner = engine(&store, &log).start().await.unwrap();
        let id = submit(&store, flow(&["x"], vec![labelled(named("a"), &[], &["gpu"])])).await.id;
        for _ in 0..3 {
            claim_one(&store, &remote(&["gpu"]), Duration::from_millis(1)).await;
        }
        let worker = remote(&["gpu"]);
        sees("the lapse of the last", || async {
            let worker = worker.clone();
            let none = store.write(move |tx| claim::claim(tx, &worker, 1, LEASE)).await.unwrap();
            assert_eq!(none, []);
            row(&store, id).await.state.is_ended().then_some(())
        })
        .await;
        let flow = row(&store, id).await;
        assert_eq!(flow.state, FlowState::Parked);
        assert_eq!(flow.error.unwrap(), "its worker died 3 times without progress");
        owner.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn cancelling_reaches_whoever_has_claimed() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let owner = engine(&store, &log).start().await.unwrap();
        let retry = Retry::times(3).or_revert();
        let chain = vec![
            NewTask { retry, ..labelled(named("a"), &[], &["gpu"]) },
            labelled(named("b"), &[], &["no such"]),
        ];
        let id = submit(&store, flow(&["x"], chain)).await.id;
        let claim = claim_one(&store, &remote(&["gpu"]), LEASE).await.id;
        store.write(move |tx| cancel(tx, id)).await.unwrap();
        sees("the cancellation", || async {
            let standing = store.write(move |tx| claim::beat(tx, claim, LEASE)).await.unwrap();
            standing.cancelled.then_some(())
        })
        .await;
        assert!(!row(&store, id).await.state.is_ended(), "what runs ends first");
        finish(&store, claim, Ok(json!("done all the same"))).await.unwrap();
        let undo = claim_one(&store, &remote(&["gpu"]), LEASE).await;
        assert_eq!(undo.undo, Some(Outcome::Succeeded(json!("done all the same"))));
        assert!(undo.idempotency_key().ends_with("-revert"));
        finish(&store, undo.id, Ok(json!(null))).await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Cancelled);
        let states: Vec<_> = tasks(&store, id).await.iter().map(|task| task.state).collect();
        assert_eq!(states, [TaskState::Reverted, TaskState::Skipped]);
        owner.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn nothing_of_a_suspended_flow_is_claimed() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let owner = engine(&store, &log).start().await.unwrap();
        let id = submit(&store, flow(&["x"], vec![labelled(named("a"), &[], &["gpu"])])).await.id;
        offered(&store, id, 0).await;
        store.write(move |tx| suspend(tx, id)).await.unwrap();
        reaches(&store, id, FlowState::Suspended).await;
        let worker = remote(&["gpu"]);
        let none = store.write(move |tx| claim::claim(tx, &worker, 1, LEASE)).await.unwrap();
        assert_eq!(none, []);
        store.write(move |tx| resume(tx, id)).await.unwrap();
        let claim = claim_one(&store, &remote(&["gpu"]), LEASE).await;
        assert_eq!(claim.attempt, 1, "it had not begun");
        finish(&store, claim.id, Err(Failure::Terminal("no".into()))).await.unwrap();
        let flow = ended(&store, id).await;
        assert_eq!((flow.state, flow.error.as_deref()), (FlowState::Failed, Some("no")));
        owner.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_claim_outlives_the_owner_of_its_flow() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let lease = Duration::from_millis(600);
        let until = Plan { until: "go on".into(), ..named("a") };
        let first = engine(&store, &log).lease(lease).start().await.unwrap();
        let tasks_of_it = vec![step(until, &[]), labelled(named("b"), &[], &["gpu"])];
        let id = submit(&store, flow(&["x"], tasks_of_it)).await.id;
        let claim = claim_one(&store, &remote(&["gpu"]), LEASE).await;
        log.has("+a").await;
        // As a kill would: nothing is given back.
        drop(first);
        finish(&store, claim.id, Ok(json!("made elsewhere"))).await.unwrap();
        log.add("go on");
        let second = engine(&store, &log).lease(lease).start().await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        let rows = tasks(&store, id).await;
        assert_eq!((rows[0].attempt, rows[1].attempt), (2, 1));
        assert_eq!(rows[1].output, Some(json!("made elsewhere")));
        second.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_worker_that_dies_over_a_claim_is_replaced() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let lease = Duration::from_millis(600);
        let owner = engine(&store, &log).lease(lease).start().await.unwrap();
        let gpu = || Engine::builder(store.clone()).task(Step(log.clone())).label("gpu");
        let dying = gpu().lease(lease).probe(|moment| match moment.point {
            Point::AfterExecute => Action::Crash,
            _ => Action::Continue,
        });
        let dying = dying.start().await.unwrap();
        let id = submit(&store, flow(&["x"], vec![labelled(named("a"), &[], &["gpu"])])).await.id;
        log.has("-a").await;
        let next = gpu().lease(lease).start().await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        assert_eq!(tasks(&store, id).await[0].attempt, 2);
        assert_eq!(log.lines(), ["+a", "-a", "+a", "-a"]);
        drop(dying);
        owner.stop().await;
        next.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_claimed_attempt_has_only_its_time() {
    for place in Place::all() {
        let (store, log) = (place.open().await, Log::default());
        let owner = engine(&store, &log).start().await.unwrap();
        let limit = Duration::from_millis(300);
        let timeouts = tutti_flow::Timeouts { attempt: Some(limit), ..Default::default() };
        let task =
            NewTask { timeouts, retry: Retry::never(), ..labelled(named("a"), &[], &["gpu"]) };
        let id = submit(&store, flow(&["x"], vec![task])).await.id;
        let got = claim_one(&store, &remote(&["gpu"]), LEASE).await;
        assert_eq!(got.deadline, Some(got.lease_until), "no lease is longer than that");
        let worker = remote(&["gpu"]);
        sees("its end", || async {
            let worker = worker.clone();
            store.write(move |tx| claim::claim(tx, &worker, 1, LEASE)).await.unwrap();
            row(&store, id).await.state.is_ended().then_some(())
        })
        .await;
        let flow = row(&store, id).await;
        assert_eq!(flow.error.as_deref(), Some("it took longer than 300ms"));
        owner.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_label_without_a_worker_to_need_it_is_refused() {
    let place = Place::sqlite();
    let store = place.open().await;
    let gate = NewTask { work: tutti_flow::Work::Gate, ..labelled(named("a"), &[], &["gpu"]) };
    let plan = flow(&[], vec![gate]);
    let refused = store
        .write(move |tx| tutti_flow::submit(tx, plan.clone(), crate::world::now()))
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "flow `test` cannot be planned: task 0 needs a worker with the label `gpu`, but no worker runs it"
    );
    store.close().await;
}
