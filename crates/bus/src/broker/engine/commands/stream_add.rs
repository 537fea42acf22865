//! Adding entries to streams, and removing them.

use crate::{
    broker::engine::{
        call::{Call, Flow, Handled, Refusal, integer, is},
        stream::{Stream, StreamId, Trim, TrimTo, parse_id, parse_partial},
        waiting::Came,
    },
    resp::Reply as _,
};

use super::stream_read::write_id;

const TOO_SMALL: Refusal = Refusal::new(
    "ERR The ID specified in XADD is equal or smaller than the target stream top item",
);

/// The id a new entry shall have.
enum NewId {
    /// `*`
    Now,
    /// `5-*`
    Within(u64),
    /// `5-1`
    Given(StreamId),
}

/// What stands between the key and the fields, or after the key of `XTRIM`.
struct AddOptions {
    no_stream: bool,
    trim: Option<Trim>,
    /// Where the id is.
    id_at: usize,
}

impl AddOptions {
    fn read(call: &Call<'_>, adds: bool) -> Result<Self, Refusal> {
        let (mut no_stream, mut to, mut roughly, mut limit) = (false, None, false, None);
        let mut at = 2;
        while let Some(option) = call.request.get(at) {
            let more = call.request.len() - at - 1;
            let by_length = is(option, "MAXLEN");
            if (by_length || is(option, "MINID")) && more > 0 {
                if to.is_some() {
                    return Err(Refusal::new(
                        "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
                    ));
                }
                let mark = call.argument(at + 1);
                roughly = more >= 2 && mark == b"~";
                at += if roughly || more >= 2 && mark == b"=" { 2 } else { 1 };
                to = Some(trim_to(by_length, call.argument(at))?);
            } else if is(option, "LIMIT") && more > 0 {
                at += 1;
                let number = integer(call.argument(at))?;
                let refusal = Refusal::new("ERR The LIMIT argument must be >= 0.");
                limit = Some(usize::try_from(number).map_err(|_| refusal)?);
            } else if adds && is(option, "NOMKSTREAM") {
                no_stream = true;
            } else if adds {
                break;
            } else {
                return Err(Refusal::SYNTAX);
            }
            at += 1;
        }
        if limit.is_some() && to.is_none() {
            return Err(Refusal::new(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        if limit.is_some() && !roughly {
            return Err(Refusal::new(
                "ERR syntax error, LIMIT cannot be used without the special ~ option",
            ));
        }
        let removed_max = limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        Ok(Self { no_stream, trim: to.map(|to| Trim { to, roughly, removed_max }), id_at: at })
    }
}

fn trim_to(by_length: bool, text: &[u8]) -> Result<TrimTo, Refusal> {
    if !by_length {
        return parse_id(text, 0).map(TrimTo::Id);
    }
    let refusal = Refusal::new("ERR The MAXLEN argument must be >= 0.");
    u64::try_from(integer(text)?).map(TrimTo::Length).map_err(|_| refusal)
}

fn new_id(text: &[u8]) -> Result<NewId, Refusal> {
    if text == b"*" {
        return Ok(NewId::Now);
    }
    if let Some(ms) = text.strip_suffix(b"-*") {
        return Ok(NewId::Within(parse_partial(ms)?.0));
    }
    match parse_id(text, 0)? {
        StreamId::MIN => Err(Refusal::new("ERR The ID specified in XADD must be greater than 0-0")),
        id => Ok(NewId::Given(id)),
    }
}

impl NewId {
    /// The id, given the last one of the stream. It is higher, whatever the clock says.
    fn settle(self, last: StreamId, now: i64) -> Result<StreamId, Refusal> {
        if last == StreamId::MAX {
            return Err(Refusal::new(
                "ERR The stream has exhausted the last possible ID, unable to add more items",
            ));
        }
        let id = match self {
            Self::Now => {
                let now = StreamId { ms: u64::try_from(now).unwrap_or(0), seq: 0 };
                Some(if now > last { now } else { last.next().unwrap_or(StreamId::MAX) })
            }
            Self::Within(ms) if ms == last.ms => {
                last.seq.checked_add(1).map(|seq| StreamId { ms, seq })
            }
            Self::Within(ms) => Some(StreamId { ms, seq: 0 }),
            Self::Given(id) => Some(id),
        };
        id.filter(|id| *id > last).ok_or(TOO_SMALL)
    }
}

/// `XADD key [NOMKSTREAM] [MAXLEN|MINID [=|~] n [LIMIT n]] id field value …`
pub(in crate::broker::engine) fn add(call: &mut Call<'_>) -> Handled {
    let options = AddOptions::read(call, true)?;
    let fields = call.request.from(options.id_at + 1);
    if fields.len() == 0 || fields.len() % 2 == 1 {
        return Err(Refusal::arity("xadd"));
    }
    let wanted = new_id(call.argument(options.id_at))?;
    let key = call.key();
    let last = match call.engine.databases[call.database].get::<Stream>(key)? {
        Some(stream) => stream.last_id,
        None if options.no_stream => {
            call.reply.null();
            return Ok(Flow::Done);
        }
        None => StreamId::MIN,
    };
    let id = wanted.settle(last, call.now)?;
    let encoded = encode(fields);
    let id_text = id.to_string();
    let parts: [&[u8]; 3] = [b"XADD", key, id_text.as_bytes()];
    call.engine.effects.record_entry(call.database, &parts, &encoded);
    call.engine.effects.require();
    call.data().change_or_begin(key, |stream: &mut Stream| stream.add(id, encoded))?;
    if let Some(trim) = &options.trim {
        shorten(call, key, trim)?;
    }
    call.engine.waiting.came(call.database, key, Came::Something);
    call.reply.bulk(id_text.as_bytes());
    Ok(Flow::Done)
}

/// The fields of an entry as the array that will be the reply.
pub(super) fn encode<'a>(fields: impl ExactSizeIterator<Item = &'a [u8]> + Clone) -> Box<[u8]> {
    let size = fields.clone().map(|field| field.len() + 16).sum::<usize>();
    let mut encoded = Vec::with_capacity(size + 16);
    encoded.array(fields.len());
    fields.for_each(|field| encoded.bulk(field));
    encoded.into()
}

/// Shortens a stream; answers how many entries were removed.
fn shorten(call: &mut Call<'_>, key: &[u8], trim: &Trim) -> Result<usize, Refusal> {
    let trimmed = call.data().change(key, |stream: &mut Stream| {
        (stream.trim(trim), stream.first().map(|entry| entry.id))
    })?;
    let Some((removed, first)) = trimmed.filter(|(removed, _)| *removed > 0) else { return Ok(0) };
    match first {
        Some(first) => call.record(&[b"XTRIM", key, b"MINID", first.to_string().as_bytes()]),
        None => call.record(&[b"XTRIM", key, b"MAXLEN", b"0"]),
    }
    Ok(removed)
}

/// `XTRIM key MAXLEN|MINID [=|~] n [LIMIT n]`
pub(in crate::broker::engine) fn trim(call: &mut Call<'_>) -> Handled {
    let options = AddOptions::read(call, false)?;
    let trim = options
        .trim
        .ok_or(Refusal::new("ERR syntax error, XTRIM must be called with a trimming strategy"))?;
    let removed = shorten(call, call.key(), &trim)?;
    call.reply.integer(removed as i64);
    Ok(Flow::Done)
}

/// `XDEL key id …`
pub(in crate::broker::engine) fn delete(call: &mut Call<'_>) -> Handled {
    let key = call.key();
    call.engine.databases[call.database].get::<Stream>(key)?;
    let ids = call.request.from(2).map(|id| parse_id(id, 0)).collect::<Result<Vec<_>, _>>()?;
    let replays = call.replays;
    let deleted = call.data().change(key, |stream: &mut Stream| {
        let is_deleted = |id: &StreamId| stream.delete(*id);
        let deleted: Vec<_> = ids.iter().copied().filter(is_deleted).collect();
        // The log names what was there, also where the entry itself is not in the log any more.
        let latest = if replays { ids.iter().max() } else { None };
        stream.deleted_max = stream.deleted_max.max(latest.copied().unwrap_or_default());
        deleted
    })?;
    let deleted = deleted.unwrap_or_default();
    if !deleted.is_empty() {
        let ids: Vec<_> = deleted.iter().map(StreamId::to_string).collect();
        let mut parts: Vec<&[u8]> = vec![b"XDEL", key];
        parts.extend(ids.iter().map(String::as_bytes));
        call.record(&parts);
    }
    call.reply.integer(deleted.len() as i64);
    Ok(Flow::Done)
}

/// An entry as it stands in replies.
pub(super) fn write_entry(reply: &mut Vec<u8>, id: StreamId, fields: &[u8]) {
    reply.array(2);
    write_id(reply, id);
    reply.extend_from_slice(fields);
}
