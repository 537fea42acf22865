//! Times of the status document and the log, in local time or UTC.

use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use tutti_model::api::{Status, StatusInfo, StatusUnit};

/// `02 Jan 2006 15:04:05Z07:00`, the layout of `since`.
const SINCE: &str = "%d %b %Y %H:%M:%S";

/// A time zone to show times in.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    zone: TimeZone,
}

impl Clock {
    /// UTC, or the time of this machine.
    pub(crate) fn new(utc: bool) -> Self {
        Self { zone: if utc { TimeZone::UTC } else { TimeZone::system() } }
    }

    /// UTC microseconds in a format of strftime.
    pub(crate) fn format(&self, microseconds: i64, format: &str) -> String {
        match Timestamp::from_microsecond(microseconds) {
            Ok(time) => time.to_zoned(self.zone.clone()).strftime(format).to_string(),
            Err(_) => microseconds.to_string(),
        }
    }
}

/// UTC microseconds as `2006-01-02 15:04:05Z`, or in local time with its offset.
pub(crate) fn of_microseconds(microseconds: i64, utc: bool) -> String {
    if utc {
        return Clock::new(true).format(microseconds, "%Y-%m-%d %H:%M:%SZ");
    }
    let text = Clock::new(false).format(microseconds, &format!("{SINCE}%:z"));
    text.strip_suffix("+00:00").map_or_else(|| text.clone(), |text| format!("{text}Z"))
}

/// Turns every time of a status document into UTC, as `--utc` asks.
pub(crate) fn to_utc(status: &mut Status) {
    let stamp = |text: &mut String| {
        if let Some(utc) = since_in_utc(text) {
            *text = utc;
        }
    };
    let info = |info: &mut StatusInfo| stamp(&mut info.since);
    fn unit(unit_status: &mut StatusUnit, info: &impl Fn(&mut StatusInfo)) {
        info(&mut unit_status.workload_status);
        info(&mut unit_status.juju_status);
        unit_status.subordinates.values_mut().for_each(|sub| unit(sub, info));
    }
    info(&mut status.model.model_status);
    for machine in status.machines.values_mut() {
        info(&mut machine.juju_status);
        info(&mut machine.machine_status);
        info(&mut machine.modification_status);
    }
    for application in status.applications.values_mut() {
        info(&mut application.application_status);
        application.units.values_mut().for_each(|one| unit(one, &info));
    }
    for storage in status.storage.storage.values_mut() {
        info(&mut storage.status);
    }
    let now = &mut status.controller.timestamp;
    if !now.is_empty() {
        *now = Timestamp::now().to_zoned(TimeZone::UTC).strftime("%H:%M:%SZ").to_string();
    }
}

/// `11 Aug 2026 12:00:00+02:00` → `2026-08-11 10:00:00Z`.
fn since_in_utc(text: &str) -> Option<String> {
    let (format, text) = match text.strip_suffix('Z') {
        Some(text) => (format!("{SINCE}%:z"), format!("{text}+00:00")),
        None => (format!("{SINCE}%:z"), text.to_owned()),
    };
    let time = strtime::parse(format, text).ok()?.to_timestamp().ok()?;
    Some(time.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_turns_into_utc() {
        for (text, utc) in [
            ("24 Feb 2025 12:02:57+13:00", "2025-02-23 23:02:57Z"),
            ("11 Aug 2026 10:00:00Z", "2026-08-11 10:00:00Z"),
        ] {
            assert_eq!(since_in_utc(text).as_deref(), Some(utc));
        }
        assert_eq!(since_in_utc("yesterday"), None);
    }

    #[test]
    fn microseconds_print() {
        let clock = Clock::new(true);
        assert_eq!(clock.format(1_786_442_409_123_456, "%H:%M:%S.%3f"), "10:00:09.123");
        assert_eq!(of_microseconds(0, true), "1970-01-01 00:00:00Z");
        assert_eq!(clock.format(i64::MAX, "%H"), i64::MAX.to_string());
    }
}
