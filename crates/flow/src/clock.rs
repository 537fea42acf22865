//! The clock by which retries, sleeps and timeouts of waits are due. Leases go by the database's clock, and attempts by the
//! worker's monotonic one.

use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::policy::micros;

/// The system's clock, which a test can put forward: what is due then happens without waiting. Clones are the same clock.
///
/// ```
/// # use std::time::Duration;
/// # use tutti_flow::Clock;
/// let clock = Clock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(3600));
/// assert!(clock.now() >= before + 3_600_000_000);
/// ```
#[derive(Clone, Debug)]
pub struct Clock {
    /// How far it is ahead of the system's, in microseconds.
    ahead: watch::Sender<i64>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock that shows the system's time.
    #[must_use]
    pub fn new() -> Self {
        Self { ahead: watch::Sender::new(0) }
    }

    /// Microseconds since 1970, UTC.
    #[must_use]
    pub fn now(&self) -> i64 {
        let system = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        micros(system).saturating_add(*self.ahead.borrow())
    }

    /// Puts it forward.
    pub fn advance(&self, by: Duration) {
        self.ahead.send_modify(|ahead| *ahead = ahead.saturating_add(micros(by)));
    }

    /// Puts it back, as an operator or a broken time server would.
    pub fn set_back(&self, by: Duration) {
        self.ahead.send_modify(|ahead| *ahead = ahead.saturating_sub(micros(by)));
    }

    /// Resolves at this time.
    pub(crate) async fn reaches(&self, at: i64) {
        let mut moved = self.ahead.subscribe();
        loop {
            moved.mark_unchanged();
            let wait = at.saturating_sub(self.now());
            if wait <= 0 {
                return;
            }
            let wait = Duration::from_micros(wait.unsigned_abs());
            // An error cannot be: this clock is there as long as its future.
            let _ = tokio::time::timeout(wait, moved.changed()).await;
        }
    }
}
