//! Attempts whose time is limited: each is a tokio task of its own, on threads apart from those of flows and leases. So one that
//! blocks its thread can be left behind when its time is over. It keeps the thread: until it ends after all it counts as leaked,
//! and a worker with too many of those is to be replaced.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    Counters, Failure, FailureClass, TaskContext,
    policy::{Trouble, panic_message},
};

/// How long a worker that leaves waits for attempts that were dropped: they end when they next wait for something.
const DROPPED: Duration = Duration::from_millis(250);

/// Where a worker makes attempts whose time is limited.
pub(crate) struct Limited {
    /// Begun with the first such attempt.
    threads: Mutex<Option<Runtime>>,
    under_way: TaskTracker,
    leaks: Arc<Leaks>,
}

/// Attempts that went on although their time was over.
pub(crate) struct Leaks {
    pub(crate) max: usize,
    /// How long a dropped attempt may take to end.
    pub(crate) grace: Duration,
    pub(crate) counters: Arc<Counters>,
    /// What happens if there are too many.
    pub(crate) failed: CancellationToken,
    pub(crate) stopping: CancellationToken,
}

/// Which attempt it is.
#[derive(Clone, Debug)]
pub(crate) struct Which {
    pub(crate) name: String,
    pub(crate) flow: Uuid,
    pub(crate) task: Uuid,
    pub(crate) attempt: u32,
}

impl Which {
    pub(crate) fn of(name: &str, context: &TaskContext) -> Self {
        let TaskContext { flow, task, attempt, .. } = *context;
        Self { name: name.to_owned(), flow, task, attempt }
    }
}

/// An attempt under way. Dropping it drops the attempt, as soon as its thread lets go of it.
pub(crate) struct Apart {
    attempt: Option<JoinHandle<Result<String, Trouble>>>,
    which: Which,
    leaks: Arc<Leaks>,
}

impl Limited {
    pub(crate) fn new(leaks: Leaks) -> Self {
        Self { threads: Mutex::default(), under_way: TaskTracker::new(), leaks: Arc::new(leaks) }
    }

    /// Begins an attempt.
    pub(crate) fn start(
        &self,
        which: Which,
        run: impl Future<Output = Result<String, Trouble>> + Send + 'static,
    ) -> io::Result<Apart> {
        let attempt = self.under_way.spawn_on(run.in_current_span(), &self.threads()?);
        Ok(Apart { attempt: Some(attempt), which, leaks: Arc::clone(&self.leaks) })
    }

    /// Those that may leak would otherwise leave none for the others.
    fn threads(&self) -> io::Result<Handle> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(threads) = &*threads {
            return Ok(threads.handle().clone());
        }
        let cores = std::thread::available_parallelism()?.get();
        let runtime = Builder::new_multi_thread()
            .worker_threads(cores.saturating_add(self.leaks.max))
            .thread_name("tutti-attempt")
            .enable_all()
            .build()?;
        Ok(threads.insert(runtime).handle().clone())
    }

    /// Lets those end that were dropped.
    pub(crate) async fn ended(&self) {
        self.under_way.close();
        if tokio::time::timeout(DROPPED, self.under_way.wait()).await.is_err() {
            tracing::warn!(attempts = self.under_way.len(), "attempts left behind");
        }
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(threads) = threads.take() {
            // Waiting for a thread that is blocked would block this one.
            threads.shutdown_background();
        }
    }
}

impl Apart {
    /// What it comes to.
    pub(crate) async fn ends(&mut self) -> Result<String, Trouble> {
        let gone = || {
            let failure = Failure::Retryable("its worker is gone".into());
            Trouble::Classed(FailureClass::Lost, failure)
        };
        let Some(attempt) = &mut self.attempt else { return Err(gone()) };
        match attempt.await {
            Ok(result) => result,
            Err(error) => Err(match error.try_into_panic() {
                Ok(panic) => Trouble::Panicked(panic_message(&*panic)),
                Err(_) => gone(),
            }),
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let Some(attempt) = self.attempt.take().filter(|attempt| !attempt.is_finished()) else {
            return;
        };
        attempt.abort();
        // Where no runtime is left, nobody is left who would want to know.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(Arc::clone(&self.leaks).watch(self.which.clone(), attempt));
        }
    }
}

impl Leaks {
    /// Sees whether an attempt that was dropped really ends.
    async fn watch(
        self: Arc<Self>,
        which: Which,
        mut attempt: JoinHandle<Result<String, Trouble>>,
    ) {
        if tokio::time::timeout(self.grace, &mut attempt).await.is_ok() {
            return;
        }
        let leaked = self.counters.leaked();
        let Which { name, flow, task, attempt: number } = which;
        tracing::error!(
            name, %flow, %task, attempt = number, leaked, max = self.max,
            "an attempt goes on although its time is over: it blocks a thread"
        );
        if leaked > self.max as u64 {
            tracing::error!(
                leaked,
                "the worker takes no more flows: too many of its threads are blocked"
            );
            self.failed.cancel();
            self.stopping.cancel();
        }
        // Nobody wants to know any more what it comes to.
        let _ = attempt.await;
        self.counters.leak_ended();
        tracing::info!(name, %flow, %task, attempt = number, "an attempt ended long after its time");
    }
}
