//! Reading streams: by range, from an id on, and as a consumer of a group.

use std::{io::Write as _, ops::Bound, rc::Rc};

use crate::{
    broker::engine::{
        Engine,
        call::{Call, Flow, Handled, Refusal, Wait, integer, is, timeout_ms},
        effects::read_text,
        stream::{Pending, Stream, StreamId, parse_bound, parse_id},
    },
    resp::{OwnedRequest, Reply as _, Request},
};

use super::{lists::wait_or_nothing, stream_add::write_entry};

/// Writes an id as a bulk.
pub(super) fn write_id(reply: &mut Vec<u8>, id: StreamId) {
    let mut buffer = [0; 41];
    let mut rest = buffer.as_mut_slice();
    // Two numbers of 20 digits and a dash always fit.
    let _ = write!(rest, "{id}");
    let length = 41 - rest.len();
    reply.bulk(&buffer[..length]);
}

pub(in crate::broker::engine) fn range(call: &mut Call<'_>) -> Handled {
    range_with(call, 2, 3, false)
}

pub(in crate::broker::engine) fn range_back(call: &mut Call<'_>) -> Handled {
    range_with(call, 3, 2, true)
}

/// `XRANGE key start end [COUNT n]`; `start_at` and `end_at` are the places of the lower and upper end.
fn range_with(call: &mut Call<'_>, start_at: usize, end_at: usize, back: bool) -> Handled {
    let start = parse_bound(call.argument(start_at), Bound::Included(()))?;
    let end = parse_bound(call.argument(end_at), Bound::Excluded(()))?;
    let count = match (call.request.len(), call.argument(4)) {
        (4, _) => None,
        (6, option) if is(option, "COUNT") => Some(call.integer(5)?.max(0)),
        _ => return Err(Refusal::SYNTAX),
    };
    let Some(stream) = call.engine.databases[call.database].get::<Stream>(call.key())? else {
        call.reply.array(0);
        return Ok(Flow::Done);
    };
    let count = match count {
        // As in Redis, where nothing is wanted the array itself is missing.
        Some(0) => {
            call.reply.null_array();
            return Ok(Flow::Done);
        }
        count => count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX),
    };
    let entries = stream.range(start..=end);
    let entries: Vec<_> =
        if back { entries.rev().take(count).collect() } else { entries.take(count).collect() };
    call.reply.array(entries.len());
    entries.iter().for_each(|entry| write_entry(call.reply, entry.id, &entry.fields));
    Ok(Flow::Done)
}

/// From where a stream is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// After this id.
    After(StreamId),
    /// `>`: what the group was not given yet.
    New,
}

/// What stands in `XREAD` and `XREADGROUP`.
struct ReadOptions<'a> {
    group: Option<(&'a [u8], &'a [u8])>,
    count: usize,
    timeout: Option<Option<i64>>,
    no_ack: bool,
    /// Where the keys begin; as many ids follow.
    keys_at: usize,
    streams: usize,
}

