//! Running hooks.

use tokio::sync::SemaphorePermit;
use tutti_model::agent::{Context, DeferredNotice, Follow, Followed, Hook, Report, Snapshot, Step};
use tutti_model::operation::{Local, begin_hook, commit_hook, fail_hook, kill_hook, pass_hook};

use super::run::Outcome;
use super::stop::Stop;
use super::turns::Turns;
use crate::deferral::{Deferrals, keep_shown, last_shown, pending};
use crate::environment::Event;
use crate::{Error, Result};

/// How a hook ended, as far as its journal is concerned.
enum End {
    Succeeded,
    Failed(String),
    Killed(i32),
}

/// A hook that the journal says is running.
#[derive(Debug)]
pub(super) struct Begun<'a> {
    hook: Hook,
    context: Context,
    /// The right to run its process.
    turn: SemaphorePermit<'a>,
}

impl Turns<'_> {
    /// Begins a hook and runs it.
    pub(super) async fn hook(&mut self, hook: &Hook) -> Result<()> {
        let unit = self.unit;
        let event = Event::Hook(hook.clone());
        if !unit.handles(&event) {
            return self.pass(hook, &event).await;
        }
        let turn = unit.turn().await?;
        let begun = unit.steps.take(|snapshot| begin_hook(snapshot, hook)).await?;
        self.begun(Begun { hook: hook.clone(), context: begun.context, turn }).await
    }

    /// Runs a hook, and writes down how it ended with everything it changed.
    pub(super) async fn begun(&mut self, begun: Begun<'_>) -> Result<()> {
        let (unit, Begun { hook, context, turn }) = (self.unit, begun);
        let hook = &hook;
        self.timers.hook_began();
        let mut ran = unit.run(&Event::Hook(hook.clone()), context).await;
        // The next process may start while this one's end is written down.
        drop(turn);
        self.local.status_set |= ran.collected.status_set;
        let end = match ran.outcome {
            Outcome::Exited(0) | Outcome::Missing => End::Succeeded,
            Outcome::Exited(code) => End::Failed(format!("exit status {code}")),
            Outcome::Signalled(signal) => End::Killed(signal),
            Outcome::NotStarted(reason) => End::Failed(reason),
            Outcome::Stopped(Stop::Gone) => return Err(Error::Gone),
            Outcome::Stopped(Stop::DyingTooLong) => {
                End::Failed("killed, since it held up the removal of the unit".into())
            }
            Outcome::Stopped(_) => return Err(Error::Stopping),
        };
        self.dispatched().await;
        let end = match end {
            End::Succeeded => {
                let changes = std::mem::take(&mut ran.collected.changes);
                let changes = (!changes.is_empty()).then_some(changes);
                let committed = self.ended_well(hook, |snapshot, local| Step {
                    changes,
                    ..commit_hook(snapshot, hook, local)
                });
                match committed.await {
                    Err(error @ Error::Refused { .. }) => End::Failed(error.to_string()),
                    committed => return committed,
                }
            }
            end => end,
        };
        self.ended_badly(hook, end).await
    }

    /// Takes a hook as done that the charm does not handle. Nothing can happen in between, so one
    /// step does.
    async fn pass(&mut self, hook: &Hook, event: &Event) -> Result<()> {
        let unit = self.unit;
        self.timers.hook_began();
        unit.missing(event).await;
        self.ended_well(hook, |snapshot, local| pass_hook(snapshot, hook, local)).await
    }

    async fn ended_well(
        &mut self,
        hook: &Hook,
        make: impl FnOnce(&Snapshot, &Local) -> Step,
    ) -> Result<()> {
        if let Hook::StorageDetaching(detached) = hook {
            // Its files go before the unit can be idle.
            let (unit, local) = (self.unit, &self.local);
            unit.steps.take(|snapshot| make(snapshot, local)).await?;
            self.remove_storage(&detached.storage);
        } else {
            self.commit(make).await?;
        }
        self.timers.hook_committed();
        Ok(())
    }

    /// Takes a step that ends an operation. Unless many processes wait for their turn, the hook that
    /// comes next is begun with it.
    pub(super) async fn commit(
        &mut self,
        make: impl FnOnce(&Snapshot, &Local) -> Step,
    ) -> Result<()> {
        let unit = self.unit;
        let turn = match unit.agent.stop.is_cancelled() {
            true => None,
            false => unit.agent.hooks.try_acquire().ok(),
        };
        let follow = turn.is_some().then(|| self.follow());
        let local = &self.local;
        let make = |snapshot: &Snapshot| Step { follow, ..make(snapshot, local) };
        let taken = unit.steps.take(make).await?;
        if let (Followed::Begun(hook), Some(turn)) = (taken.followed, turn) {
            tracing::debug!(unit = unit.name, ?hook, "begun");
            self.begun = Some(Begun { hook, context: taken.context, turn });
        }
        Ok(())
    }

    /// What the controller has to know to go on. The timers start anew with the step.
    fn follow(&mut self) -> Follow {
        self.look(&self.unit.steps.snapshot());
        let local = Local { retry_due: false, update_status_due: false, ..self.local.clone() };
        Follow { local, handled: self.unit.handled() }
    }

    async fn ended_badly(&mut self, hook: &Hook, end: End) -> Result<()> {
        let (unit, local) = (self.unit, &self.local);
        match end {
            End::Killed(signal) => {
                let text = format!("hook {:?} was killed by signal {signal}", hook.name());
                unit.log("WARNING", text).await;
                unit.steps.take(|snapshot| kill_hook(snapshot, hook, local)).await?;
            }
            End::Failed(reason) => {
                unit.log("ERROR", format!("hook {:?} failed: {reason}", hook.name())).await;
                unit.steps.take(|snapshot| fail_hook(snapshot, hook, local)).await?;
            }
            End::Succeeded => {}
        }
        Ok(())
    }

    /// After a process of the charm: looks what it has deferred.
    pub(super) async fn dispatched(&mut self) {
        self.look_for_deferred(true).await;
    }

    /// Before the first process of this agent: what an agent before has left.
    pub(super) async fn resume_deferred(&mut self) {
        let directory = self.unit.directory.path().to_owned();
        let shown = tokio::task::spawn_blocking(move || last_shown(&directory)).await;
        self.deferrals = Deferrals::resume(shown.unwrap_or_default());
        self.look_for_deferred(false).await;
    }

    async fn look_for_deferred(&mut self, dispatched: bool) {
        let charm = self.unit.directory.charm();
        let pending = match charm.join(".unit-state.db").exists() {
            true => tokio::task::spawn_blocking(move || pending(&charm)).await.unwrap_or_default(),
            false => Vec::new(),
        };
        let retries = self.unit.steps.snapshot().deferral_retries;
        let pace = self.unit.agent.timing.pace;
        if let Some(notices) = self.deferrals.seen(pending, dispatched, retries, pace) {
            self.show_deferred(notices).await;
        }
    }

    /// Follows the application's setting: without retries nothing is scheduled any more.
    pub(super) async fn allow_deferred(&mut self, retries: bool) {
        let pace = self.unit.agent.timing.pace;
        if let Some(notices) = self.deferrals.allow(retries, pace) {
            self.show_deferred(notices).await;
        }
    }

    async fn show_deferred(&self, notices: Vec<DeferredNotice>) {
        let (directory, kept) = (self.unit.directory.path().to_owned(), notices.clone());
        // It cannot fail but by a panic.
        let _ = tokio::task::spawn_blocking(move || keep_shown(&directory, &kept)).await;
        self.unit.reports.send(Report::Deferred { notices }).await;
    }
}
