//! When a secret expires, as charms write it.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::super::super::{Expiry, ToolError};
use crate::duration;

/// A duration such as `24h` or `1h30m`, or a time in RFC 3339; without a zone it is UTC, as the Python
/// framework may send it.
pub(super) fn parse(given: &str) -> Result<Expiry, ToolError> {
    if let Some(duration) = duration::parse(given) {
        return Ok(Expiry::After(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)));
    }
    let zoned = given.parse::<Timestamp>().ok();
    let naive = || {
        let time = given.parse::<DateTime>().ok().filter(|_| given.contains(':'))?;
        TimeZone::UTC.to_timestamp(time).ok()
    };
    match zoned.or_else(naive) {
        Some(time) => Ok(Expiry::At(time.to_string())),
        None => Err(ToolError::argument(format!("expire time or duration {given:?} not valid"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_times() {
        let table = [
            ("24h", Expiry::After(86_400_000)),
            ("1h30m", Expiry::After(5_400_000)),
            ("1.5s", Expiry::After(1_500)),
            ("100ms", Expiry::After(100)),
            ("2026-01-02T03:04:05Z", Expiry::At("2026-01-02T03:04:05Z".into())),
            ("2026-01-02T05:04:05.5+02:00", Expiry::At("2026-01-02T03:04:05.5Z".into())),
            ("2026-01-02T03:04:05", Expiry::At("2026-01-02T03:04:05Z".into())),
            ("2026-01-02 03:04:05.123456", Expiry::At("2026-01-02T03:04:05.123456Z".into())),
        ];
        for (given, expiry) in table {
            assert_eq!(parse(given), Ok(expiry), "{given}");
        }
        for given in
            ["", "tomorrow", "24", "h", "1d", "-1h", "1h-", "2026-13-02T03:04:05Z", ".h", "1e999h"]
        {
            assert!(parse(given).is_err(), "{given}");
        }
    }
}
