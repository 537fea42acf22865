//! What changed, as commands that make the same change again: the lines of the log.
//!
//! They are commands of this engine with every choice made: ids and times are written out. Running them in their order on an empty
//! engine makes the same state.

use super::stream::StreamId;
use crate::resp::{Reply as _, Request};

/// Keys that live in memory only, though they are neither lists nor anything else that does: the guard keys of calls, which
/// nobody wants any more after a restart.
const MEMORY_ONLY: &[&[u8]] = &[b"rpc_expiry_key:"];

/// Changes that are not yet in the log.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Whether there is a log at all.
    enabled: bool,
    buffer: Vec<u8>,
    /// The database the last command was for.
    database: Option<usize>,
    /// Bytes written since the beginning, the buffer included.
    position: u64,
    /// Up to where the log must be before replies may go out.
    required: u64,
}

/// Whether strings under this key are written down.
pub(super) fn outlives_restart(key: &[u8]) -> bool {
    !MEMORY_ONLY.iter().any(|prefix| key.starts_with(prefix))
}

/// How many entries a group has read, as it stands in the log.
pub(super) fn read_text(entries_read: Option<u64>) -> String {
    entries_read.map_or_else(|| "-1".to_owned(), |read| read.to_string())
}

impl Effects {
    pub(super) fn enable(&mut self) {
        self.enabled = true;
    }

    /// Adds a command.
    pub(super) fn record(&mut self, database: usize, parts: &[&[u8]]) {
        self.append(database, parts.iter().copied());
    }

    pub(super) fn record_request(&mut self, database: usize, request: Request<'_>) {
        self.append(database, request.from(0));
    }

    /// Adds a command whose last arguments are `fields`, an encoded array.
    pub(super) fn record_entry(&mut self, database: usize, parts: &[&[u8]], fields: &[u8]) {
        let (count, fields) = split_array(fields);
        self.append_with(database, parts.iter().copied(), count, fields);
    }

    /// Adds with whom an entry is pending: its id, when it was given, and how often.
    pub(super) fn record_pending(
        &mut self,
        database: usize,
        key: &[u8],
        group: &[u8],
        consumer: &[u8],
        (id, at, deliveries): (StreamId, i64, u64),
    ) {
        let (id, at, deliveries) = (id.to_string(), at.to_string(), deliveries.to_string());
        let parts: [&[u8]; 7] = [
            b"LOG.PENDING",
            key,
            group,
            consumer,
            at.as_bytes(),
            deliveries.as_bytes(),
            id.as_bytes(),
        ];
        self.record(database, &parts);
    }

    fn append<'a>(&mut self, database: usize, parts: impl ExactSizeIterator<Item = &'a [u8]>) {
        self.append_with(database, parts, 0, b"");
    }

    fn append_with<'a>(
        &mut self,
        database: usize,
        parts: impl ExactSizeIterator<Item = &'a [u8]>,
        more: usize,
        encoded: &[u8],
    ) {
        if !self.enabled {
            return;
        }
        let before = self.buffer.len();
        if self.database != Some(database) {
            self.database = Some(database);
            self.buffer.array(2);
            self.buffer.bulk(b"SELECT");
            self.buffer.bulk(database.to_string().as_bytes());
        }
        self.buffer.array(parts.len() + more);
        parts.for_each(|part| self.buffer.bulk(part));
        self.buffer.extend_from_slice(encoded);
        self.position += (self.buffer.len() - before) as u64;
    }

    /// Replies from here on wait for what was recorded.
    pub(super) fn require(&mut self) {
        self.required = self.position;
    }

    pub(super) fn required(&self) -> u64 {
        self.required
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// What was recorded since it was last taken. It can be run without what came before it, but for the state.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.database = None;
        std::mem::take(&mut self.buffer)
    }
}

/// The length of an encoded array, and its encoded items.
fn split_array(encoded: &[u8]) -> (usize, &[u8]) {
    let end = encoded.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let digits = encoded.get(1..end.saturating_sub(2)).unwrap_or_default();
    let count = str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    (count, &encoded[end..])
}
