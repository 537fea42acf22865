//! The durable steps of one unit, and the unit as the controller last described it.
//!
//! Every step builds on the version of the journal that the last answer had, so steps of one unit
//! are taken one after the other, also those of a task that runs beside a hook.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use tutti_model::agent::{Context, ContextStatus, Snapshot, Step};

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
    pub(crate) async fn take(
        &self,
        make: impl FnOnce(&Snapshot) -> Step,
    ) -> Result<Option<Context>> {
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

    async fn send(&self, step: &mut Step) -> Result<Option<Context>> {
        loop {
            match self.inner.controller.step(&self.inner.unit, step).await? {
                Stepped::Done(answer) => {
                    let snapshot = answer.snapshot.ok_or(Error::Gone)?;
                    let mut known = self.known();
                    known.snapshot = Arc::new(snapshot);
                    known.wrote(step);
                    return Ok(answer.context);
                }
                Stepped::Conflict(snapshot) => {
                    let taken = snapshot.version > step.version && snapshot.journal == step.journal;
                    let version = snapshot.version;
                    self.known().snapshot = Arc::from(snapshot);
                    if !taken {
                        return Err(Error::Moved);
                    }
                    self.known().wrote(step);
                    if !step.want_context {
                        return Ok(None);
                    }
                    // The context was lost with the answer: ask for it alone.
                    *step = Step {
                        version,
                        journal: mem::take(&mut step.journal),
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

impl Known {
    /// Remembers what a step has written.
    fn wrote(&mut self, step: &Step) {
        if step.agent_status.is_some() {
            self.agent_status.clone_from(&step.agent_status);
        }
        self.observed = step.observed_generation.or(self.observed);
    }
}
