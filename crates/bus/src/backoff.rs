//! Pauses between tries.

use std::time::Duration;

/// How long to wait before the next try: twice as long each time, up to a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    max: Duration,
}

impl Backoff {
    /// `first`, then twice as long each time, at most `max`.
    pub const fn exponential(first: Duration, max: Duration) -> Backoff {
        Backoff { first, max }
    }

    /// Always the same.
    pub const fn fixed(pause: Duration) -> Backoff {
        Backoff { first: pause, max: pause }
    }

    /// The pause after this many tries have failed.
    pub fn delay(&self, tries: u32) -> Duration {
        let doublings = tries.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.max)
    }
}

impl Default for Backoff {
    /// From 1 s to a minute.
    fn default() -> Backoff {
        Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_bound() {
        let pauses: Vec<u64> =
            (0..9).map(|tries| Backoff::default().delay(tries).as_secs()).collect();
        assert_eq!(pauses, [1, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(Backoff::default().delay(u32::MAX).as_secs(), 60);
    }
}
