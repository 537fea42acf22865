//! What all stages of a run share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tutti_store::Store;

use super::{Counts, Error, Failure, Place, Progress, failure::Failures, seen::Seen};
use crate::{Artifacts, repository::Draft};

/// Bytes that may have arrived and not be written down yet. A larger file comes alone.
const UNSAVED_KIB_MAX: u32 = 1024 * 1024;

/// The store, the version that is being made, and what is known of the run so far. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    artifacts: Artifacts,
    draft: Draft,
    progress: Progress,
    cancellation: CancellationToken,
    seen: Mutex<Seen>,
    failures: Mutex<Failures>,
    room: Arc<Semaphore>,
}

impl Context {
    /// For one run.
    #[must_use]
    pub fn new(
        store: &Store,
        artifacts: &Artifacts,
        draft: Draft,
        progress: &Progress,
        cancellation: &CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner {
            store: store.clone(),
            artifacts: artifacts.clone(),
            draft,
            progress: progress.clone(),
            cancellation: cancellation.clone(),
            seen: Mutex::default(),
            failures: Mutex::default(),
            room: Arc::new(Semaphore::new(UNSAVED_KIB_MAX as usize)),
        }))
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The bytes.
    #[must_use]
    pub fn artifacts(&self) -> &Artifacts {
        &self.0.artifacts
    }

    /// The version that is being made.
    #[must_use]
    pub fn draft(&self) -> &Draft {
        &self.0.draft
    }

    /// Cancelled, all stages are dropped where they wait.
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        &self.0.cancellation
    }

    /// Counts.
    pub fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.0.progress.count(change);
    }

    /// Reports something that is left out; what the last version has in its place stays.
    ///
    /// # Errors
    /// [`Error::Failures`] if it is one too many.
    pub fn leave_out(&self, failure: Failure) -> Result<(), Error> {
        tracing::debug!(name = failure.name, reason = failure.reason, "left out");
        self.count(|counts| counts.failed += 1);
        self.failures().add(failure)
    }

    /// What the last version has at that place stays: the source says that nothing changed there.
    pub fn keep(&self, place: &Place) {
        self.failures().keep(place);
    }

    /// The failures that are reported, and how many there were.
    #[must_use]
    pub fn failed(&self) -> (Vec<Failure>, usize) {
        let failures = self.failures();
        (failures.reported.clone(), failures.count)
    }

    /// Whether a unit at that path belongs into the new version, as far as the run has shown.
    #[must_use]
    pub fn is_wanted(&self, unit: i64, path: &str) -> bool {
        self.is_seen(unit) || self.failures().keeps(path)
    }

    pub(super) fn is_seen(&self, unit: i64) -> bool {
        self.seen().contains(unit)
    }

    pub(super) fn see(&self, units: impl IntoIterator<Item = i64>) {
        let mut seen = self.seen();
        units.into_iter().for_each(|unit| seen.insert(unit));
    }

    /// Room for bytes that arrive, once there is some.
    pub(super) async fn room(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let size =
            u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).clamp(1, UNSAVED_KIB_MAX);
        Arc::clone(&self.0.room).acquire_many_owned(size).await.ok()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.0.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
