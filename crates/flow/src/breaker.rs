//! A circuit breaker: how a worker spares a backend that does not answer, and finds out when it does. Pure: time, in
//! microseconds, and randomness are arguments.

use std::time::Duration;

use crate::Backoff;

/// Longest pause, in microseconds.
pub(crate) const PAUSE_MAX: i64 = 120_000_000;

const PAUSES: Backoff = Backoff::exponential(Duration::from_secs(5), Duration::from_secs(120));

/// Where a breaker stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Breaker {
    /// Attempts go through; so many failed since one last succeeded.
    Closed { failures: u32 },
    /// None goes through until then; the next one probes. It did not answer after so many pauses, last with these words.
    Open { until: i64, pauses: u32, words: String },
}

/// What becomes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is made.
    Go,
    /// It is made, to find out whether the backend answers.
    Probe,
    /// It is not made now. The backend is looked at again `until` then; whoever waits comes back at a time of its own.
    Wait { until: i64, back_at: i64 },
}

/// What a report changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    Opened { until: i64 },
    Closed,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Decides about an attempt. A probe has the time of a pause: if nobody hears of it, the next attempt probes again.
    pub(crate) fn admit(&mut self, now: i64, random: u32) -> Admission {
        let Self::Open { until, pauses, .. } = self else { return Admission::Go };
        if is_over(*until, now) {
            *until = now.saturating_add(pause(*pauses, random));
            return Admission::Probe;
        }
        // Half a pause is enough to spread those that come back, and no long delay.
        let spread = pause(*pauses, u32::MAX) / 2;
        let spread = spread * i64::from(random) / i64::from(u32::MAX);
        Admission::Wait { until: *until, back_at: until.saturating_add(spread) }
    }

    /// Whether an attempt would have to wait.
    pub(crate) fn is_held(&self, now: i64) -> bool {
        matches!(self, Self::Open { until, .. } if !is_over(*until, now))
    }

    /// The backend answered.
    pub(crate) fn succeeded(&mut self) -> Change {
        match std::mem::take(self) {
            Self::Closed { .. } => Change::None,
            Self::Open { .. } => Change::Closed,
        }
    }

    /// The backend did not answer. What began before it was known says nothing new, and lengthens no pause.
    pub(crate) fn failed(
        &mut self,
        probe: bool,
        (words, failures_max): (&str, u32),
        now: i64,
        random: u32,
    ) -> Change {
        let pauses = match self {
            Self::Closed { failures } if *failures + 1 < failures_max => {
                *failures += 1;
                return Change::None;
            }
            Self::Closed { .. } => 1,
            Self::Open { pauses, .. } if probe => pauses.saturating_add(1),
            Self::Open { .. } => return Change::None,
        };
        let until = now.saturating_add(pause(pauses, random));
        *self = Self::Open { until, pauses, words: words.to_owned() };
        Change::Opened { until }
    }
}

/// No pause is that long: a clock that was put back does not lengthen it.
fn is_over(until: i64, now: i64) -> bool {
    now >= until || until.saturating_sub(now) > PAUSE_MAX
}

fn pause(pauses: u32, random: u32) -> i64 {
    PAUSES.wait(pauses, random)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000;
    const LIMIT: (&str, u32) = ("refused", 3);

    fn open(until: i64, pauses: u32) -> Breaker {
        Breaker::Open { until: until * SECOND, pauses, words: "refused".into() }
    }

    fn closed(failures: u32) -> Breaker {
        Breaker::Closed { failures }
    }

    #[test]
    fn attempts_go_probe_or_wait() {
        let wait = |until: i64, back_at: i64| Admission::Wait {
            until: until * SECOND,
            back_at: back_at * SECOND,
        };
        for (before, now, random, expected, after) in [
            (closed(2), 0, 0, Admission::Go, closed(2)),
            (open(10, 1), 9, 0, wait(10, 10), open(10, 1)),
            (open(100, 5), 9, u32::MAX, wait(100, 140), open(100, 5)),
            (open(100, 30), 9, u32::MAX, wait(100, 160), open(100, 30)),
            // The next one waits for what the probe comes to, but not for ever.
            (open(10, 2), 10, u32::MAX, Admission::Probe, open(20, 2)),
            (open(10, 2), 11, 0, Admission::Probe, open(16, 2)),
            // The clock was put back by an hour.
            (open(3_600, 1), 0, u32::MAX, Admission::Probe, open(5, 1)),
        ] {
            let mut breaker = before.clone();
            let held = matches!(expected, Admission::Wait { .. });
            assert_eq!(breaker.is_held(now * SECOND), held, "{before:?}");
            assert_eq!(breaker.admit(now * SECOND, random), expected, "{before:?}");
            assert_eq!(breaker, after, "{before:?}");
        }
    }

    #[test]
    fn reports_open_and_close() {
        let opened = |until: i64| Change::Opened { until: until * SECOND };
        for (before, probe, succeeds, change, after) in [
            (closed(0), false, false, Change::None, closed(1)),
            (closed(1), false, true, Change::None, closed(0)),
            (closed(2), false, false, opened(105), open(105, 1)),
            (open(103, 1), false, false, Change::None, open(103, 1)),
            (open(103, 1), true, false, opened(110), open(110, 2)),
            (open(103, 4), true, false, opened(180), open(180, 5)),
            (open(103, 9), true, false, opened(220), open(220, 10)),
            (open(103, 9), true, true, Change::Closed, closed(0)),
            // It began before the breaker opened.
            (open(103, 9), false, true, Change::Closed, closed(0)),
        ] {
            let mut breaker = before.clone();
            let done = match succeeds {
                true => breaker.succeeded(),
                false => breaker.failed(probe, LIMIT, 100 * SECOND, u32::MAX),
            };
            assert_eq!((done, breaker), (change, after), "{before:?}");
        }
    }

    proptest! {
        /// However attempts come, a backend that is down for an hour sees few of them, and one that is back sees all again
        /// before long.
        #[test]
        fn few_attempts_reach_a_backend_that_is_down(
            steps in prop::collection::vec((0..2 * SECOND, any::<u32>(), any::<bool>()), 1_800..4_000),
        ) {
            let (mut breaker, mut now, mut made) = (Breaker::default(), 0, 0);
            for (step, random, lost) in steps {
                now += step;
                match breaker.admit(now, random) {
                    Admission::Wait { until, back_at } => {
                        prop_assert!(now < until && until <= now + PAUSE_MAX);
                        prop_assert!(until <= back_at && back_at <= until + PAUSE_MAX / 2);
                    }
                    admission => {
                        made += 1;
                        let probe = admission == Admission::Probe;
                        // Of a lost one nobody hears.
                        if !(probe && lost) {
                            breaker.failed(probe, LIMIT, now, random);
                        }
                    }
                }
            }
            // Three before it opens, and then a probe for each pause, of which only the lost ones do not lengthen the next.
            prop_assert!(i64::from(made) <= 3 + now / 2_500_000, "{made} in {now} µs");
            let back = now + PAUSE_MAX;
            prop_assert_eq!(breaker.admit(back, 0), Admission::Probe);
            breaker.succeeded();
            prop_assert_eq!(breaker.admit(back, 0), Admission::Go);
        }
    }
}
