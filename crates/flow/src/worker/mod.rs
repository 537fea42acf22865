//! One life of a worker: from joining under a new id to leaving, or to the loss of its lease.

mod look;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tutti_store::{Backend, Batcher, Store};
use uuid::Uuid;

use crate::{
    Clock, Counters, Error, Point, Result, Retention,
    backend::Backends,
    begin::{Submissions, submissions},
    boundary::{self, Boundary, Written},
    ended::Watch,
    graph::{Known, Skills},
    limited::{Leaks, Limited},
    policy::micros,
    probe::Probe,
    retention, strain, take,
    task::Handlers,
    version,
};

/// Wait before the database is asked again after it failed.
const TROUBLE_PAUSE: Duration = Duration::from_millis(250);

/// How often a worker looks what strains the database, and how often it says the same.
const WATCHING: Duration = Duration::from_secs(60);
const WARNING: Duration = Duration::from_secs(600);

/// How often a worker forgets what ended long ago.
const FORGETTING: Duration = Duration::from_secs(600);

/// Refusals by the database after which what is to be written is at fault: on PostgreSQL, other transactions can make a
/// constraint look broken.
pub(crate) const REFUSALS_MAX: u32 = 3;

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) flows_max: usize,
    pub(crate) lease: Duration,
    pub(crate) grace: Duration,
    pub(crate) clock: Clock,
    pub(crate) probe: Option<Probe>,
    /// What it has beside handlers.
    pub(crate) labels: BTreeSet<String>,
    /// Attempts at the same time, by the name of the task.
    pub(crate) limits: HashMap<String, usize>,
    /// Bytes of a task's result.
    pub(crate) output_max: usize,
    /// Attempts that may go on although their time is over.
    pub(crate) leaks_max: usize,
    /// Retryable failures in a row after which a backend counts as one that does not answer.
    pub(crate) backend_failures_max: u32,
    /// How long an attempt may go on after its flow was cancelled.
    pub(crate) cancel_max: Option<Duration>,
    /// What it forgets, if it does.
    pub(crate) retention: Option<Retention>,
}

/// A worker and everything its flows share.
#[derive(Clone)]
pub(crate) struct Worker(Arc<Shared>);

struct Shared {
    store: Store,
    boundaries: Batcher<Boundary, Written, Error>,
    /// On PostgreSQL, those of tasks alone: most of all, and nothing in them is to be asked for.
    plain_boundaries: Option<Batcher<Boundary, (), Error>>,
    handlers: Arc<Handlers>,
    known: Known,
    settings: Settings,
    life: Mutex<Life>,
    /// Flows this worker has.
    held: Mutex<HashMap<Uuid, Held>>,
    /// A place for a flow became free, and there may be a flow for it.
    freed: Notify,
    /// There may be flows that only lack a place here: the last look had no room for more than it took.
    full: AtomicBool,
    /// Turns of the tasks that have a limit.
    turns: HashMap<String, Arc<Semaphore>>,
    /// Claims this worker may have, and the bell of those that became free.
    claims: Arc<Semaphore>,
    unclaimed: Notify,
    /// Places for flows.
    places: Arc<Semaphore>,
    submissions: Submissions,
    /// Takes that were not answered: they may have given flows to this worker that it does not know of.
    unsure: AtomicUsize,
    flows: TaskTracker,
    watch: Watch,
    limited: Limited,
    backends: Backends,
    counters: Arc<Counters>,
    stopping: CancellationToken,
    /// Drops everything at once.
    killed: CancellationToken,
}

/// What belongs together from joining to the loss of the lease.
#[derive(Clone)]
pub(crate) struct Life {
    pub(crate) id: Uuid,
    /// Drops what was taken under this id.
    pub(crate) over: CancellationToken,
    /// Tells the attempts made for others to stop.
    pub(crate) claims: CancellationToken,
}

impl Life {
    fn new(id: Uuid, killed: &CancellationToken) -> Self {
        let over = killed.child_token();
        let claims = over.child_token();
        Self { id, over, claims }
    }
}

/// A flow this worker has.
pub(crate) struct Held {
    /// The take it belongs to: a flow given back can be taken again before its last attempt has noticed.
    pub(crate) epoch: i64,
    pub(crate) cancelled: CancellationToken,
    /// Rings when there is news for it.
    pub(crate) nudge: Arc<Notify>,
    /// Drops it wherever it stands.
    pub(crate) over: CancellationToken,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("id", &self.life().id).finish_non_exhaustive()
    }
}

