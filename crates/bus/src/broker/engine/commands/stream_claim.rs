//! Entries of consumers that are slow or dead, given to another.

use std::ops::Bound;

use crate::{
    broker::engine::{
        call::{Call, Flow, Handled, Refusal, integer, is},
        effects::read_text,
        stream::{Pending, Stream, StreamId, parse_bound, parse_id},
    },
    resp::Reply as _,
};

use super::{
    stream_add::write_entry,
    stream_read::{group_of, record_pending, write_id},
};

/// Entries looked at by one `XAUTOCLAIM`, for each that is wanted. Source: Redis.
const ATTEMPTS_PER_ENTRY: usize = 10;
/// Entries claimed by one `XAUTOCLAIM`, where nothing is said.
const COUNT: usize = 100;

/// How entries are claimed.
struct Claim {
    idle_min: i64,
    delivered_at: i64,
    deliveries: Option<u64>,
    forces: bool,
    only_ids: bool,
    last_id: StreamId,
}

/// What became of entries.
#[derive(Default)]
struct Claimed {
    /// With when and how often they were given.
    claimed: Vec<(StreamId, i64, u64)>,
    /// Pending, but not in the stream any more.
    deleted: Vec<StreamId>,
}

impl Claim {
    /// `min-idle id … [IDLE ms] [TIME ms] [RETRYCOUNT n] [FORCE] [JUSTID] [LASTID id]`
    fn read(call: &Call<'_>) -> Result<(Self, Vec<StreamId>), Refusal> {
        let idle_min = call
            .integer(4)
            .map_err(|_| Refusal::new("ERR Invalid min-idle-time argument for XCLAIM"))?;
        let mut at = 5;
        let mut ids = Vec::new();
        while let Some(id) = call.request.get(at).and_then(|text| parse_id(text, 0).ok()) {
            ids.push(id);
            at += 1;
        }
        let mut claim = Self {
            idle_min: idle_min.max(0),
            delivered_at: call.now,
            deliveries: None,
            forces: false,
            only_ids: false,
            last_id: StreamId::MIN,
        };
        while let Some(option) = call.request.get(at) {
            let value = call.request.get(at + 1);
            let number = |what: &str| {
                let refusal = format!("ERR Invalid {what} option argument for XCLAIM");
                integer(value.unwrap_or_default()).map_err(|_| Refusal(refusal.into()))
            };
            match (option.to_ascii_uppercase().as_slice(), value) {
                (b"FORCE", _) => claim.forces = true,
                (b"JUSTID", _) => claim.only_ids = true,
                (b"IDLE", Some(_)) => claim.delivered_at = call.now.saturating_sub(number("IDLE")?),
                (b"TIME", Some(_)) => claim.delivered_at = number("TIME")?,
                (b"RETRYCOUNT", Some(_)) => {
                    claim.deliveries = u64::try_from(number("RETRYCOUNT")?).ok();
                }
                (b"LASTID", Some(id)) => claim.last_id = parse_id(id, 0)?,
                (option, _) => {
                    let option = String::from_utf8_lossy(option);
                    return Err(Refusal(
                        format!("ERR Unrecognized XCLAIM option '{option}'").into(),
                    ));
                }
            }
            let has_value = !matches!(option.len(), 5 | 6) || is(option, "LASTID");
            at += if has_value { 2 } else { 1 };
        }
        if claim.delivered_at < 0 || claim.delivered_at > call.now {
            claim.delivered_at = call.now;
        }
        Ok((claim, ids))
    }

    /// Claims one entry, if it is pending for long enough.
    fn one(
        &self,
        stream: &mut Stream,
        group: &[u8],
        consumer: &[u8],
        id: StreamId,
        claimed: &mut Claimed,
        now: i64,
    ) {
        let is_there = stream.get(id).is_some();
        let Some(group) = stream.groups.get_mut(group) else { return };
        if !is_there {
            if group.acknowledge(id) {
                claimed.deleted.push(id);
            }
            return;
        }
        let deliveries = match group.pending.get(&id) {
            Some(held) if self.idle_min > 0 && now - held.delivered_at < self.idle_min => return,
            Some(held) => held.deliveries,
            None if self.forces => 1,
            None => return,
        };
        let deliveries = self.deliveries.unwrap_or_else(|| deliveries + u64::from(!self.only_ids));
        let (consumer, _) = group.consumer(consumer, now);
        let delivered_at = self.delivered_at;
        group.assign(id, Pending { consumer, delivered_at, deliveries });
        claimed.claimed.push((id, delivered_at, deliveries));
    }
}

