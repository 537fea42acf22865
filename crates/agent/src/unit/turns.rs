//! The loop of a unit.

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tutti_model::agent::{ContextStatus, Hook, Snapshot, Step};
use tutti_model::operation::{
    Local, Next, accept_leadership, cancel_task, drop_relations, enter_scopes, fail_hook,
    fail_task, finish, idle, next_operation, resign_leadership, retry_delay, skip_hook,
};

use super::Unit;
use super::hooks::Begun;
use super::timers::Timers;
use crate::deferral::Deferrals;
use crate::error::chain;
use crate::timing::random;
use crate::{Error, Result, charm_directory};

/// The loop's own state. Nothing in it has to survive the agent.
pub(super) struct Turns<'a> {
    pub(super) unit: &'a std::sync::Arc<Unit>,
    pub(super) local: Local,
    pub(super) timers: Timers,
    pub(super) deferrals: Deferrals,
    wake: watch::Receiver<i64>,
    /// Operations in a row that the agent could not carry out.
    troubles: u32,
    /// Forces the charm to the disk, once the unit has come to rest with it.
    pub(super) saving: Option<JoinHandle<()>>,
    /// The hook that was begun with the end of the operation before.
    pub(super) begun: Option<Begun<'a>>,
}

impl<'a> Turns<'a> {
    pub(super) fn new(unit: &'a std::sync::Arc<Unit>) -> Self {
        let local = Local { boot_id: unit.agent.boot_id.clone(), ..Local::default() };
        Self {
            unit,
            local,
            timers: Timers::default(),
            deferrals: Deferrals::default(),
            wake: unit.wake.clone(),
            troubles: 0,
            saving: None,
            begun: None,
        }
    }

    /// Carries out one operation after the other, until one of them ends the loop.
    pub(super) async fn run(mut self) -> Error {
        if self.unit.directory.charm().exists() {
            self.resume_deferred().await;
        }
        loop {
            let error = match self.turn().await {
                Ok(()) => {
                    self.troubles = 0;
                    continue;
                }
                Err(Error::Moved) => continue,
                Err(error @ (Error::Gone | Error::Stopping | Error::Fenced)) => return error,
                Err(error) => error,
            };
            if let Err(error) = self.trouble(&error).await {
                return error;
            }
        }
    }

    async fn turn(&mut self) -> Result<()> {
        let unit = self.unit;
        if unit.gone.is_cancelled() {
            return Err(Error::Gone);
        }
        if let Some(begun) = self.begun.take() {
            unit.start_beside();
            return self.begun(begun).await;
        }
        if unit.agent.stop.is_cancelled() {
            return Err(Error::Stopping);
        }
        if *self.wake.borrow_and_update() > unit.steps.snapshot().generation {
            unit.steps.refresh().await?;
        }
        unit.start_beside();
        let snapshot = unit.steps.snapshot();
        self.allow_deferred(snapshot.deferral_retries).await;
        self.look(&snapshot);
        let next = next_operation(&snapshot, &self.local);
        tracing::debug!(unit = unit.name, ?next, "next operation");
        self.carry_out(next, &snapshot).await
    }

    /// Brings what only the machine knows up to date.
    pub(super) fn look(&mut self, snapshot: &Snapshot) {
        let unit = self.unit;
        let now = Instant::now();
        let pace = unit.agent.timing.pace;
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        self.local.charm_missing =
            snapshot.journal.charm.is_some() && !charm_directory::is_whole(unit.directory.path());
        self.local.retry_due = self.timers.retry_due();
        self.local.update_status_due = due(self.timers.update_status_at(snapshot, pace));
        self.local.deferred_due = due(self.deferrals.due());
        self.local.completed_tasks = unit.beside.known(snapshot);
    }

