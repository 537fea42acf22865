//! Which values settings may have. A pause of nothing makes a loop that never rests, and nobody means a time that no clock
//! reaches or room for more than fits into memory: both are refused before anything begins.

use std::time::Duration;

use super::{ApiSettings, Settings};
use crate::Error;

/// No time is longer than ten years.
pub(crate) const DURATION_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// No wait for others is shorter.
const TIMEOUT_MIN: Duration = Duration::from_millis(1);
/// Nothing is done more often.
const INTERVAL_MIN: Duration = Duration::from_millis(10);
/// The server keeps keys for whole seconds.
const TTL_MIN: Duration = Duration::from_secs(1);
/// Nothing is done more times at once.
pub(crate) const COUNT_MAX: usize = 1_000_000;
/// The server counts with signed numbers.
const LENGTH_MAX: u64 = i64::MAX.unsigned_abs();

/// A setting that is out of its bounds: its name, and what is wrong.
pub(crate) type OutOfBounds = (&'static str, String);

fn duration(name: &'static str, value: Duration, min: Duration) -> Option<OutOfBounds> {
    let seconds = |duration: Duration| duration.as_secs_f64();
    let problem = match value {
        value if value < min => format!("must be at least {} s", seconds(min)),
        value if value > DURATION_MAX => "must be at most ten years".to_owned(),
        _ => return None,
    };
    Some((name, format!("{problem}, not {} s", seconds(value))))
}

pub(super) fn count(name: &'static str, value: usize) -> Option<OutOfBounds> {
    let problem = || format!("must be between 1 and {COUNT_MAX}, not {value}");
    (!(1..=COUNT_MAX).contains(&value)).then(|| (name, problem()))
}

impl Settings {
    /// What is out of bounds, APIs aside.
    pub(crate) fn out_of_bounds(&self) -> Vec<OutOfBounds> {
        let ping = self.announcements.state.and_then(|state| state.ping_interval);
        let all = [
            duration("schema_ttl", self.schema_ttl, TTL_MIN),
            count("calls_max", self.calls_max),
            duration("drain_timeout", self.drain_timeout, Duration::ZERO),
            ping.and_then(|ping| duration("ping_interval", ping, INTERVAL_MIN)),
        ];
        all.into_iter().flatten().collect()
    }

    /// An error that names all settings that are out of bounds.
    pub(super) fn check(&self) -> Result<(), Error> {
        let named = |place: &str, problems: Vec<OutOfBounds>| -> Vec<String> {
            problems.into_iter().map(|(name, problem)| format!("{place}{name} {problem}")).collect()
        };
        let mut problems = named("", self.out_of_bounds());
        problems.extend(named("default_api.", self.default_api.out_of_bounds()));
        for (api, settings) in &self.apis {
            problems.extend(named(&format!("apis.{api}."), settings.out_of_bounds()));
        }
        problems.sort();
        match problems.is_empty() {
            true => Ok(()),
            false => {
                Err(Error::Invalid(format!("the settings of the bus: {}", problems.join("; "))))
            }
        }
    }
}

impl ApiSettings {
    /// What is out of bounds.
    pub(crate) fn out_of_bounds(&self) -> Vec<OutOfBounds> {
        let length = self.stream_length_max.filter(|length| *length > LENGTH_MAX);
        let all = [
            duration("call_timeout", self.call_timeout, TIMEOUT_MIN),
            duration("result_ttl", self.result_ttl, TTL_MIN),
            duration("fire_timeout", self.fire_timeout, TIMEOUT_MIN),
            count("batch_size", self.batch_size),
            duration("acknowledgement_timeout", self.acknowledgement_timeout, INTERVAL_MIN),
            duration("reclaim_interval", self.reclaim_interval, INTERVAL_MIN),
            length.map(|length| {
                ("stream_length_max", format!("must be at most {LENGTH_MAX}, not {length}"))
            }),
        ];
        all.into_iter().flatten().collect()
    }
}
