//! Events: entries of streams, and the groups that read them.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{Cmd, FromRedisValue, Pipeline, RedisError, RedisResult, Value};

use super::look::describe_groups;
use super::{Link, Waiting};
use crate::codec::keys;

/// How long one wait for events lasts: finite, so that Python's cleanup does not take the consumer for an idle one.
const WAIT: Duration = Duration::from_secs(5);

/// The id of an entry in its stream: the milliseconds since 1970, and a number within the millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EntryId {
    pub(crate) milliseconds: u64,
    pub(crate) sequence: u64,
}

impl EntryId {
    /// The smallest id that is larger.
    pub(crate) fn next(self) -> EntryId {
        match self.sequence.checked_add(1) {
            Some(sequence) => EntryId { sequence, ..self },
            None => EntryId { milliseconds: self.milliseconds.saturating_add(1), sequence: 0 },
        }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.milliseconds, self.sequence)
    }
}

impl FromStr for EntryId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<EntryId, Self::Err> {
        let (milliseconds, sequence) = text.split_once('-').unwrap_or((text, "0"));
        Ok(EntryId { milliseconds: milliseconds.parse()?, sequence: sequence.parse()? })
    }
}

/// Where a listener that has never run begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With events fired from now on.
    #[default]
    New,
    /// With the oldest event there is.
    Beginning,
    /// After the event with this id in its stream.
    After(String),
    /// With the first event fired at this moment or later.
    At(jiff::Timestamp),
}

impl Start {
    pub(crate) fn id(&self) -> String {
        match self {
            Start::New => "$".to_owned(),
            Start::Beginning => "0".to_owned(),
            Start::After(id) => id.clone(),
            // Groups read what comes after an id, and the last before this moment is one of the millisecond before.
            Start::At(moment) => {
                format!("{}-{}", moment.as_millisecond().saturating_sub(1).max(0), u64::MAX)
            }
        }
    }
}

/// An entry as a group reads it.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The number of the stream within the group.
    pub(crate) stream: usize,
    pub(crate) id: EntryId,
    /// Names and values in turn; nothing if the entry has been trimmed away.
    pub(crate) fields: Vec<Vec<u8>>,
    /// How often it has been delivered, this time included.
    pub(crate) deliveries: u32,
}

impl Entry {
    /// Names with their values.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.chunks_exact(2).map(|pair| (pair[0].as_slice(), pair[1].as_slice()))
    }
}

/// An entry to be added to a stream.
pub(crate) struct NewEntry(Cmd);

impl NewEntry {
    /// An entry without fields. The stream is cut to about `length_max` entries.
    pub(crate) fn new(stream: &str, length_max: Option<u64>) -> NewEntry {
        // Room for an event of some parameters, so that the command is not moved while it grows.
        let mut command = Cmd::with_capacity(32, 512);
        command.arg("XADD").arg(stream);
        if let Some(length_max) = length_max.filter(|length| *length > 0) {
            command.arg("MAXLEN").arg("~").arg(length_max);
        }
        command.arg("*");
        NewEntry(command)
    }

    pub(crate) fn field(&mut self, name: &[u8], value: &[u8]) {
        self.0.arg(name).arg(value);
    }

    /// Adds it; its id. After a failed connection it may be there or not.
    pub(crate) async fn add(&self, link: &Link) -> RedisResult<String> {
        FromRedisValue::from_redis_value(link.run(&self.0).await?).map_err(Into::into)
    }

    pub(crate) fn command(&self) -> &Cmd {
        &self.0
    }
}

/// A group of consumers on some streams, seen by one of them.
pub(crate) struct Group {
    pub(crate) link: Link,
    pub(crate) name: String,
    pub(crate) consumer: String,
    pub(crate) streams: Vec<String>,
    start: Start,
    /// For each stream the last id known to be delivered, from which the group is made again if it is lost.
    delivered: Mutex<Vec<Option<EntryId>>>,
}

impl Group {
    pub(crate) fn new(
        link: Link,
        name: String,
        consumer: String,
        streams: Vec<String>,
        start: Start,
    ) -> Arc<Group> {
        let delivered = Mutex::new(vec![None; streams.len()]);
        Arc::new(Group { link, name, consumer, streams, start, delivered })
    }

