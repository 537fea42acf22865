//! One life of a worker: from joining under a new id to leaving, or to the loss of its lease.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tutti_store::{Backend, Store};
use uuid::Uuid;

use crate::{
    Result, TOPIC, TaskContext,
    claim::{self, Reported, Work},
    progress::Attempt,
    step::Trouble,
    task::Handlers,
};

/// The longest sleep between looks for work: what a lost wake-up costs.
const POLL: Duration = Duration::from_secs(1);

/// The shortest sleep between two looks that found nothing, when another worker is about to do what is due.
const PAUSE: Duration = Duration::from_millis(50);

/// Wait before the database is asked again after it failed.
const TROUBLE_PAUSE: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) flows_max: usize,
    pub(crate) lease: Duration,
    pub(crate) grace: Duration,
}

/// A worker and everything its attempts share.
#[derive(Clone)]
pub(crate) struct Worker(Arc<Shared>);

struct Shared {
    store: Store,
    handlers: Arc<Handlers>,
    settings: Settings,
    life: Mutex<Life>,
    /// Flows this worker has, with the token of each.
    held: Mutex<HashMap<Uuid, Held>>,
    /// A place for a flow became free.
    freed: Notify,
    attempts: TaskTracker,
    stopping: CancellationToken,
    /// Drops everything at once.
    killed: CancellationToken,
}

/// What belongs together from joining to the loss of the lease.
#[derive(Clone)]
struct Life {
    id: Uuid,
    /// Drops the attempts made under this id.
    over: CancellationToken,
}

/// A flow this worker has.
struct Held {
    /// The take it belongs to: a flow given back can be taken again before its last attempt has noticed.
    epoch: i64,
    cancelled: CancellationToken,
}

impl Worker {
    pub(crate) async fn join(
        store: Store,
        handlers: Arc<Handlers>,
        settings: Settings,
        stopping: CancellationToken,
        killed: CancellationToken,
    ) -> Result<Self> {
        let life = Mutex::new(Life { id: Uuid::nil(), over: killed.child_token() });
        let worker = Self(Arc::new(Shared {
            store,
            handlers,
            settings,
            life,
            held: Mutex::default(),
            freed: Notify::new(),
            attempts: TaskTracker::new(),
            stopping,
            killed,
        }));
        worker.enter().await?;
        Ok(worker)
    }

    /// Begins a life: a new id, and what the dead left.
    async fn enter(&self) -> Result<()> {
        let id = Uuid::now_v7();
        let lease = micros(self.0.settings.lease);
        let instance = self.0.store.instance();
        let alone = self.alone();
        self.0
            .store
            .write(move |tx| {
                claim::join(tx, id, instance, lease)?;
                claim::recover(tx, alone, now())
            })
            .await?;
        self.life().over.cancel();
        lock(&self.0.held).clear();
        *lock(&self.0.life) = Life { id, over: self.0.killed.child_token() };
        Ok(())
    }

    /// On SQLite no other process can have the file, so workers of another opening are dead.
    fn alone(&self) -> Option<Uuid> {
        (self.0.store.backend() == Backend::Sqlite).then(|| self.0.store.instance())
    }

    fn life(&self) -> Life {
        lock(&self.0.life).clone()
    }

    pub(crate) async fn run(self) {
        let killed = self.0.killed.clone();
        killed.run_until_cancelled(self.serve()).await;
    }

    async fn serve(&self) {
        let work = async {
            self.take_work().await;
            self.drain().await;
        };
        tokio::select! {
            () = work => {}
            () = self.keep_lease() => {}
        }
        let id = self.life().id;
        if let Err(error) = self.0.store.write(move |tx| claim::leave(tx, id, now())).await {
            tracing::warn!(%error, "worker could not leave; its lease will end");
        }
    }

    /// Lets attempts end, tells those that take long, and drops those that do not listen.
    async fn drain(&self) {
        let shared = &self.0;
        shared.attempts.close();
        let grace = shared.settings.grace;
        if tokio::time::timeout(grace / 2, shared.attempts.wait()).await.is_err() {
            lock(&shared.held).values().for_each(|held| held.cancelled.cancel());
            if tokio::time::timeout(grace / 2, shared.attempts.wait()).await.is_err() {
                tracing::warn!(tasks = shared.attempts.len(), "tasks dropped that would not stop");
                self.life().over.cancel();
                shared.attempts.wait().await;
            }
        }
    }

