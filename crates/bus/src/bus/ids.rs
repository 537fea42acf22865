//! Ids of messages and spans: unique without asking the kernel for each.

use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

/// Makes ids: a random number of this process and a counter.
#[derive(Debug)]
pub(crate) struct Ids {
    process: u64,
    counter: AtomicU64,
}

impl Ids {
    pub(crate) fn new() -> Ids {
        // The upper half is mostly the time, the lower one random.
        let (time, random) = Uuid::now_v7().as_u64_pair();
        Ids { process: random ^ time.rotate_left(32), counter: AtomicU64::new(1) }
    }

    fn next(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// A new id, of the form of a UUID (version 8).
    pub(crate) fn message(&self) -> Uuid {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.process.to_be_bytes());
        bytes[8..].copy_from_slice(&self.next().to_be_bytes());
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// The `traceparent` of a new span: in the sender's trace, or in one of its own named like the message.
    pub(crate) fn trace(&self, parent: Option<&str>, message: Uuid) -> String {
        // Multiplying by an odd number maps counters to spread-out ids, one to one.
        let span = self.process ^ self.next().wrapping_mul(0x9E37_79B9_7F4A_7C15);
        match parent.and_then(trace_id) {
            Some(trace) => format!("00-{trace}-{span:016x}-01"),
            None => format!("00-{}-{span:016x}-01", message.simple()),
        }
    }
}

/// The id of the trace in a `traceparent` (W3C Trace Context, version 00).
pub(crate) fn trace_id(traceparent: &str) -> Option<&str> {
    let trace = traceparent.split('-').nth(1)?;
    (trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(trace)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ() {
        let (one, other) = (Ids::new(), Ids::new());
        let ids: HashSet<Uuid> = (0..1000).flat_map(|_| [one.message(), other.message()]).collect();
        assert_eq!(ids.len(), 2000);
    }

    #[test]
    fn a_span_stays_in_its_trace() {
        let ids = Ids::new();
        let root = ids.trace(None, ids.message());
        let child = ids.trace(Some(&root), ids.message());
        assert_eq!(trace_id(&root), trace_id(&child));
        assert_ne!(root, child);
        assert_eq!(child.len(), 55);
        assert_eq!(trace_id("00-not a trace-1-01"), None);
    }
}