    /// Makes the group on all streams where it is not.
    pub(crate) async fn create(&self) -> RedisResult<()> {
        for number in 0..self.streams.len() {
            self.create_on(number).await?;
            self.observe(number).await?;
        }
        Ok(())
    }

    /// Makes the group after it was lost, from where it was.
    async fn create_again(&self, lost: &RedisError) -> RedisResult<()> {
        tracing::warn!(group = self.name, error = %lost, "the group is made again");
        self.create().await
    }

    async fn create_on(&self, number: usize) -> RedisResult<()> {
        let stream = &self.streams[number];
        let known = self.delivered.lock().unwrap_or_else(PoisonError::into_inner)[number];
        let mut exists = redis::cmd("EXISTS");
        exists.arg(stream);
        let from = match known {
            // What waits to be replayed was put there for this group.
            None if *stream == keys::replay(&self.name) => "0".to_owned(),
            None => self.start.id(),
            // All there will be in a stream made anew is new.
            Some(_) if self.link.run(&exists).await? == Value::Int(0) => "0".to_owned(),
            Some(id) => id.to_string(),
        };
        let mut create = redis::cmd("XGROUP");
        create.arg("CREATE").arg(stream).arg(&self.name).arg(from).arg("MKSTREAM");
        match self.link.run(&create).await {
            Err(error) if error.code() == Some("BUSYGROUP") => Ok(()),
            outcome => outcome.map(|_| ()),
        }
    }

    /// Looks how far the group is; the number of entries it has not read, if the server knows.
    pub(crate) async fn observe(&self, number: usize) -> RedisResult<Option<u64>> {
        let groups = describe_groups(&self.link, &self.streams[number]).await?;
        let Some(group) = groups.into_iter().find(|group| group.name == self.name) else {
            return Ok(None);
        };
        if let Ok(id) = group.last_delivered.parse() {
            self.note_delivered(number, id);
        }
        Ok(group.lag)
    }

    fn note_delivered(&self, number: usize, id: EntryId) {
        let mut delivered = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
        delivered[number] = delivered[number].max(Some(id));
    }

    /// Entries of one stream that the server counts as this consumer's, in order, after an id.
    pub(crate) async fn pending(
        &self,
        number: usize,
        after: EntryId,
        count: usize,
    ) -> RedisResult<Vec<Pending>> {
        let mut command = redis::cmd("XPENDING");
        command.arg(&self.streams[number]).arg(&self.name);
        command.arg(after.next().to_string()).arg("+").arg(count).arg(&self.consumer);
        match self.link.run(&command).await {
            Err(error) if is_group_lost(&error) => {
                self.create_again(&error).await?;
                Ok(Vec::new())
            }
            reply => Ok(pending_of(reply?)),
        }
    }

    /// Reads pending entries again, for one more delivery. Those that have been acknowledged or taken over by another
    /// consumer since they were listed are left out.
    pub(crate) async fn claim(
        &self,
        number: usize,
        pending: &[Pending],
    ) -> RedisResult<Vec<Entry>> {
        // Whoever took one over had a sign of life since; all of these have had none for so long.
        let idle_ms = pending.iter().map(|one| one.idle_ms).min().unwrap_or_default();
        let mut command = redis::cmd("XCLAIM");
        command.arg(&self.streams[number]).arg(&self.name).arg(&self.consumer).arg(idle_ms);
        for one in pending {
            command.arg(one.id.to_string());
        }
        let mut entries = entries_of(number, self.link.run(&command).await?);
        for entry in &mut entries {
            let before = pending.iter().find(|one| one.id == entry.id);
            entry.deliveries = before.map_or(1, |one| one.deliveries.saturating_add(1));
        }
        Ok(entries)
    }

