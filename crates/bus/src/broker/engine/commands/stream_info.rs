//! What there is to know of a stream.

use crate::{
    broker::engine::{
        call::{Call, Flow, Handled, Refusal},
        stream::{Entry, Stream},
    },
    resp::Reply as _,
};

use super::{
    connection::unknown_subcommand, stream_add::write_entry, stream_group::no_group,
    stream_read::write_id,
};

pub(in crate::broker::engine) fn length(call: &mut Call<'_>) -> Handled {
    let stream = call.engine.databases[call.database].get::<Stream>(call.key())?;
    call.reply.integer(stream.map_or(0, |stream| stream.len() as i64));
    Ok(Flow::Done)
}

/// `XINFO STREAM|GROUPS key`, `XINFO CONSUMERS key group`
pub(in crate::broker::engine) fn info(call: &mut Call<'_>) -> Handled {
    match (call.argument(1).to_ascii_uppercase().as_slice(), call.request.len()) {
        (b"STREAM", 3) => stream(call),
        (b"GROUPS", 3) => groups(call),
        (b"CONSUMERS", 4) => {
            let (key, group) = (call.argument(2), call.argument(3));
            consumers(call, key, group)?;
            write_consumers(call, key, group);
            Ok(Flow::Done)
        }
        (b"STREAM", 4..) => Err(Refusal::new(
            "ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.",
        )),
        (what @ (b"STREAM" | b"GROUPS" | b"CONSUMERS"), _) => {
            let what = String::from_utf8_lossy(what).to_lowercase();
            Err(Refusal::arity(&format!("xinfo|{what}")))
        }
        _ => Err(unknown_subcommand(call, "XINFO")),
    }
}

fn existing<'a>(call: &'a Call<'_>, key: &[u8]) -> Result<&'a Stream, Refusal> {
    call.engine.databases[call.database].get::<Stream>(key)?.ok_or(Refusal::NO_KEY)
}

/// The number of consumers of a group.
pub(super) fn consumers(call: &Call<'_>, key: &[u8], group: &[u8]) -> Result<usize, Refusal> {
    let found = existing(call, key)?.groups.get(group).ok_or_else(|| no_group(key, group))?;
    Ok(found.consumers.len())
}

/// The two figures about Redis' tree are what it would say of a small stream; there is no tree here.
fn stream(call: &mut Call<'_>) -> Handled {
    existing(call, call.argument(2))?;
    let data = &call.engine.databases[call.database];
    let Some(stream) = data.get::<Stream>(call.argument(2))? else { return Err(Refusal::NO_KEY) };
    let reply = &mut *call.reply;
    reply.array(20);
    let number = |reply: &mut Vec<u8>, name: &str, value: u64| {
        reply.bulk(name.as_bytes());
        reply.integer(value as i64);
    };
    number(reply, "length", stream.len() as u64);
    number(reply, "radix-tree-keys", 1);
    number(reply, "radix-tree-nodes", 2);
    for (name, id) in
        [("last-generated-id", stream.last_id), ("max-deleted-entry-id", stream.deleted_max)]
    {
        reply.bulk(name.as_bytes());
        write_id(reply, id);
    }
    number(reply, "entries-added", stream.added);
    reply.bulk(b"recorded-first-entry-id");
    write_id(reply, stream.first_id());
    number(reply, "groups", stream.groups.len() as u64);
    let entry = |reply: &mut Vec<u8>, name: &str, entry: Option<&Entry>| {
        reply.bulk(name.as_bytes());
        match entry {
            Some(entry) => write_entry(reply, entry.id, &entry.fields),
            None => reply.null(),
        }
    };
    entry(reply, "first-entry", stream.first());
    entry(reply, "last-entry", stream.last());
    Ok(Flow::Done)
}

fn groups(call: &mut Call<'_>) -> Handled {
    existing(call, call.argument(2))?;
    let data = &call.engine.databases[call.database];
    let Some(stream) = data.get::<Stream>(call.argument(2))? else { return Err(Refusal::NO_KEY) };
    let reply = &mut *call.reply;
    reply.array(stream.groups.len());
    for (name, group) in &stream.groups {
        reply.array(12);
        reply.bulk(b"name");
        reply.bulk(name);
        for (field, value) in
            [("consumers", group.consumers.len()), ("pending", group.pending.len())]
        {
            reply.bulk(field.as_bytes());
            reply.integer(value as i64);
        }
        reply.bulk(b"last-delivered-id");
        write_id(reply, group.last_id);
        let read = group.entries_read.map(|read| read as i64);
        for (field, value) in [("entries-read", read), ("lag", stream.lag(group))] {
            reply.bulk(field.as_bytes());
            match value {
                Some(value) => reply.integer(value),
                None => reply.null(),
            }
        }
    }
    Ok(Flow::Done)
}

fn write_consumers(call: &mut Call<'_>, key: &[u8], group: &[u8]) {
    let stream = call.engine.databases[call.database].get::<Stream>(key).ok().flatten();
    let Some(group) = stream.and_then(|stream| stream.groups.get(group)) else { return };
    call.reply.array(group.consumers.len());
    for (name, consumer) in &group.consumers {
        call.reply.array(6);
        call.reply.bulk(b"name");
        call.reply.bulk(name);
        call.reply.bulk(b"pending");
        call.reply.integer(consumer.pending.len() as i64);
        call.reply.bulk(b"idle");
        call.reply.integer((call.now - consumer.seen_at).max(0));
    }
}
