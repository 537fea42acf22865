//! Durations as Go writes them, with the words of a refusal.

use std::time::Duration;

use crate::{Error, Result};

/// Reads a duration that is not negative; see [`tutti_charm::duration::parse`].
///
/// # Errors
///
/// [`Error::Malformed`].
pub fn parse_duration(text: &str) -> Result<Duration> {
    tutti_charm::duration::parse(text).ok_or_else(|| Error::Malformed {
        what: "duration".into(),
        text: text.to_owned(),
        expected: "a duration such as 30s or 1h30m",
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
