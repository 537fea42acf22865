//! The log written anew, a little at a time.
//!
//! A pass goes through the keys there are and records each as it is at that moment, between ordinary changes. When it is through,
//! what was recorded before it began is no longer needed: whoever reads the log from there on may meet changes of keys whose value
//! only follows, and those changes do not matter. A pass that is cut off matters to nobody: repeated after everything else it changes
//! nothing, wherever it ends.

use std::{ops::Bound, rc::Rc};

use super::{
    Engine,
    database::{Entry, Value},
    effects::read_text,
    stream::{Stream, StreamId},
};

/// Members of a set in one command.
const MEMBERS_MAX: usize = 1000;

/// A pass through all keys.
#[derive(Debug)]
pub struct Snapshot {
    /// Still to be recorded.
    keys: Vec<(usize, Rc<[u8]>)>,
    /// A stream that is recorded in part, up to this entry.
    after: Option<StreamId>,
}

impl Engine {
    /// Begins a pass.
    pub fn begin_snapshot(&self) -> Snapshot {
        let all = self.databases.iter().enumerate();
        let keys =
            all.flat_map(|(number, data)| data.keys().map(move |(key, _)| (number, key.clone())));
        Snapshot { keys: keys.collect(), after: None }
    }

    /// Records some more keys, about so many bytes of them; answers whether the pass is through.
    pub fn continue_snapshot(&mut self, snapshot: &mut Snapshot, bytes: usize) -> bool {
        let start = self.effects.pending();
        while self.effects.pending() - start < bytes {
            let Some((database, key)) = snapshot.keys.last().cloned() else { return true };
            snapshot.after = self.record_key(database, &key, snapshot.after, bytes);
            if snapshot.after.is_none() {
                snapshot.keys.pop();
            }
        }
        false
    }

    /// Records a key. Of a long stream answers up to where; the rest is recorded next.
    fn record_key(
        &mut self,
        database: usize,
        key: &[u8],
        after: Option<StreamId>,
        bytes: usize,
    ) -> Option<StreamId> {
        let Self { databases, effects, .. } = self;
        let Entry { value, expires_at } = databases[database].entry(key)?;
        if !value.outlives_restart(key) {
            return None;
        }
        match value {
            Value::List(_) => (),
            Value::Text(text) => effects.record(database, &[b"SET", key, text]),
            Value::Set(set) => {
                effects.record(database, &[b"DEL", key]);
                let members: Vec<&[u8]> = set.members.iter().map(|member| &**member).collect();
                for some in members.chunks(MEMBERS_MAX) {
                    effects.record(database, &[&[b"SADD", key], some].concat());
                }
            }
            Value::Stream(_) => {
                if after.is_none() {
                    self.record_stream(database, key);
                }
                return self.record_entries(database, key, after.unwrap_or(StreamId::MIN), bytes);
            }
        }
        if let Some(at) = expires_at {
            effects.record(database, &[b"PEXPIREAT", key, at.to_string().as_bytes()]);
        }
        None
    }

    /// Records a stream but for its entries.
    fn record_stream(&mut self, database: usize, key: &[u8]) {
        let Self { databases, effects, .. } = self;
        let Some(entry) = databases[database].entry(key) else { return };
        let Value::Stream(stream) = &entry.value else { return };
        let (last, added, deleted) =
            (stream.last_id.to_string(), stream.added.to_string(), stream.deleted_max.to_string());
        effects.record(
            database,
            &[b"LOG.STREAM", key, last.as_bytes(), added.as_bytes(), deleted.as_bytes()],
        );
        if let Some(at) = entry.expires_at {
            effects.record(database, &[b"PEXPIREAT", key, at.to_string().as_bytes()]);
        }
        for (name, group) in &stream.groups {
            let last = group.last_id.to_string();
            let read = read_text(group.entries_read);
            let parts: [&[u8]; 7] =
                [b"XGROUP", b"CREATE", key, name, last.as_bytes(), b"ENTRIESREAD", read.as_bytes()];
            effects.record(database, &parts);
            for consumer in group.consumers.keys() {
                effects.record(database, &[b"XGROUP", b"CREATECONSUMER", key, name, consumer]);
            }
            for (id, held) in &group.pending {
                let pending = (*id, held.delivered_at, held.deliveries);
                effects.record_pending(database, key, name, &held.consumer, pending);
            }
        }
    }

    fn record_entries(
        &mut self,
        database: usize,
        key: &[u8],
        after: StreamId,
        bytes: usize,
    ) -> Option<StreamId> {
        let Self { databases, effects, .. } = self;
        let stream = databases[database].get::<Stream>(key).ok()??;
        let start = effects.pending();
        for entry in stream.range((Bound::Excluded(after), Bound::Unbounded)) {
            let id = entry.id.to_string();
            effects.record_entry(database, &[b"LOG.ENTRY", key, id.as_bytes()], &entry.fields);
            if effects.pending() - start >= bytes {
                return Some(entry.id);
            }
        }
        None
    }
}
