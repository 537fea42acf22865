//! How long the agent waits for what.

use std::time::Duration;

/// The durations an agent goes by, apart from those [`tutti_model::operation`] gives.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Every wait for a retry, an `update-status` or a deferral is multiplied by this: 1, except in
    /// tests.
    pub pace: f64,
    /// How long a hook of a dying unit may run before it is killed and counts as failed.
    pub dying_hook: Duration,
    /// How long running hooks may go on after the agent was told to stop.
    pub stop_grace: Duration,
    /// First wait after the controller could not be reached; doubles from there.
    pub reconnect_first: Duration,
    /// Longest wait before the controller is tried again.
    pub reconnect_longest: Duration,
    /// How long the controller may hold a poll for changes.
    pub poll: Duration,
    /// How long reports may wait for company before they are sent.
    pub linger: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            pace: 1.0,
            dying_hook: Duration::from_secs(5 * 60),
            stop_grace: Duration::from_secs(2),
            reconnect_first: Duration::from_millis(50),
            reconnect_longest: Duration::from_secs(5),
            poll: Duration::from_secs(30),
            linger: Duration::from_millis(50),
        }
    }
}

/// How long to wait after so many failures (1 = the first): `first`, doubled by each, never above
/// `longest`, and ± 20 % by `random` in 0..1 so that many agents do not act in step.
#[must_use]
pub(crate) fn back_off(first: Duration, longest: Duration, failures: u32, random: f64) -> Duration {
    let growth = 2_u32.checked_pow(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(growth).min(longest).mul_f64(0.8 + 0.4 * random.clamp(0.0, 1.0))
}

/// A number in 0..1, different each time.
pub(crate) fn random() -> f64 {
    let bits = uuid::Uuid::new_v4().as_u64_pair().1 & 0xffff_ffff;
    f64::from(u32::try_from(bits).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_longest() {
        let (first, longest) = (Duration::from_secs(5), Duration::from_secs(300));
        let wait = |failures| back_off(first, longest, failures, 0.5);
        assert_eq!([wait(0), wait(1), wait(2), wait(3)].map(|wait| wait.as_secs()), [5, 5, 10, 20]);
        assert_eq!(wait(7), longest);
        assert_eq!(wait(u32::MAX), longest);
        assert_eq!(back_off(first, longest, 1, 1.0), Duration::from_secs(6));
    }

    #[test]
    fn random_numbers_fill_their_range() {
        let mut seen = (f64::MAX, f64::MIN);
        for _ in 0..1000 {
            let random = random();
            assert!((0.0..=1.0).contains(&random));
            seen = (seen.0.min(random), seen.1.max(random));
        }
        assert!(seen.0 < 0.1 && seen.1 > 0.9, "{seen:?}");
    }
}
