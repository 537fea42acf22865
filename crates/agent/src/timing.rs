//! How long the agent waits for what.

use std::time::Duration;

/// Every duration the agent goes by.
#[derive(Clone, Debug)]
pub struct Timing {
    /// First retry of a failed hook (Juju: 5 s); doubles from there.
    pub retry_first: Duration,
    /// Longest wait between two retries of a failed hook (Juju: 5 min).
    pub retry_longest: Duration,
    /// First early `update-status` for a charm that has deferred something; triples from there.
    pub deferral_first: Duration,
    /// Longest wait between two of them.
    pub deferral_longest: Duration,
    /// How long a hook of a dying unit may run before it is killed and counts as failed.
    pub dying_hook: Duration,
    /// How long a running hook may go on after the agent was told to stop.
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
            retry_first: Duration::from_secs(5),
            retry_longest: Duration::from_secs(5 * 60),
            deferral_first: Duration::from_secs(5),
            deferral_longest: Duration::from_secs(5 * 60),
            dying_hook: Duration::from_secs(5 * 60),
            stop_grace: Duration::from_secs(2),
            reconnect_first: Duration::from_millis(50),
            reconnect_longest: Duration::from_secs(5),
            poll: Duration::from_secs(30),
            linger: Duration::from_millis(50),
        }
    }
}

/// Waits that grow: the wait after `failures` failures (1 = the first), never above `longest`,
/// spread by ± 20 % with `random` in 0..1 so that many units do not act in step.
#[must_use]
pub(crate) fn back_off(
    first: Duration,
    factor: u32,
    longest: Duration,
    failures: u32,
    random: f64,
) -> Duration {
    let growth = factor.checked_pow(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    spread(first.saturating_mul(growth).min(longest), random)
}

/// A wait of ± 20 %, by `random` in 0..1 (Juju spreads `update-status` like that).
#[must_use]
pub(crate) fn spread(wait: Duration, random: f64) -> Duration {
    wait.mul_f64(0.8 + 0.4 * random.clamp(0.0, 1.0))
}

/// A number in 0..1, different each time.
pub(crate) fn random() -> f64 {
    let bits = uuid::Uuid::now_v7().as_u64_pair().1 & 0xffff_ffff;
    f64::from(u32::try_from(bits).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_longest() {
        let (first, longest) = (Duration::from_secs(5), Duration::from_secs(300));
        let wait = |failures| back_off(first, 2, longest, failures, 0.5);
        assert_eq!([wait(0), wait(1), wait(2), wait(3)].map(|wait| wait.as_secs()), [5, 5, 10, 20]);
        assert_eq!(wait(7), longest);
        assert_eq!(wait(u32::MAX), longest);
    }

    #[test]
    fn spread_stays_within_a_fifth() {
        let wait = Duration::from_secs(300);
        assert_eq!(spread(wait, 0.0), Duration::from_secs(240));
        assert_eq!(spread(wait, 1.0), Duration::from_secs(360));
        let mut seen = (f64::MAX, f64::MIN);
        for _ in 0..1000 {
            let random = random();
            assert!((0.0..=1.0).contains(&random));
            seen = (seen.0.min(random), seen.1.max(random));
        }
        assert!(seen.0 < 0.1 && seen.1 > 0.9, "{seen:?}");
    }
}
