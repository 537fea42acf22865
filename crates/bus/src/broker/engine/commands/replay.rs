//! Commands of the log alone: what `XREADGROUP` and `XCLAIM` came to, and streams as they were.

use super::stream_add::encode;
use crate::broker::engine::{
    call::{Call, Flow, Handled, Refusal},
    stream::{Pending, Stream, parse_id},
};

/// `LOG.DELIVERED key group consumer at entries-read last-id [id …]`: a consumer was given new entries.
pub(in crate::broker::engine) fn delivered(call: &mut Call<'_>) -> Handled {
    let (key, name, consumer) = (call.key(), call.argument(2), call.argument(3));
    let at = call.integer(4)?;
    let entries_read = u64::try_from(call.integer(5)?).ok();
    let last_id = parse_id(call.argument(6), 0)?;
    let ids = call.request.from(7).map(|id| parse_id(id, 0)).collect::<Result<Vec<_>, _>>()?;
    call.data().change(key, |stream: &mut Stream| {
        let Some(group) = stream.groups.get_mut(name) else { return };
        let (consumer, _) = group.consumer(consumer, at);
        for id in ids {
            let consumer = consumer.clone();
            group.assign(id, Pending { consumer, delivered_at: at, deliveries: 1 });
        }
        group.last_id = group.last_id.max(last_id);
        group.entries_read = entries_read;
    })?;
    Ok(Flow::Done)
}

/// `LOG.PENDING key group consumer at deliveries id`: with whom an entry is pending.
pub(in crate::broker::engine) fn pending(call: &mut Call<'_>) -> Handled {
    let (key, name, consumer) = (call.key(), call.argument(2), call.argument(3));
    let delivered_at = call.integer(4)?;
    let deliveries = u64::try_from(call.integer(5)?).unwrap_or(0);
    let id = parse_id(call.argument(6), 0)?;
    call.data().change(key, |stream: &mut Stream| {
        let Some(group) = stream.groups.get_mut(name) else { return };
        let (consumer, _) = group.consumer(consumer, delivered_at);
        group.assign(id, Pending { consumer, delivered_at, deliveries });
    })?;
    Ok(Flow::Done)
}

/// `LOG.STREAM key last-id added deleted-max`: what a stream is at this moment. Its groups follow in the same row of the log, its
/// entries in this and later ones; until the last of those is written, the entries from before are all there is of the rest.
pub(in crate::broker::engine) fn stream(call: &mut Call<'_>) -> Handled {
    let last_id = parse_id(call.argument(2), 0)?;
    let added = u64::try_from(call.integer(3)?).map_err(|_| Refusal::INTEGER)?;
    let deleted_max = parse_id(call.argument(4), 0)?;
    let key = call.key();
    if call.data().get::<Stream>(key).is_err() {
        call.data().remove(key);
    }
    call.data().change_or_begin(key, |stream: &mut Stream| {
        stream.last_id = last_id;
        stream.added = added;
        stream.deleted_max = deleted_max;
        stream.groups.clear();
    })?;
    call.data().expire_at(key, None);
    Ok(Flow::Done)
}

/// `LOG.ENTRY key id field value …`: an entry that was there.
pub(in crate::broker::engine) fn entry(call: &mut Call<'_>) -> Handled {
    let id = parse_id(call.argument(2), 0)?;
    let (key, encoded) = (call.key(), encode(call.request.from(3)));
    call.data().change(key, |stream: &mut Stream| stream.restore(id, encoded))?;
    Ok(Flow::Done)
}