impl Worker {
    pub(crate) async fn join(
        store: Store,
        handlers: Arc<Handlers>,
        settings: Settings,
        stopping: CancellationToken,
        failed: CancellationToken,
        killed: CancellationToken,
    ) -> Result<Self> {
        let counters: Arc<Counters> = Arc::default();
        let leaks = Leaks {
            max: settings.leaks_max,
            grace: settings.grace,
            counters: counters.clone(),
            failed,
            stopping: stopping.clone(),
        };
        let life = Mutex::new(Life::new(Uuid::nil(), &killed));
        let clock = settings.clock.clone();
        let boundaries = store.batcher(move |tx, boundaries: &[Boundary]| {
            boundary::write(tx, &boundaries.iter().collect::<Vec<_>>(), clock.now())
        });
        let plain_boundaries = (store.backend() == Backend::Postgres).then(|| {
            store.batcher_apart(|tx, boundaries: &[Boundary]| {
                boundary::write_plain(tx, boundaries)?;
                Ok::<_, Error>(vec![(); boundaries.len()])
            })
        });
        let skills = Skills {
            handlers: handlers.keys().cloned().collect(),
            labels: settings.labels.clone(),
        };
        let limits = settings.limits.iter();
        let turns =
            limits.map(|(name, max)| (name.clone(), Arc::new(Semaphore::new(*max)))).collect();
        let claims = Arc::new(Semaphore::new(settings.flows_max));
        let places = Arc::new(Semaphore::new(settings.flows_max));
        let known: Known = Arc::new(skills);
        let submissions = submissions(&store, known.clone(), settings.clock.clone());
        let backends = Backends::of(&handlers, settings.backend_failures_max);
        let worker = Self(Arc::new(Shared {
            store,
            boundaries,
            plain_boundaries,
            handlers,
            known,
            settings,
            life,
            held: Mutex::default(),
            freed: Notify::new(),
            full: AtomicBool::new(true),
            turns,
            claims,
            unclaimed: Notify::new(),
            places,
            submissions,
            unsure: AtomicUsize::new(0),
            flows: TaskTracker::new(),
            watch: Watch::default(),
            limited: Limited::new(leaks),
            backends,
            counters,
            stopping,
            killed,
        }));
        worker.enter(None).await?;
        Ok(worker)
    }

    /// Begins a life: a new id, and what the dead left. After `former`, whose lease was lost, that is what this worker left itself:
    /// none of it has killed anybody. Others may be about to come back, too, if it was the database that was away.
    async fn enter(&self, former: Option<Uuid>) -> Result<()> {
        let id = Uuid::now_v7();
        let lease = micros(self.0.settings.lease);
        let instance = self.0.store.instance();
        let (alone, known) = (self.alone(), self.0.known.clone());
        self.0
            .store
            .write(move |tx| {
                take::join(tx, id, instance, lease, &known)?;
                match former {
                    Some(former) => take::leave(tx, former),
                    None => take::recover(tx, alone).map(drop),
                }
            })
            .await?;
        self.life().over.cancel();
        lock(&self.0.held).clear();
        *lock(&self.0.life) = Life::new(id, &self.0.killed);
        Ok(())
    }

    /// On SQLite no other process can have the file, so workers of another opening are dead.
    fn alone(&self) -> Option<Uuid> {
        (self.0.store.backend() == Backend::Sqlite).then(|| self.0.store.instance())
    }

    pub(crate) fn life(&self) -> Life {
        lock(&self.0.life).clone()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn handlers(&self) -> &Arc<Handlers> {
        &self.0.handlers
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.settings.clock
    }

    pub(crate) fn known(&self) -> &Known {
        &self.0.known
    }

    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    pub(crate) fn lease(&self) -> Duration {
        self.0.settings.lease
    }

    pub(crate) fn output_max(&self) -> usize {
        self.0.settings.output_max
    }

    pub(crate) fn cancel_max(&self) -> Option<Duration> {
        self.0.settings.cancel_max
    }

    pub(crate) fn limited(&self) -> &Limited {
        &self.0.limited
    }

    pub(crate) fn backends(&self) -> &Backends {
        &self.0.backends
    }

    /// The turns of a task that has a limit.
    pub(crate) fn turns(&self, name: &str) -> Option<&Arc<Semaphore>> {
        self.0.turns.get(version::without(name))
    }

    pub(crate) fn claims(&self) -> &Arc<Semaphore> {
        &self.0.claims
    }

    pub(crate) fn unclaimed(&self) -> &Notify {
        &self.0.unclaimed
    }

    /// A place for a flow, if one is free.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.places).try_acquire_owned().ok()
    }

