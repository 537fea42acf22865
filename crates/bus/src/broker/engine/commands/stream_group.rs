//! Groups and consumers, made and removed.

use crate::{
    broker::engine::{
        call::{Call, Flow, Handled, Refusal, is},
        effects::read_text,
        stream::{Group, Stream, StreamId, parse_id},
        waiting::Came,
    },
    resp::{Reply as _, Request},
};

use super::connection::unknown_subcommand;

const NO_STREAM: Refusal = Refusal::new(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create \
     an empty stream automatically.",
);

/// `XGROUP CREATE|SETID|DESTROY|CREATECONSUMER|DELCONSUMER key group …`
pub(in crate::broker::engine) fn group(call: &mut Call<'_>) -> Handled {
    let what = call.argument(1).to_ascii_uppercase();
    let arity = |fits: bool| {
        let name = format!("xgroup|{}", String::from_utf8_lossy(&what).to_lowercase());
        if fits { Ok(()) } else { Err(Refusal::arity(&name)) }
    };
    let arguments = call.request.len();
    match what.as_slice() {
        b"CREATE" => arity(arguments >= 5).and_then(|()| create(call)),
        b"SETID" => arity(arguments >= 5).and_then(|()| set_id(call)),
        b"DESTROY" => {
            arity(arguments == 4)?;
            existing_stream(call)?;
            let destroyed = destroy_group(call, call.argument(2), call.argument(3))?;
            call.reply.integer(destroyed.into());
            Ok(())
        }
        b"CREATECONSUMER" => arity(arguments == 5).and_then(|()| create_consumer(call)),
        b"DELCONSUMER" => arity(arguments == 5).and_then(|()| delete_consumer(call)),
        _ => Err(unknown_subcommand(call, "XGROUP")),
    }?;
    Ok(Flow::Done)
}

/// Whether it may take more memory. Source: Redis, where these two have `denyoom`.
pub(in crate::broker::engine) fn grows(request: Request<'_>) -> bool {
    let what = request.get(1).unwrap_or_default();
    is(what, "CREATE") || is(what, "CREATECONSUMER")
}

fn existing_stream<'a>(call: &'a Call<'_>) -> Result<&'a Stream, Refusal> {
    let stream = call.engine.databases[call.database].get::<Stream>(call.argument(2))?;
    stream.ok_or(NO_STREAM)
}

/// `MKSTREAM` and `ENTRIESREAD n` after the id.
fn options(call: &Call<'_>) -> Result<(bool, Option<u64>), Refusal> {
    let (mut makes_stream, mut entries_read) = (false, None);
    let creates = is(call.argument(1), "CREATE");
    let mut at = 5;
    while let Some(option) = call.request.get(at) {
        if creates && is(option, "MKSTREAM") {
            makes_stream = true;
        } else if is(option, "ENTRIESREAD") && call.request.get(at + 1).is_some() {
            at += 1;
            let number = call.integer(at)?;
            if number < -1 {
                return Err(Refusal::new("ERR value for ENTRIESREAD must be positive or -1"));
            }
            entries_read = u64::try_from(number).ok();
        } else {
            return Err(unknown_subcommand_or_arity(call));
        }
        at += 1;
    }
    Ok((makes_stream, entries_read))
}

fn unknown_subcommand_or_arity(call: &Call<'_>) -> Refusal {
    let given = String::from_utf8_lossy(call.argument(1)).into_owned();
    Refusal(
        format!(
            "ERR unknown subcommand or wrong number of arguments for '{given}'. Try XGROUP HELP."
        )
        .into(),
    )
}

/// `$`, or an id.
fn start(call: &Call<'_>, last: StreamId) -> Result<StreamId, Refusal> {
    match call.argument(4) {
        b"$" => Ok(last),
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        id => parse_id(id, 0),
    }
}