impl<'a> ReadOptions<'a> {
    fn read(request: Request<'a>, reads_group: bool) -> Result<Self, Refusal> {
        let mut options = Self {
            group: None,
            count: usize::MAX,
            timeout: None,
            no_ack: false,
            keys_at: 0,
            streams: 0,
        };
        let mut at = 1;
        while let Some(option) = request.get(at) {
            let value = request.get(at + 1);
            match (option.to_ascii_uppercase().as_slice(), value) {
                (b"COUNT", Some(value)) => {
                    let count = integer(value)?;
                    options.count =
                        usize::try_from(count).ok().filter(|n| *n > 0).unwrap_or(usize::MAX);
                    at += 2;
                }
                (b"BLOCK", Some(value)) => {
                    options.timeout = Some(timeout_ms(value)?);
                    at += 2;
                }
                (b"GROUP", Some(group)) if request.get(at + 2).is_some() => {
                    if !reads_group {
                        return Err(Refusal::new(
                            "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
                        ));
                    }
                    options.group = request.get(at + 2).map(|consumer| (group, consumer));
                    at += 3;
                }
                (b"NOACK", _) => {
                    if !reads_group {
                        return Err(Refusal::new(
                            "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
                        ));
                    }
                    options.no_ack = true;
                    at += 1;
                }
                (b"STREAMS", Some(_)) => {
                    options.keys_at = at + 1;
                    let left = request.len() - at - 1;
                    if left % 2 == 1 {
                        return Err(Refusal::new(
                            "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
                        ));
                    }
                    options.streams = left / 2;
                    break;
                }
                _ => return Err(Refusal::SYNTAX),
            }
        }
        if options.streams == 0 {
            return Err(Refusal::SYNTAX);
        }
        if reads_group && options.group.is_none() {
            return Err(Refusal::new("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(options)
    }
}

pub(in crate::broker::engine) fn read(call: &mut Call<'_>) -> Handled {
    let options = ReadOptions::read(call.request, false)?;
    let data = &call.engine.databases[call.database];
    let mut sections = Vec::new();
    let mut read = 0;
    for index in 0..options.streams {
        let key = call.argument(options.keys_at + index);
        if !call.takes_from()(&key) {
            continue;
        }
        let stream = data.get::<Stream>(key)?;
        let after = match call.argument(options.keys_at + options.streams + index) {
            b"$" => stream.map_or(StreamId::MIN, |stream| stream.last_id),
            b">" => {
                return Err(Refusal::new(
                    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
                ));
            }
            id => parse_id(id, 0)?,
        };
        let Some(stream) = stream else { continue };
        let entries: Vec<_> =
            stream.range((Bound::Excluded(after), Bound::Unbounded)).take(options.count).collect();
        if entries.is_empty() {
            continue;
        }
        read += 1;
        sections.array(2);
        sections.bulk(key);
        sections.array(entries.len());
        entries.iter().for_each(|entry| write_entry(&mut sections, entry.id, &entry.fields));
    }
    answer(call, &options, read, &sections)
}

fn answer(call: &mut Call<'_>, options: &ReadOptions<'_>, read: usize, sections: &[u8]) -> Handled {
    if read > 0 {
        call.reply.array(read);
        call.reply.extend_from_slice(sections);
        return Ok(Flow::Done);
    }
    match options.timeout {
        Some(timeout_ms) => {
            let keys = options.keys_at..options.keys_at + options.streams;
            wait_or_nothing(call, Wait { keys, timeout_ms })
        }
        None => {
            call.reply.null_array();
            Ok(Flow::Done)
        }
    }
}

/// A request that waits, with `$` replaced by what it means now.
pub(in crate::broker::engine) fn settled(
    engine: &Engine,
    database: usize,
    request: Request<'_>,
) -> OwnedRequest {
    let is_read = request.get(0).is_some_and(|name| is(name, "XREAD"));
    let options = if is_read { ReadOptions::read(request, false).ok() } else { None };
    let Some(options) = options else { return request.to_owned() };
    let ids_at = options.keys_at + options.streams;
    let mut last_ids = Vec::new();
    for index in 0..options.streams {
        let key = request.get(options.keys_at + index).unwrap_or_default();
        let stream = engine.databases[database].get::<Stream>(key).ok().flatten();
        last_ids.push(stream.map_or(StreamId::MIN, |stream| stream.last_id).to_string());
    }
    let settled = request.from(0).enumerate().map(|(at, argument)| {
        if at >= ids_at && argument == b"$" { last_ids[at - ids_at].as_bytes() } else { argument }
    });
    settled.collect()
}

pub(in crate::broker::engine) fn read_group(call: &mut Call<'_>) -> Handled {
    let options = ReadOptions::read(call.request, true)?;
    let (group, consumer) = options.group.unwrap_or_default();
    let mut wanted = Vec::with_capacity(options.streams);
    for index in 0..options.streams {
        let key = call.argument(options.keys_at + index);
        if !call.takes_from()(&key) {
            continue;
        }
        let stream = call.engine.databases[call.database].get::<Stream>(key)?;
        if !stream.is_some_and(|stream| stream.groups.contains_key(group)) {
            let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
            let text = format!(
                "NOGROUP No such key '{key}' or consumer group '{group}' in XREADGROUP with GROUP option"
            );
            return Err(Refusal(text.into()));
        }
        let from = match call.argument(options.keys_at + options.streams + index) {
            b">" => From::New,
            b"$" => {
                return Err(Refusal::new(
                    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer \
                     by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty \
                     result set.",
                ));
            }
            id => From::After(parse_id(id, 0)?),
        };
        wanted.push((key, from));
    }
    let mut sections = Vec::new();
    let mut read = 0;
    for (key, from) in wanted {
        let section = Section { key, group, consumer, options: &options };
        read += usize::from(match from {
            From::New => section.new_entries(call, &mut sections)?,
            From::After(id) => section.history(call, id, &mut sections)?,
        });
    }
    answer(call, &options, read, &sections)
}

/// One stream of `XREADGROUP`.
struct Section<'a> {
    key: &'a [u8],
    group: &'a [u8],
    consumer: &'a [u8],
    options: &'a ReadOptions<'a>,
}

impl Section<'_> {
    fn head(&self, reply: &mut Vec<u8>, entries: usize) {
        reply.array(2);
        reply.bulk(self.key);
        reply.array(entries);
    }

    /// Gives entries to the consumer that the group was not given yet; answers whether there were any.
    fn new_entries(&self, call: &mut Call<'_>, reply: &mut Vec<u8>) -> Result<bool, Refusal> {
        let (now, options) = (call.now, self.options);
        let given = call.data().change(self.key, |stream: &mut Stream| {
            let last = stream.groups.get(self.group)?.last_id;
            let after = (Bound::Excluded(last), Bound::Unbounded);
            let mut entries = 0;
            let mut body = Vec::new();
            let mut ids = Vec::new();
            for entry in stream.range(after).take(options.count) {
                entries += 1;
                ids.push(entry.id);
                write_entry(&mut body, entry.id, &entry.fields);
            }
            if entries == 0 {
                return None;
            }
            ids.iter().for_each(|id| stream.advance(self.group, *id));
            let group = stream.groups.get_mut(self.group)?;
            let (consumer, _) = group.consumer(self.consumer, now);
            group.seen(&consumer, now);
            if options.no_ack {
                ids.clear();
            }
            for id in &ids {
                let consumer = consumer.clone();
                group.assign(*id, Pending { consumer, delivered_at: now, deliveries: 1 });
            }
            self.head(reply, entries);
            reply.extend_from_slice(&body);
            Some((ids, group.last_id, group.entries_read))
        })?;
        let Some((ids, last_id, entries_read)) = given.flatten() else { return Ok(false) };
        record_delivered(call, self.key, self.group, self.consumer, last_id, entries_read, &ids);
        Ok(true)
    }

    /// What the consumer was given after an id and did not acknowledge. There always is an answer, if an empty one.
    fn history(
        &self,
        call: &mut Call<'_>,
        after: StreamId,
        reply: &mut Vec<u8>,
    ) -> Result<bool, Refusal> {
        let (now, count) = (call.now, self.options.count);
        let read = call.data().change(self.key, |stream: &mut Stream| {
            let mut group = stream.groups.remove(self.group)?;
            let (consumer, made) = group.consumer(self.consumer, now);
            group.seen(&consumer, now);
            let range = (Bound::Excluded(after), Bound::Unbounded);
            let held = group.consumers.get(&consumer);
            let ids: Vec<_> = held
                .into_iter()
                .flat_map(|held| held.pending.range(range).take(count).copied())
                .collect();
            self.head(reply, ids.len());
            let mut again = Vec::new();
            for id in ids {
                match (stream.get(id), group.pending.get_mut(&id)) {
                    (Some(entry), Some(pending)) => {
                        write_entry(reply, id, &entry.fields);
                        pending.delivered_at = now;
                        pending.deliveries += 1;
                        again.push((id, pending.deliveries));
                    }
                    _ => {
                        reply.array(2);
                        write_id(reply, id);
                        reply.null_array();
                    }
                }
            }
            stream.groups.insert(self.group.into(), group);
            Some((made, again))
        })?;
        let (made, again) = read.flatten().unwrap_or_default();
        if made {
            call.record_lazily(&[
                b"XGROUP",
                b"CREATECONSUMER",
                self.key,
                self.group,
                self.consumer,
            ]);
        }
        for (id, deliveries) in again {
            record_pending(call, self.key, self.group, self.consumer, (id, now, deliveries));
        }
        Ok(true)
    }
}

/// Writes down that a consumer was given new entries.
pub(super) fn record_delivered(
    call: &mut Call<'_>,
    key: &[u8],
    group: &[u8],
    consumer: &[u8],
    last_id: StreamId,
    entries_read: Option<u64>,
    ids: &[StreamId],
) {
    let (at, last_id) = (call.now.to_string(), last_id.to_string());
    let entries_read = read_text(entries_read);
    let ids: Vec<_> = ids.iter().map(StreamId::to_string).collect();
    let mut parts: Vec<&[u8]> = vec![
        b"LOG.DELIVERED",
        key,
        group,
        consumer,
        at.as_bytes(),
        entries_read.as_bytes(),
        last_id.as_bytes(),
    ];
    parts.extend(ids.iter().map(String::as_bytes));
    call.record_lazily(&parts);
}

/// Writes down with whom an entry is pending: id, when it was given, and how often.
pub(super) fn record_pending(
    call: &mut Call<'_>,
    key: &[u8],
    group: &[u8],
    consumer: &[u8],
    held: (StreamId, i64, u64),
) {
    call.engine.effects.record_pending(call.database, key, group, consumer, held);
}

/// The group of a stream, or that there is none, in the words of most commands.
pub(super) fn group_of<'a>(
    call: &'a Call<'_>,
    key: &[u8],
    group: &[u8],
) -> Result<(&'a Stream, &'a Rc<[u8]>), Refusal> {
    let stream = call.engine.databases[call.database].get::<Stream>(key)?;
    let found = stream.and_then(|stream| Some((stream, stream.groups.get_key_value(group)?.0)));
    found.ok_or_else(|| {
        let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
        Refusal(format!("NOGROUP No such key '{key}' or consumer group '{group}'").into())
    })
}