    pub(crate) fn submissions(&self) -> &Submissions {
        &self.0.submissions
    }

    /// A take may have given flows to this worker that it does not know of.
    pub(crate) fn is_unsure(&self) {
        self.0.unsure.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn probe(&self) -> Option<&Probe> {
        self.0.settings.probe.as_ref()
    }

    /// Ends as a killed process would.
    pub(crate) fn crash(&self) {
        self.0.killed.cancel();
    }

    /// Drops everything at once.
    pub(crate) fn killed(&self) -> &CancellationToken {
        &self.0.killed
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.0.stopping.is_cancelled()
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.0.watch
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.0.counters
    }

    /// Writes a boundary of a flow together with those of others.
    pub(crate) async fn record(&self, flow: Uuid, boundary: Boundary) -> Result<Written> {
        self.reach(Point::BeforeBoundary, Some(flow)).await?;
        let written = match &self.0.plain_boundaries {
            Some(plain) if boundary.is_plain() => {
                plain.write(boundary).await.map(|()| Written::Done)?
            }
            _ => self.0.boundaries.write(boundary).await?,
        };
        self.reach(Point::AfterBoundary, Some(flow)).await?;
        Ok(written)
    }

    pub(crate) async fn run(self) {
        let killed = self.0.killed.clone();
        killed.run_until_cancelled(self.serve()).await;
    }

    /// Tells whoever waits for flows how they ended, also once it takes none any more.
    pub(crate) async fn tell_ended(self) {
        let held = |id: &Uuid| self.holds(id);
        self.0.killed.run_until_cancelled(self.0.watch.run(&self.0.store, held)).await;
        self.0.watch.close();
    }

    async fn serve(&self) {
        let work = async {
            let aside = async { tokio::join!(self.forget_old(), self.watch_strain()) };
            tokio::join!(self.take_work(), self.claim_work(), aside);
            self.drain().await;
        };
        tokio::select! {
            () = work => {}
            () = self.keep_lease() => {}
        }
        let id = self.life().id;
        if let Err(error) = self.0.store.write(move |tx| take::leave(tx, id)).await {
            tracing::warn!(%error, "worker could not leave; its lease will end");
        }
    }

    /// Forgets what need not be kept any more, until the worker stops.
    async fn forget_old(&self) {
        let Some(retention) = &self.0.settings.retention else { return };
        let forgetting = async {
            loop {
                match retention::forget(&self.0.store, retention).await {
                    Ok(0) => {}
                    Ok(flows) => tracing::info!(flows, "flows forgotten that ended long ago"),
                    Err(error) => tracing::warn!(%error, "forgetting flows failed"),
                }
                tokio::time::sleep(FORGETTING).await;
            }
        };
        self.0.stopping.run_until_cancelled(forgetting).await;
    }

    /// Warns of what strains the database, until the worker stops.
    async fn watch_strain(&self) {
        let watching = async {
            let mut warned: Option<Instant> = None;
            loop {
                tokio::time::sleep(WATCHING).await;
                let alarm = match strain::strain(&self.0.store).await {
                    Ok(strain) => strain.alarm(),
                    // Other looks at the database say so, too.
                    Err(_) => None,
                };
                match alarm {
                    Some(alarm) if warned.is_none_or(|at| at.elapsed() > WARNING) => {
                        tracing::warn!("{alarm}");
                        warned = Some(Instant::now());
                    }
                    Some(_) => {}
                    None => warned = None,
                }
            }
        };
        self.0.stopping.run_until_cancelled(watching).await;
    }

    /// Lets attempts end, tells those that take long, and drops those that do not listen.
    async fn drain(&self) {
        let shared = &self.0;
        shared.flows.close();
        let grace = shared.settings.grace;
        if tokio::time::timeout(grace / 2, shared.flows.wait()).await.is_err() {
            lock(&shared.held).values().for_each(|held| held.cancelled.cancel());
            self.life().claims.cancel();
            if tokio::time::timeout(grace / 2, shared.flows.wait()).await.is_err() {
                tracing::warn!(flows = shared.flows.len(), "tasks dropped that would not stop");
                self.life().over.cancel();
                shared.flows.wait().await;
            }
        }
        shared.limited.ended().await;
    }

    pub(crate) fn hold(&self, flow: Uuid, held: Held) {
        lock(&self.0.held).insert(flow, held);
    }

    pub(crate) fn holds(&self, flow: &Uuid) -> bool {
        lock(&self.0.held).contains_key(flow)
    }

    /// Drops what is not this worker's any more, such as a flow that somebody gave up.
    async fn drop_lost(&self) -> Result<()> {
        // What is taken while the database answers is not asked about.
        let held: Vec<(Uuid, i64)> =
            lock(&self.0.held).iter().map(|(id, held)| (*id, held.epoch)).collect();
        if held.is_empty() {
            return Ok(());
        }
        let id = self.life().id;
        let own = self.0.store.read(move |tx| take::owned(tx, id)).await?;
        let flows = lock(&self.0.held);
        for (flow, epoch) in held.into_iter().filter(|one| !own.contains(one)) {
            if let Some(lost) = flows.get(&flow).filter(|held| held.epoch == epoch) {
                lost.over.cancel();
            }
        }
        Ok(())
    }

    /// A flow is here no more. What may have begun to wait has to be looked at; of what has `ended`, only its place is of interest.
    pub(crate) fn let_go(&self, flow: Uuid, epoch: i64, ended: bool) {
        let mut flows = lock(&self.0.held);
        if flows.get(&flow).is_some_and(|held| held.epoch == epoch) {
            flows.remove(&flow);
        }
        drop(flows);
        if !ended || self.0.full.load(Ordering::SeqCst) {
            self.freed();
        }
        self.0.watch.let_go(&flow);
    }

    /// A place is free again, and there may be a flow for it.
    pub(crate) fn freed(&self) {
        self.0.freed.notify_one();
    }

    /// Runs something on its own; a worker that drains waits for it.
    pub(crate) fn track<T: Send + 'static>(
        &self,
        run: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.0.flows.spawn(run)
    }

