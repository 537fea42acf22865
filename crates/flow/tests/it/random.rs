//! Random flows over random resources with workers that are killed, and people who cancel, suspend and resume: whatever happens,
//! order, exclusion, undoing backwards, and an end for all. `TUTTI_FLOW_CASES` says how many cases there shall be.

mod shape;
mod watch;

use std::time::Duration;

use proptest::prelude::*;
use tutti_flow::{
    Clock, Engine, FlowFilter, FlowState, cancel, query, resume, signal, suspend, trouble,
};
use tutti_store::{Json, Store};
use uuid::Uuid;

use crate::world::{PATIENCE, Place, state, submit, tasks};

use shape::{Fate, LATE, Shape, shape};
use watch::{Watch, Watched};

/// Workers at a time.
const WORKERS: usize = 2;

/// What people and machines do meanwhile.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A worker is killed and another one started.
    Kill(usize),
    Cancel(usize),
    Suspend(usize),
    Resume(usize),
    Signal(usize),
    Trouble(usize, bool),
    Pause,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (0..WORKERS).prop_map(Event::Kill),
        2 => any::<usize>().prop_map(Event::Cancel),
        2 => any::<usize>().prop_map(Event::Suspend),
        2 => any::<usize>().prop_map(Event::Resume),
        1 => any::<usize>().prop_map(Event::Signal),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(at, is)| Event::Trouble(at, is)),
        4 => Just(Event::Pause),
    ]
}

/// What a worker is known by to the database, under whatever id it joins.
fn label(worker: u32) -> String {
    format!("worker {worker}")
}

/// A case under way.
struct Case {
    store: Store,
    clock: Clock,
    watch: Watch,
    workers: Vec<(u32, Engine)>,
    flows: Vec<Uuid>,
    /// By flow: whether somebody cancelled it.
    cancelled: Vec<bool>,
    kills: u32,
}

impl Case {
    async fn worker(&mut self) -> (u32, Engine) {
        let number = self.watch.next_worker();
        let builder = Engine::builder(self.store.clone()).clock(self.clock.clone()).flows_max(5);
        let builder = builder.task(Watched { watch: self.watch.clone(), worker: number });
        (number, builder.label(label(number)).start().await.unwrap())
    }

    /// Lets the lease of a worker end now; the others are alive, and what they have is theirs.
    async fn expire_lease(&self, worker: u32) {
        let sql = "UPDATE flow_worker SET lease_until = 0 WHERE labels = $1";
        let expire = move |tx: &mut tutti_store::Tx<'_>| tx.exec(sql, (Json([label(worker)]),));
        let expired: Result<u64, tutti_store::Error> = self.store.write(expire).await;
        assert!(expired.unwrap() <= 1, "no other worker has the label");
    }

    async fn signal(&self, key: &'static str) {
        self.store.write(move |tx| signal(tx, key, 1, 1)).await.unwrap();
    }

    async fn happen(&mut self, event: Event) {
        match event {
            // A third death without progress would park a flow, as it should.
            Event::Kill(at) if self.kills < 2 => {
                self.kills += 1;
                let other = self.worker().await;
                let (number, killed) = std::mem::replace(&mut self.workers[at], other);
                self.watch.kill(number);
                drop(killed);
                self.expire_lease(number).await;
            }
            Event::Cancel(at) => {
                let at = at % self.flows.len();
                let id = self.flows[at];
                self.cancelled[at] |= self.store.write(move |tx| cancel(tx, id)).await.is_ok();
            }
            Event::Suspend(at) => {
                let id = self.flows[at % self.flows.len()];
                // It may have ended.
                drop(self.store.write(move |tx| suspend(tx, id)).await);
            }
            Event::Resume(at) => {
                let id = self.flows[at % self.flows.len()];
                drop(self.store.write(move |tx| resume(tx, id)).await);
            }
            Event::Signal(at) => self.signal(LATE[at % LATE.len()]).await,
            Event::Trouble(at, is) => {
                let (key, message) = (LATE[at % LATE.len()], is.then_some("not yet"));
                self.store.write(move |tx| trouble(tx, key, message, 1)).await.unwrap();
            }
            Event::Kill(_) | Event::Pause => tokio::time::sleep(Duration::from_millis(3)).await,
        }
    }

