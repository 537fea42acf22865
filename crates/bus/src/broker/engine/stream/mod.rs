//! A stream: entries in the order of their ids, and groups that read them.

mod group;
mod id;

use std::{
    collections::{BTreeMap, VecDeque},
    ops::{Bound, RangeBounds},
    rc::Rc,
};

pub(super) use group::{Group, Pending};
pub(super) use id::{StreamId, parse_bound, parse_id, parse_partial};

/// What an entry takes beside its fields, in bytes.
const ENTRY_WEIGHT: usize = 48;

/// Entries beyond the wanted length that `MAXLEN ~` and `MINID ~` tolerate, so that they remove many at a time. As in Redis,
/// where it is the size of a node.
const TOLERANCE: usize = 100;

/// A stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    entries: VecDeque<Entry>,
    /// The highest id ever used.
    pub(super) last_id: StreamId,
    /// How many entries were ever added.
    pub(super) added: u64,
    /// The highest id that was deleted from the middle.
    pub(super) deleted_max: StreamId,
    pub(super) groups: BTreeMap<Rc<[u8]>, Group>,
    /// Bytes of entries; those of groups are asked for.
    entries_weight: usize,
}

/// An entry. The fields are kept as the RESP2 array that will be the reply.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: StreamId,
    pub(super) fields: Box<[u8]>,
}

/// How a stream is to be shortened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trim {
    pub(super) to: TrimTo,
    /// Whether a few entries more may stay.
    pub(super) roughly: bool,
    /// No more than this are removed.
    pub(super) removed_max: usize,
}

/// What stays when a stream is shortened.
#[derive(Debug, Clone, Copy)]
pub(super) enum TrimTo {
    /// So many entries, the newest.
    Length(u64),
    /// Entries from this id on.
    Id(StreamId),
}

