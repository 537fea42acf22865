//! How far a pipeline is.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Counts of a run, in the order in which they grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Documents of metadata that were read.
    pub metadata: u64,
    /// Units that the source declares, where it says so before all are known.
    pub total: Option<u64>,
    /// Units declared.
    pub declared: u64,
    /// Files fetched.
    pub downloaded: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Units that are part of the new version.
    pub units: u64,
    /// Of those, units that the last version did not have.
    pub added: u64,
    /// Units that only the last version has.
    pub removed: u64,
    /// What was left out.
    pub failed: u64,
}

/// Where counts are told. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Progress(Arc<watch::Sender<Counts>>);

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Counts::default())))
    }
}

impl Progress {
    /// Those who watch see each change, or the last of several.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Counts> {
        self.0.subscribe()
    }

    /// The counts now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        *self.0.borrow()
    }

    /// Counts.
    pub fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.0.send_modify(change);
    }
}
