//! Tasks in transactions: their effect is there exactly once, whatever dies and whenever.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tutti_flow::{
    Action, Builder, Controller, Engine, Failure, FlowState, NewTask, Outcome, Point, Retry,
    TaskContext, TaskState, TxError, TxTask, Work, abandon, pattern, retry, skip, task_id,
};
use tutti_store::{Store, Tx};
use uuid::Uuid;

use crate::world::{Log, Place, Plan, Step, ended, flow, named, sees, step, submit, tasks};

const ADD: &str = "INSERT INTO effect (name, done, undone) VALUES ($1, 1, 0)
    ON CONFLICT (name) DO UPDATE SET done = effect.done + 1";
const UNDO: &str = "UPDATE effect SET undone = undone + 1 WHERE name = $1";

/// Counts in a table how often it was done and undone.
struct Count;

impl TxTask for Count {
    const NAME: &'static str = "count";
    type Input = String;
    type Output = String;

    fn execute(
        &self,
        tx: &mut Tx<'_>,
        context: &TaskContext,
        name: String,
    ) -> Result<String, TxError> {
        tx.exec(ADD, (&name,))?;
        match name.as_str() {
            "busy" if context.attempt < 3 => Err(Failure::Retryable("busy".into()).into()),
            "refused" => Err(Failure::Terminal("refused".into()).into()),
            "panics" if context.attempt < 2 => panic!("on purpose"),
            "no table" => Ok(tx.one("SELECT name FROM no_such_table", ())?),
            _ => Ok(format!("{name} by {}", context.attempt)),
        }
    }

    fn revert(
        &self,
        tx: &mut Tx<'_>,
        _: &TaskContext,
        name: String,
        outcome: Outcome<String>,
    ) -> Result<(), TxError> {
        assert!(!matches!(outcome, Outcome::Unknown), "nobody has to guess");
        if matches!(outcome, Outcome::Succeeded(_)) {
            tx.exec(UNDO, (name,))?;
        }
        Ok(())
    }
}

fn count(name: &str, needs: &[usize]) -> NewTask {
    NewTask {
        name: Count::NAME.into(),
        input: json!(name),
        needs: needs.to_vec(),
        retry: Retry::times(3).or_revert(),
        ..NewTask::default()
    }
}

async fn open(place: &Place) -> Store {
    let store = place.open().await;
    let table =
        "CREATE TABLE effect (name TEXT PRIMARY KEY, done BIGINT NOT NULL, undone BIGINT NOT NULL)";
    store.write(move |tx| tx.exec(table, ())).await.unwrap();
    store
}

async fn effects(store: &Store) -> Vec<(String, i64, i64)> {
    let all = "SELECT name, done, undone FROM effect ORDER BY name";
    store.read(move |tx| tx.all(all, ())).await.unwrap()
}

fn worker(store: &Store, log: &Log) -> Builder {
    let lease = Duration::from_millis(450);
    Engine::builder(store.clone()).task(Step(log.clone())).tx_task(Count).lease(lease)
}

/// Runs a flow with this happening at the `nth` time a worker is at a point; answers how it ended.
async fn run(store: &Store, tasks: Vec<NewTask>, at: Point, nth: u32, action: Action) -> FlowState {
    let log = Log::default();
    let seen = Arc::new(AtomicU32::new(0));
    let hits = Arc::clone(&seen);
    let first = worker(store, &log).probe(move |moment| {
        let hit = moment.point == at && hits.fetch_add(1, Ordering::Relaxed) + 1 == nth;
        if hit { action } else { Action::Continue }
    });
    let first = first.start().await.unwrap();
    let id = submit(store, flow(&["x"], tasks)).await.id;
    let second = if action == Action::Crash {
        tokio::time::timeout(Duration::from_millis(250), tutti_flow::ended(store, id)).await.ok();
        Some(worker(store, &log).start().await.unwrap())
    } else {
        None
    };
    let flow = ended(store, id).await;
    for engine in [Some(first), second].into_iter().flatten() {
        engine.stop().await;
    }
    flow.state
}

