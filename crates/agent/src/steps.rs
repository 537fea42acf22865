//! The durable steps of one unit, and the unit as the controller last described it.
//!
//! Every step builds on the version of the journal that the last answer had, so steps of one unit
//! are taken one after the other, also those of a task that runs beside a hook.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use tutti_model::agent::{
    Context, ContextStatus, Followed, HookStep, Operation, Snapshot, Step, StepAnswer,
};
use tutti_model::operation::{Next, executing};

use crate::controller::{Controller, Stepped};
use crate::reports::Reports;
use crate::{Error, Result};

/// The steps of one unit. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Steps {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    controller: Controller,
    unit: String,
    reports: Reports,
    /// Held while a step, or a look at the controller, is under way.
    order: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

/// What a taken step was answered with.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// The context, if it was wanted or a hook was begun.
    pub(crate) context: Context,
    /// How far the controller has gone on, if the step said it may.
    pub(crate) followed: Followed,
}

#[derive(Debug)]
struct Known {
    snapshot: Arc<Snapshot>,
    /// The agent status last written, since the agent started.
    agent_status: Option<ContextStatus>,
    /// The generation last written as observed, since the agent started.
    observed: Option<i64>,
}

impl Steps {
    /// Fetches the unit with this id.
    ///
    /// # Errors
    /// As for every call to the controller.
    pub(crate) async fn load(
        controller: &Controller,
        unit: &str,
        reports: &Reports,
    ) -> Result<Self> {
        let snapshot = Arc::new(controller.snapshot(unit).await?);
        let inner = Inner {
            controller: controller.clone(),
            unit: unit.into(),
            reports: reports.clone(),
            order: tokio::sync::Mutex::default(),
            known: Mutex::new(Known { snapshot, agent_status: None, observed: None }),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The unit as last described.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.known().snapshot)
    }

    /// Whether the controller knows already that the unit is idle with nothing left to do.
    pub(crate) fn is_idle(&self) -> bool {
        let known = self.known();
        known.observed == Some(known.snapshot.generation)
            && known.agent_status.as_ref().is_some_and(|status| status.status == "idle")
    }

    /// Asks for the unit's present description.
    ///
    /// # Errors
    /// As for every call to the controller.
    pub(crate) async fn refresh(&self) -> Result<()> {
        let _order = self.inner.order.lock().await;
        let snapshot = self.inner.controller.snapshot(&self.inner.unit).await?;
        self.known().snapshot = Arc::new(snapshot);
        Ok(())
    }

    /// Takes the step that `make` makes of the present description. Reports that wait go with it.
    ///
    /// A step whose answer was lost is recognised by the journal it has left, so it is never taken
    /// twice.
    ///
    /// # Errors
    /// [`Error::Moved`]: not taken, since the journal is another one than was known; it is known
    /// now. [`Error::Refused`]: not taken. [`Error::Gone`]: taken, or not, and the unit is gone.
    pub(crate) async fn take(&self, make: impl FnOnce(&Snapshot) -> Step) -> Result<Taken> {
        let _order = self.inner.order.lock().await;
        let mut step = make(&self.snapshot());
        let mut batch = self.inner.reports.take().await;
        step.reports = mem::take(&mut batch.reports);
        let taken = self.send(&mut step).await;
        if matches!(taken, Err(Error::Moved | Error::Refused { .. })) {
            self.inner.reports.put_back(mem::take(&mut step.reports));
        }
        taken
    }

    async fn send(&self, step: &mut Step) -> Result<Taken> {
        let mut lost = Followed::Nothing;
        loop {
            match self.inner.controller.step(&self.inner.unit, step).await? {
                Stepped::Done(answer) => {
                    let StepAnswer { snapshot, context, followed } = *answer;
                    let snapshot = snapshot.ok_or(Error::Gone)?;
                    let followed = if lost == Followed::Nothing { followed } else { lost };
                    let mut known = self.known();
                    known.snapshot = Arc::new(snapshot);
                    known.wrote(step, &followed);
                    return Ok(Taken { context: context.unwrap_or_default(), followed });
                }
                Stepped::Conflict(snapshot) => {
                    let before = mem::replace(&mut self.known().snapshot, Arc::from(snapshot));
                    let now = self.snapshot();
                    // Only this agent moves the journal: what is in progress now follows this step.
                    let followed =
                        step.follow.is_some() && now.journal.operation != before.journal.operation;
                    let taken =
                        now.version > step.version && (now.journal == step.journal || followed);
                    if !taken {
                        return Err(Error::Moved);
                    }
                    if followed {
                        lost = begun(&now);
                    }
                    self.known().wrote(step, &lost);
                    if !step.want_context && lost == Followed::Nothing {
                        return Ok(Taken::default());
                    }
                    // The context was lost with the answer: ask for it alone.
                    *step = Step {
                        version: now.version,
                        journal: now.journal.clone(),
                        task: step.task.take(),
                        want_context: true,
                        ..Step::default()
                    };
                }
            }
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.inner.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hook that was begun last.
fn begun(now: &Snapshot) -> Followed {
    match &now.journal.operation {
        Operation::RunHook { hook, step: HookStep::Pending } => Followed::Begun(hook.clone()),
        _ => Followed::Nothing,
    }
}

impl Known {
    /// Remembers what a step and those that followed it have written.
    fn wrote(&mut self, step: &Step, followed: &Followed) {
        if step.agent_status.is_some() {
            self.agent_status.clone_from(&step.agent_status);
        }
        self.observed = step.observed_generation.or(self.observed);
        match followed {
            Followed::Nothing => {}
            Followed::Begun(hook) => {
                let executing = executing(&Next::RunHook(hook.clone()));
                self.agent_status = executing.or_else(|| self.agent_status.take());
            }
            Followed::Idle(generation) => {
                self.agent_status = executing(&Next::Idle);
                self.observed = Some(*generation);
            }
        }
    }
}
