//! What a listener was given and has not brought to its end.
//!
//! How much more may be read follows from this alone, so no error on the way can lose or make room.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::transport::streams::EntryId;

/// The events a listener holds: each the number of its stream and its id there.
pub(super) struct Held {
    /// Since when an event has been held, or when the server was last told that it is.
    told: Mutex<HashMap<(usize, EntryId), Instant>>,
    room_max: usize,
    is_freed: Notify,
}

impl Held {
    /// Nothing is held; there is room for `room_max` events.
    pub(super) fn new(room_max: usize) -> Held {
        Held { told: Mutex::default(), room_max, is_freed: Notify::new() }
    }

    fn told(&self) -> MutexGuard<'_, HashMap<(usize, EntryId), Instant>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many more may be read. Several streams are read at once, so for an instant there may be more than there is
    /// room for.
    pub(super) fn room(&self) -> usize {
        self.room_max.saturating_sub(self.told().len())
    }

    /// Waits until there is room; one task may do so at a time.
    pub(super) async fn wait_for_room(&self) -> usize {
        loop {
            match self.room() {
                0 => self.is_freed.notified().await,
                room => return room,
            }
        }
    }

    /// From now on it is held. False if it was already.
    pub(super) fn insert(&self, stream: usize, id: EntryId) -> bool {
        self.told().insert((stream, id), Instant::now()).is_none()
    }

    /// These are brought to their end.
    pub(super) fn remove(&self, entries: &[(usize, EntryId)]) {
        let mut told = self.told();
        for entry in entries {
            told.remove(entry);
        }
        drop(told);
        self.is_freed.notify_one();
    }

    /// What is held of a stream.
    pub(super) fn of_stream(&self, stream: usize) -> HashSet<EntryId> {
        self.told().keys().filter(|(of, _)| *of == stream).map(|(_, id)| *id).collect()
    }

    /// Events of a stream of which the server has not been told for so long; from now on it has.
    pub(super) fn untold(&self, stream: usize, long_ago: Duration) -> Vec<EntryId> {
        let mut told = self.told();
        let of_this =
            told.iter_mut().filter(|((of, _), at)| *of == stream && at.elapsed() >= long_ago);
        of_this
            .map(|((_, id), at)| {
                *at = Instant::now();
                *id
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(milliseconds: u64) -> EntryId {
        EntryId { milliseconds, sequence: 0 }
    }

    #[tokio::test]
    async fn room_is_what_is_not_held_whatever_was_taken_before() {
        let held = Held::new(2);
        for number in 0..5 {
            assert!(held.insert(0, id(number)));
        }
        assert!(!held.insert(0, id(4)));
        assert_eq!(held.room(), 0);
        held.remove(&[(0, id(0)), (0, id(1)), (0, id(2))]);
        assert_eq!(held.room(), 0);
        held.remove(&[(0, id(3)), (0, id(3))]);
        assert_eq!(held.wait_for_room().await, 1);
        held.remove(&[(0, id(4)), (0, id(9))]);
        assert_eq!(held.room(), 2);
    }
}
