//! Looking at streams from outside: what is in them, and how far their groups are.

use std::time::Duration;

use redis::{FromRedisValue, RedisResult, Value};

use super::streams::{Entry, EntryId, entries_of, text};
use super::{Link, Waiting};

/// How long one wait for new entries lasts.
const WAIT: Duration = Duration::from_secs(5);
/// At most so many new entries are read from a stream at a time.
const BATCH: usize = 100;
/// Streams that are looked for at a time; the server decides how many it really looks at.
const SCAN: usize = 1000;

/// The ending of the names of all streams of events.
const ENDING: &str = ":stream";

/// The names of all streams of events, in order.
pub(crate) async fn streams(link: &Link) -> RedisResult<Vec<String>> {
    let mut names = Vec::new();
    let mut cursor = String::from("0");
    loop {
        let mut command = redis::cmd("SCAN");
        command.arg(&cursor).arg("MATCH").arg(format!("*{ENDING}")).arg("COUNT").arg(SCAN);
        let (next, found): (String, Vec<String>) =
            FromRedisValue::from_redis_value(link.run(&command).await?)?;
        names.extend(found);
        cursor = next;
        if cursor == "0" {
            break;
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// The API and the event (`*` for all) whose stream this is.
pub(crate) fn parts(stream: &str) -> Option<(&str, &str)> {
    stream.strip_suffix(ENDING)?.rsplit_once('.')
}

/// Entries between two ids, both included, newest first.
pub(crate) async fn backwards(
    link: &Link,
    stream: &str,
    newest: Option<EntryId>,
    oldest: Option<EntryId>,
    count: usize,
) -> RedisResult<Vec<Entry>> {
    let id =
        |id: Option<EntryId>, none: &str| id.map_or_else(|| none.to_owned(), |id| id.to_string());
    let mut command = redis::cmd("XREVRANGE");
    command.arg(stream).arg(id(newest, "+")).arg(id(oldest, "-")).arg("COUNT").arg(count);
    Ok(entries_of(0, link.run(&command).await?))
}

/// Calls that wait in a queue.
pub(crate) async fn queue_length(link: &Link, queue: &str) -> RedisResult<u64> {
    let mut command = redis::cmd("LLEN");
    command.arg(queue);
    FromRedisValue::from_redis_value(link.run(&command).await?).map_err(Into::into)
}

/// Reads what is added to streams, without a group: nobody is kept from reading it too.
pub(crate) struct Follower {
    waiting: Waiting,
    /// The streams, and the last id read of each.
    positions: Vec<(String, EntryId)>,
}

impl Follower {
    pub(crate) fn new(link: &Link, positions: Vec<(String, EntryId)>) -> Follower {
        Follower { waiting: Waiting::new(link.address().clone()), positions }
    }

    /// New entries, each with the number of its stream; none after some seconds.
    pub(crate) async fn read(&mut self) -> RedisResult<Vec<Entry>> {
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(BATCH).arg("BLOCK").arg(WAIT.as_millis().to_string());
        command.arg("STREAMS");
        let (names, ids): (Vec<_>, Vec<_>) =
            self.positions.iter().map(|(name, id)| (name, id.to_string())).unzip();
        command.arg(names).arg(ids);
        let Value::Array(streams) = self.waiting.run(&command, WAIT).await? else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        for stream in streams {
            let Value::Array(pair) = stream else { continue };
            let Ok([name, entries]) = <[Value; 2]>::try_from(pair) else { continue };
            let name = text(&name).unwrap_or_default();
            let Some(number) = self.positions.iter().position(|(stream, _)| stream == name) else {
                continue;
            };
            let entries = entries_of(number, entries);
            if let Some(last) = entries.last() {
                self.positions[number].1 = last.id;
            }
            all.extend(entries);
        }
        Ok(all)
    }
}

/// Names and numbers, as `XINFO` answers.
struct Members<'a>(&'a [Value]);

impl<'a> Members<'a> {
    fn of(reply: &'a Value) -> Members<'a> {
        match reply {
            Value::Array(members) => Members(members),
            _ => Members(&[]),
        }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.chunks_exact(2).find(|pair| text(&pair[0]) == Some(name)).map(|pair| &pair[1])
    }

    fn text(&self, name: &str) -> String {
        self.get(name).and_then(text).unwrap_or_default().to_owned()
    }

    fn number(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Value::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }
}

/// A stream as the server describes it.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) length: u64,
    pub(crate) last_id: String,
    /// Entries ever added, if the server counts them (since Redis 7).
    pub(crate) added: Option<u64>,
}

/// A group as the server describes it.
#[derive(Clone, Debug)]
pub(crate) struct GroupDescription {
    pub(crate) name: String,
    pub(crate) pending: u64,
    pub(crate) last_delivered: String,
    pub(crate) read: Option<u64>,
    pub(crate) lag: Option<u64>,
}

/// A consumer as the server describes it.
#[derive(Clone, Debug)]
pub(crate) struct ConsumerDescription {
    pub(crate) name: String,
    pub(crate) pending: u64,
    pub(crate) idle_ms: u64,
}

/// What a stream is like; nothing if there is none.
pub(crate) async fn describe(link: &Link, stream: &str) -> RedisResult<Option<Description>> {
    let Some(reply) = info(link, &["STREAM", stream]).await? else { return Ok(None) };
    let members = Members::of(&reply);
    Ok(Some(Description {
        length: members.number("length").unwrap_or_default(),
        last_id: members.text("last-generated-id"),
        added: members.number("entries-added"),
    }))
}

/// The groups of a stream.
pub(crate) async fn describe_groups(
    link: &Link,
    stream: &str,
) -> RedisResult<Vec<GroupDescription>> {
    let Some(Value::Array(groups)) = info(link, &["GROUPS", stream]).await? else {
        return Ok(Vec::new());
    };
    let one = |reply| {
        let members = Members::of(reply);
        GroupDescription {
            name: members.text("name"),
            pending: members.number("pending").unwrap_or_default(),
            last_delivered: members.text("last-delivered-id"),
            read: members.number("entries-read"),
            lag: members.number("lag"),
        }
    };
    Ok(groups.iter().map(one).collect())
}

/// The consumers of a group.
pub(crate) async fn describe_consumers(
    link: &Link,
    stream: &str,
    group: &str,
) -> RedisResult<Vec<ConsumerDescription>> {
    let Some(Value::Array(consumers)) = info(link, &["CONSUMERS", stream, group]).await? else {
        return Ok(Vec::new());
    };
    let one = |reply| {
        let members = Members::of(reply);
        ConsumerDescription {
            name: members.text("name"),
            pending: members.number("pending").unwrap_or_default(),
            idle_ms: members.number("idle").unwrap_or_default(),
        }
    };
    Ok(consumers.iter().map(one).collect())
}

/// `XINFO`; nothing if the stream or the group is not there (any more).
async fn info(link: &Link, words: &[&str]) -> RedisResult<Option<Value>> {
    let mut command = redis::cmd("XINFO");
    command.arg(words);
    match link.run(&command).await {
        Ok(reply) => Ok(Some(reply)),
        Err(error) if error.code() == Some("NOGROUP") => Ok(None),
        Err(error) if error.to_string().contains("no such key") => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_says_whose_it_is() {
        assert_eq!(parts("my.auth.*:stream"), Some(("my.auth", "*")));
        assert_eq!(parts("my.auth.user_registered:stream"), Some(("my.auth", "user_registered")));
        assert_eq!(parts("my.auth:rpc_queue"), None);
        assert_eq!(parts("x:stream"), None);
    }
}
