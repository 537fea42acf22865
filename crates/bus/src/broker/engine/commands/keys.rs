//! Commands about keys, whatever they hold.

use crate::{
    broker::engine::{
        call::{Call, Flow, Handled, Refusal, integer, is},
        database::Value,
        waiting::Came,
    },
    resp::Reply as _,
};

pub(in crate::broker::engine) fn dbsize(call: &mut Call<'_>) -> Handled {
    let count = call.data().len() as i64;
    call.reply.integer(count);
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn del(call: &mut Call<'_>) -> Handled {
    let mut removed = 0;
    for key in call.request.from(1) {
        if let Some(entry) = call.data().remove(key) {
            call.engine.forgotten(call.database, key, &entry.value, true);
            removed += 1;
        }
    }
    call.reply.integer(removed);
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn exists(call: &mut Call<'_>) -> Handled {
    let data = &call.engine.databases[call.database];
    let found = call.request.from(1).filter(|key| data.entry(key).is_some()).count();
    call.reply.integer(found as i64);
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn kind(call: &mut Call<'_>) -> Handled {
    let entry = call.engine.databases[call.database].entry(call.key());
    call.reply.status(entry.map_or("none", |entry| entry.value.kind()));
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn flush(call: &mut Call<'_>) -> Handled {
    empty(call, call.database);
    call.reply.status("OK");
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn flush_all(call: &mut Call<'_>) -> Handled {
    (0..call.engine.databases.len()).for_each(|database| empty(call, database));
    call.reply.status("OK");
    Ok(Flow::Done)
}

fn empty(call: &mut Call<'_>, database: usize) {
    let before = std::mem::take(&mut call.engine.databases[database]);
    for (key, entry) in before.keys() {
        if matches!(entry.value, Value::Stream(_)) {
            call.engine.waiting.came(database, key, Came::NoStream);
        }
    }
    call.engine.effects.record(database, &[b"FLUSHDB"]);
    call.engine.effects.require();
}

pub(in crate::broker::engine) fn ttl(call: &mut Call<'_>) -> Handled {
    let left = left(call);
    call.reply.integer(if left < 0 { left } else { (left + 500) / 1000 });
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn pttl(call: &mut Call<'_>) -> Handled {
    let left = left(call);
    call.reply.integer(left);
    Ok(Flow::Done)
}

/// Milliseconds; -1 for a key without an end, -2 without a key.
fn left(call: &mut Call<'_>) -> i64 {
    match call.engine.databases[call.database].entry(call.key()) {
        None => -2,
        Some(entry) => entry.expires_at.map_or(-1, |at| (at - call.now).max(0)),
    }
}

pub(in crate::broker::engine) fn persist(call: &mut Call<'_>) -> Handled {
    let key = call.key();
    let ends = call.data().entry(key).is_some_and(|entry| entry.expires_at.is_some());
    if ends {
        call.data().expire_at(key, None);
        if outlives_restart(call, key) {
            call.record_request();
        }
    }
    call.reply.integer(ends.into());
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn expire(call: &mut Call<'_>) -> Handled {
    expire_with(call, 1000, call.now)
}

pub(in crate::broker::engine) fn pexpire(call: &mut Call<'_>) -> Handled {
    expire_with(call, 1, call.now)
}

pub(in crate::broker::engine) fn expire_at(call: &mut Call<'_>) -> Handled {
    expire_with(call, 1000, 0)
}

pub(in crate::broker::engine) fn pexpire_at(call: &mut Call<'_>) -> Handled {
    expire_with(call, 1, 0)
}

fn expire_with(call: &mut Call<'_>, unit_ms: i64, since: i64) -> Handled {
    let (key, number) = (call.key(), call.integer(2)?);
    let at = number.checked_mul(unit_ms).and_then(|ms| ms.checked_add(since)).ok_or_else(|| {
        let name = String::from_utf8_lossy(call.argument(0)).to_lowercase();
        Refusal(format!("ERR invalid expire time in '{name}' command").into())
    })?;
    let before = call.data().entry(key).map(|entry| entry.expires_at);
    let applies = match before {
        None => false,
        Some(before) => condition(call, before, at)?,
    };
    if applies {
        if at <= call.now && !call.replays {
            if let Some(entry) = call.data().remove(key) {
                call.engine.forgotten(call.database, key, &entry.value, true);
            }
        } else {
            call.data().expire_at(key, Some(at));
            if outlives_restart(call, key) {
                call.record(&[b"PEXPIREAT", key, at.to_string().as_bytes()]);
            }
        }
    }
    call.reply.integer(applies.into());
    Ok(Flow::Done)
}

/// `NX`, `XX`, `GT`, `LT` after the time.
fn condition(call: &Call<'_>, before: Option<i64>, at: i64) -> Result<bool, Refusal> {
    let mut applies = true;
    for option in call.request.from(3) {
        applies &= match option.to_ascii_uppercase().as_slice() {
            b"NX" => before.is_none(),
            b"XX" => before.is_some(),
            b"GT" => before.is_some_and(|before| at > before),
            b"LT" => before.is_none_or(|before| at < before),
            _ => {
                let option = String::from_utf8_lossy(option);
                return Err(Refusal(format!("ERR Unsupported option {option}").into()));
            }
        };
    }
    Ok(applies)
}

fn outlives_restart(call: &mut Call<'_>, key: &[u8]) -> bool {
    call.data().entry(key).is_some_and(|entry| entry.value.outlives_restart(key))
}

pub(in crate::broker::engine) fn keys(call: &mut Call<'_>) -> Handled {
    let pattern = call.argument(1);
    let data = &call.engine.databases[call.database];
    let mut found: Vec<_> =
        data.keys().map(|(key, _)| key).filter(|key| matches(pattern, key)).collect();
    found.sort();
    call.reply.array(found.len());
    found.iter().for_each(|key| call.reply.bulk(key));
    Ok(Flow::Done)
}

/// `SCAN cursor [MATCH pattern] [COUNT n] [TYPE kind]`: all keys at once, with the cursor that ends a scan. `COUNT` is a hint.
pub(in crate::broker::engine) fn scan(call: &mut Call<'_>) -> Handled {
    let cursor = str::from_utf8(call.argument(1)).ok().and_then(|text| text.parse::<u64>().ok());
    if cursor.is_none() {
        return Err(Refusal::new("ERR invalid cursor"));
    }
    let (mut pattern, mut kind) = (None, None);
    for at in (2..call.request.len()).step_by(2) {
        let value = call.request.get(at + 1).ok_or(Refusal::SYNTAX)?;
        match call.argument(at) {
            option if is(option, "MATCH") => pattern = Some(value),
            option if is(option, "TYPE") => kind = Some(value),
            option if is(option, "COUNT") => {
                if integer(value)? < 1 {
                    return Err(Refusal::SYNTAX);
                }
            }
            _ => return Err(Refusal::SYNTAX),
        }
    }
    let data = &call.engine.databases[call.database];
    let mut found: Vec<_> = data
        .keys()
        .filter(|(key, _)| cursor == Some(0) && pattern.is_none_or(|pattern| matches(pattern, key)))
        .filter(|(_, entry)| kind.is_none_or(|kind| is(kind, entry.value.kind())))
        .map(|(key, _)| key)
        .collect();
    found.sort();
    call.reply.array(2);
    call.reply.bulk(b"0");
    call.reply.array(found.len());
    found.iter().for_each(|key| call.reply.bulk(key));
    Ok(Flow::Done)
}

/// Whether a text fits a pattern of `*`, `?`, `[a-z]`, `[^a]` and `\`. Takes no longer than pattern times text.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // Where to go on if what follows the last `*` does not fit: the star then takes one byte more.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', rest @ ..] = pattern {
            star = Some((rest, text));
            pattern = rest;
            continue;
        }
        let fits = match (pattern, text) {
            ([], []) => return true,
            ([], _) | (_, []) => None,
            (pattern, [byte, ..]) => one(pattern, *byte),
        };
        if let Some(rest) = fits {
            pattern = rest;
            text = &text[1..];
            continue;
        }
        match star {
            Some((after, [_, rest @ ..])) => {
                star = Some((after, rest));
                pattern = after;
                text = rest;
            }
            _ => return false,
        }
    }
}

/// The pattern after the part that one byte fits.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    let (fits, rest) = match pattern {
        [b'?', rest @ ..] => (true, rest),
        [b'\\', escaped, rest @ ..] => (*escaped == byte, rest),
        [b'[', rest @ ..] => {
            let (negated, class) = match rest {
                [b'^', class @ ..] => (true, class),
                class => (false, class),
            };
            let (found, rest) = class_contains(class, byte);
            (found != negated, rest)
        }
        [plain, rest @ ..] => (*plain == byte, rest),
        [] => return None,
    };
    if fits { Some(rest) } else { None }
}

/// Whether the class up to `]` has a byte, and what follows the class.
fn class_contains(mut class: &[u8], byte: u8) -> (bool, &[u8]) {
    let mut found = false;
    loop {
        match class {
            [] => return (found, class),
            [b']', rest @ ..] => return (found, rest),
            [b'\\', escaped, rest @ ..] => {
                found |= *escaped == byte;
                class = rest;
            }
            [start, b'-', end, rest @ ..] => {
                found |= (*start.min(end)..=*start.max(end)).contains(&byte);
                class = rest;
            }
            [plain, rest @ ..] => {
                found |= *plain == byte;
                class = rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_fit_as_in_redis() {
        let fitting = [
            ("*", ""),
            ("a*", "abc"),
            ("*c", "abc"),
            ("a*b*c", "a1b2b3c"),
            ("a?c", "abc"),
            ("[a-c]x", "bx"),
            ("[^a]x", "bx"),
            (r"a\*", "a*"),
            ("schema:*", "schema:my_company.auth"),
            (r"[\]]", "]"),
            ("[c-a]", "b"),
        ];
        let others = [
            ("a", ""),
            ("a?", "a"),
            ("[a-c]", "d"),
            ("[^a]", "a"),
            (r"a\*", "ab"),
            ("*b", "abc"),
            ("", "a"),
        ];
        for (pattern, text) in fitting {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        for (pattern, text) in others {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        assert!(!matches(&b"*a".repeat(100), &[b'a'; 99]));
        assert!(!matches("*a*a*a*a*a*a*a*a*a*b".as_bytes(), &[b'a'; 100_000]));
    }
}
