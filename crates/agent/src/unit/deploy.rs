//! Switching a unit to a charm.

use std::path::Path;

use tutti_model::agent::CharmReference;
use tutti_model::operation::{begin_deploy, commit_deploy};

use super::turns::Turns;
use crate::error::chain;
use crate::{Error, Result, charm_directory};

impl Turns<'_> {
    /// Downloads and unpacks a charm, then switches the charm directory to it.
    pub(super) async fn deploy(&mut self, charm: &CharmReference, modified: i64) -> Result<()> {
        let unit = self.unit;
        let previous = unit.steps.snapshot().journal.charm.clone();
        let archive = unit.agent.charms.fetch(&charm.digest).await?;
        let staged =
            self.blocking(charm, move |unit, charm| charm_directory::stage(unit, &archive, charm));
        if let Err(error) = staged.await {
            unit.agent.charms.recheck(&charm.digest);
            return Err(error);
        }
        unit.steps.take(|snapshot| begin_deploy(snapshot, charm, modified)).await?;
        self.blocking(charm, charm_directory::switch).await?;
        unit.steps.take(|snapshot| commit_deploy(snapshot, charm, modified)).await?;
        let pruned =
            self.blocking(charm, move |unit, _| charm_directory::prune(unit, previous.as_ref()));
        if let Err(error) = pruned.await {
            tracing::warn!(unit = unit.name, error = chain(&error), "old charms stay on disk");
        }
        Ok(())
    }

    /// Does something with files where it may take its time.
    async fn blocking(
        &self,
        charm: &CharmReference,
        work: impl FnOnce(&Path, &CharmReference) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let directory = self.unit.directory.path().to_owned();
        let charm = charm.clone();
        let done = tokio::task::spawn_blocking(move || work(&directory, &charm));
        // Only a panic or the runtime's end can be in the way.
        done.await.unwrap_or(Err(Error::Stopping))
    }
}
