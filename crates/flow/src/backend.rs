//! The backends of a worker's tasks, each with a [`Breaker`]: while one does not answer, attempts at its tasks are not made.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::{
    Failure, FailureClass, TaskContext,
    breaker::{Admission, Breaker, Change},
    policy::Trouble,
    task::{Handlers, Kind},
    worker::{Worker, random},
};

/// The breakers of a worker, by the names of backends.
pub(crate) struct Backends {
    breakers: HashMap<&'static str, Mutex<Breaker>>,
    failures_max: u32,
}

/// An attempt that goes through to a backend.
pub(crate) struct Passage {
    backend: &'static str,
    probe: bool,
    cancelled: CancellationToken,
}

impl Backends {
    pub(crate) fn of(handlers: &Handlers, failures_max: u32) -> Self {
        let backends = handlers.values().filter_map(Kind::backend);
        let breakers = backends.map(|backend| (backend, Mutex::default())).collect();
        Self { breakers, failures_max }
    }

    fn breaker(&self, backend: &str) -> Option<MutexGuard<'_, Breaker>> {
        let breaker = self.breakers.get(backend)?;
        Some(breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Worker {
    /// Lets an attempt through to the backend of its task, if it has one that answers.
    pub(crate) fn admit(
        &self,
        handler: &Kind,
        context: &TaskContext,
    ) -> Result<Option<Passage>, Trouble> {
        let Some(backend) = handler.backend() else { return Ok(None) };
        let Some(mut breaker) = self.backends().breaker(backend) else { return Ok(None) };
        let now = self.clock().now();
        let passage = |probe| Passage { backend, probe, cancelled: context.cancelled.clone() };
        match breaker.admit(now, random()) {
            Admission::Go => Ok(Some(passage(false))),
            Admission::Probe => Ok(Some(passage(true))),
            Admission::Wait { until, back_at } => {
                let words = match &*breaker {
                    Breaker::Open { words, .. } => words.as_str(),
                    Breaker::Closed { .. } => "",
                };
                let seconds = until.saturating_sub(now).unsigned_abs().div_ceil(1_000_000);
                let reason = format!(
                    "backend `{backend}` does not answer: next look in {seconds} s ({words})"
                );
                Err(Trouble::Held { reason, until: back_at })
            }
        }
    }

    /// Whether an attempt at a task of this name would not be let through now.
    pub(crate) fn is_held(&self, name: &str) -> bool {
        let backend = self.handlers().get(name).and_then(Kind::backend);
        let breaker = backend.and_then(|backend| self.backends().breaker(backend));
        breaker.is_some_and(|breaker| breaker.is_held(self.clock().now()))
    }

    /// Takes in what came of an attempt. One that failed for good, panicked or was cancelled says nothing of the backend.
    pub(crate) fn passed(&self, passage: &Passage, outcome: &Result<String, Trouble>) {
        let Passage { backend, probe, cancelled } = passage;
        let Some(mut breaker) = self.backends().breaker(backend) else { return };
        let change = match outcome {
            Ok(_) => breaker.succeeded(),
            Err(
                Trouble::Failed(Failure::Retryable(words))
                | Trouble::Classed(FailureClass::Timeout, Failure::Retryable(words)),
            ) if !cancelled.is_cancelled() => {
                let failure = (words.as_str(), self.backends().failures_max);
                breaker.failed(*probe, failure, self.clock().now(), random())
            }
            Err(_) => Change::None,
        };
        match change {
            Change::None => {}
            Change::Opened { until } => {
                let pause_ms = until.saturating_sub(self.clock().now()) / 1_000;
                tracing::warn!(backend, pause_ms, "a backend does not answer: attempts wait");
            }
            Change::Closed => tracing::info!(backend, "a backend answers again"),
        }
    }
}
