//! How events are shown, and which of them are wanted.

use std::fmt::Write as _;
use std::time::SystemTime;

use clap::ValueEnum;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;
use tutti_bus::{EventStream, Record, Start};

use super::connection::Session;
use super::name::Pattern;
use crate::arguments::GoDuration;
use crate::failure::Outcome;
use crate::output::{json, style};

/// The forms an event can be printed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum EventFormat {
    /// A line for people
    #[default]
    Human,
    /// A line of JSON
    Json,
    /// JSON over several lines
    Pretty,
}

impl EventFormat {
    /// An event with its line break.
    pub(super) fn text(self, record: &Record) -> Outcome<String> {
        match self {
            Self::Human => Ok(line(record)),
            Self::Json => json::line(record),
            Self::Pretty => Ok(format!("{}\n", serde_json::to_string_pretty(record)?)),
        }
    }
}

/// `2026-01-02 03:04:05.678 1767323045678-0 my.auth.user_registered username=ann`
fn line(record: &Record) -> String {
    let time = record.time().map(|time| time.to_zoned(TimeZone::system()));
    let time = time.map_or_else(String::new, |time| format!("{} ", time.strftime("%F %T%.3f")));
    let (bold, off) = (style::HEADING.render(), style::HEADING.render_reset());
    let mut text = format!("{time}{} {bold}{}.{}{off}", record.native_id, record.api, record.event);
    for (key, value) in record.parameters.as_object().into_iter().flatten() {
        // Writing to a String cannot fail.
        let _ = match value {
            Value::String(word) if is_plain(word) => write!(text, " {key}={word}"),
            value => write!(text, " {key}={value}"),
        };
    }
    if let Some(problem) = &record.problem {
        let (bad, off) = (style::BAD.render(), style::BAD.render_reset());
        let _ = write!(text, " {bad}({problem}){off}");
    }
    text.push('\n');
    text
}

fn is_plain(word: &str) -> bool {
    !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"')
}

/// A moment in the history of the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// From the oldest event on.
    Beginning,
    /// Only what is new.
    New,
    /// After the event with this id in its stream.
    After(String),
    /// From this moment on.
    At(Timestamp),
}

impl std::str::FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Since, String> {
        match text {
            "0" => return Ok(Since::Beginning),
            "$" => return Ok(Since::New),
            _ => {}
        }
        if let Some((milliseconds, sequence)) = text.split_once('-')
            && milliseconds.parse::<u64>().is_ok()
            && milliseconds.len() > 4
            && sequence.parse::<u64>().is_ok()
        {
            return Ok(Since::After(text.to_owned()));
        }
        if let Ok(GoDuration(ago)) = text.parse() {
            let then = SystemTime::now().checked_sub(ago).ok_or("so long ago there was nothing")?;
            return Timestamp::try_from(then).map(Since::At).map_err(|error| error.to_string());
        }
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(Since::At(time));
        }
        let civil = text.parse::<jiff::civil::DateTime>().or_else(|_| {
            text.parse::<Date>().map(|date| date.to_datetime(jiff::civil::Time::midnight()))
        });
        civil
            .and_then(|civil| civil.to_zoned(TimeZone::system()))
            .map(|zoned| Since::At(zoned.timestamp()))
            .map_err(|_| {
                "use 0 (all), $ (only new ones), an id such as 1795164389852-0, a time, or a \
                 duration such as 10m"
                    .to_owned()
            })
    }
}

impl Since {
    /// Where a listener or follower begins.
    pub(super) fn start(&self) -> Start {
        match self {
            Since::Beginning => Start::Beginning,
            Since::New => Start::New,
            Since::After(id) => Start::After(id.clone()),
            Since::At(time) => Start::At(*time),
        }
    }

    /// The smallest id in question.
    pub(super) fn oldest(&self) -> Option<String> {
        match self {
            Since::Beginning => None,
            Since::New => Some("18446744073709551615-0".to_owned()),
            Since::After(id) => Some(id.clone()),
            Since::At(time) => Some(format!("{}-0", time.as_millisecond().max(0))),
        }
    }
}

/// The streams in which events like these are, or would be.
pub(super) async fn streams(session: &Session, patterns: &[Pattern]) -> Outcome<Vec<EventStream>> {
    let is_wanted = |api: &str, event: &str| patterns.iter().any(|it| it.is_in(api, event));
    let all = session.bus.streams().await.map_err(|error| session.refusal(error))?;
    let mut streams: Vec<EventStream> =
        all.into_iter().filter(|stream| is_wanted(&stream.api, &stream.event)).collect();
    let mut add = |stream: EventStream| {
        if !streams.iter().any(|known| known.name == stream.name) {
            streams.push(stream);
        }
    };
    for api in session.schemas().await? {
        let events = api.events().map(|(event, _)| event);
        let wanted = events.filter(|event| is_wanted(api.name(), event));
        wanted.for_each(|event| add(session.bus.stream(api.name(), event)));
    }
    for pattern in patterns.iter().filter(|pattern| pattern.is_one_api()) {
        add(session.bus.stream(&pattern.api, &pattern.event));
    }
    Ok(streams)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let record = Record {
            native_id: "1767323045678-0".into(),
            id: "i".into(),
            api: "a.b".into(),
            event: "e".into(),
            version: 1,
            parameters: json!({"n": 1, "name": "ann", "none": "", "note": "two\nlines"}),
            sender: None,
            trace: None,
            problem: Some("odd".into()),
        };
        let text = anstream::adapter::strip_str(&line(&record)).to_string();
        let end = " 1767323045678-0 a.b.e n=1 name=ann none=\"\" note=\"two\\nlines\" (odd)\n";
        assert!(text.ends_with(end), "{text}");
        assert_eq!(text.lines().count(), 1);
        assert!(EventFormat::Json.text(&record).unwrap().starts_with("{\"native_id\":"));
    }

    #[test]
    fn a_moment_is_said_in_many_ways() {
        let since = |text: &str| text.parse::<Since>().unwrap();
        assert_eq!(since("0"), Since::Beginning);
        assert_eq!(since("$"), Since::New);
        assert_eq!(since("1795164389852-3"), Since::After("1795164389852-3".into()));
        let time = "2026-01-02T03:04:05Z";
        assert_eq!(since(time), Since::At(time.parse().unwrap()));
        assert!(matches!(since("2026-01-02"), Since::At(_)));
        assert!(matches!(since("10m"), Since::At(_)));
        assert_eq!(since(time).oldest().unwrap(), "1767323045000-0");
        for wrong in ["", "yesterday", "1-", "2026-13-01"] {
            assert!(wrong.parse::<Since>().is_err(), "{wrong}");
        }
    }
}
