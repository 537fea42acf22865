//! The database of many cases and its workers, which are killed and replaced.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tutti_flow::{Action, Clock, Engine, NewFlow, Point, query, signal};
use tutti_store::{Json, Store, Tx};

use super::{
    handlers::{EFFECTS, Effect, Hand, Rare, Watched},
    plan::{COME, LABEL},
    shape::WORKERS,
    watch::{Alive, Cases},
};
use crate::world::{Place, now, submit};

/// Longer than any test: who is dead is said.
const LEASE: Duration = Duration::from_secs(600);

/// How often the clock is put forward, and how far: pauses pass faster than outside.
const TICK: Duration = Duration::from_millis(20);
const TICK_AHEAD: Duration = Duration::from_secs(2);

/// Crashes not yet seen to; a worker crashes once.
const CRASHES_MAX: usize = 64;

pub(super) struct House {
    pub(super) store: Store,
    pub(super) cases: Cases,
    clock: Clock,
    workers: Mutex<Vec<Option<Arc<Worker>>>>,
    numbers: AtomicU32,
    kills: AtomicU32,
    burying: tokio::sync::Mutex<()>,
    crashed: mpsc::Sender<(usize, u32)>,
    over: CancellationToken,
    _place: Place,
}

struct Worker {
    alive: Alive,
    engine: Engine,
    /// Where it is to crash.
    crash: Arc<Mutex<Option<Point>>>,
    gone: CancellationToken,
}

