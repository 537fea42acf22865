//! The engine: a worker that takes flows, runs their tasks and keeps its lease.
//!
//! One loop takes work, woken by the topic's bell, by something that is due, or by a freed place. Each flow taken is a tokio task
//! of its own, which makes the flow's attempts, records together what they came to, and goes on with what that made possible: a
//! chain of tasks costs one commit each, shared with all flows that are at theirs. A second loop renews the lease; if that
//! fails for too long, or others have declared this worker dead, every flow is dropped and the worker starts over under a new id.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tutti_store::Store;
use uuid::Uuid;

use crate::{
    Action, Clock, Counters, Error, FlowState, Moment, NewFlow, Result, Retention, Task, TxTask,
    task::{Handlers, Kind, OUTPUT_MAX, Typed},
    tx_task::TypedTx,
    version,
    worker::{Settings, Worker},
};

/// How long running tasks may go on when the engine stops.
const GRACE: Duration = Duration::from_secs(10);

/// Flows in progress at the same time.
const FLOWS_MAX: usize = 64;

/// Attempts that may go on although their time is over.
const LEAKS_MAX: usize = 16;

/// Retryable failures in a row after which a backend counts as one that does not answer.
const BACKEND_FAILURES_MAX: u32 = 5;

/// How long a worker counts as alive after its last sign of life.
const LEASE: Duration = Duration::from_secs(15);

/// A running worker. Dropping it drops the attempts under way, as a crash would; [`stop`](Engine::stop) ends in good order.
#[derive(Debug)]
pub struct Engine {
    store: Store,
    worker: Worker,
    stopping: CancellationToken,
    failed: CancellationToken,
    leaks_max: usize,
    killed: CancellationToken,
    running: Option<JoinHandle<()>>,
}

/// What an engine shall be like.
pub struct Builder {
    store: Store,
    handlers: Handlers,
    settings: Settings,
}

impl Engine {
    /// An engine on a database opened with this crate's [`MIGRATIONS`](crate::MIGRATIONS).
    #[must_use]
    pub fn builder(store: Store) -> Builder {
        let settings = Settings {
            flows_max: FLOWS_MAX,
            lease: LEASE,
            grace: GRACE,
            clock: Clock::new(),
            probe: None,
            labels: BTreeSet::new(),
            limits: HashMap::new(),
            output_max: OUTPUT_MAX,
            leaks_max: LEAKS_MAX,
            backend_failures_max: BACKEND_FAILURES_MAX,
            cancel_max: None,
            retention: None,
        };
        Builder { store, handlers: Handlers::new(), settings }
    }

    /// How a flow ended, once it has; combine it with a timeout. Cheap however many flows are waited for.
    ///
    /// # Errors
    /// [`Error::NoFlow`](crate::Error::NoFlow); storage errors.
    pub async fn ended(&self, id: Uuid) -> Result<FlowState> {
        self.worker.watch().ended(&self.store, id).await
    }

    /// Queues a flow as [`submit`](crate::submit) does, in a transaction of its own, which it shares with what is submitted
    /// at the same time. If this worker has a place and no other flow waits for its turn, the flow begins with that.
    ///
    /// If the future is dropped, the flow may still be queued.
    ///
    /// # Errors
    /// As [`submit`](crate::submit).
    pub async fn submit(&self, flow: NewFlow) -> Result<()> {
        self.worker.submit(flow).await
    }

    /// Queues a flow as [`Engine::submit`] does, and waits for its end.
    ///
    /// # Errors
    /// As [`Engine::submit`] and [`Engine::ended`].
    pub async fn run(&self, flow: NewFlow) -> Result<FlowState> {
        let id = flow.id;
        let told = self.worker.watch().expect(id);
        if let Err(error) = self.submit(flow).await {
            self.worker.watch().forget(&id);
            return Err(error);
        }
        self.worker.watch().queued(&id, self.worker.holds(&id));
        self.worker.watch().told(&self.store, id, told).await
    }

    /// What its worker has done since it started.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(self.worker.counters())
    }

    /// Resolves when this process has to be replaced, with the reason: the worker takes nothing more and gives back what it has.
    /// [`stop`](Self::stop) the engine, and end the process so that something starts it again.
    pub async fn failed(&self) -> Error {
        self.failed.cancelled().await;
        Error::Leaks { max: self.leaks_max }
    }

    /// Takes nothing more, lets running tasks end (telling them, and dropping those that take longer than the grace), and gives
    /// back what is not done.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        if let Some(running) = self.running.take()
            && let Err(error) = running.await
        {
            tracing::error!(%error, "the flow worker panicked");
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.killed.cancel();
    }
}

