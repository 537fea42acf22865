//! When a unit's loop wakes although nothing has changed.

use std::time::Duration;

use tokio::time::Instant;
use tutti_model::agent::Snapshot;
use tutti_model::operation::{retry_delay, update_status_delay};

use crate::timing::random;

/// The timers of one unit. They follow from the journal and the snapshot, so they need not survive
/// the agent.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// For the failed hook: after how many failures, and when it is due.
    retry: Option<(u32, Instant)>,
    /// The model's interval, and when `update-status` is due.
    update_status: Option<(Duration, Instant)>,
}

impl Timers {
    /// Starts the timer of a failed hook, unless it runs. Returns when it fires.
    pub(super) fn retry_at(&mut self, failures: u32, pace: f64) -> Instant {
        match self.retry {
            Some((known, due)) if known == failures => due,
            _ => {
                let due = Instant::now() + retry_delay(failures, random()).mul_f64(pace);
                self.retry = Some((failures, due));
                due
            }
        }
    }

    /// A hook runs: the next failure has a timer of its own.
    pub(super) fn hook_began(&mut self) {
        self.retry = None;
    }

    /// A hook was committed: a busy unit needs no `update-status`.
    pub(super) fn hook_committed(&mut self) {
        self.update_status = None;
    }

    /// When `update-status` is due; none if the model does without.
    pub(super) fn update_status_at(&mut self, snapshot: &Snapshot, pace: f64) -> Option<Instant> {
        let interval = Duration::from_millis(snapshot.update_status_interval_ms);
        if interval.is_zero() {
            self.update_status = None;
            return None;
        }
        match self.update_status {
            Some((known, due)) if known == interval => Some(due),
            _ => {
                let wait = update_status_delay(interval, random()).mul_f64(pace);
                let due = Instant::now() + wait;
                self.update_status = Some((interval, due));
                Some(due)
            }
        }
    }

    /// Whether the failed hook is due again.
    pub(super) fn retry_due(&self) -> bool {
        self.retry.is_some_and(|(_, due)| due <= Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(interval_ms: u64) -> Snapshot {
        Snapshot { update_status_interval_ms: interval_ms, ..Snapshot::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_timer_belongs_to_one_failure() {
        let mut timers = Timers::default();
        let first = timers.retry_at(1, 1.0);
        assert_eq!(timers.retry_at(1, 1.0), first);
        assert!(!timers.retry_due());
        tokio::time::advance(Duration::from_secs(7)).await;
        assert!(timers.retry_due());
        timers.hook_began();
        assert!(!timers.retry_due());
        assert!(timers.retry_at(2, 1.0) >= Instant::now() + Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn update_status_follows_the_interval_and_hooks_put_it_off() {
        let mut timers = Timers::default();
        assert_eq!(timers.update_status_at(&snapshot(0), 1.0), None);
        let due = timers.update_status_at(&snapshot(60_000), 1.0).unwrap();
        assert!(due >= Instant::now() + Duration::from_secs(48));
        assert_eq!(timers.update_status_at(&snapshot(60_000), 1.0), Some(due));
        assert!(timers.update_status_at(&snapshot(1000), 1.0).unwrap() < due);
        tokio::time::advance(Duration::from_secs(1)).await;
        timers.hook_committed();
        let later = timers.update_status_at(&snapshot(60_000), 1.0).unwrap();
        assert!(later >= Instant::now() + Duration::from_secs(48));
    }
}