    /// Takes over entries that their consumer has held for longer than `idle` without a sign. The id to go on
    /// from, nothing when all have been looked at.
    pub(crate) async fn reclaim(
        &self,
        number: usize,
        idle: Duration,
        from: EntryId,
        count: usize,
    ) -> RedisResult<(Option<EntryId>, Vec<Entry>)> {
        let mut command = redis::cmd("XAUTOCLAIM");
        command.arg(&self.streams[number]).arg(&self.name).arg(&self.consumer);
        command.arg(milliseconds(idle)).arg(from.to_string()).arg("COUNT").arg(count);
        let Value::Array(mut parts) = self.link.run(&command).await? else {
            return Ok((None, Vec::new()));
        };
        parts.truncate(2);
        let (Some(entries), Some(next)) = (parts.pop(), parts.pop()) else {
            return Ok((None, Vec::new()));
        };
        let next = text(&next).and_then(|next| next.parse().ok());
        let mut entries = entries_of(number, entries);
        self.count_deliveries(number, &mut entries).await?;
        Ok((next.filter(|next| *next != EntryId::default()), entries))
    }

    /// Asks how often entries have been delivered, and writes it into them.
    async fn count_deliveries(&self, number: usize, entries: &mut [Entry]) -> RedisResult<()> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(()) };
        let mut command = redis::cmd("XPENDING");
        command.arg(&self.streams[number]).arg(&self.name);
        command.arg(first.id.to_string()).arg(last.id.to_string());
        command.arg(entries.len() * 4).arg(&self.consumer);
        for pending in pending_of(self.link.run(&command).await?) {
            if let Some(entry) = entries.iter_mut().find(|entry| entry.id == pending.id) {
                entry.deliveries = pending.deliveries;
            }
        }
        Ok(())
    }

    /// Says that these entries are still being worked on, so that nobody takes them over; with `deliveries`
    /// also how often they have been tried.
    pub(crate) async fn hold(
        &self,
        number: usize,
        ids: &[EntryId],
        deliveries: Option<u32>,
    ) -> RedisResult<()> {
        let mut command = redis::cmd("XCLAIM");
        command.arg(&self.streams[number]).arg(&self.name).arg(&self.consumer).arg(0);
        for id in ids {
            command.arg(id.to_string());
        }
        if let Some(deliveries) = deliveries {
            command.arg("RETRYCOUNT").arg(deliveries);
        }
        command.arg("JUSTID");
        self.link.run(&command).await.map(|_| ())
    }

    /// Adds the acknowledgement of entries to commands.
    pub(crate) fn acknowledge(&self, commands: &mut Pipeline, entries: &[(usize, EntryId)]) {
        for (number, stream) in self.streams.iter().enumerate() {
            let ids: Vec<String> = entries
                .iter()
                .filter(|(stream, _)| *stream == number)
                .map(|(_, id)| id.to_string())
                .collect();
            if !ids.is_empty() {
                commands.cmd("XACK").arg(stream).arg(&self.name).arg(&ids);
                if *stream == keys::replay(&self.name) {
                    commands.cmd("XDEL").arg(stream).arg(&ids);
                }
            }
        }
    }

    /// The entries in a reply of `XREADGROUP`: `[[stream, [entry, …]], …]`.
    fn read_entries(&self, reply: Value) -> Vec<Entry> {
        let Value::Array(streams) = reply else { return Vec::new() };
        let mut all = Vec::new();
        for stream in streams {
            let Value::Array(pair) = stream else { continue };
            let Ok([key, entries]) = <[Value; 2]>::try_from(pair) else { continue };
            let key = text(&key).unwrap_or_default();
            let Some(number) = self.streams.iter().position(|stream| *stream == key) else {
                continue;
            };
            all.extend(entries_of(number, entries));
        }
        all
    }
}

/// Waits for new entries of a [`Group`].
pub(crate) struct GroupReader {
    group: Arc<Group>,
    waiting: Waiting,
}

impl GroupReader {
    pub(crate) fn new(group: Arc<Group>) -> GroupReader {
        let waiting = Waiting::new(group.link.address().clone());
        GroupReader { group, waiting }
    }

    /// False before the first connection and after one broke: what it was sent may be held without having arrived.
    pub(crate) fn is_connected(&self) -> bool {
        self.waiting.is_connected()
    }

