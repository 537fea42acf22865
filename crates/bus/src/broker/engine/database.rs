//! One database: keys, what they hold, and when they expire.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap, VecDeque},
    rc::Rc,
};

use super::{call::Refusal, stream::Stream};

/// What a key takes beside its name and value, in bytes.
const KEY_WEIGHT: usize = 128;
/// What an item of a list or set takes beside its bytes.
const ITEM_WEIGHT: usize = 40;

/// Expiries that are no longer true may be as many as true ones, and this many more, before they are cleared away.
const EXPIRIES_STALE_MAX: usize = 1024;

/// A key's value. An empty list or set does not exist.
#[derive(Debug)]
pub(super) enum Value {
    Text(Box<[u8]>),
    List(List),
    Set(Set),
    Stream(Box<Stream>),
}

/// A list.
#[derive(Debug, Default)]
pub(super) struct List {
    items: VecDeque<Box<[u8]>>,
    weight: usize,
}

/// A set.
#[derive(Debug, Default)]
pub(super) struct Set {
    pub(super) members: BTreeSet<Box<[u8]>>,
    weight: usize,
}

/// A key's value and end.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    /// Milliseconds since 1970.
    pub(super) expires_at: Option<i64>,
}

/// A database.
#[derive(Debug, Default)]
pub(super) struct Database {
    entries: HashMap<Rc<[u8]>, Entry>,
    /// Soonest first. One that does not match its key's entry is no longer true.
    expiries: BinaryHeap<Reverse<(i64, Rc<[u8]>)>>,
    expiring: usize,
    weight: usize,
}

impl List {
    pub(super) fn push(&mut self, item: &[u8], front: bool) {
        self.weight += ITEM_WEIGHT + item.len();
        if front { self.items.push_front(item.into()) } else { self.items.push_back(item.into()) }
    }

    pub(super) fn pop(&mut self, front: bool) -> Option<Box<[u8]>> {
        let item = if front { self.items.pop_front() } else { self.items.pop_back() }?;
        self.weight -= ITEM_WEIGHT + item.len();
        Some(item)
    }

    pub(super) fn items(&self) -> &VecDeque<Box<[u8]>> {
        &self.items
    }
}

impl Set {
    pub(super) fn add(&mut self, member: &[u8]) -> bool {
        let added = self.members.insert(member.into());
        self.weight += if added { ITEM_WEIGHT + member.len() } else { 0 };
        added
    }

    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        let removed = self.members.remove(member);
        self.weight -= if removed { ITEM_WEIGHT + member.len() } else { 0 };
        removed
    }
}

impl Value {
    fn weight(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::List(list) => list.weight,
            Self::Set(set) => set.weight,
            Self::Stream(stream) => stream.weight(),
        }
    }

    fn is_gone(&self) -> bool {
        match self {
            Self::List(list) => list.items.is_empty(),
            Self::Set(set) => set.members.is_empty(),
            Self::Text(_) | Self::Stream(_) => false,
        }
    }

    /// As `TYPE` calls it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Set(_) => "set",
            Self::Stream(_) => "stream",
        }
    }
}

/// A kind of value: how it is found in one, and how it begins.
pub(super) trait Kind: Sized {
    fn of(value: &Value) -> Option<&Self>;
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
    fn empty() -> Value;
}

macro_rules! kind {
    ($type:ty, $variant:ident, $empty:expr) => {
        impl Kind for $type {
            fn of(value: &Value) -> Option<&Self> {
                if let Value::$variant(value) = value { Some(value) } else { None }
            }
            fn of_mut(value: &mut Value) -> Option<&mut Self> {
                if let Value::$variant(value) = value { Some(value) } else { None }
            }
            fn empty() -> Value {
                Value::$variant($empty)
            }
        }
    };
}

kind!(Box<[u8]>, Text, Box::default());
kind!(List, List, List::default());
kind!(Set, Set, Set::default());
kind!(Stream, Stream, Box::default());

impl Database {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn expiring(&self) -> usize {
        self.expiring
    }