impl Stream {
    pub(super) fn weight(&self) -> usize {
        let groups = self.groups.iter().map(|(name, group)| name.len() + group.weight());
        self.entries_weight + groups.sum::<usize>()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn first(&self) -> Option<&Entry> {
        self.entries.front()
    }

    pub(super) fn last(&self) -> Option<&Entry> {
        self.entries.back()
    }

    pub(super) fn first_id(&self) -> StreamId {
        self.first().map_or(StreamId::MIN, |entry| entry.id)
    }

    /// Adds an entry at the end; `id` is higher than `last_id`.
    pub(super) fn add(&mut self, id: StreamId, fields: Box<[u8]>) {
        self.entries_weight += ENTRY_WEIGHT + fields.len();
        self.entries.push_back(Entry { id, fields });
        self.last_id = id;
        self.added += 1;
    }

    /// Puts back an entry that was there, wherever it belongs.
    pub(super) fn restore(&mut self, id: StreamId, fields: Box<[u8]>) {
        let at = self.entries.partition_point(|entry| entry.id < id);
        if self.entries.get(at).is_none_or(|entry| entry.id != id) {
            self.entries_weight += ENTRY_WEIGHT + fields.len();
            self.entries.insert(at, Entry { id, fields });
        }
    }

    pub(super) fn get(&self, id: StreamId) -> Option<&Entry> {
        let at = self.entries.binary_search_by_key(&id, |entry| entry.id).ok()?;
        self.entries.get(at)
    }

    /// Entries with ids in a range, oldest first.
    pub(super) fn range(
        &self,
        range: impl RangeBounds<StreamId>,
    ) -> impl DoubleEndedIterator<Item = &Entry> {
        let place = |bound: Bound<&StreamId>, from: bool| match bound {
            Bound::Unbounded if from => 0,
            Bound::Unbounded => self.entries.len(),
            Bound::Included(id) if from => self.entries.partition_point(|entry| entry.id < *id),
            Bound::Excluded(id) if !from => self.entries.partition_point(|entry| entry.id < *id),
            Bound::Included(id) | Bound::Excluded(id) => {
                self.entries.partition_point(|entry| entry.id <= *id)
            }
        };
        let start = place(range.start_bound(), true);
        let end = place(range.end_bound(), false).max(start);
        self.entries.range(start..end)
    }

    /// Removes an entry from wherever it is.
    pub(super) fn delete(&mut self, id: StreamId) -> bool {
        let Ok(at) = self.entries.binary_search_by_key(&id, |entry| entry.id) else { return false };
        if let Some(entry) = self.entries.remove(at) {
            self.entries_weight -= ENTRY_WEIGHT + entry.fields.len();
        }
        self.deleted_max = self.deleted_max.max(id);
        true
    }

    /// Removes the oldest entries; answers how many.
    pub(super) fn trim(&mut self, trim: &Trim) -> usize {
        let surplus = match trim.to {
            TrimTo::Length(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                self.len().saturating_sub(length)
            }
            TrimTo::Id(id) => self.entries.partition_point(|entry| entry.id < id),
        };
        let surplus = surplus.min(trim.removed_max);
        let removed = if trim.roughly { surplus - surplus % TOLERANCE } else { surplus };
        for entry in self.entries.drain(..removed) {
            self.entries_weight -= ENTRY_WEIGHT + entry.fields.len();
        }
        removed
    }

    /// Whether an entry at or after `id` was deleted from the middle, so that counting fails. Source: Redis,
    /// `streamRangeHasTombstones`.
    pub(super) fn has_gaps_from(&self, id: StreamId) -> bool {
        !self.entries.is_empty()
            && self.deleted_max != StreamId::MIN
            && self.first_id() <= self.deleted_max
            && id <= self.deleted_max
    }

    /// How many entries were ever added up to `id`, where that can be told. Source: Redis,
    /// `streamEstimateDistanceFromFirstEverEntry`.
    pub(super) fn added_up_to(&self, id: StreamId) -> Option<u64> {
        let length = self.len() as u64;
        if self.added == 0 {
            return Some(0);
        }
        if (length == 0 && id <= self.last_id) || id == self.last_id {
            return Some(self.added);
        }
        let first = self.first_id();
        let whole = self.deleted_max == StreamId::MIN || self.deleted_max < first;
        if id > self.last_id || !whole || id > first {
            return None;
        }
        Some(self.added.saturating_sub(length) + u64::from(id == first))
    }

    /// How many entries a group has still to read, where that can be told. Source: Redis, `streamReplyWithCGLag`.
    pub(super) fn lag(&self, group: &Group) -> Option<i64> {
        let read = match group.entries_read {
            _ if self.added == 0 => Some(0),
            Some(read) if !self.has_gaps_from(group.last_id) => Some(read),
            _ => self.added_up_to(group.last_id),
        };
        Some(self.added as i64 - read? as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId { ms, seq: 0 }
    }

    fn ids<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<u64> {
        entries.map(|entry| entry.id.ms).collect()
    }

    fn stream(length: u64) -> Stream {
        let mut stream = Stream::default();
        (1..=length).for_each(|ms| stream.add(id(ms), Box::new([0; 10])));
        stream
    }

    #[test]
    fn ranges_include_and_exclude_their_ends() {
        let stream = stream(5);
        assert_eq!(ids(stream.range(..)), [1, 2, 3, 4, 5]);
        assert_eq!(ids(stream.range(id(2)..=id(4))), [2, 3, 4]);
        assert_eq!(ids(stream.range((Bound::Excluded(id(2)), Bound::Excluded(id(4))))), [3]);
        assert!(ids(stream.range(id(4)..=id(2))).is_empty());
        assert!(ids(stream.range(id(9)..).rev()).is_empty());
    }

    #[test]
    fn weight_returns_to_nothing_whichever_way_entries_go() {
        let mut stream = stream(10);
        assert_eq!(stream.weight(), 10 * (ENTRY_WEIGHT + 10));
        assert!(stream.delete(id(5)) && !stream.delete(id(5)));
        stream.restore(id(5), Box::new([0; 10]));
        stream.restore(id(5), Box::new([0; 10]));
        assert_eq!(ids(stream.range(id(4)..id(7))), [4, 5, 6]);
        let trim = Trim { to: TrimTo::Id(id(8)), roughly: false, removed_max: 4 };
        assert_eq!(stream.trim(&trim), 4);
        assert_eq!(stream.trim(&trim), 3);
        assert_eq!(stream.trim(&Trim { to: TrimTo::Length(0), roughly: false, removed_max: 9 }), 3);
        assert_eq!(stream.weight(), 0);
    }

    #[test]
    fn a_rough_trim_keeps_what_it_must_and_few_more() {
        let mut stream = stream(1000);
        let to =
            |length| Trim { to: TrimTo::Length(length), roughly: true, removed_max: usize::MAX };
        assert_eq!(stream.trim(&to(950)), 0);
        assert_eq!(stream.trim(&to(650)), 300);
        assert_eq!((stream.len(), stream.first_id()), (700, id(301)));
    }
}
