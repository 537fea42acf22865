//! Durations as Go writes them: `1.5s`, `1h30m`, `250ms`.

use std::time::Duration;

use tutti_model::duration::parse_duration;

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
        parse_duration(text).map(Self).map_err(|_| {
            // Go's words for the commonest mistake, and for all others.
            let bare = text.ends_with(|last: char| last.is_ascii_digit());
            let what = if bare { "missing unit in" } else { "invalid" };
            format!("time: {what} duration {text:?}")
        })
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
        for text in ["", "5x", "s", ".s", "-1s", "1..5s"] {
            let message = format!("time: invalid duration {text:?}");
            assert_eq!(text.parse::<GoDuration>().unwrap_err(), message);
        }
        let bare = "5".parse::<GoDuration>().unwrap_err();
        assert_eq!(bare, "time: missing unit in duration \"5\"");
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
