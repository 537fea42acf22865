//! Looking inside the bus: which APIs there are, what happened, and how far everybody is.
//!
//! Nothing here changes anything on the bus, nor keeps anybody from what they read.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;

use super::{Bus, cannot, entry_id};
use crate::Error;
use crate::codec::{EventIn, keys, lenient};
use crate::schema::{ApiSchema, Direction, Subject};
use crate::transport::look::{self, Follower};
use crate::transport::streams::{Entry, EntryId};
use crate::transport::{Patience, Start, Transport, schemas};

/// Batches of events that wait for who follows.
const BATCHES_MAX: usize = 16;

/// A stream of events.
#[derive(Clone)]
pub struct EventStream {
    /// Its name in Redis.
    pub name: String,
    /// The API.
    pub api: String,
    /// The event, or `*` if all events of the API are in it.
    pub event: String,
    transport: Arc<Transport>,
}

/// An event as it stands in its stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// Its id in the stream: milliseconds since 1970, dash, sequence.
    pub native_id: String,
    /// The id of the event; empty if it cannot be read.
    pub id: String,
    /// The API; empty if it cannot be read.
    pub api: String,
    /// The event; empty if it cannot be read.
    pub event: String,
    /// The version of the API.
    pub version: u32,
    /// An object with the parameters; null if they cannot be read.
    pub parameters: Value,
    /// `service/process` of the sender, if it said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// The sender's trace context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// Why it cannot be read, or does not fit its schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Record {
    /// When it was fired, by the server's clock.
    pub fn time(&self) -> Option<Timestamp> {
        let id: EntryId = self.native_id.parse().ok()?;
        Timestamp::from_millisecond(i64::try_from(id.milliseconds).ok()?).ok()
    }

    /// Reads an entry; nothing for one that only makes a stream exist, or has been trimmed away.
    fn read(entry: &Entry) -> Option<Record> {
        let native_id = entry.id.to_string();
        if entry.fields.is_empty() {
            return None;
        }
        let unreadable = |problem: String| {
            let (api, event) = EventIn::peek(entry.pairs());
            let text = |bytes: Option<&[u8]>| {
                String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
            };
            Record {
                native_id: native_id.clone(),
                id: String::new(),
                api: text(api),
                event: text(event),
                version: 1,
                parameters: Value::Null,
                sender: None,
                trace: None,
                problem: Some(problem),
            }
        };
        let event = match EventIn::decode(&native_id, entry.pairs()) {
            Ok(event) => event?,
            Err(error) => return Some(unreadable(error.to_string())),
        };
        let parameters = match lenient::from_str(event.parameters.get()) {
            Ok(parameters) => parameters,
            Err(error) => return Some(unreadable(error.to_string())),
        };
        Some(Record {
            native_id,
            id: event.id,
            api: event.api,
            event: event.name,
            version: event.version,
            parameters,
            sender: event.extension.sender,
            trace: event.extension.trace,
            problem: None,
        })
    }
}

/// A part of a stream's history.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Newest first; entries that are no events are left out.
    pub records: Vec<Record>,
    /// Where the next, older page ends; nothing if there is none.
    pub next: Option<String>,
}

/// How a stream is doing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StreamInfo {
    /// Its name in Redis.
    pub stream: String,
    /// The API.
    pub api: String,
    /// The event, or `*`.
    pub event: String,
    /// Events that are kept.
    pub length: u64,
    /// Events ever fired, if the server counts them (since Redis 7).
    pub fired: Option<u64>,
    /// The id of the last one.
    pub last_id: String,
    /// Who reads it.
    pub groups: Vec<GroupInfo>,
}

/// How a group (the listeners of one name in one service) is doing in a stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupInfo {
    /// `service-listener`.
    pub group: String,
    /// Events it has not read yet, if the server knows (since Redis 7, and not after deletions).
    pub lag: Option<u64>,
    /// Events read and not acknowledged.
    pub pending: u64,
    /// Events read since the group was made, if the server counts them.
    pub read: Option<u64>,
    /// The id of the last event read.
    pub last_delivered: String,
    /// Its processes.
    pub consumers: Vec<ConsumerInfo>,
}

/// How one process of a group is doing in a stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConsumerInfo {
    /// The name of the process.
    pub consumer: String,
    /// Events read and not acknowledged.
    pub pending: u64,
    /// Milliseconds since it last asked for events.
    pub idle_ms: u64,
}

