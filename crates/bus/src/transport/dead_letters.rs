//! Events that a group gave up: kept in a stream of their own, to be looked at, replayed or dropped.
//!
//! An entry is the event's entry as it was, with fields of ours beside it. A replayed event goes to a stream that
//! its group alone reads: the other groups have handled it long ago.

use redis::{FromRedisValue, Pipeline, RedisResult, Value};

use super::Link;
use super::look::describe_groups;
use super::streams::{Entry, EntryId, NewEntry, entries_of};
use crate::codec::keys;

/// The set of the groups that ever gave up an event.
const GROUPS: &str = "tutti:dead";
/// About how many events are kept for each group.
const KEPT_MAX: u64 = 100_000;

const STREAM: &[u8] = b"tutti:stream";
const ID: &[u8] = b"tutti:id";
const ERROR: &[u8] = b"tutti:error";
const DELIVERIES: &[u8] = b"tutti:deliveries";

/// An event that a listener gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id among the dead letters of the group.
    pub id: String,
    /// The stream it came from.
    pub stream: String,
    /// Its id there.
    pub native_id: String,
    /// Why it was given up.
    pub error: String,
    /// How often it had been delivered.
    pub deliveries: u32,
    /// The event's fields, names and values, as they were sent.
    pub fields: Vec<(String, String)>,
}

/// Adds to commands that an event is put aside.
pub(crate) fn put(commands: &mut Pipeline, group: &str, stream: &str, entry: &Entry, error: &str) {
    let mut new = NewEntry::new(&keys::dead(group), Some(KEPT_MAX));
    new.field(STREAM, stream.as_bytes());
    new.field(ID, entry.id.to_string().as_bytes());
    new.field(ERROR, error.as_bytes());
    new.field(DELIVERIES, entry.deliveries.to_string().as_bytes());
    for (name, value) in entry.pairs() {
        new.field(name, value);
    }
    commands.add_command(new.command().clone());
    commands.cmd("SADD").arg(GROUPS).arg(group);
}

/// The groups that have, or had, dead letters.
pub(crate) async fn groups_with_dead(link: &Link) -> RedisResult<Vec<String>> {
    let mut command = redis::cmd("SMEMBERS");
    command.arg(GROUPS);
    let mut groups: Vec<String> = FromRedisValue::from_redis_value(link.run(&command).await?)?;
    groups.sort();
    Ok(groups)
}

/// At most `count` dead letters of a group after an id, oldest first.
pub(crate) async fn list(
    link: &Link,
    group: &str,
    after: Option<EntryId>,
    count: usize,
) -> RedisResult<Vec<DeadLetter>> {
    let from = after.map_or_else(|| "-".to_owned(), |id| id.next().to_string());
    let entries = range(link, group, &from, "+", count).await?;
    Ok(entries.iter().map(read).collect())
}

/// How many dead letters a group has.
pub(crate) async fn count(link: &Link, group: &str) -> RedisResult<u64> {
    let mut command = redis::cmd("XLEN");
    command.arg(keys::dead(group));
    FromRedisValue::from_redis_value(link.run(&command).await?).map_err(Into::into)
}

/// One dead letter.
pub(crate) async fn show(link: &Link, group: &str, id: EntryId) -> RedisResult<Option<DeadLetter>> {
    let id = id.to_string();
    Ok(range(link, group, &id, &id, 1).await?.first().map(read))
}

/// Gives an event to its group again. False if there is no such dead letter.
pub(crate) async fn replay(link: &Link, group: &str, id: EntryId) -> RedisResult<bool> {
    let id = id.to_string();
    let Some(entry) = range(link, group, &id, &id, 1).await?.pop() else { return Ok(false) };
    let mut again = NewEntry::new(&keys::replay(group), None);
    for (name, value) in entry.pairs().filter(|(name, _)| !is_ours(name)) {
        again.field(name, value);
    }
    let mut commands = redis::pipe();
    commands.add_command(again.command().clone());
    commands.cmd("XDEL").arg(keys::dead(group)).arg(id);
    link.run_all(&commands).await.map(|_| true)
}

/// Forgets a dead letter. False if there is none.
pub(crate) async fn discard(link: &Link, group: &str, id: EntryId) -> RedisResult<bool> {
    let mut command = redis::cmd("XDEL");
    command.arg(keys::dead(group)).arg(id.to_string());
    Ok(link.run(&command).await? == Value::Int(1))
}

/// Acknowledges an entry in every group of its stream, also those of Python peers that it ends again and again.
/// How many groups held it.
pub(crate) async fn acknowledge_everywhere(
    link: &Link,
    stream: &str,
    id: EntryId,
) -> RedisResult<u64> {
    let mut held = 0;
    for group in describe_groups(link, stream).await? {
        let mut command = redis::cmd("XACK");
        command.arg(stream).arg(group.name).arg(id.to_string());
        held += u64::from(link.run(&command).await? == Value::Int(1));
    }
    Ok(held)
}

async fn range(
    link: &Link,
    group: &str,
    from: &str,
    to: &str,
    count: usize,
) -> RedisResult<Vec<Entry>> {
    let mut command = redis::cmd("XRANGE");
    command.arg(keys::dead(group)).arg(from).arg(to).arg("COUNT").arg(count);
    Ok(entries_of(0, link.run(&command).await?))
}

fn is_ours(name: &[u8]) -> bool {
    name.starts_with(b"tutti:")
}

fn read(entry: &Entry) -> DeadLetter {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let ours = |wanted: &[u8]| {
        entry.pairs().find(|(name, _)| *name == wanted).map(|(_, value)| text(value))
    };
    DeadLetter {
        id: entry.id.to_string(),
        stream: ours(STREAM).unwrap_or_default(),
        native_id: ours(ID).unwrap_or_default(),
        error: ours(ERROR).unwrap_or_default(),
        deliveries: ours(DELIVERIES).and_then(|count| count.parse().ok()).unwrap_or_default(),
        fields: entry
            .pairs()
            .filter(|(name, _)| !is_ours(name))
            .map(|(name, value)| (text(name), text(value)))
            .collect(),
    }
}

impl DeadLetter {
    /// The API and name of the event, as far as they can be read.
    pub fn event(&self) -> (&str, &str) {
        let field = |wanted: &str| {
            self.fields.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value)
        };
        (field("api_name"), field("event_name"))
    }
}
