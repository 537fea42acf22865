//! What a worker has done since it started, for whoever watches over it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::policy::Trouble;

/// What an engine has done since it started; read it with [`read`](Counters::read) as often as you like.
#[derive(Debug, Default)]
pub struct Counters {
    takes: AtomicU64,
    lease_losses: AtomicU64,
    fenced: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
    panicked: AtomicU64,
    leaked: AtomicU64,
}

/// The [`Counters`] at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Flows taken, those included that were taken again after they had waited or been given back.
    pub takes: u64,
    /// Times the worker's lease ended while it ran: everything under way was dropped, to be taken again.
    pub lease_losses: u64,
    /// Times results were dropped because their flow had been taken away.
    pub fenced: u64,
    /// Attempts, at executing or undoing a task, that succeeded.
    pub succeeded: u64,
    /// Attempts that failed, for good or not.
    pub failed: u64,
    /// Attempts whose handler panicked.
    pub panicked: u64,
    /// Attempts that go on now although their time is over, because they block their thread.
    pub leaked: u64,
}

impl Counters {
    /// What they are now.
    #[must_use]
    pub fn read(&self) -> Counts {
        let now = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            takes: now(&self.takes),
            lease_losses: now(&self.lease_losses),
            fenced: now(&self.fenced),
            succeeded: now(&self.succeeded),
            failed: now(&self.failed),
            panicked: now(&self.panicked),
            leaked: now(&self.leaked),
        }
    }

    pub(crate) fn taken(&self, flows: usize) {
        self.takes.fetch_add(flows as u64, Ordering::Relaxed);
    }

    pub(crate) fn lease_lost(&self) {
        self.lease_losses.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn fenced(&self) {
        self.fenced.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an attempt that does not end; answers how many there are.
    pub(crate) fn leaked(&self) -> u64 {
        self.leaked.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn leak_ended(&self) {
        self.leaked.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn attempted(&self, outcome: &Result<String, Trouble>) {
        let counter = match outcome {
            Ok(_) => &self.succeeded,
            Err(Trouble::Panicked(_)) => &self.panicked,
            // It was not made.
            Err(Trouble::Held { .. }) => return,
            Err(_) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
