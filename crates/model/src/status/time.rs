//! Juju's time texts. Times are UTC microseconds.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::Offset;

/// `02 Jan 2006 15:04:05Z07:00`, as every `since` in `status`; empty for 0.
#[must_use]
pub fn status_time(time: i64, offset: Offset) -> String {
    if time == 0 {
        return String::new();
    }
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let date = local(time, offset);
    let month = usize::try_from(date.month()).ok().and_then(|month| MONTHS.get(month - 1));
    let mut text = String::with_capacity(26);
    let _ = write!(text, "{:02} {} {:04} ", date.day(), month.unwrap_or(&"???"), date.year());
    clock(&mut text, date, offset);
    text
}

/// `15:04:05Z07:00`, as the controller's timestamp in `status`.
#[must_use]
pub fn clock_time(time: i64, offset: Offset) -> String {
    let mut text = String::with_capacity(14);
    clock(&mut text, local(time, offset), offset);
    text
}

fn local(time: i64, offset: Offset) -> jiff::civil::DateTime {
    offset.to_datetime(Timestamp::from_microsecond(time).unwrap_or_default())
}

fn clock(text: &mut String, date: jiff::civil::DateTime, offset: Offset) {
    let _ = write!(text, "{:02}:{:02}:{:02}", date.hour(), date.minute(), date.second());
    let seconds = offset.seconds();
    if seconds == 0 {
        text.push('Z');
    } else {
        let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
        let _ = write!(text, "{sign}{:02}:{:02}", minutes / 60, minutes % 60);
    }
}
