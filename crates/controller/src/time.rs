//! Microseconds since 1970 as the texts clients expect.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

fn timestamp(time: i64) -> Timestamp {
    Timestamp::from_microsecond(time).unwrap_or_default()
}

/// The host's offset from UTC at a time.
pub(crate) fn offset(time: i64) -> Offset {
    TimeZone::system().to_offset(timestamp(time))
}

/// `02 Jan 2006 15:04:05Z07:00` in local time, as `status` shows it.
pub(crate) fn status_time(time: i64) -> String {
    tutti_model::status::status_time(time, offset(time))
}

/// RFC 3339 in UTC, whole seconds; empty for 0.
pub(crate) fn rfc3339(time: i64) -> String {
    if time == 0 {
        return String::new();
    }
    timestamp(time).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// RFC 3339 in UTC with milliseconds: of what may take less than a second.
pub(crate) fn rfc3339_milliseconds(time: i64) -> String {
    timestamp(time).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// `2006-01-02 15:04:05 +0000 UTC`, as operations show it.
pub(crate) fn operation_time(time: i64) -> String {
    timestamp(time).strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let time = 1_786_442_400_123_456;
        assert_eq!(rfc3339(time), "2026-08-11T10:00:00Z");
        assert_eq!(rfc3339(0), "");
        assert_eq!(operation_time(time), "2026-08-11 10:00:00 +0000 UTC");
    }
}
