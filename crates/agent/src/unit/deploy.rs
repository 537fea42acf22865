//! Switching a unit to a charm.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tutti_model::agent::CharmReference;
use tutti_model::operation::{begin_deploy, commit_deploy};

use super::Unit;
use super::turns::Turns;
use crate::error::chain;
use crate::{Error, Result, charm_directory};

/// What is done sooner need not be announced.
const NOTICEABLE: Duration = Duration::from_millis(100);

impl Turns<'_> {
    /// Downloads and unpacks a charm, then switches the charm directory to it.
    pub(super) async fn deploy(&mut self, charm: &CharmReference, modified: i64) -> Result<()> {
        let unit = self.unit;
        let previous = unit.steps.snapshot().journal.charm.clone();
        let begin = unit.steps.take(|snapshot| begin_deploy(snapshot, charm, modified));
        if previous.is_some() {
            self.stage(charm).await?;
            begin.await?;
        } else {
            // Nothing runs yet that would have to be kept. What takes long is to be seen.
            let mut staged = pin!(self.stage(charm));
            tokio::select! {
                staged = &mut staged => staged?,
                () = tokio::time::sleep(NOTICEABLE) => {
                    let (staged, begun) = tokio::join!(staged, begin);
                    begun?;
                    staged?;
                }
            }
        }
        if let Some(saving) = self.saving.take() {
            // It writes into the directory that is exchanged now. It cannot fail but by a panic.
            let _ = saving.await;
        }
        self.blocking(charm, charm_directory::switch).await?;
        self.commit(|snapshot, _| commit_deploy(snapshot, charm, modified)).await?;
        let pruned =
            self.blocking(charm, move |unit, _| charm_directory::prune(unit, previous.as_ref()));
        if let Err(error) = pruned.await {
            tracing::warn!(unit = unit.name, error = chain(&error), "old charms stay on disk");
        }
        Ok(())
    }

    /// Downloads a charm and unpacks it beside the one that runs.
    async fn stage(&self, charm: &CharmReference) -> Result<()> {
        let charms = &self.unit.agent.charms;
        let archive = charms.fetch(&charm.digest).await?;
        let staged =
            self.blocking(charm, move |unit, charm| charm_directory::stage(unit, &archive, charm));
        let staged = staged.await;
        if staged.is_err() {
            charms.recheck(&charm.digest);
        }
        staged
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

impl Unit {
    /// Forces the charm directory to the disk, beside whatever the unit does.
    pub(super) fn save(&self) -> JoinHandle<()> {
        let (directory, agent) = (self.directory.path().to_owned(), Arc::clone(&self.agent));
        self.beside.track(async move {
            // One at a time: the first one does most of the work of all others.
            let Ok(_turn) = agent.saving.acquire().await else { return };
            let saved =
                tokio::task::spawn_blocking(move || charm_directory::make_durable(&directory));
            if let Ok(Err(error)) = saved.await {
                tracing::warn!(error = chain(&error), "a charm may not survive a power failure");
            }
        })
    }
}
