//! What is pending, and its acknowledgement.

use std::ops::Bound;

use crate::{
    broker::engine::{
        call::{Call, Flow, Handled, Refusal, is},
        stream::{Stream, StreamId, parse_bound, parse_id},
    },
    resp::Reply as _,
};

use super::stream_read::{group_of, write_id};

/// `XACK key group id …`
pub(in crate::broker::engine) fn acknowledge(call: &mut Call<'_>) -> Handled {
    let (key, group) = (call.key(), call.argument(2));
    let stream = call.engine.databases[call.database].get::<Stream>(key)?;
    if !stream.is_some_and(|stream| stream.groups.contains_key(group)) {
        call.reply.integer(0);
        return Ok(Flow::Done);
    }
    let ids = call.request.from(3).map(|id| parse_id(id, 0)).collect::<Result<Vec<_>, _>>()?;
    let acknowledged = call.data().change(key, |stream: &mut Stream| {
        let group = stream.groups.get_mut(group)?;
        Some(ids.iter().filter(|id| group.acknowledge(**id)).count())
    })?;
    let acknowledged = acknowledged.flatten().unwrap_or(0);
    if acknowledged > 0 {
        call.record_request();
    }
    call.reply.integer(acknowledged as i64);
    Ok(Flow::Done)
}

/// `XPENDING key group [[IDLE ms] start end count [consumer]]`
pub(in crate::broker::engine) fn pending(call: &mut Call<'_>) -> Handled {
    let (key, group) = (call.key(), call.argument(2));
    if call.request.len() == 3 {
        group_of(call, key, group)?;
        summary(call);
        return Ok(Flow::Done);
    }
    let (idle_min, at) = if is(call.argument(3), "IDLE") {
        if call.request.len() < 8 {
            return Err(Refusal::SYNTAX);
        }
        (call.integer(4)?, 5)
    } else {
        (0, 3)
    };
    if !(at + 3..=at + 4).contains(&call.request.len()) {
        return Err(Refusal::SYNTAX);
    }
    let count = usize::try_from(call.integer(at + 2)?).unwrap_or(0);
    let start = parse_bound(call.argument(at), Bound::Included(()))?;
    let end = parse_bound(call.argument(at + 1), Bound::Excluded(()))?;
    let consumer = call.request.get(at + 3);
    let (stream, name) = group_of(call, key, group)?;
    let pending = &stream.groups[name].pending;
    let is_wanted = |delivered_at: i64| idle_min <= 0 || call.now - delivered_at >= idle_min;
    let mut found = Vec::new();
    if start <= end {
        let wanted = pending
            .range(start..=end)
            .filter(|(_, held)| is_wanted(held.delivered_at))
            .filter(|(_, held)| consumer.is_none_or(|consumer| *held.consumer == *consumer));
        found.extend(wanted.take(count).map(|(id, held)| (*id, held.clone())));
    }
    call.reply.array(found.len());
    for (id, held) in found {
        call.reply.array(4);
        write_id(call.reply, id);
        call.reply.bulk(&held.consumer);
        call.reply.integer((call.now - held.delivered_at).max(0));
        call.reply.integer(held.deliveries as i64);
    }
    Ok(Flow::Done)
}

/// How much is pending, from which to which id, and how much of it with each consumer.
fn summary(call: &mut Call<'_>) {
    let data = &call.engine.databases[call.database];
    let stream = data.get::<Stream>(call.key()).ok().flatten();
    let Some(group) = stream.and_then(|stream| stream.groups.get(call.argument(2))) else { return };
    let reply = &mut *call.reply;
    reply.array(4);
    reply.integer(group.pending.len() as i64);
    let mut end = |held: Option<(&StreamId, _)>| match held {
        Some((id, _)) => write_id(reply, *id),
        None => reply.null(),
    };
    end(group.pending.first_key_value());
    end(group.pending.last_key_value());
    let holding = group.consumers.iter().filter(|(_, consumer)| !consumer.pending.is_empty());
    let holding: Vec<_> = holding.collect();
    if holding.is_empty() {
        return reply.null_array();
    }
    reply.array(holding.len());
    for (name, consumer) in holding {
        reply.array(2);
        reply.bulk(name);
        reply.bulk(consumer.pending.len().to_string().as_bytes());
    }
}
