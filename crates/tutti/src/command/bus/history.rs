//! `inspect`: events that were fired.

use std::collections::VecDeque;

use clap::Args;
use serde_json::Value;
use tutti_bus::{EventStream, Record, Start};

use super::Action;
use super::connection::Session;
use super::event::{EventFormat, Since, streams};
use super::listen::{follow, next};
use super::name::Pattern;
use crate::command::serve::Signals;
use crate::failure::{Failure, Outcome};
use crate::output;

/// Entries read at a time.
const PAGE: usize = 200;

/// Events shown before those that follow, unless --limit says otherwise.
const BEFORE: usize = 10;

#[derive(Args, Debug)]
pub(super) struct Inspect {
    #[command(flatten)]
    filter: Filter,
    /// Not older than this: an id, a time, or a duration such as 10m
    #[arg(long, value_name = "WHEN", default_value = "0", hide_default_value = true)]
    since: Since,
    /// How many [default: 100; with --follow the last 10]
    #[arg(short, long, value_name = "NUMBER")]
    limit: Option<usize>,
    /// Go on with what is fired from now on; oldest first
    #[arg(short, long)]
    follow: bool,
    /// Check each event by the schema of its API, and say what does not fit
    #[arg(short = 'd', long)]
    validate: bool,
    /// Also the events of internal APIs (internal.state, internal.metrics)
    #[arg(short = 'I', long)]
    internal: bool,
    /// Form of the events
    #[arg(short = 'F', long, value_enum, value_name = "FORMAT", default_value_t)]
    format: EventFormat,
}

/// Which events.
#[derive(Args, Debug)]
struct Filter {
    /// With this id
    #[arg(short, long, value_name = "ID")]
    id: Option<String>,
    /// With this id in its stream: 1795164389852-0
    #[arg(short, long, value_name = "ID")]
    native_id: Option<String>,
    /// Of this API; * and ? are wildcards
    #[arg(short, long, value_name = "API", default_value = "*", hide_default_value = true)]
    api: String,
    /// Of this name; * and ? are wildcards
    #[arg(short, long, value_name = "EVENT", default_value = "*", hide_default_value = true)]
    event: String,
    /// Of this version of the API
    #[arg(long, value_name = "NUMBER")]
    version: Option<u32>,
    /// With this value in a parameter: username=ann, user.address.city=Ulm, items[0].sku=x; without = it only has to be there
    #[arg(
        short = 'w',
        long = "where",
        visible_alias = "json-path",
        short_alias = 'j',
        value_name = "PATH=VALUE"
    )]
    places: Vec<Place>,
}

/// A place in the parameters, and what must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    pointer: String,
    value: Option<String>,
}

impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        let (path, value) = match text.split_once('=') {
            Some((path, value)) => (path, Some(value.trim_start_matches('=').to_owned())),
            None => (text, None),
        };
        let path = path.strip_prefix('$').unwrap_or(path);
        let path = path.strip_prefix('.').unwrap_or(path);
        let plain = path.replace('[', ".").replace(']', "");
        if path.is_empty() || plain.split('.').any(str::is_empty) {
            return Err("write PATH or PATH=VALUE, as in user.name=ann or items[0].sku".to_owned());
        }
        let part = |part: &str| format!("/{}", part.replace('~', "~0").replace('/', "~1"));
        Ok(Place { pointer: plain.split('.').map(part).collect(), value })
    }
}

impl Place {
    fn is_in(&self, parameters: &Value) -> bool {
        match (parameters.pointer(&self.pointer), &self.value) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(Value::String(text)), Some(wanted)) => text == wanted,
            (Some(found), Some(wanted)) => {
                serde_json::from_str::<Value>(wanted).is_ok_and(|wanted| wanted == *found)
            }
        }
    }
}

impl Filter {
    fn pattern(&self) -> Pattern {
        Pattern { api: self.api.clone(), event: self.event.clone() }
    }

    fn takes(&self, record: &Record, internal: bool) -> bool {
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|it| it == found);
        is(&self.id, &record.id)
            && is(&self.native_id, &record.native_id)
            && self.version.is_none_or(|version| version == record.version)
            && self.pattern().is_for(&record.api, &record.event)
            && (internal || !is_internal(&record.api) || self.pattern().is_one_api())
            && self.places.iter().all(|place| place.is_in(&record.parameters))
    }
}

fn is_internal(api: &str) -> bool {
    api.starts_with("internal.")
}

impl Action for Inspect {
    async fn act(self, session: &Session) -> Outcome {
        let streams = streams(session, &[self.filter.pattern()]).await?;
        if !self.follow {
            return self.print_history(session, &streams).await;
        }
        let mut signals = Signals::listen()?;
        tokio::select! {
            ended = self.print_and_follow(session, streams) => ended,
            _ = signals.first() => Ok(()),
            () = output::reader_gone() => Err(Failure::BrokenPipe),
        }
    }
}