/// `XCLAIM key group consumer min-idle id … [options]`
pub(in crate::broker::engine) fn claim(call: &mut Call<'_>) -> Handled {
    let (key, group, consumer) = (call.key(), call.argument(2), call.argument(3));
    group_of(call, key, group)?;
    let (claim, ids) = Claim::read(call)?;
    let now = call.now;
    let claimed = call.data().change(key, |stream: &mut Stream| {
        let mut claimed = Claimed::default();
        let group_state = stream.groups.get_mut(group)?;
        group_state.seen(consumer, now);
        let skips = claim.last_id > group_state.last_id;
        if skips {
            group_state.last_id = claim.last_id;
        }
        let skips = skips.then_some(group_state.entries_read);
        for id in ids {
            claim.one(stream, group, consumer, id, &mut claimed, now);
        }
        Some((claimed, skips))
    })?;
    let (claimed, skips) = claimed.flatten().unwrap_or_default();
    if let Some(entries_read) = skips {
        let (id, read) = (claim.last_id.to_string(), read_text(entries_read));
        let parts: [&[u8]; 7] =
            [b"XGROUP", b"SETID", key, group, id.as_bytes(), b"ENTRIESREAD", read.as_bytes()];
        call.record_lazily(&parts);
    }
    record(call, key, group, consumer, &claimed);
    write(call, key, &claimed, claim.only_ids);
    Ok(Flow::Done)
}

/// `XAUTOCLAIM key group consumer min-idle start [COUNT n] [JUSTID]`
pub(in crate::broker::engine) fn claim_any(call: &mut Call<'_>) -> Handled {
    let (key, group, consumer) = (call.key(), call.argument(2), call.argument(3));
    let idle_min = call
        .integer(4)
        .map_err(|_| Refusal::new("ERR Invalid min-idle-time argument for XAUTOCLAIM"))?;
    let start = parse_bound(call.argument(5), Bound::Included(()))?;
    let (mut count, mut only_ids, mut at) = (COUNT, false, 6);
    while let Some(option) = call.request.get(at) {
        if is(option, "COUNT") && call.request.get(at + 1).is_some() {
            at += 1;
            let most = i64::MAX / ATTEMPTS_PER_ENTRY as i64;
            let number = call.integer(at).ok().filter(|number| (1..=most).contains(number));
            let number = number.ok_or(Refusal::new("ERR COUNT must be > 0"))?;
            count = number as usize;
        } else if is(option, "JUSTID") {
            only_ids = true;
        } else {
            return Err(Refusal::SYNTAX);
        }
        at += 1;
    }
    group_of(call, key, group)?;
    let now = call.now;
    let claim = Claim {
        idle_min: idle_min.max(0),
        delivered_at: now,
        deliveries: None,
        forces: false,
        only_ids,
        last_id: StreamId::MIN,
    };
    let claimed = call.data().change(key, |stream: &mut Stream| {
        stream.groups.get_mut(group)?.seen(consumer, now);
        let mut claimed = Claimed::default();
        let mut next = Bound::Included(start);
        let mut attempts = count.saturating_mul(ATTEMPTS_PER_ENTRY);
        let following = |stream: &Stream, next| {
            let pending = &stream.groups.get(group)?.pending;
            pending.range((next, Bound::Unbounded)).next().map(|(id, _)| *id)
        };
        while attempts > 0
            && claimed.claimed.len() + claimed.deleted.len() < count
            && let Some(id) = following(stream, next)
        {
            attempts -= 1;
            next = Bound::Excluded(id);
            claim.one(stream, group, consumer, id, &mut claimed, now);
        }
        Some((claimed, following(stream, next)))
    })?;
    let (claimed, next) = claimed.flatten().unwrap_or_default();
    record(call, key, group, consumer, &claimed);
    call.reply.array(3);
    write_id(call.reply, next.unwrap_or(StreamId::MIN));
    write(call, key, &claimed, only_ids);
    call.reply.array(claimed.deleted.len());
    claimed.deleted.iter().for_each(|id| write_id(call.reply, *id));
    Ok(Flow::Done)
}

fn record(call: &mut Call<'_>, key: &[u8], group: &[u8], consumer: &[u8], claimed: &Claimed) {
    for pending in &claimed.claimed {
        record_pending(call, key, group, consumer, *pending);
    }
    for id in &claimed.deleted {
        call.record_lazily(&[b"XACK", key, group, id.to_string().as_bytes()]);
    }
}

fn write(call: &mut Call<'_>, key: &[u8], claimed: &Claimed, only_ids: bool) {
    let stream = call.engine.databases[call.database].get::<Stream>(key).ok().flatten();
    call.reply.array(claimed.claimed.len());
    for (id, _, _) in &claimed.claimed {
        match stream.and_then(|stream| stream.get(*id)) {
            Some(entry) if !only_ids => write_entry(call.reply, *id, &entry.fields),
            _ => write_id(call.reply, *id),
        }
    }
}