    /// At most `count` new entries of each stream; none after some seconds. A group that is gone is made again.
    pub(crate) async fn read(&mut self, count: usize) -> RedisResult<Vec<Entry>> {
        let group = &self.group;
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg(&group.name).arg(&group.consumer).arg("COUNT").arg(count);
        command.arg("BLOCK").arg(milliseconds(WAIT));
        command.arg("STREAMS").arg(&group.streams).arg(vec![">"; group.streams.len()]);
        match self.waiting.run(&command, WAIT).await {
            Ok(reply) => {
                let entries = self.group.read_entries(reply);
                for entry in &entries {
                    self.group.note_delivered(entry.stream, entry.id);
                }
                Ok(entries)
            }
            Err(error) if is_group_lost(&error) => {
                self.group.create_again(&error).await?;
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }
}

/// True if the group, or its stream, is no more.
fn is_group_lost(error: &RedisError) -> bool {
    matches!(error.code(), Some("NOGROUP" | "UNBLOCKED"))
}

/// Reads `[[id, [name, value, …]], …]`. An entry that has been trimmed away has nothing for its fields, or is nothing.
pub(crate) fn entries_of(stream: usize, reply: Value) -> Vec<Entry> {
    let Value::Array(entries) = reply else { return Vec::new() };
    let read = |entry| {
        let Value::Array(pair) = entry else { return None };
        let [id, fields] = <[Value; 2]>::try_from(pair).ok()?;
        let fields = match fields {
            Value::Array(fields) => fields.into_iter().map(bytes).collect(),
            _ => Vec::new(),
        };
        Some(Entry { stream, id: text(&id)?.parse().ok()?, fields, deliveries: 1 })
    };
    entries.into_iter().filter_map(read).collect()
}

/// An entry that was given to a consumer and is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) id: EntryId,
    /// Since the last sign of life of its consumer.
    idle_ms: i64,
    /// How often it has been delivered.
    deliveries: u32,
}

/// Reads `[[id, consumer, idle, deliveries], …]`.
fn pending_of(reply: Value) -> Vec<Pending> {
    let Value::Array(rows) = reply else { return Vec::new() };
    let read = |row: &Value| {
        let Value::Array(row) = row else { return None };
        let [id, _, Value::Int(idle_ms), Value::Int(deliveries)] = row.as_slice() else {
            return None;
        };
        let deliveries = u32::try_from(*deliveries).unwrap_or(u32::MAX);
        Some(Pending { id: text(id)?.parse().ok()?, idle_ms: *idle_ms, deliveries })
    };
    rows.iter().filter_map(read).collect()
}

fn bytes(value: Value) -> Vec<u8> {
    match value {
        Value::BulkString(bytes) => bytes,
        Value::SimpleString(text) => text.into_bytes(),
        _ => Vec::new(),
    }
}

pub(crate) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_and_written() {
        let id: EntryId = "1795164389852-3".parse().unwrap();
        assert_eq!(id.to_string(), "1795164389852-3");
        assert_eq!("7".parse::<EntryId>().unwrap().to_string(), "7-0");
        assert!("x-1".parse::<EntryId>().is_err());
    }

    #[test]
    fn a_moment_begins_with_its_own_millisecond() {
        let moment = jiff::Timestamp::from_millisecond(1_000).unwrap();
        assert_eq!(Start::At(moment).id(), "999-18446744073709551615");
        let before = jiff::Timestamp::from_millisecond(-5).unwrap();
        assert_eq!(Start::At(before).id(), "0-18446744073709551615");
    }

    #[test]
    fn a_trimmed_entry_has_no_fields() {
        let id = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let reply = Value::Array(vec![
            Value::Array(vec![id("1-1"), Value::Nil]),
            Value::Nil,
            Value::Array(vec![id("1-2"), Value::Array(vec![id("a"), id("b")])]),
        ]);
        let entries = entries_of(0, reply);
        assert_eq!(entries.len(), 2);
        assert!(entries[0].fields.is_empty());
        assert_eq!(entries[1].pairs().next(), Some((b"a".as_slice(), b"b".as_slice())));
    }
}