    /// Everything suspended goes on, everything waited for comes, and everything ends.
    async fn calm(&self) {
        let ending = async {
            loop {
                let filter = FlowFilter { limit: Some(1000), ..FlowFilter::default() };
                let rows = self.store.read(move |tx| query::flows(tx, &filter)).await.unwrap();
                let open: Vec<_> = rows.iter().filter(|row| !row.state.is_ended()).collect();
                if open.is_empty() {
                    return;
                }
                for id in open.into_iter().map(|row| row.id) {
                    drop(self.store.write(move |tx| resume(tx, id)).await);
                }
                self.clock.advance(Duration::from_secs(60));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let ended = tokio::time::timeout(PATIENCE, ending).await;
        if ended.is_err() {
            let filter = FlowFilter { limit: Some(1000), ..FlowFilter::default() };
            let rows = self.store.read(move |tx| query::flows(tx, &filter)).await.unwrap();
            for row in rows.iter().filter(|row| !row.state.is_ended()) {
                let tasks = tasks(&self.store, row.id).await;
                let tasks = tasks.iter().map(|task| (task.number, task.state, task.attempt));
                eprintln!("{row:#?} {:?}", tasks.collect::<Vec<_>>());
            }
            panic!("not all flows end");
        }
    }

    async fn check(self, shapes: &[Shape]) {
        for ((id, shape), cancelled) in self.flows.iter().zip(shapes).zip(&self.cancelled) {
            let state = state(&self.store, *id).await;
            let doomed = shape.tasks.iter().any(|task| matches!(task.fate, Fate::FailForGood));
            let expected = match state {
                FlowState::Succeeded => true,
                FlowState::Failed | FlowState::Reverted => doomed,
                FlowState::Cancelled => *cancelled,
                _ => false,
            };
            assert!(expected, "{state} of {shape:?}");
            let rows = tasks(&self.store, *id).await;
            assert!(rows.iter().all(|task| task.finished.is_some()), "{rows:#?}");
            self.watch.check(*id, shape, &rows);
        }
        for (_, worker) in self.workers {
            worker.stop().await;
        }
        let left: i64 = self
            .store
            .read(|tx| tx.one("SELECT count(*) FROM flow_queue", ()))
            .await
            .map_err(|error: tutti_store::Error| error)
            .unwrap();
        assert_eq!(left, 0, "queues are empty");
        self.store.close().await;
        self.watch.check_resources();
    }
}

async fn check(place: &Place, shapes: &[Shape], events: &[Event]) {
    let (store, clock, watch) = (place.open().await, Clock::new(), Watch::default());
    store.write(|tx| signal(tx, "come", 1, 1)).await.unwrap();
    let cancelled = vec![false; shapes.len()];
    let (workers, flows) = (Vec::new(), Vec::new());
    let mut case = Case { store, clock, watch, workers, flows, cancelled, kills: 0 };
    for _ in 0..WORKERS {
        let worker = case.worker().await;
        case.workers.push(worker);
    }
    let mut events = events.iter();
    for (order, shape) in shapes.iter().enumerate() {
        case.flows.push(submit(&case.store, shape.flow(order)).await.id);
        if order % 2 == 0
            && let Some(event) = events.next()
        {
            case.happen(*event).await;
        }
    }
    for event in events {
        case.happen(*event).await;
    }
    // What had not come yet.
    for key in LATE {
        case.signal(key).await;
    }
    case.calm().await;
    case.check(shapes).await;
}

fn run(place: fn() -> Option<Place>, cases: u32) {
    let asked = std::env::var("TUTTI_FLOW_CASES").ok().and_then(|text| text.parse().ok());
    let cases = asked.unwrap_or(cases);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
    let shapes = prop::collection::vec(shape(), 1..20);
    let events = prop::collection::vec(event(), 0..16);
    proptest!(config, |(shapes in shapes, events in events)| {
        if let Some(place) = place() {
            runtime.block_on(check(&place, &shapes, &events));
        }
    });
}

#[test]
fn random_flows_on_sqlite() {
    run(|| Some(Place::sqlite()), 16);
}

#[test]
fn random_flows_on_postgres() {
    run(Place::postgres, 6);
}