    async fn carry_out(&mut self, next: Next, snapshot: &Snapshot) -> Result<()> {
        let steps = &self.unit.steps;
        match next {
            Next::Deploy { charm, charm_modified } => self.deploy(&charm, charm_modified).await?,
            Next::RunHook(hook) | Next::RetryHook(hook) => self.hook(&hook).await?,
            Next::SkipHook(hook) => {
                steps.take(|snapshot| skip_hook(snapshot, &hook)).await?;
                if let Hook::StorageDetaching(detached) = &hook {
                    self.remove_storage(&detached.storage);
                }
            }
            Next::FailHook(hook) => {
                let local = &self.local;
                steps.take(|snapshot| fail_hook(snapshot, &hook, local)).await?;
            }
            Next::RunTask(task) => self.task(&task).await?,
            Next::FailTask { task, message } => {
                steps.take(|snapshot| fail_task(snapshot, task, &message)).await?;
            }
            Next::CancelTask(task) => {
                steps.take(|snapshot| cancel_task(snapshot, task)).await?;
                self.unit.beside.ended(task);
            }
            Next::AcceptLeadership => drop(steps.take(accept_leadership).await?),
            Next::ResignLeadership => drop(steps.take(resign_leadership).await?),
            Next::EnterScopes(relations) => {
                steps.take(|snapshot| enter_scopes(snapshot, &relations)).await?;
            }
            Next::DropRelations(relations) => {
                steps.take(|snapshot| drop_relations(snapshot, &relations)).await?;
            }
            Next::ProvisionStorage(ids) => self.provision(&ids).await?,
            Next::DetachStorage(ids) => self.detach(&ids).await?,
            Next::WaitRetry => {
                let pace = self.unit.agent.timing.pace;
                let due = self.timers.retry_at(snapshot.journal.failures, pace);
                self.wait(Some(due)).await?;
            }
            Next::Wait => self.wait(None).await?,
            Next::Idle if steps.is_idle() => self.rest(snapshot).await?,
            Next::Idle => drop(steps.take(idle).await?),
            Next::Dead => {
                steps.take(finish).await?;
                return Err(Error::Gone);
            }
        }
        Ok(())
    }

    /// Waits with nothing to do.
    async fn rest(&mut self, snapshot: &Snapshot) -> Result<()> {
        if self.saving.is_none() {
            self.saving = Some(self.unit.save());
        }
        let pace = self.unit.agent.timing.pace;
        let update_status = self.timers.update_status_at(snapshot, pace);
        let due = [update_status, self.deferrals.due()].into_iter().flatten().min();
        self.wait(due).await
    }

    /// Waits for something new, at most until `due`.
    async fn wait(&mut self, due: Option<Instant>) -> Result<()> {
        let timer = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.unit.gone.cancelled() => Err(Error::Gone),
            () = self.unit.agent.stop.cancelled() => Err(Error::Stopping),
            changed = self.wake.changed() => changed.map_err(|_| Error::Stopping),
            () = timer => Ok(()),
        }
    }

    /// Shows that an operation could not be carried out, and waits before it is tried again. A
    /// change at the controller may help, so it is tried again at once then.
    async fn trouble(&mut self, error: &Error) -> Result<()> {
        let unit = self.unit;
        self.troubles = self.troubles.saturating_add(1);
        let message = chain(error);
        tracing::warn!(unit = unit.name, error = message, "an operation failed");
        unit.log("ERROR", message.clone()).await;
        let shown = unit.steps.take(|snapshot| Step {
            version: snapshot.version,
            journal: snapshot.journal.clone(),
            agent_status: Some(ContextStatus { status: "error".into(), message: message.clone() }),
            trouble: Some(message),
            ..Step::default()
        });
        match shown.await {
            Err(error @ (Error::Gone | Error::Stopping | Error::Fenced)) => return Err(error),
            Err(error) => tracing::warn!(error = chain(&error), "trouble cannot be shown"),
            Ok(_) => {}
        }
        let wait = retry_delay(self.troubles, random()).mul_f64(unit.agent.timing.pace);
        self.wait(Some(Instant::now() + wait)).await
    }
}
