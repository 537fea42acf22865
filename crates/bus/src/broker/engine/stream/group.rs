//! A group of consumers that share a stream: what each was given and has not acknowledged.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{Stream, StreamId};

/// What a group, a consumer and a pending entry take beside their names, in bytes.
const GROUP_WEIGHT: usize = 256;
const CONSUMER_WEIGHT: usize = 192;
const PENDING_WEIGHT: usize = 160;

/// A consumer group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// The last entry that was given to anyone.
    pub(crate) last_id: StreamId,
    /// How many entries were given out, where that is known.
    pub(crate) entries_read: Option<u64>,
    /// What was given out and not acknowledged.
    pub(crate) pending: BTreeMap<StreamId, Pending>,
    pub(crate) consumers: BTreeMap<Rc<[u8]>, Consumer>,
    /// Bytes of the names of consumers.
    names_bytes: usize,
}

/// An entry given to a consumer.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) consumer: Rc<[u8]>,
    /// When, in milliseconds since 1970.
    pub(crate) delivered_at: i64,
    pub(crate) deliveries: u64,
}

/// A member of a group.
#[derive(Debug, Default)]
pub(crate) struct Consumer {
    /// When it last asked for something, in milliseconds since 1970.
    pub(crate) seen_at: i64,
    pub(crate) pending: BTreeSet<StreamId>,
}

impl Group {
    pub(crate) fn new(last_id: StreamId, entries_read: Option<u64>) -> Self {
        Self { last_id, entries_read, ..Self::default() }
    }

    pub(crate) fn weight(&self) -> usize {
        GROUP_WEIGHT
            + self.consumers.len() * CONSUMER_WEIGHT
            + self.names_bytes
            + self.pending.len() * PENDING_WEIGHT
    }

    /// Makes a consumer if it is not there; answers its name, and whether it was made.
    pub(crate) fn consumer(&mut self, name: &[u8], now: i64) -> (Rc<[u8]>, bool) {
        if let Some((name, _)) = self.consumers.get_key_value(name) {
            return (name.clone(), false);
        }
        let name: Rc<[u8]> = name.into();
        self.names_bytes += name.len();
        self.consumers.insert(name.clone(), Consumer { seen_at: now, ..Consumer::default() });
        (name, true)
    }

    /// Notes that a consumer asked for something.
    pub(crate) fn seen(&mut self, name: &[u8], now: i64) {
        if let Some(consumer) = self.consumers.get_mut(name) {
            consumer.seen_at = now;
        }
    }

    /// Gives an entry to a consumer, whoever had it.
    pub(crate) fn assign(&mut self, id: StreamId, pending: Pending) {
        let consumer = pending.consumer.clone();
        if let Some(before) = self.pending.insert(id, pending)
            && before.consumer != consumer
            && let Some(other) = self.consumers.get_mut(&before.consumer)
        {
            other.pending.remove(&id);
        }
        if let Some(consumer) = self.consumers.get_mut(&consumer) {
            consumer.pending.insert(id);
        }
    }

    /// Forgets that an entry is pending; answers whether it was.
    pub(crate) fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(&id) else { return false };
        if let Some(consumer) = self.consumers.get_mut(&pending.consumer) {
            consumer.pending.remove(&id);
        }
        true
    }

    /// Removes a consumer and what is pending with it; answers how much that was.
    pub(crate) fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let consumer = self.consumers.remove(name)?;
        self.names_bytes -= name.len();
        for id in &consumer.pending {
            self.pending.remove(id);
        }
        Some(consumer.pending.len())
    }
}

impl Stream {
    /// Notes that a group was given the entry `id`, the next it had not seen. Source: Redis, `streamReplyWithRange`.
    pub(crate) fn advance(&mut self, group: &[u8], id: StreamId) {
        let gaps = self.has_gaps_from(id);
        let added = self.added_up_to(id);
        let anything = self.added > 0;
        let Some(group) = self.groups.get_mut(group) else { return };
        if id <= group.last_id {
            return;
        }
        match &mut group.entries_read {
            Some(read) if !gaps => *read += 1,
            read if anything => *read = added,
            _ => (),
        }
        group.last_id = id;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_pending_with_one_consumer_only() {
        let mut group = Group::default();
        let id = StreamId { ms: 1, seq: 0 };
        let (ann, made) = group.consumer(b"ann", 5);
        let (bob, _) = group.consumer(b"bob", 5);
        assert!(made && !group.consumer(b"ann", 6).1);
        for consumer in [&ann, &bob, &ann] {
            let pending = Pending { consumer: consumer.clone(), delivered_at: 7, deliveries: 1 };
            group.assign(id, pending);
        }
        let held = |group: &Group, name: &[u8]| group.consumers[name].pending.len();
        assert_eq!((held(&group, b"ann"), held(&group, b"bob"), group.pending.len()), (1, 0, 1));
        assert_eq!(group.remove_consumer(b"bob"), Some(0));
        assert_eq!(group.remove_consumer(b"ann"), Some(1));
        assert!(group.pending.is_empty() && !group.acknowledge(id));
    }
}
