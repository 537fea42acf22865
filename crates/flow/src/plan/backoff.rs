//! How long to wait before the next attempt.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

/// Waits that grow from one repetition to the next. Each lies, at random, between half and all of what is said here, so that
/// those who failed together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backoff {
    /// The first wait.
    pub base: Duration,
    /// What each wait is multiplied by to get the next; 1 leaves it as it is.
    pub factor: u32,
    /// The longest wait.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Backoff {
    /// Half a second, doubling up to five minutes: a task's, unless it says otherwise.
    pub const DEFAULT: Self =
        Self::exponential(Duration::from_millis(500), Duration::from_secs(300));

    /// No wait: a controller's, unless it says otherwise.
    pub const NONE: Self = Self::constant(Duration::ZERO);

    /// The same wait each time.
    #[must_use]
    pub const fn constant(pause: Duration) -> Self {
        Self { base: pause, factor: 1, max: pause }
    }

    /// Doubles from one to the other.
    #[must_use]
    pub const fn exponential(base: Duration, max: Duration) -> Self {
        Self { base, factor: 2, max }
    }

    /// Multiplies by so much instead.
    #[must_use]
    pub const fn factor(self, factor: u32) -> Self {
        Self { factor, ..self }
    }

    pub(crate) const fn none() -> Self {
        Self::NONE
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::DEFAULT
    }

    /// The wait after attempt number `attempt`, from 1, in microseconds. `random` says where in its range it lies.
    pub(crate) fn wait(&self, attempt: u32, random: u32) -> i64 {
        let grown = u128::from(self.factor).saturating_pow(attempt.saturating_sub(1));
        let whole = self.base.as_micros().saturating_mul(grown).min(self.max.as_micros());
        let half = i64::try_from(whole).unwrap_or(i64::MAX) / 2;
        let part = i128::from(half) * i128::from(random) / i128::from(u32::MAX);
        half.saturating_add(i64::try_from(part).unwrap_or(half))
    }

    /// Plans stored by earlier releases have a pause there, always the same.
    pub(super) fn or_pause<'de, D: Deserializer<'de>>(stored: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Stored {
            Pause(Duration),
            Backoff(Backoff),
        }
        Ok(match Stored::deserialize(stored)? {
            Stored::Pause(pause) => Self::constant(pause),
            Stored::Backoff(backoff) => backoff,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn waits_grow_up_to_the_longest() {
        let year = seconds(31_536_000);
        for (backoff, attempt, most) in [
            (Backoff::DEFAULT, 0, 500_000),
            (Backoff::DEFAULT, 1, 500_000),
            (Backoff::DEFAULT, 2, 1_000_000),
            (Backoff::DEFAULT, 5, 8_000_000),
            (Backoff::DEFAULT, 11, 300_000_000),
            (Backoff::DEFAULT, u32::MAX, 300_000_000),
            (Backoff::NONE, 1, 0),
            (Backoff::NONE, u32::MAX, 0),
            (Backoff::constant(seconds(3)), 1, 3_000_000),
            (Backoff::constant(seconds(3)), 99, 3_000_000),
            (Backoff::exponential(seconds(1), seconds(100)).factor(10), 1, 1_000_000),
            (Backoff::exponential(seconds(1), seconds(100)).factor(10), 2, 10_000_000),
            (Backoff::exponential(seconds(1), seconds(100)).factor(10), 4, 100_000_000),
            // Who multiplies by nothing does not wait again.
            (Backoff::exponential(seconds(1), year).factor(0), 1, 1_000_000),
            (Backoff::exponential(seconds(1), year).factor(0), 2, 0),
            // The longest is the longest, also of the first.
            (Backoff::exponential(seconds(9), seconds(2)), 1, 2_000_000),
            (Backoff::exponential(year, year), 7, 31_536_000_000_000),
            (Backoff::exponential(seconds(1), Duration::MAX), 64, i64::MAX - 1),
            (Backoff::constant(Duration::MAX), 1, i64::MAX - 1),
        ] {
            assert_eq!(backoff.wait(attempt, 0), most / 2, "{backoff:?} after {attempt}");
            assert_eq!(backoff.wait(attempt, u32::MAX), most, "{backoff:?} after {attempt}");
            let between = backoff.wait(attempt, u32::MAX / 2);
            assert!((most / 2..=most).contains(&between), "{backoff:?} after {attempt}");
        }
    }
}