    /// Renews the lease and looks for dead workers. Never returns.
    async fn keep_lease(&self) {
        let lease = self.0.settings.lease;
        let mut confirmed = Instant::now();
        // Whoever was away gives others the time of a lease to come back before it takes them for dead.
        let mut away: Option<Instant> = None;
        loop {
            tokio::time::sleep(lease / 3).await;
            away = away.filter(|back| back.elapsed() < lease);
            let recovers = away.is_none();
            let (id, length, alone) = (self.life().id, micros(lease), self.alone());
            let asked = Instant::now();
            let beat = self.0.store.write(move |tx| {
                let alive = take::beat(tx, id, length)?;
                if recovers {
                    take::recover(tx, alone)?;
                }
                Ok::<_, Error>(alive)
            });
            // Others may take over at the end of the lease: stop well before, also if there is no answer at all.
            let patience = (lease * 2 / 3).saturating_sub(confirmed.elapsed());
            let alive = match tokio::time::timeout(patience, beat).await {
                Ok(Ok(alive)) => alive,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "renewing the lease failed");
                    confirmed.elapsed() < lease * 2 / 3
                }
                Err(_) => false,
            };
            if alive {
                confirmed = asked;
                if let Err(error) = self.drop_lost().await {
                    tracing::warn!(%error, "looking for flows lost failed");
                }
                continue;
            }
            tracing::error!(worker = %id, "lease lost: everything under way is dropped");
            self.0.counters.lease_lost();
            self.life().over.cancel();
            while let Err(error) = self.enter(Some(id)).await {
                tracing::warn!(%error, "joining again failed");
                tokio::time::sleep(TROUBLE_PAUSE).await;
            }
            confirmed = Instant::now();
            away = Some(confirmed);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The low bits of a UUIDv7 are random.
pub(crate) fn random() -> u32 {
    let [.., a, b, c, d] = Uuid::now_v7().into_bytes();
    u32::from_be_bytes([a, b, c, d])
}
