//! When something is due. Functions of the time: nothing here looks at a clock.

use std::str::FromStr;
use std::time::Duration;

use croner::Cron;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A schedule that cannot be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The pattern is none.
    #[error("{pattern:?} is no cron pattern")]
    Pattern {
        /// As it was given.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: croner::errors::CronError,
    },
    /// There is no such time zone.
    #[error("{name:?} is no time zone")]
    TimeZone {
        /// As it was given.
        name: String,
        /// Why not.
        #[source]
        source: jiff::Error,
    },
}

/// All the times at which something is due.
#[derive(Clone, Debug)]
pub(super) enum Times {
    /// The multiples of so many milliseconds since 1970.
    Every { period_ms: i64 },
    /// Those that fit a pattern.
    Cron { pattern: Box<Cron>, zone: TimeZone },
}

impl Times {
    /// At least a millisecond apart.
    pub(super) fn every(period: Duration) -> Times {
        Times::Every { period_ms: i64::try_from(period.as_millis()).unwrap_or(i64::MAX).max(1) }
    }

    pub(super) fn cron(pattern: &str) -> Result<Times, ScheduleError> {
        let parsed = Cron::from_str(pattern)
            .map_err(|source| ScheduleError::Pattern { pattern: pattern.to_owned(), source })?;
        Ok(Times::Cron { pattern: Box::new(parsed), zone: TimeZone::UTC })
    }

    /// The same pattern by other clocks.
    pub(super) fn in_time_zone(self, name: &str) -> Result<Times, ScheduleError> {
        let zone = TimeZone::get(name)
            .map_err(|source| ScheduleError::TimeZone { name: name.to_owned(), source })?;
        Ok(match self {
            Times::Every { .. } => self,
            Times::Cron { pattern, .. } => Times::Cron { pattern, zone },
        })
    }

    /// The first time after `after`, if there ever is one.
    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Times::Every { period_ms } => {
                let multiple = after.as_millisecond().div_euclid(*period_ms).checked_add(1)?;
                Timestamp::from_millisecond(multiple.checked_mul(*period_ms)?).ok()
            }
            Times::Cron { pattern, zone } => {
                let after = after.to_zoned(zone.clone());
                pattern.find_next_occurrence(&after, false).ok().map(|due| due.timestamp())
            }
        }
    }

    /// The last time up to `now`, if there was one.
    pub(super) fn last(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Times::Every { period_ms } => {
                let multiple = now.as_millisecond().div_euclid(*period_ms);
                Timestamp::from_millisecond(multiple.checked_mul(*period_ms)?).ok()
            }
            Times::Cron { pattern, zone } => {
                let now = now.to_zoned(zone.clone());
                pattern.find_previous_occurrence(&now, true).ok().map(|due| due.timestamp())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn following(times: &Times, after: &str, count: usize) -> Vec<String> {
        let next = |after: &Timestamp| times.next(*after);
        std::iter::successors(times.next(at(after)), next)
            .take(count)
            .map(|due| due.to_string())
            .collect()
    }

    #[test]
    fn periods_are_counted_from_1970() {
        let times = Times::every(Duration::from_secs(90));
        assert_eq!(
            following(&times, "2024-02-29T00:00:00Z", 2),
            ["2024-02-29T00:01:30Z", "2024-02-29T00:03:00Z"]
        );
        assert_eq!(times.last(at("2024-02-29T00:01:29Z")).unwrap(), at("2024-02-29T00:00:00Z"));
        assert_eq!(times.next(at("2024-02-29T00:01:29.999Z")).unwrap(), at("2024-02-29T00:01:30Z"));
    }

    #[test]
    fn periods_of_any_length_do_no_harm() {
        for period in [Duration::ZERO, Duration::MAX] {
            let times = Times::every(period);
            for now in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
                assert!(times.next(now).is_none_or(|next| next > now));
                assert!(times.last(now).is_none_or(|last| last <= now));
            }
        }
    }

    #[test]
    fn patterns_are_kept() {
        let nightly = Times::cron("0 3 * * *").unwrap();
        assert_eq!(following(&nightly, "2024-02-29T03:00:00Z", 1), ["2024-03-01T03:00:00Z"]);
        assert_eq!(nightly.last(at("2024-02-29T03:00:00Z")).unwrap(), at("2024-02-29T03:00:00Z"));
        let month_end = Times::cron("0 0 L * *").unwrap();
        assert_eq!(
            following(&month_end, "2024-02-01T00:00:00Z", 2),
            ["2024-02-29T00:00:00Z", "2024-03-31T00:00:00Z"]
        );
        let seconds = Times::cron("*/20 * * * * *").unwrap();
        assert_eq!(following(&seconds, "2024-02-29T00:00:50Z", 1), ["2024-02-29T00:01:00Z"]);
    }

    #[test]
    fn patterns_follow_the_clocks_of_their_zone() {
        let times = Times::cron("30 2 * * *").unwrap().in_time_zone("Europe/Berlin").unwrap();
        // Winter, the night without half past two, and summer.
        assert_eq!(
            following(&times, "2024-03-29T12:00:00Z", 3),
            ["2024-03-30T01:30:00Z", "2024-03-31T01:00:00Z", "2024-04-01T00:30:00Z"]
        );
    }

    #[test]
    fn what_is_no_schedule_is_said_so() {
        let error = Times::cron("every day").unwrap_err();
        assert_eq!(error.to_string(), r#""every day" is no cron pattern"#);
        let error = Times::cron("@daily").unwrap().in_time_zone("Europe/Bielefeld").unwrap_err();
        assert_eq!(error.to_string(), r#""Europe/Bielefeld" is no time zone"#);
    }
}
