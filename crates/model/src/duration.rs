//! Durations as Go writes them, which is how they stand in config and on the command line: `5m`,
//! `1h30m`, `0.001s`.

use std::time::Duration;

use crate::{Error, Result};

/// Units and their nanoseconds; longer names first where one begins another.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a duration that is not negative: `0`, or numbers with units (`ns`, `us`, `ms`, `s`, `m`,
/// `h`) one after another. What is finer than a nanosecond is cut off.
///
/// # Errors
///
/// [`Error::Malformed`], also for negative durations and those over 292 years, where Go ends.
pub fn parse_duration(text: &str) -> Result<Duration> {
    read(text).ok_or_else(|| Error::Malformed {
        what: "duration".into(),
        text: text.to_owned(),
        expected: "a duration such as 30s or 1h30m",
    })
}

fn read(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = 0_u128;
    loop {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, after) = rest.split_at(end);
        let length = after
            .find(|letter: char| letter.is_ascii_digit() || letter == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(length);
        let (_, nanoseconds) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(scaled(number, nanoseconds)?)?;
        if after.is_empty() {
            break;
        }
        rest = after;
    }
    let total = i64::try_from(total).ok()?;
    Some(Duration::from_nanos(total.unsigned_abs()))
}

/// `1.5` times a unit.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // More digits than these are finer than a nanosecond of the longest unit.
    let fraction = &fraction[..fraction.len().min(18)];
    let part = if fraction.is_empty() {
        0
    } else {
        let power = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        fraction.parse::<u128>().ok()? * unit / power
    };
    whole.checked_mul(unit)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("+5s", 5_000_000_000),
            ("0.001s", 1_000_000),
            ("60.0s", 60_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1h30m10.5s", 5_410_500_000_000),
            ("250ms", 250_000_000),
            ("1us", 1_000),
            ("1µs", 1_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("0.9999999999999999999999s", 999_999_999),
            ("336h", 1_209_600_000_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration() {
        for text in
            ["", "5", "s", ".s", "1d", "-5s", "5 s", "1.2.3s", "1h30", "99999999h", "é", "1é"]
        {
            let refusal = parse_duration(text).unwrap_err().to_string();
            assert!(refusal.contains(&format!("{text:?}")), "{refusal}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "[0-9.hmsunµ+-]{0,12}|.{0,8}") {
            let _ = parse_duration(&text);
        }
    }
}