#[tokio::test]
async fn effects_are_there_once_wherever_the_worker_dies() {
    for place in Place::all() {
        for point in Point::ALL {
            for action in [Action::Crash, Action::Repeat, Action::Fail] {
                let name = |what: &str| format!("{what} {point:?} {action:?}");
                let store = open(&place).await;
                let list = tutti_flow::Each {
                    name: Count::NAME.into(),
                    input: json!(null),
                    item: String::new(),
                    retry: Retry::default(),
                    timeouts: tutti_flow::Timeouts::default(),
                    labels: Vec::new(),
                };
                let items = NewTask {
                    name: "list".into(),
                    input: json!({ "items": [name("item 1"), name("item 2")] }),
                    work: Work::Each(Box::new(list)),
                    needs: vec![0],
                    ..NewTask::default()
                };
                let forwards = vec![count(&name("a"), &[]), items, count(&name("b"), &[1])];
                let state = run(&store, forwards, *point, 2, action).await;
                assert_eq!(state, FlowState::Succeeded, "{point:?} {action:?}");
                let all = effects(&store).await;
                assert_eq!(all.len(), 4, "{all:?}");
                assert!(all.iter().all(|(_, done, undone)| (*done, *undone) == (1, 0)), "{all:?}");

                let refused =
                    NewTask { retry: Retry::never().or_revert(), ..count("refused", &[1]) };
                let back = vec![count(&name("c"), &[]), count(&name("d"), &[0]), refused];
                let state = run(&store, back, *point, 2, action).await;
                assert_eq!(state, FlowState::Reverted, "{point:?} {action:?}");
                let all = effects(&store).await;
                let undone: Vec<_> = all.iter().filter(|(_, _, undone)| *undone > 0).collect();
                assert_eq!(undone.len(), 2, "{all:?}");
                assert!(all.iter().all(|(_, done, undone)| *done == 1 && *undone < 2), "{all:?}");
                store.write(move |tx| tx.exec("DROP TABLE effect", ())).await.unwrap();
                store.close().await;
            }
        }
    }
}