impl House {
    pub(super) async fn open(place: Place) -> Arc<Self> {
        let store = place.open().await;
        let prepare = |tx: &mut Tx<'_>| {
            tx.exec(EFFECTS, ())?;
            signal(tx, COME, 1, 1)
        };
        store.write(prepare).await.unwrap();
        let (crashed, mut crashes) = mpsc::channel(CRASHES_MAX);
        let house = Arc::new(Self {
            store,
            cases: Cases::default(),
            clock: Clock::new(),
            workers: Mutex::default(),
            numbers: AtomicU32::new(0),
            kills: AtomicU32::new(0),
            burying: tokio::sync::Mutex::default(),
            crashed,
            over: CancellationToken::new(),
            _place: place,
        });
        for at in 0..WORKERS {
            let worker = house.worker(at).await;
            house.workers.lock().unwrap().push(Some(worker));
        }
        let (own, over) = (Arc::clone(&house), house.over.clone());
        tokio::spawn(over.run_until_cancelled_owned(async move {
            while let Some((at, number)) = crashes.recv().await {
                own.bury(at, Some(number)).await;
            }
        }));
        let (clock, over) = (house.clock.clone(), house.over.clone());
        tokio::spawn(over.run_until_cancelled_owned(async move {
            loop {
                tokio::time::sleep(TICK).await;
                clock.advance(TICK_AHEAD);
            }
        }));
        house
    }

    pub(super) fn kills(&self) -> u32 {
        self.kills.load(Ordering::Relaxed)
    }

    async fn worker(&self, at: usize) -> Arc<Worker> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let alive = Alive { number, dead: Arc::new(AtomicBool::new(false)) };
        let hand = Hand { cases: self.cases.clone(), worker: alive.clone() };
        let crash: Arc<Mutex<Option<Point>>> = Arc::default();
        let (asked, own, crashed) = (Arc::clone(&crash), hand.clone(), self.crashed.clone());
        let mut builder = Engine::builder(self.store.clone())
            .clock(self.clock.clone())
            .lease(LEASE)
            .task(Watched(hand.clone()))
            .tx_task(Effect(hand.clone()))
            .probe(move |moment| {
                let crash = asked.lock().unwrap().take_if(|point| *point == moment.point);
                if crash.is_none() {
                    return Action::Continue;
                }
                own.cases.kill(&own.worker);
                crashed.try_send((at, number)).expect("crashes are few");
                Action::Crash
            });
        if at == 1 {
            builder = builder.task(Rare(hand));
        }
        for label in labels(at, number) {
            builder = builder.label(label);
        }
        let engine = builder.start().await.unwrap();
        Arc::new(Worker { alive, engine, crash, gone: CancellationToken::new() })
    }

    /// Kills a worker, at once or where it gets to a point.
    pub(super) async fn kill(&self, at: usize, point: Option<Point>) {
        if point.is_none() {
            return self.bury(at, None).await;
        }
        if let Some(worker) = &self.workers.lock().unwrap()[at] {
            *worker.crash.lock().unwrap() = point;
        }
    }

    /// Replaces a worker that was killed, or kills whoever is there; only its lease ends.
    async fn bury(&self, at: usize, number: Option<u32>) {
        let _one_at_a_time = self.burying.lock().await;
        let is_it = |worker: &mut Arc<Worker>| number.is_none_or(|it| it == worker.alive.number);
        let Some(worker) = self.workers.lock().unwrap()[at].take_if(is_it) else { return };
        self.kills.fetch_add(1, Ordering::Relaxed);
        self.cases.kill(&worker.alive);
        worker.gone.cancel();
        let killed = worker.alive.number;
        let mut worker = worker;
        let engine = loop {
            match Arc::try_unwrap(worker) {
                Ok(worker) => break worker.engine,
                // Somebody still submits by it.
                Err(others) => worker = others,
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        drop(engine);
        let sql = "UPDATE flow_worker SET lease_until = 0 WHERE labels = $1";
        let expire = move |tx: &mut Tx<'_>| tx.exec(sql, (Json(labels(at, killed)),));
        let expired: Result<u64, tutti_store::Error> = self.store.write(expire).await;
        assert!(expired.unwrap() <= 1, "no other worker has the label");
        let other = self.worker(at).await;
        self.workers.lock().unwrap()[at] = Some(other);
    }

    /// Submits a flow by a worker. One that dies meanwhile gives no answer: then it is submitted again if it is not there.
    pub(super) async fn submit_at(&self, at: usize, flow: NewFlow) {
        let worker = self.workers.lock().unwrap()[at].clone();
        if let Some(worker) = worker {
            let submitted = tokio::select! {
                submitted = worker.engine.submit(flow.clone()) => submitted.is_ok(),
                () = worker.gone.cancelled() => false,
            };
            drop(worker);
            if submitted {
                return;
            }
        } else {
            submit(&self.store, flow).await;
            return;
        }
        let again = move |tx: &mut Tx<'_>| match query::flow(tx, flow.id)? {
            Some(_) => Ok(()),
            None => tutti_flow::submit(tx, flow.clone(), now()).map(drop),
        };
        self.store.write(again).await.unwrap();
    }

    /// Everything is over: nothing is left of the cases, and what is open ends in good order.
    pub(super) async fn close(self: Arc<Self>) {
        self.over.cancel();
        let workers = std::mem::take(&mut *self.workers.lock().unwrap());
        for worker in workers.into_iter().flatten() {
            if let Ok(worker) = Arc::try_unwrap(worker) {
                worker.engine.stop().await;
            }
        }
        let left = |tx: &mut Tx<'_>| {
            let queued: i64 = tx.one("SELECT count(*) FROM flow_queue", ())?;
            let offered: i64 = tx.one("SELECT count(*) FROM flow_offer", ())?;
            Ok::<_, tutti_store::Error>((queued, offered))
        };
        assert_eq!(self.store.read(left).await.unwrap(), (0, 0), "in queues, and offered");
        self.store.clone().close().await;
    }
}

/// What a worker is known by to the database, under whatever id it joins, and what it has.
fn labels(at: usize, number: u32) -> Vec<String> {
    let label = (at == 2).then(|| LABEL.to_owned());
    label.into_iter().chain([format!("worker {number}")]).collect()
}
