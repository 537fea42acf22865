//! Lists, and waiting for something to come to one.

use crate::{
    broker::engine::{
        call::{Call, Flow, Handled, Refusal, Wait, integer, is, timeout},
        database::List,
        waiting::Came,
    },
    resp::Reply as _,
};

pub(in crate::broker::engine) fn push_front(call: &mut Call<'_>) -> Handled {
    push(call, true)
}

pub(in crate::broker::engine) fn push_back(call: &mut Call<'_>) -> Handled {
    push(call, false)
}

fn push(call: &mut Call<'_>, front: bool) -> Handled {
    let key = call.key();
    let items = call.request.from(2);
    let length = call.data().change_or_begin(key, |list: &mut List| {
        items.for_each(|item| list.push(item, front));
        list.items().len()
    })?;
    call.engine.waiting.came(call.database, key, Came::Something);
    call.reply.integer(length as i64);
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn length(call: &mut Call<'_>) -> Handled {
    let list = call.engine.databases[call.database].get::<List>(call.key())?;
    call.reply.integer(list.map_or(0, |list| list.items().len() as i64));
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn range(call: &mut Call<'_>) -> Handled {
    let (start, stop) = (call.integer(2)?, call.integer(3)?);
    let Some(list) = call.engine.databases[call.database].get::<List>(call.key())? else {
        call.reply.array(0);
        return Ok(Flow::Done);
    };
    let length = list.items().len() as i64;
    let place = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
    let start = place(start).max(0);
    let stop = place(stop).min(length - 1);
    let count = usize::try_from(stop.saturating_sub(start).saturating_add(1)).unwrap_or(0);
    call.reply.array(count);
    let items = list.items().iter().skip(usize::try_from(start).unwrap_or(0)).take(count);
    items.for_each(|item| call.reply.bulk(item));
    Ok(Flow::Done)
}

pub(in crate::broker::engine) fn pop_front(call: &mut Call<'_>) -> Handled {
    pop(call, true)
}

pub(in crate::broker::engine) fn pop_back(call: &mut Call<'_>) -> Handled {
    pop(call, false)
}

fn pop(call: &mut Call<'_>, front: bool) -> Handled {
    let key = call.key();
    let count = match call.request.len() {
        2 => None,
        3 => {
            let refusal = Refusal::new("ERR value is out of range, must be positive");
            Some(call.integer(2).ok().and_then(|n| usize::try_from(n).ok()).ok_or(refusal)?)
        }
        _ => {
            return Err(Refusal::arity(if front { "lpop" } else { "rpop" }));
        }
    };
    let items = take(call, key, count.unwrap_or(1), front)?;
    match (count, items) {
        (None, None) => call.reply.null(),
        (Some(_), None) => call.reply.null_array(),
        (None, Some(items)) => items.iter().for_each(|item| call.reply.bulk(item)),
        (Some(_), Some(items)) => write_items(call.reply, &items),
    }
    Ok(Flow::Done)
}

/// Items from one end of a list; `None` if there is none.
fn take(
    call: &mut Call<'_>,
    key: &[u8],
    count: usize,
    front: bool,
) -> Result<Option<Vec<Box<[u8]>>>, Refusal> {
    call.data()
        .change(key, |list: &mut List| std::iter::from_fn(|| list.pop(front)).take(count).collect())
}

fn write_items(reply: &mut Vec<u8>, items: &[Box<[u8]>]) {
    reply.array(items.len());
    items.iter().for_each(|item| reply.bulk(item));
}

pub(in crate::broker::engine) fn wait_pop_front(call: &mut Call<'_>) -> Handled {
    wait_pop(call, true)
}

pub(in crate::broker::engine) fn wait_pop_back(call: &mut Call<'_>) -> Handled {
    wait_pop(call, false)
}

/// `BLPOP key … seconds`.
fn wait_pop(call: &mut Call<'_>, front: bool) -> Handled {
    let last = call.request.len() - 1;
    let timeout_ms = timeout(call.argument(last))?;
    for key in call.request.from(1).take(last - 1).filter(call.takes_from()) {
        if let Some(items) = take(call, key, 1, front)? {
            call.reply.array(1 + items.len());
            call.reply.bulk(key);
            items.iter().for_each(|item| call.reply.bulk(item));
            return Ok(Flow::Done);
        }
    }
    wait_or_nothing(call, Wait { keys: 1..last, timeout_ms })
}

/// Within a transaction nobody waits.
pub(super) fn wait_or_nothing(call: &mut Call<'_>, wait: Wait) -> Handled {
    if call.may_wait {
        return Ok(Flow::Wait(wait));
    }
    call.reply.null_array();
    Ok(Flow::Done)
}

/// `LMPOP n key … LEFT|RIGHT [COUNT n]`.
pub(in crate::broker::engine) fn pop_many(call: &mut Call<'_>) -> Handled {
    if pop_many_from(call, 1)?.is_none() {
        call.reply.null_array();
    }
    Ok(Flow::Done)
}

/// `BLMPOP seconds n key … LEFT|RIGHT [COUNT n]`.
pub(in crate::broker::engine) fn wait_pop_many(call: &mut Call<'_>) -> Handled {
    let timeout_ms = timeout(call.argument(1))?;
    let count = usize::try_from(call.integer(2).unwrap_or(0)).unwrap_or(0);
    match pop_many_from(call, 2)? {
        Some(()) => Ok(Flow::Done),
        None => wait_or_nothing(call, Wait { keys: 3..3 + count, timeout_ms }),
    }
}

/// The part from the number of keys on; answers whether there was something.
fn pop_many_from(call: &mut Call<'_>, at: usize) -> Result<Option<()>, Refusal> {
    let keys = positive(call.argument(at), "ERR numkeys should be greater than 0")?;
    let side = at.saturating_add(keys).saturating_add(1);
    let front = match call.request.get(side) {
        Some(side) if is(side, "LEFT") => true,
        Some(side) if is(side, "RIGHT") => false,
        _ => return Err(Refusal::SYNTAX),
    };
    let count = match (call.request.len() - side - 1, call.argument(side + 1)) {
        (0, _) => 1,
        (2, option) if is(option, "COUNT") => {
            positive(call.argument(side + 2), "ERR count should be greater than 0")?
        }
        _ => return Err(Refusal::SYNTAX),
    };
    for key in call.request.from(at + 1).take(keys).filter(call.takes_from()) {
        if let Some(items) = take(call, key, count, front)? {
            call.reply.array(2);
            call.reply.bulk(key);
            write_items(call.reply, &items);
            return Ok(Some(()));
        }
    }
    Ok(None)
}

fn positive(argument: &[u8], refusal: &'static str) -> Result<usize, Refusal> {
    let number = integer(argument).ok().filter(|number| *number > 0);
    number.and_then(|number| usize::try_from(number).ok()).ok_or_else(|| Refusal::new(refusal))
}
