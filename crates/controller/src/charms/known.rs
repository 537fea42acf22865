//! Charms kept in memory: reading one takes longer than the rest of a step.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use tutti_charm::charm::Charm;

/// A controller seldom has more in use.
const CHARMS_MAX: usize = 128;

/// By the digest of their archive.
static KNOWN: LazyLock<Mutex<HashMap<String, Arc<Charm>>>> = LazyLock::new(Mutex::default);

/// The charm with this digest, if it was read before.
pub(crate) fn known(digest: &str) -> Option<Arc<Charm>> {
    lock().get(digest).map(Arc::clone)
}

/// Remembers a charm that was read and found usable.
pub(crate) fn remember(digest: &str, charm: Charm) -> Arc<Charm> {
    let charm = Arc::new(charm);
    let mut known = lock();
    if known.len() >= CHARMS_MAX {
        known.clear();
    }
    known.insert(digest.to_owned(), Arc::clone(&charm));
    charm
}

fn lock() -> MutexGuard<'static, HashMap<String, Arc<Charm>>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}