#[tokio::test]
async fn what_fails_has_written_nothing() {
    for place in Place::all() {
        let (store, log) = (open(&place).await, Log::default());
        // A busy machine must not make it lose its lease: attempts are counted.
        let engine = worker(&store, &log).lease(Duration::from_secs(15)).start().await.unwrap();
        for (name, state, attempts, done) in [
            ("busy", FlowState::Succeeded, 3, Some(1)),
            ("panics", FlowState::Succeeded, 2, Some(1)),
            ("refused", FlowState::Reverted, 1, None),
            ("no table", FlowState::Reverted, 3, None),
        ] {
            let id = submit(&store, flow(&["x"], vec![count(name, &[])])).await.id;
            let flow = ended(&store, id).await;
            assert_eq!(flow.state, state, "{name}: {:?}", flow.error);
            assert_eq!(tasks(&store, id).await[0].attempt, attempts, "{name}");
            let all = effects(&store).await;
            let found = all.into_iter().find(|(one, ..)| one == name).map(|(_, done, _)| done);
            assert_eq!(found, done, "{name}");
        }
        engine.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_claim_is_finished_in_the_same_transaction() {
    for place in Place::all() {
        let (store, log) = (open(&place).await, Log::default());
        let owner = worker(&store, &log).start().await.unwrap();
        let paid = NewTask { labels: vec!["ledger".into()], ..count("a", &[]) };
        let id = submit(&store, flow(&["x"], vec![paid, step(named("b"), &[0])])).await.id;
        sees("an offer", || async {
            (tasks(&store, id).await[0].state == TaskState::Offered).then_some(())
        })
        .await;
        let other = worker(&store, &log).label("ledger").probe(|moment| match moment.point {
            Point::AfterExecute => Action::Repeat,
            _ => Action::Continue,
        });
        let other = other.start().await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        assert_eq!(effects(&store).await, [("a".to_owned(), 1, 0)]);
        assert_eq!(tasks(&store, id).await[0].output, Some(json!("a by 1")));
        owner.stop().await;
        other.stop().await;
        store.close().await;
    }
}

/// What a test does to the rows of a flow, or to leases.
async fn write(store: &Store, sql: &'static str) {
    store.write(move |tx: &mut Tx<'_>| tx.exec(sql, ())).await.unwrap();
}

#[tokio::test]
async fn what_was_not_undone_is_not_done_again() {
    for place in Place::all() {
        for verb in [retry, |tx: &mut Tx<'_>, id| skip(tx, task_id(id, 3))] {
            let (store, log) = (open(&place).await, Log::default());
            let undoing = AtomicU32::new(0);
            let first = worker(&store, &log).probe(move |moment| match moment.point {
                // What failed is undone first.
                Point::BeforeRevert if undoing.fetch_add(1, Ordering::Relaxed) == 1 => {
                    Action::Crash
                }
                _ => Action::Continue,
            });
            let first = first.start().await.unwrap();
            let guard = NewTask { work: Work::Retry(Controller::times(2)), ..count("-", &[]) };
            let plain = |name, needs: &[usize]| NewTask {
                retry: Retry::never(),
                guard: Some(0),
                ..count(name, needs)
            };
            let other = step(Plan { until: "go".into(), ..named("b") }, &[]);
            let guard = NewTask { retry: Retry::never(), ..guard };
            let plan = vec![guard, plain("a", &[0]), plain("refused", &[0, 1]), other];
            let id = submit(&store, flow(&["x"], plan)).await.id;
            sees("undoing", || async {
                (tasks(&store, id).await[1].state == TaskState::Reverting).then_some(())
            })
            .await;
            drop(first);
            // It is to end when its worker is gone: nobody goes on undoing it.
            write(&store, "UPDATE flow SET ending = 'failed'").await;
            let second = worker(&store, &log).start().await.unwrap();
            let flow = ended(&store, id).await;
            let rows = tasks(&store, id).await;
            assert_eq!((flow.state, rows[1].state), (FlowState::Failed, TaskState::RevertFailed));
            assert_eq!(effects(&store).await, [("a".to_owned(), 1, 0)]);
            log.add("go");
            store.write(move |tx| verb(tx, id)).await.unwrap();
            assert_eq!(ended(&store, id).await.state, FlowState::Reverted);
            // Undone, done again in the second run of what is guarded, and undone with that.
            assert_eq!(effects(&store).await, [("a".to_owned(), 2, 2)]);
            second.stop().await;
            write(&store, "DROP TABLE effect").await;
            store.close().await;
        }
    }
}

/// A flow whose claimed task was done by a worker, while the flow's owner is gone and its lease lasts: nobody has heard of it.
async fn unheard(store: &Store, log: &Log) -> (Uuid, Engine) {
    let lease = Duration::from_secs(600);
    let owner = worker(store, log).lease(lease).start().await.unwrap();
    let paid = NewTask { labels: vec!["ledger".into()], ..count("a", &[]) };
    let held = step(Plan { until: "never".into(), ..named("b") }, &[]);
    let id = submit(store, flow(&["x"], vec![paid, held])).await.id;
    log.has("+b").await;
    drop(owner);
    let other = worker(store, log).label("ledger").lease(lease).start().await.unwrap();
    sees("its end", || async { (!effects(store).await.is_empty()).then_some(()) }).await;
    (id, other)
}

#[tokio::test]
async fn a_claim_of_which_nobody_heard_is_not_made_again() {
    for place in Place::all() {
        let (store, log) = (open(&place).await, Log::default());
        let (id, other) = unheard(&store, &log).await;
        // Nobody can read the flow when what came of the claim is to be heard.
        write(&store, "UPDATE flow_task SET spec = '{' WHERE number = 1").await;
        other.stop().await;
        write(&store, "UPDATE flow_worker SET lease_until = 0").await;
        let last = worker(&store, &log).label("ledger").start().await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Parked);
        write(&store, "UPDATE flow_task SET spec = NULL WHERE number = 1").await;
        log.add("never");
        store.write(move |tx| retry(tx, id)).await.unwrap();
        assert_eq!(ended(&store, id).await.state, FlowState::Succeeded);
        assert_eq!(effects(&store).await, [("a".to_owned(), 1, 0)]);
        assert_eq!(tasks(&store, id).await[0].output, Some(json!("a by 1")));
        last.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_flow_that_is_given_up_shows_what_was_done_also_if_it_has_not_heard_of_it() {
    for place in Place::all() {
        let (store, log) = (open(&place).await, Log::default());
        let (id, other) = unheard(&store, &log).await;
        store.write(move |tx| abandon(tx, id)).await.unwrap();
        let rows = tasks(&store, id).await;
        assert_eq!(
            (rows[0].state, &rows[0].output),
            (TaskState::Succeeded, &Some(json!("a by 1")))
        );
        assert_eq!(rows[1].state, TaskState::MaybeRan);
        other.stop().await;
        store.close().await;
    }
}

#[tokio::test]
async fn it_is_part_of_patterns() {
    let pattern = pattern::linear("p")
        .inject("name", "n")
        .add(pattern::tx_task::<Count>().from("name").provides("counted"))
        .add(pattern::tx_task::<Count>().named("again").from("counted"));
    let flow = pattern.build(Uuid::now_v7()).unwrap();
    assert_eq!((flow.tasks[1].name.as_str(), flow.tasks[1].bindings[0].task), ("count", 0));
}
