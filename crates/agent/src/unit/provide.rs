//! Storage of a unit, as operations.

use tutti_model::operation::{detach_storage, provisioned};

use super::turns::Turns;
use crate::error::chain;
use crate::{Result, storage};

impl Turns<'_> {
    /// Makes storage available and says where it is.
    pub(super) async fn provision(&mut self, ids: &[String]) -> Result<()> {
        let unit = self.unit;
        let snapshot = unit.steps.snapshot();
        let mut ready = Vec::new();
        for id in ids {
            let Some(wanted) = snapshot.storage.get(id) else { continue };
            let location = storage::provision(unit.directory.path(), id, wanted)?;
            ready.push((id.clone(), location.to_string_lossy().into_owned()));
        }
        unit.steps.take(|snapshot| provisioned(snapshot, ready)).await?;
        Ok(())
    }

    /// Forgets storage the charm has never been told of.
    pub(super) async fn detach(&mut self, ids: &[String]) -> Result<()> {
        self.unit.steps.take(|snapshot| detach_storage(snapshot, ids)).await?;
        for id in ids {
            self.remove_storage(id);
        }
        Ok(())
    }

    /// The storage is detached whatever happens to its files.
    pub(super) fn remove_storage(&self, id: &str) {
        if let Err(error) = storage::remove(self.unit.directory.path(), id) {
            tracing::warn!(unit = self.unit.name, error = chain(&error), "storage stays on disk");
        }
    }
}