    /// Bytes taken, about.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    pub(super) fn entry(&self, key: &[u8]) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = (&Rc<[u8]>, &Entry)> {
        self.entries.iter()
    }

    /// A value of one kind, if the key is there.
    pub(super) fn get<K: Kind>(&self, key: &[u8]) -> Result<Option<&K>, Refusal> {
        match self.entries.get(key) {
            None => Ok(None),
            Some(entry) => K::of(&entry.value).map(Some).ok_or(Refusal::WRONG_TYPE),
        }
    }

    /// Changes a value of one kind, if the key is there.
    pub(super) fn change<K: Kind, R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut K) -> R,
    ) -> Result<Option<R>, Refusal> {
        let Some(entry) = self.entries.get_mut(key) else { return Ok(None) };
        let before = entry.value.weight();
        let result = change(K::of_mut(&mut entry.value).ok_or(Refusal::WRONG_TYPE)?);
        self.weight = self.weight + entry.value.weight() - before;
        if entry.value.is_gone() {
            self.remove(key);
        }
        Ok(Some(result))
    }

    /// Changes a value of one kind, which begins empty if the key is not there.
    pub(super) fn change_or_begin<K: Kind, R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut K) -> R,
    ) -> Result<R, Refusal> {
        if !self.entries.contains_key(key) {
            self.insert(key, K::empty(), None);
        }
        self.change(key, change)?.ok_or(Refusal::NO_KEY)
    }

    /// Puts a value under a key, in place of what was there.
    pub(super) fn insert(&mut self, key: &[u8], value: Value, expires_at: Option<i64>) {
        self.remove(key);
        self.weight += KEY_WEIGHT + key.len() + value.weight();
        self.entries.insert(key.into(), Entry { value, expires_at: None });
        self.expire_at(key, expires_at);
    }

    pub(super) fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.weight -= KEY_WEIGHT + key.len() + entry.value.weight();
        self.expiring -= usize::from(entry.expires_at.is_some());
        Some(entry)
    }

    /// Sets when a key expires; answers whether there is such a key.
    pub(super) fn expire_at(&mut self, key: &[u8], at: Option<i64>) -> bool {
        let Some((name, _)) = self.entries.get_key_value(key) else { return false };
        let name = name.clone();
        let Some(entry) = self.entries.get_mut(key) else { return false };
        self.expiring -= usize::from(entry.expires_at.is_some());
        self.expiring += usize::from(at.is_some());
        entry.expires_at = at;
        if let Some(at) = at {
            self.expiries.push(Reverse((at, name)));
            self.clear_stale_expiries();
        }
        true
    }

    /// Calls are answered in milliseconds and their keys live for a minute: most expiries are never reached.
    fn clear_stale_expiries(&mut self) {
        if self.expiries.len() <= 2 * self.expiring + EXPIRIES_STALE_MAX {
            return;
        }
        let entries = &self.entries;
        let is_true = |(at, key): &(i64, Rc<[u8]>)| {
            entries.get(key).is_some_and(|entry| entry.expires_at == Some(*at))
        };
        self.expiries.retain(|Reverse(expiry)| is_true(expiry));
    }

    /// Removes the next key whose time has come.
    pub(super) fn expire(&mut self, now: i64) -> Option<(Rc<[u8]>, Entry)> {
        while let Some(Reverse((at, _))) = self.expiries.peek()
            && *at <= now
        {
            let Some(Reverse((at, key))) = self.expiries.pop() else { break };
            if self.entries.get(&key).is_some_and(|entry| entry.expires_at == Some(at)) {
                return self.remove(&key).map(|entry| (key, entry));
            }
        }
        None
    }

    /// Notes that all consumers of all streams were seen.
    pub(super) fn consumers_seen(&mut self, now: i64) {
        for entry in self.entries.values_mut() {
            if let Value::Stream(stream) = &mut entry.value {
                let groups = stream.groups.values_mut();
                groups.flat_map(|group| group.consumers.values_mut()).for_each(|c| c.seen_at = now);
            }
        }
    }

    /// When the next key may expire.
    pub(super) fn next_expiry(&self) -> Option<i64> {
        self.expiries.peek().map(|Reverse((at, _))| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_returns_to_nothing_when_all_keys_are_gone() {
        let mut database = Database::default();
        database.insert(b"text", Value::Text((*b"abc").into()), Some(5));
        database.insert(b"text", Value::Text((*b"abcdef").into()), Some(9));
        database.change_or_begin(b"list", |list: &mut List| list.push(b"a", true)).unwrap();
        database.change_or_begin(b"set", |set: &mut Set| set.add(b"a")).unwrap();
        assert!(database.weight() > 3 * KEY_WEIGHT);
        assert_eq!(database.change(b"text", |_: &mut List| ()), Err(Refusal::WRONG_TYPE));
        assert_eq!(
            database.change(b"list", |list: &mut List| list.pop(false)),
            Ok(Some(Some((*b"a").into())))
        );
        assert_eq!(database.change(b"set", |set: &mut Set| set.remove(b"a")), Ok(Some(true)));
        assert!(database.expire(8).is_none());
        assert!(database.expire(9).is_some());
        assert_eq!((database.weight(), database.len(), database.expiring()), (0, 0, 0));
    }

    #[test]
    fn expiries_that_are_not_reached_do_not_pile_up() {
        let mut database = Database::default();
        for at in 0..100_000 {
            database.insert(b"key", Value::Text(Box::default()), Some(1_000_000 + at));
        }
        assert!(database.expiries.len() <= EXPIRIES_STALE_MAX + 3);
        assert!(database.expire(1_000_000).is_none());
        assert!(database.expire(1_100_000).is_some());
    }
}
