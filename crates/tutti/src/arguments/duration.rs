//! Durations as Go writes them: `1.5s`, `1h30m`, `250ms`.

use std::time::Duration;

/// A duration on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GoDuration(pub(crate) Duration);

impl GoDuration {
    /// Whole milliseconds, at least 1 unless it is zero.
    pub(crate) fn milliseconds(self) -> u64 {
        let milliseconds = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if self.0.is_zero() { 0 } else { milliseconds.max(1) }
    }
}

impl std::str::FromStr for GoDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).map(Self)
    }
}

impl std::fmt::Display for GoDuration {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.0.as_secs();
        if seconds == 0 || self.0.subsec_nanos() != 0 {
            return write!(formatter, "{}s", self.0.as_secs_f64());
        }
        for (unit, length, base) in [("h", 3600, 1_000_000_000), ("m", 60, 60), ("s", 1, 60)] {
            let count = seconds / length % base;
            if count > 0 {
                write!(formatter, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

/// Reads a duration. Nothing here waits for a negative time, so a sign is refused.
fn parse(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let length = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(length);
        let nanoseconds = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            _ => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
        };
        total += number * nanoseconds;
        rest = after;
    }
    Duration::try_from_secs_f64(total / 1e9).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, milliseconds) in [
            ("0", 0),
            ("0s", 0),
            ("0.001s", 1),
            ("1.5s", 1_500),
            ("60.0s", 60_000),
            ("60s", 60_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1h15m30.918s", 4_530_918),
            (".5s", 500),
            ("250ms", 250),
            ("+2s", 2_000),
        ] {
            let duration: GoDuration = text.parse().unwrap();
            assert_eq!(duration.0.as_millis(), milliseconds, "{text}");
        }
        assert_eq!("1us".parse::<GoDuration>().unwrap().milliseconds(), 1);
    }

    #[test]
    fn refuses_what_go_refuses() {
        for (text, message) in [
            ("", "time: invalid duration \"\""),
            ("5", "time: missing unit in duration \"5\""),
            ("5x", "time: unknown unit \"x\" in duration \"5x\""),
            ("s", "time: invalid duration \"s\""),
            (".s", "time: invalid duration \".s\""),
            ("-1s", "time: invalid duration \"-1s\""),
            ("1..5s", "time: invalid duration \"1..5s\""),
        ] {
            assert_eq!(text.parse::<GoDuration>().unwrap_err(), message, "{text}");
        }
        assert!("99999999999999999999h".parse::<GoDuration>().is_err());
    }

    #[test]
    fn prints_like_go() {
        for (text, printed) in
            [("60s", "1m"), ("90s", "1m30s"), ("1h", "1h"), ("1.5s", "1.5s"), ("0", "0s")]
        {
            assert_eq!(text.parse::<GoDuration>().unwrap().to_string(), printed);
        }
    }
}