fn create(call: &mut Call<'_>) -> Result<(), Refusal> {
    let (makes_stream, entries_read) = options(call)?;
    let (key, name) = (call.argument(2), call.argument(3));
    let stream = call.engine.databases[call.database].get::<Stream>(key)?;
    if stream.is_none() && !makes_stream {
        return Err(NO_STREAM);
    }
    let id = start(call, stream.map_or(StreamId::MIN, |stream| stream.last_id))?;
    if stream.is_some_and(|stream| stream.groups.contains_key(name)) {
        return Err(Refusal::new("BUSYGROUP Consumer Group name already exists"));
    }
    call.data().change_or_begin(key, |stream: &mut Stream| {
        stream.groups.insert(name.into(), Group::new(id, entries_read));
    })?;
    let (id, read) = (id.to_string(), read_text(entries_read));
    call.record(&[
        b"XGROUP",
        b"CREATE",
        key,
        name,
        id.as_bytes(),
        b"MKSTREAM",
        b"ENTRIESREAD",
        read.as_bytes(),
    ]);
    call.reply.status("OK");
    Ok(())
}

/// Whether the group of a command is there.
fn existing_group(call: &Call<'_>) -> Result<(), Refusal> {
    let name = call.argument(3);
    if existing_stream(call)?.groups.contains_key(name) {
        return Ok(());
    }
    Err(no_group(call.argument(2), name))
}

pub(super) fn no_group(key: &[u8], group: &[u8]) -> Refusal {
    let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
    Refusal(format!("NOGROUP No such consumer group '{group}' for key name '{key}'").into())
}

fn set_id(call: &mut Call<'_>) -> Result<(), Refusal> {
    let (_, entries_read) = options(call)?;
    existing_group(call)?;
    let (key, name) = (call.argument(2), call.argument(3));
    let id = start(call, existing_stream(call)?.last_id)?;
    call.data().change(key, |stream: &mut Stream| {
        if let Some(group) = stream.groups.get_mut(name) {
            group.last_id = id;
            group.entries_read = entries_read;
        }
    })?;
    let (id, read) = (id.to_string(), read_text(entries_read));
    call.record(&[b"XGROUP", b"SETID", key, name, id.as_bytes(), b"ENTRIESREAD", read.as_bytes()]);
    call.engine.waiting.came(call.database, key, Came::Something);
    call.reply.status("OK");
    Ok(())
}

/// Destroys a group, if there is such a group; tells those that wait for it.
pub(super) fn destroy_group(call: &mut Call<'_>, key: &[u8], name: &[u8]) -> Result<bool, Refusal> {
    let destroyed = call
        .data()
        .change(key, |stream: &mut Stream| stream.groups.remove(name).is_some())?
        .unwrap_or(false);
    if destroyed {
        call.record(&[b"XGROUP", b"DESTROY", key, name]);
        call.engine.waiting.came(call.database, key, Came::NoGroup);
    }
    Ok(destroyed)
}

fn create_consumer(call: &mut Call<'_>) -> Result<(), Refusal> {
    existing_group(call)?;
    let (key, name, consumer, now) =
        (call.argument(2), call.argument(3), call.argument(4), call.now);
    let made = call.data().change(key, |stream: &mut Stream| {
        stream.groups.get_mut(name).is_some_and(|group| group.consumer(consumer, now).1)
    })?;
    if made == Some(true) {
        call.record_request();
    }
    call.reply.integer((made == Some(true)).into());
    Ok(())
}

fn delete_consumer(call: &mut Call<'_>) -> Result<(), Refusal> {
    existing_group(call)?;
    let (key, name, consumer) = (call.argument(2), call.argument(3), call.argument(4));
    let removed = call.data().change(key, |stream: &mut Stream| {
        stream.groups.get_mut(name).and_then(|group| group.remove_consumer(consumer))
    })?;
    if removed.flatten().is_some() {
        call.record_request();
    }
    call.reply.integer(removed.flatten().unwrap_or(0) as i64);
    Ok(())
}