impl EventStream {
    /// A page of history, newest first: at most `count` entries between two ids, both included.
    pub async fn history(
        &self,
        newest: Option<&str>,
        oldest: Option<&str>,
        count: usize,
    ) -> Result<Page, Error> {
        let id = |id: Option<&str>| id.map(entry_id).transpose();
        let (newest, oldest) = (id(newest)?, id(oldest)?);
        let entries = look::backwards(&self.transport.link, &self.name, newest, oldest, count)
            .await
            .map_err(|source| cannot("read history", source))?;
        let next =
            entries.last().filter(|_| entries.len() == count).and_then(|last| before(last.id));
        Ok(Page {
            records: entries.iter().filter_map(Record::read).collect(),
            next: next.map(|id| id.to_string()),
        })
    }

    /// The id of the newest entry; `0-0` if there is none.
    pub async fn newest(&self) -> Result<String, Error> {
        let entries = look::backwards(&self.transport.link, &self.name, None, None, 1)
            .await
            .map_err(|source| cannot("read history", source))?;
        Ok(entries.first().map(|entry| entry.id).unwrap_or_default().to_string())
    }

    /// How it and its groups are doing; nothing if it does not exist.
    pub async fn info(&self) -> Result<Option<StreamInfo>, Error> {
        let failed = |source| cannot("look at streams", source);
        let link = &self.transport.link;
        let Some(found) = look::describe(link, &self.name).await.map_err(failed)? else {
            return Ok(None);
        };
        let mut groups = Vec::new();
        for group in look::describe_groups(link, &self.name).await.map_err(failed)? {
            let consumers =
                look::describe_consumers(link, &self.name, &group.name).await.map_err(failed)?;
            let consumers = consumers.into_iter().map(|found| ConsumerInfo {
                consumer: found.name,
                pending: found.pending,
                idle_ms: found.idle_ms,
            });
            groups.push(GroupInfo {
                group: group.name,
                lag: group.lag,
                pending: group.pending,
                read: group.read,
                last_delivered: group.last_delivered,
                consumers: consumers.collect(),
            });
        }
        Ok(Some(StreamInfo {
            stream: self.name.clone(),
            api: self.api.clone(),
            event: self.event.clone(),
            length: found.length,
            fired: found.added,
            last_id: found.last_id,
            groups,
        }))
    }
}

/// What is fired from now on. Dropping it ends it.
pub struct Following {
    batches: mpsc::Receiver<Result<Vec<Record>, Error>>,
}

impl Following {
    /// The next events, in the order of their streams; nothing when the bus is shut down. After an error it goes on.
    pub async fn next(&mut self) -> Option<Result<Vec<Record>, Error>> {
        self.batches.recv().await
    }
}

impl Bus {
    /// The schemas that are on the bus now, by the APIs' names.
    pub async fn schemas(&self) -> Result<Vec<ApiSchema>, Error> {
        let mut found = schemas::load(&self.0.apis.schemas.link)
            .await
            .map_err(|source| cannot("load schemas", source))?;
        found.sort();
        let read = |(name, text): (String, String)| {
            self.api(&name).learn(&text);
            Some(ApiSchema::new(name, 1, lenient::from_str(&text).ok()?))
        };
        Ok(found.into_iter().filter_map(read).collect())
    }

    /// All streams of events, in order of their names.
    pub async fn streams(&self) -> Result<Vec<EventStream>, Error> {
        let mut streams = Vec::new();
        for transport in self.0.apis.event_transports() {
            let names = look::streams(&transport.link)
                .await
                .map_err(|source| cannot("look for streams", source))?;
            for name in names {
                let Some((api, event)) = look::parts(&name) else { continue };
                let (api, event) = (api.to_owned(), event.to_owned());
                streams.push(EventStream { name, api, event, transport: transport.clone() });
            }
        }
        Ok(streams)
    }

    /// The stream that an event is fired into, whether it exists or not.
    pub fn stream(&self, api: &str, event: &str) -> EventStream {
        let api = self.api(api);
        let per_event = api.settings.stream_per_event;
        EventStream {
            name: keys::stream(&api.name, event, per_event),
            api: api.name.clone(),
            event: if per_event { event.to_owned() } else { "*".to_owned() },
            transport: api.events.clone(),
        }
    }

