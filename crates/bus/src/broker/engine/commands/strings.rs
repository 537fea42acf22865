//! Strings.

use crate::{
    broker::engine::{
        call::{Call, Flow, Handled, Refusal, integer},
        database::{Kind as _, Value},
        effects,
    },
    resp::Reply as _,
};

type Text = Box<[u8]>;

pub(in crate::broker::engine) fn get(call: &mut Call<'_>) -> Handled {
    match call.engine.databases[call.database].get::<Text>(call.key())? {
        Some(text) => call.reply.bulk(text),
        None => call.reply.null(),
    }
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn get_many(call: &mut Call<'_>) -> Handled {
    call.reply.array(call.request.len() - 1);
    for key in call.request.from(1) {
        match call.engine.databases[call.database].get::<Text>(key) {
            Ok(Some(text)) => call.reply.bulk(text),
            _ => call.reply.null(),
        }
    }
    Ok(Flow::Done)
}

/// What follows `SET key value`.
#[derive(Default)]
struct SetOptions {
    only_new: bool,
    only_old: bool,
    answers_old: bool,
    keeps_expiry: bool,
    expires_at: Option<i64>,
}

impl SetOptions {
    fn read(call: &Call<'_>) -> Result<Self, Refusal> {
        let mut options = Self::default();
        let mut expires = None;
        let mut at = 3;
        while let Some(option) = call.request.get(at) {
            let upper = option.to_ascii_uppercase();
            match upper.as_slice() {
                b"NX" if !options.only_old => options.only_new = true,
                b"XX" if !options.only_new => options.only_old = true,
                b"GET" => options.answers_old = true,
                b"KEEPTTL" if expires.is_none() => options.keeps_expiry = true,
                b"EX" | b"PX" | b"EXAT" | b"PXAT"
                    if !options.keeps_expiry
                        && expires.as_ref().is_none_or(|(before, _)| *before == upper) =>
                {
                    at += 1;
                    let number = call.request.get(at).ok_or(Refusal::SYNTAX)?;
                    expires = Some((upper, number));
                }
                _ => return Err(Refusal::SYNTAX),
            }
            at += 1;
        }
        if let Some((option, number)) = expires {
            options.expires_at = Some(expiry("set", &option, number, call.now)?);
        }
        Ok(options)
    }
}

/// The time at which a key expires that is set with this option.
fn expiry(command: &str, option: &[u8], number: &[u8], now: i64) -> Result<i64, Refusal> {
    let number = integer(number)?;
    let unit = if option.starts_with(b"EX") { 1000 } else { 1 };
    let since = if option.ends_with(b"AT") { 0 } else { now };
    Some(number)
        .filter(|number| *number > 0)
        .and_then(|number| number.checked_mul(unit)?.checked_add(since))
        .ok_or_else(|| Refusal(format!("ERR invalid expire time in '{command}' command").into()))
}

pub(in crate::broker::engine) fn set(call: &mut Call<'_>) -> Handled {
    let options = SetOptions::read(call)?;
    let (key, value) = (call.key(), call.argument(2));
    let entry = call.engine.databases[call.database].entry(key);
    if options.answers_old {
        match entry.map(|entry| Text::of(&entry.value).ok_or(Refusal::WRONG_TYPE)).transpose()? {
            Some(old) => call.reply.bulk(old),
            None => call.reply.null(),
        }
    }
    let is_there = entry.is_some();
    let kept = entry.filter(|_| options.keeps_expiry).and_then(|entry| entry.expires_at);
    let applies = !(options.only_new && is_there || options.only_old && !is_there);
    if applies {
        put(call, key, value, options.expires_at.or(kept));
    }
    match (options.answers_old, applies) {
        (true, _) => (),
        (false, true) => call.reply.status("OK"),
        (false, false) => call.reply.null(),
    }
    Ok(Flow::Done)
}

/// Sets a key, and writes it down.
fn put(call: &mut Call<'_>, key: &[u8], value: &[u8], expires_at: Option<i64>) {
    let before = call.data().remove(key);
    if let Some(before) = before.filter(|before| Text::of(&before.value).is_none()) {
        call.engine.forgotten(call.database, key, &before.value, true);
    }
    call.data().insert(key, Value::Text(value.into()), expires_at);
    if effects::outlives_restart(key) {
        match expires_at {
            None => call.record(&[b"SET", key, value]),
            Some(at) => call.record(&[b"SET", key, value, b"PXAT", at.to_string().as_bytes()]),
        }
    }
    // One that is over at once was written down, and is forgotten, as any other.
    call.engine.expire(call.now);
}

pub(in crate::broker::engine) fn set_new(call: &mut Call<'_>) -> Handled {
    let key = call.key();
    let applies = call.data().entry(key).is_none();
    if applies {
        put(call, key, call.argument(2), None);
    }
    call.reply.integer(applies.into());
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn set_for(call: &mut Call<'_>) -> Handled {
    let expires_at = expiry("setex", b"EX", call.argument(2), call.now)?;
    put(call, call.key(), call.argument(3), Some(expires_at));
    call.reply.status("OK");
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn increment(call: &mut Call<'_>) -> Handled {
    add(call, 1)
}

pub(in crate::broker::engine) fn decrement(call: &mut Call<'_>) -> Handled {
    add(call, -1)
}

pub(in crate::broker::engine) fn increment_by(call: &mut Call<'_>) -> Handled {
    add(call, call.integer(2)?)
}

fn add(call: &mut Call<'_>, more: i64) -> Handled {
    let key = call.key();
    let data = &call.engine.databases[call.database];
    let number = data.get::<Text>(key)?.map_or(Ok(0), |text| integer(text))?;
    let sum = number
        .checked_add(more)
        .ok_or(Refusal::new("ERR increment or decrement would overflow"))?;
    let expires_at = data.entry(key).and_then(|entry| entry.expires_at);
    put(call, key, sum.to_string().as_bytes(), expires_at);
    call.reply.integer(sum);
    Ok(Flow::Done)
}