impl Inspect {
    async fn print_history(&self, session: &Session, streams: &[EventStream]) -> Outcome {
        let mut history = self.history(streams, None);
        let mut left = self.limit.unwrap_or(100);
        while left > 0
            && let Some(record) = history.next(session).await?
        {
            if self.filter.takes(&record, self.internal) {
                self.print(session, record)?;
                left -= 1;
            }
        }
        Ok(())
    }

    /// What follows begins where the history ends, so nothing is missing and nothing is repeated.
    async fn print_and_follow(&self, session: &Session, streams: Vec<EventStream>) -> Outcome {
        let mut ends = Vec::new();
        for stream in &streams {
            ends.push(stream.newest().await.map_err(|error| session.refusal(error))?);
        }
        let mut history = self.history(&streams, Some(&ends));
        let (limit, mut last) = (self.limit.unwrap_or(BEFORE), Vec::new());
        while last.len() < limit
            && let Some(record) = history.next(session).await?
        {
            if self.filter.takes(&record, self.internal) {
                last.push(record);
            }
        }
        for record in last.into_iter().rev() {
            self.print(session, record)?;
        }
        let starts = streams.into_iter().zip(ends.into_iter().map(Start::After)).collect();
        let mut events = follow(session, starts).await?;
        while let Some(batch) = next(session, &mut events).await {
            for record in batch {
                if self.filter.takes(&record, self.internal) {
                    self.print(session, record)?;
                }
            }
        }
        Ok(())
    }

    fn history<'a>(&self, streams: &'a [EventStream], ends: Option<&[String]>) -> History<'a> {
        let one = |(number, stream): (usize, &'a EventStream)| {
            let newest = self.filter.native_id.clone();
            let newest = newest.or_else(|| ends?.get(number).cloned());
            Past { stream, read: VecDeque::new(), newest, is_over: false }
        };
        let oldest = self.filter.native_id.clone().or_else(|| self.since.oldest());
        History { pasts: streams.iter().enumerate().map(one).collect(), oldest }
    }

    fn print(&self, session: &Session, mut record: Record) -> Outcome {
        if self.validate && record.problem.is_none() {
            record.problem = session.bus.check_record(&record).err().map(|error| error.to_string());
        }
        output::write(&self.format.text(&record)?)
    }
}

/// The history of several streams as one, newest first.
struct History<'a> {
    pasts: Vec<Past<'a>>,
    oldest: Option<String>,
}

/// The history of one stream, as far as it has been read.
struct Past<'a> {
    stream: &'a EventStream,
    read: VecDeque<Record>,
    newest: Option<String>,
    is_over: bool,
}

impl Past<'_> {
    /// Reads on if nothing is at hand.
    async fn fill(&mut self, oldest: Option<&str>, session: &Session) -> Outcome {
        while self.read.is_empty() && !self.is_over {
            let page = self
                .stream
                .history(self.newest.as_deref(), oldest, PAGE)
                .await
                .map_err(|error| session.refusal(error))?;
            self.read.extend(page.records);
            self.is_over = page.next.is_none();
            self.newest = page.next;
        }
        Ok(())
    }

    fn position(&self) -> Option<(u64, u64)> {
        let (milliseconds, sequence) = self.read.front()?.native_id.split_once('-')?;
        Some((milliseconds.parse().ok()?, sequence.parse().ok()?))
    }
}

impl History<'_> {
    async fn next(&mut self, session: &Session) -> Outcome<Option<Record>> {
        for past in &mut self.pasts {
            past.fill(self.oldest.as_deref(), session).await?;
        }
        let newest = self.pasts.iter_mut().max_by_key(|past| past.position());
        Ok(newest.and_then(|past| past.read.pop_front()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_place_is_found_or_not() {
        let parameters =
            json!({"user": {"name": "ann", "age": 7}, "items": [{"sku": "x"}], "a/b": null});
        for (place, is_there) in [
            ("user.name=ann", true),
            ("$.user.name==ann", true),
            ("user.name=bob", false),
            ("user.age=7", true),
            ("user.age=8", false),
            ("items[0].sku=x", true),
            ("items[1].sku", false),
            ("user", true),
            ("user={\"name\":\"ann\",\"age\":7}", true),
            ("a/b=null", true),
            ("other", false),
        ] {
            assert_eq!(place.parse::<Place>().unwrap().is_in(&parameters), is_there, "{place}");
        }
        for wrong in ["", "=x", "a..b", "$"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
