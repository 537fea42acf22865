//! What a secret is made of: its id, its content, its rotation policy and expiry.

use std::collections::BTreeMap;

use aws_lc_rs::{digest, rand};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::Error;

/// The most one secret may hold, bytes of its keys and values.
const LARGEST: usize = 1024 * 1024;

/// Letters of an id, in the order of their values (base32hex).
const LETTERS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// A new id: 20 letters and digits that begin with the time, so that ids sort by age.
pub(crate) fn new_id(now: i64) -> Result<String, Error> {
    let mut random = [0; 8];
    rand::fill(&mut random)
        .map_err(|_| Error::Invalid("the system has no random numbers to give".to_owned()))?;
    let seconds = u32::try_from(now / 1_000_000).unwrap_or(u32::MAX);
    let bits = (u128::from(seconds) << 64) | u128::from(u64::from_be_bytes(random));
    // 96 bits in 20 letters of five bits, so four more at the end.
    let letter =
        |place: u32| LETTERS[usize::try_from(bits << 4 >> (5 * (19 - place)) & 31).unwrap_or(0)];
    Ok((0..20).map(|place| char::from(letter(place))).collect())
}

/// The bare id in `ID`, `secret:ID` or `secret://model/ID`, if it looks like one.
pub(crate) fn bare_id(text: &str) -> Option<&str> {
    let id = text.strip_prefix("secret:").unwrap_or(text);
    let id = id.rsplit('/').next().unwrap_or(id);
    (id.len() == 20 && id.bytes().all(|byte| LETTERS.contains(&byte))).then_some(id)
}

/// Whether content may be kept; texts as Juju's.
pub(super) fn check(content: &BTreeMap<String, String>) -> Result<(), String> {
    if content.is_empty() || content.values().any(String::is_empty) {
        return Err("empty secret value not valid".to_owned());
    }
    if let Some(key) = content.keys().find(|key| !is_key(key)) {
        return Err(format!(
            "key {key:?} not valid: use at least three lower-case letters, digits and single \
             hyphens, and start with a letter"
        ));
    }
    if let Some((key, _)) = content.iter().find(|(_, value)| value.contains('\0')) {
        return Err(format!("the value of {key:?} holds a NUL character"));
    }
    let size: usize = content.iter().map(|(key, value)| key.len() + value.len()).sum();
    if size > LARGEST {
        return Err(format!("secret of {size} bytes not valid: at most {LARGEST} are kept"));
    }
    Ok(())
}

/// `^[a-z](-?[a-z0-9]){2,}$`.
fn is_key(key: &str) -> bool {
    let bytes = key.as_bytes();
    let solid = bytes.iter().filter(|byte| **byte != b'-').count();
    let word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes.last() != Some(&b'-')
        && solid >= 3
        && bytes.iter().all(word)
        && !key.contains("--")
}

/// SHA-256 of content, as `show-secret` prints it.
pub(super) fn checksum(content: &str) -> String {
    let digest = digest::digest(&digest::SHA256, content.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// When a secret with this policy rotates next; none for `never`.
pub(super) fn next_rotation(policy: &str, now: i64) -> Result<Option<i64>, String> {
    let span = match policy {
        "" | "never" => return Ok(None),
        "hourly" => Span::new().hours(1),
        "daily" => Span::new().days(1),
        "weekly" => Span::new().weeks(1),
        "monthly" => Span::new().months(1),
        "quarterly" => Span::new().months(3),
        "yearly" => Span::new().years(1),
        _ => return Err(format!("rotate policy {policy:?} not valid")),
    };
    let now = Timestamp::from_microsecond(now).unwrap_or_default().to_zoned(TimeZone::UTC);
    let then = now.checked_add(span).map_err(|error| format!("rotate policy: {error}"))?;
    Ok(Some(then.timestamp().as_microsecond()))
}

/// When a revision with this expiry (RFC 3339) expires; none for an empty one.
pub(super) fn expires(expiry: &str) -> Result<Option<i64>, String> {
    if expiry.is_empty() {
        return Ok(None);
    }
    let time: Timestamp =
        expiry.parse().map_err(|_| format!("expire time {expiry:?} not valid"))?;
    Ok(Some(time.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_twenty_letters_and_sort_by_time() {
        let (early, late) = (new_id(1_000_000).unwrap(), new_id(2_000_000_000_000_000).unwrap());
        assert_eq!(bare_id(&early), Some(early.as_str()));
        assert!(early < late, "{early} {late}");
        assert_ne!(new_id(1).unwrap(), new_id(1).unwrap());
    }

    #[test]
    fn ids_come_in_three_forms() {
        let id = "9m4e2mr0ui3e8a215n4g";
        for text in [
            "9m4e2mr0ui3e8a215n4g",
            "secret:9m4e2mr0ui3e8a215n4g",
            "secret://x/9m4e2mr0ui3e8a215n4g",
        ] {
            assert_eq!(bare_id(text), Some(id), "{text}");
        }
        for text in
            ["", "mysecret", "9m4e2mr0ui3e8a215n4", "9M4E2MR0UI3E8A215N4G", "zzzzzzzzzzzzzzzzzzzz"]
        {
            assert_eq!(bare_id(text), None, "{text}");
        }
    }

    #[test]
    fn keys() {
        for key in ["abc", "a1b", "user-name", "a-b-c"] {
            assert!(is_key(key), "{key}");
        }
        for key in ["", "ab", "a-b", "1ab", "-abc", "abc-", "a--bc", "ABC", "a_bc"] {
            assert!(!is_key(key), "{key}");
        }
    }

    #[test]
    fn empty_content_is_refused_in_jujus_words() {
        assert_eq!(check(&BTreeMap::new()).unwrap_err(), "empty secret value not valid");
        let large = BTreeMap::from([("abc".to_owned(), "x".repeat(LARGEST))]);
        assert!(check(&large).unwrap_err().contains("at most"));
    }

    #[test]
    fn policies_and_expiries() {
        let hour = 3_600_000_000;
        assert_eq!(next_rotation("hourly", 0), Ok(Some(hour)));
        assert_eq!(next_rotation("monthly", 0), Ok(Some(31 * 24 * hour)));
        assert_eq!(next_rotation("never", 0), Ok(None));
        assert!(next_rotation("sometimes", 0).is_err());
        assert_eq!(expires("1970-01-01T01:00:00Z"), Ok(Some(hour)));
        assert_eq!(expires(""), Ok(None));
        assert!(expires("tomorrow").is_err());
    }
}
