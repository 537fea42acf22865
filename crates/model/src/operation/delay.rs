//! How long timers wait. Randomness is an argument: `jitter` is a number from 0 up to, not
//! including, 1.

use std::time::Duration;

/// Longest wait between two tries of anything.
const MAXIMUM: Duration = Duration::from_mins(5);

/// How long a failed hook waits for its next run: 5 s, doubled by each consecutive failure, up to
/// a quarter more by jitter, 5 min at most.
#[must_use]
pub fn retry_delay(failures: u32, jitter: f64) -> Duration {
    let doubled = 5.0 * 2f64.powi(failures.saturating_sub(1).min(10).cast_signed());
    Duration::from_secs_f64(doubled * (1.0 + jitter.clamp(0.0, 1.0) / 4.0)).min(MAXIMUM)
}

/// When a charm's deferred notices come back at the latest: 5 s, 15 s, 45 s, … 5 min.
///
/// `attempt` counts from 0 and grows with each dispatch that left the queue as it was.
#[must_use]
pub fn deferral_delay(attempt: u32) -> Duration {
    Duration::from_secs(5 * 3u64.pow(attempt.min(5))).min(MAXIMUM)
}

/// When `update-status` is due again: the model's interval, up to 20 % less or more.
#[must_use]
pub fn update_status_delay(interval: Duration, jitter: f64) -> Duration {
    interval.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_double_from_five_seconds_to_five_minutes() {
        let seconds = |failures| retry_delay(failures, 0.0).as_secs();
        assert_eq!(
            [0, 1, 2, 3, 6, 7, 8, u32::MAX].map(seconds),
            [5, 5, 10, 20, 160, 300, 300, 300]
        );
        assert_eq!(retry_delay(1, 0.5), Duration::from_millis(5_625));
        assert_eq!(retry_delay(7, 0.99), MAXIMUM);
    }

    #[test]
    fn deferrals_triple() {
        assert_eq!(
            [0, 1, 2, 3, 4, 99].map(|attempt| deferral_delay(attempt).as_secs()),
            [5, 15, 45, 135, 300, 300]
        );
    }

    #[test]
    fn update_status_wanders_a_fifth() {
        let interval = Duration::from_mins(5);
        assert_eq!(update_status_delay(interval, 0.0), Duration::from_mins(4));
        assert_eq!(update_status_delay(interval, 0.5), interval);
        assert!(update_status_delay(interval, 0.999) < Duration::from_mins(6));
    }
}
