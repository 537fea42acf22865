//! When a secret expires, as charms write it.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::super::super::{Expiry, ToolError};

/// A duration such as `24h` or `1h30m`, or a time in RFC 3339; without a zone it is UTC, as the Python
/// framework may send it.
pub(super) fn parse(given: &str) -> Result<Expiry, ToolError> {
    if let Some(duration) = duration(given) {
        return Ok(Expiry::After(duration));
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

/// Go's durations, without signs: numbers with a unit each. In milliseconds.
fn duration(given: &str) -> Option<u64> {
    let mut rest = given;
    let mut total = SignedDuration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let part = SignedDuration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = after;
    }
    u64::try_from(total.as_millis()).ok().filter(|_| !given.is_empty())
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