    async fn take_work(&self) {
        let mut bell = self.0.store.bell(TOPIC);
        loop {
            let pause = match self.look().await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(%error, "looking for work failed");
                    tokio::time::sleep(TROUBLE_PAUSE).await;
                    continue;
                }
            };
            tokio::select! {
                () = self.0.stopping.cancelled() => return,
                () = bell.wait() => {}
                () = self.0.freed.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Takes what there is; answers how long to sleep if nothing wakes the worker before.
    async fn look(&self) -> Result<Duration> {
        let life = self.life();
        let id = life.id;
        let room = self.0.settings.flows_max.saturating_sub(lock(&self.0.held).len());
        let outlook = self.0.store.read(move |tx| claim::outlook(tx, id, room, now())).await?;
        let due = outlook.due;
        if !outlook.work {
            let wait = outlook.next_at.map_or(i64::MAX, |at| at - now());
            return Ok(Duration::from_micros(wait.max(0).unsigned_abs()).min(POLL));
        }
        let work = self.0.store.write(move |tx| claim::work(tx, id, room, due, now())).await?;
        let idle = work.attempts.is_empty();
        self.accept(work, &life.over);
        Ok(if idle { PAUSE } else { Duration::ZERO })
    }

    /// Begins what was taken in a life.
    fn accept(&self, work: Work, life: &CancellationToken) {
        let mut held = lock(&self.0.held);
        if life.is_cancelled() {
            // Whoever ended it has given the flows to others, or will when the lease ends.
            return;
        }
        for (flow, epoch) in work.taken {
            held.insert(flow, Held { epoch, cancelled: life.child_token() });
        }
        for flow in work.cancelled {
            if let Some(held) = held.get(&flow) {
                held.cancelled.cancel();
            }
        }
        drop(held);
        for attempt in work.attempts {
            self.spawn(attempt, life.clone());
        }
    }

    fn spawn(&self, attempt: Attempt, life: CancellationToken) {
        let worker = self.clone();
        let task = async move {
            // An attempt of a life that is over is dropped wherever it stands: its flow is another's.
            life.clone().run_until_cancelled(worker.run_chain(attempt, life)).await;
        };
        self.0.attempts.spawn(task);
    }

    /// Makes an attempt, records it, and goes on with the first task that made possible.
    async fn run_chain(&self, first: Attempt, life: CancellationToken) {
        let mut next = Some(first);
        while let Some(attempt) = next.take() {
            let (flow, epoch) = (attempt.flow, attempt.epoch);
            let outcome = self.attempt(&attempt).await;
            let Some(reported) = self.report(&attempt, outcome).await else {
                self.let_go(flow, epoch);
                return;
            };
            if !reported.held {
                self.let_go(flow, epoch);
            }
            let mut attempts = reported.attempts.into_iter();
            next = attempts.next();
            for other in attempts {
                self.spawn(other, life.clone());
            }
        }
    }

    async fn attempt(&self, attempt: &Attempt) -> Result<String, Trouble> {
        let Some(handler) = self.0.handlers.get(attempt.name.as_str()) else {
            return Err(Trouble::NoHandler(attempt.name.clone()));
        };
        let held = lock(&self.0.held).get(&attempt.flow).map(|held| held.cancelled.clone());
        let context = TaskContext {
            flow: attempt.flow,
            task: attempt.task,
            attempt: attempt.attempt,
            epoch: attempt.epoch,
            reverting: attempt.revert.is_some(),
            // Undoing is not cancelled with the flow.
            cancelled: held.filter(|_| attempt.revert.is_none()).unwrap_or_default(),
        };
        let input = attempt.input.clone();
        let run = match attempt.revert.clone() {
            None => handler.execute(context, input),
            Some(left) => handler.revert(context, input, left),
        };
        match AssertUnwindSafe(run).catch_unwind().await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(failure)) => Err(Trouble::Failed(failure)),
            Err(panic) => Err(Trouble::Panicked(panic_message(&*panic))),
        }
    }

    /// Records an attempt, as often as it takes; `None` if the flow is another's by now.
    async fn report(
        &self,
        attempt: &Attempt,
        outcome: Result<String, Trouble>,
    ) -> Option<Reported> {
        let outcome = Arc::new(outcome);
        let key = (attempt.flow, attempt.epoch, attempt.number);
        loop {
            let outcome = Arc::clone(&outcome);
            let stopping = self.0.stopping.is_cancelled();
            let random = random();
            let reported = self
                .0
                .store
                .write(move |tx| claim::report(tx, key, &outcome, stopping, random, now()))
                .await;
            match reported {
                Ok(Some(reported)) => return Some(reported),
                Ok(None) => {
                    tracing::warn!(flow = %attempt.flow, task = %attempt.task, "result dropped: the flow was taken away");
                    return None;
                }
                Err(error) => {
                    tracing::warn!(%error, task = %attempt.task, "recording a result failed");
                    tokio::time::sleep(TROUBLE_PAUSE).await;
                }
            }
        }
    }

    fn let_go(&self, flow: Uuid, epoch: i64) {
        let mut flows = lock(&self.0.held);
        if flows.get(&flow).is_some_and(|held| held.epoch == epoch) {
            flows.remove(&flow);
        }
        drop(flows);
        self.0.freed.notify_one();
    }

    /// Renews the lease and looks for dead workers. Never returns.
    async fn keep_lease(&self) {
        let lease = self.0.settings.lease;
        let mut confirmed = Instant::now();
        loop {
            tokio::time::sleep(lease / 3).await;
            let (id, length, alone) = (self.life().id, micros(lease), self.alone());
            let asked = Instant::now();
            let beat = self.0.store.write(move |tx| {
                let alive = claim::beat(tx, id, length)?;
                claim::recover(tx, alone, now())?;
                Ok::<_, crate::Error>(alive)
            });
            let alive = match beat.await {
                Ok(alive) => alive,
                // Others may take over at the end of the lease: stop well before.
                Err(error) => {
                    tracing::warn!(%error, "renewing the lease failed");
                    confirmed.elapsed() < lease * 2 / 3
                }
            };
            if alive {
                confirmed = asked;
                continue;
            }
            tracing::error!(worker = %id, "lease lost: everything under way is dropped");
            self.life().over.cancel();
            while let Err(error) = self.enter().await {
                tracing::warn!(%error, "joining again failed");
                tokio::time::sleep(TROUBLE_PAUSE).await;
            }
            confirmed = Instant::now();
        }
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
        .to_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The low bits of a UUIDv7 are random.
fn random() -> u32 {
    let [.., a, b, c, d] = Uuid::now_v7().into_bytes();
    u32::from_be_bytes([a, b, c, d])
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    micros(since)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