impl Builder {
    /// Adds a handler, for each version of the task it runs; of two for the same, the later counts. A task this worker has none
    /// for is offered to others; one that no worker has a handler for parks its flow, unless it names
    /// [labels](crate::NewTask::labels).
    #[must_use]
    pub fn task<T: Task>(self, task: T) -> Self {
        const { version::check(T::NAME, T::MIN_VERSION, T::VERSION) };
        self.add(
            version::names(T::NAME, T::MIN_VERSION, T::VERSION),
            Kind::Call(Arc::new(Typed(task))),
        )
    }

    /// Adds a handler whose work is done in the transaction that records it: exactly once.
    #[must_use]
    pub fn tx_task<T: TxTask>(self, task: T) -> Self {
        const { version::check(T::NAME, T::MIN_VERSION, T::VERSION) };
        self.add(
            version::names(T::NAME, T::MIN_VERSION, T::VERSION),
            Kind::InTx(Arc::new(TypedTx(task))),
        )
    }

    fn add(mut self, names: impl Iterator<Item = String>, handler: Kind) -> Self {
        self.handlers.extend(names.map(|name| (name, handler.clone())));
        self
    }

    /// How long this worker counts as alive after its last sign of life; 15 s by default.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// How many flows may be in progress at the same time; 64 by default.
    #[must_use]
    pub fn flows_max(mut self, flows_max: usize) -> Self {
        self.settings.flows_max = flows_max.max(1);
        self
    }

    /// Says that this worker has what tasks may need beside a handler, such as `gpu` or `zone=a`.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.settings.labels.insert(label.into());
        self
    }

    /// How many attempts at tasks of this name, of whichever version, may run at the same time at this worker; without limit by default.
    #[must_use]
    pub fn limit(mut self, name: impl Into<String>, max: usize) -> Self {
        self.settings.limits.insert(name.into(), max.max(1));
        self
    }

    /// How many bytes of JSON a task may answer; 1 MiB by default. More is a terminal failure.
    #[must_use]
    pub fn output_max(mut self, bytes: usize) -> Self {
        self.settings.output_max = bytes;
        self
    }

    /// How many attempts may go on although their time is over, because they block their thread; 16 by default. With more the
    /// engine [fails](Engine::failed). Attempts with [`Timeouts`](crate::Timeouts) have so many threads more than there are cores.
    #[must_use]
    pub fn leaks_max(mut self, max: usize) -> Self {
        self.settings.leaks_max = max;
        self
    }

    /// After how many retryable failures in a row a [backend](Task::BACKEND) counts as one that does not answer; 5 by default.
    /// Then attempts at its tasks are not made by this worker, and do not count, for five seconds, and each time longer, up to two
    /// minutes; the first one after that finds out whether it answers again.
    #[must_use]
    pub fn backend_failures_max(mut self, max: u32) -> Self {
        self.settings.backend_failures_max = max.max(1);
        self
    }

    /// How long running tasks may go on when the engine stops, and attempts when their time is over before they count as leaked;
    /// 10 s by default.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// How long an attempt may go on after its flow was cancelled, if its task does not [say](crate::Timeouts::cancel); as long as
    /// it likes by default. One that takes longer is dropped, as at the end of any other limit: it has failed, and its flow ends or
    /// is undone although it may still do something. One without [`Timeouts`](crate::Timeouts) must not block its thread.
    #[must_use]
    pub fn cancel_max(mut self, limit: Duration) -> Self {
        self.settings.cancel_max = Some(limit);
        self
    }

    /// Forgets flows that ended, as this says, when the worker starts and every ten minutes; nothing by default. One worker of many
    /// is enough. What is written meanwhile goes on: see [`forget`](crate::forget()).
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.settings.retention = Some(retention);
        self
    }

    /// The clock by which retries and sleeps are due; the system's by default.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Asks what shall happen at every [`Point`](crate::Point): for tests.
    #[must_use]
    pub fn probe(mut self, probe: impl Fn(&Moment) -> Action + Send + Sync + 'static) -> Self {
        self.settings.probe = Some(Arc::new(probe));
        self
    }

    /// Joins the workers, takes over what dead ones left, and begins. Call it within a tokio runtime.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn start(self) -> Result<Engine> {
        let (stopping, killed) = (CancellationToken::new(), CancellationToken::new());
        let failed = CancellationToken::new();
        let leaks_max = self.settings.leaks_max;
        let store = self.store.clone();
        let worker = Worker::join(
            self.store,
            Arc::new(self.handlers),
            self.settings,
            stopping.clone(),
            failed.clone(),
            killed.child_token(),
        )
        .await?;
        tokio::spawn(worker.clone().tell_ended());
        let running = Some(tokio::spawn(worker.clone().run()));
        Ok(Engine { store, worker, stopping, failed, leaks_max, killed, running })
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("store", &self.store).finish_non_exhaustive()
    }
}