    /// Reads what is added to streams, without a group: the events are not acknowledged, and everybody else gets
    /// them as well. What is added before this returns may be missing with [`Start::New`], nothing after it.
    pub async fn follow(&self, streams: Vec<(EventStream, Start)>) -> Result<Following, Error> {
        type Positions = Vec<(String, EntryId)>;
        let mut by_transport: Vec<(Arc<Transport>, Positions)> = Vec::new();
        for (stream, start) in streams {
            let position = match start.id().as_str() {
                "$" => entry_id(&stream.newest().await?)?,
                id => entry_id(id)?,
            };
            let position = (stream.name, position);
            match by_transport.iter_mut().find(|(it, _)| Arc::ptr_eq(it, &stream.transport)) {
                Some((_, positions)) => positions.push(position),
                None => by_transport.push((stream.transport, vec![position])),
            }
        }
        let (sender, batches) = mpsc::channel(BATCHES_MAX);
        for (transport, positions) in by_transport {
            let (closing, sender) = (self.0.closing.clone(), sender.clone());
            let reading = read_on(Follower::new(&transport.link, positions), sender);
            self.spawn(async move {
                tokio::select! {
                    () = closing.cancelled() => {}
                    () = reading => {}
                }
            });
        }
        Ok(Following { batches })
    }

    /// Calls to an API that wait for a worker.
    pub async fn calls_waiting(&self, api: &str) -> Result<u64, Error> {
        let api = self.api(api);
        look::queue_length(&api.calls.link, &keys::call_queue(&api.name))
            .await
            .map_err(|source| cannot("look at the queue of calls", source))
    }

    /// Checks an event by the schema of its API, if one is known.
    pub fn check_record(&self, record: &Record) -> Result<(), Error> {
        let Some(api) = self.0.apis.find(&record.api) else { return Ok(()) };
        let parameters = record.parameters.to_string();
        api.check(Direction::Incoming, Subject::Event, &record.event, &parameters)
    }
}

async fn read_on(mut follower: Follower, sender: mpsc::Sender<Result<Vec<Record>, Error>>) {
    let mut patience = Patience::default();
    loop {
        let read = tokio::select! {
            read = follower.read() => read,
            () = sender.closed() => return,
        };
        let batch = match read {
            Ok(entries) => {
                patience = Patience::default();
                let records: Vec<Record> = entries.iter().filter_map(Record::read).collect();
                if records.is_empty() {
                    continue;
                }
                Ok(records)
            }
            Err(source) => Err(cannot("follow events", source)),
        };
        let has_failed = batch.is_err();
        if sender.send(batch).await.is_err() {
            return;
        }
        if has_failed {
            patience.wait().await;
        }
    }
}

/// The largest id that is smaller.
fn before(id: EntryId) -> Option<EntryId> {
    match id.sequence.checked_sub(1) {
        Some(sequence) => Some(EntryId { sequence, ..id }),
        None => {
            let milliseconds = id.milliseconds.checked_sub(1)?;
            Some(EntryId { milliseconds, sequence: u64::MAX })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fields: &[(&str, &str)]) -> Entry {
        let words = fields.iter().flat_map(|(name, value)| [name, value]);
        Entry {
            stream: 0,
            id: EntryId { milliseconds: 1_000, sequence: 2 },
            fields: words.map(|word| word.as_bytes().to_vec()).collect(),
            deliveries: 1,
        }
    }

    #[test]
    fn an_entry_is_an_event_or_says_why_not() {
        let event = [("id", "i"), ("api_name", "a"), ("event_name", "e"), ("version", "2")];
        let record = Record::read(&entry(&[&event[..], &[(":x", "[1]")]].concat())).unwrap();
        assert_eq!((record.id.as_str(), record.version), ("i", 2));
        assert_eq!(record.parameters, serde_json::json!({"x": [1]}));
        assert_eq!(record.time().unwrap().as_millisecond(), 1_000);
        let broken = Record::read(&entry(&[&event[..], &[(":x", "[")]].concat())).unwrap();
        assert_eq!((broken.api.as_str(), broken.event.as_str()), ("a", "e"));
        assert!(broken.problem.unwrap().contains('x'));
        assert!(Record::read(&entry(&[("", "")])).is_none());
    }

    #[test]
    fn pages_leave_nothing_out() {
        let id = |text: &str| text.parse::<EntryId>().unwrap();
        assert_eq!(before(id("5-3")), Some(id("5-2")));
        assert_eq!(before(id("5-0")).unwrap().to_string(), "4-18446744073709551615");
        assert_eq!(before(id("0-0")), None);
    }
}
