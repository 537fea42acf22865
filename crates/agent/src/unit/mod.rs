//! One unit: a loop that compares what the unit has done with what the controller wants, and
//! carries out the next operation.
//!
//! - [`Unit`]: what the loop and the tasks that run beside it share;
//! - `turns`: the loop; `timers`: when it wakes by itself;
//! - `hooks`, `tasks`, `deploy`, `provide`: the operations;
//! - `run`: one process of the charm; `stop`: what ends it early.

mod deploy;
mod hooks;
mod provide;
mod run;
mod stop;
mod tasks;
mod timers;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{SemaphorePermit, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tutti_model::agent::UnitChange;

use crate::agent::Shared;
use crate::controller::Controller;
use crate::error::{chain, file};
use crate::hook_tool::HookServer;
use crate::reports::Reports;
use crate::steps::Steps;
use crate::unit_directory::UnitDirectory;
use crate::{Error, Result, leftover};

use tasks::Beside;
use turns::Turns;

/// How long the last log lines may take when the agent ends.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What everything that acts for one unit shares.
#[derive(Debug)]
pub(crate) struct Unit {
    /// The unit's name.
    name: String,
    directory: UnitDirectory,
    steps: Steps,
    reports: Reports,
    tools: HookServer,
    /// Tasks that run beside hooks.
    beside: Beside,
    /// The newest generation the controller has told of.
    wake: watch::Receiver<i64>,
    /// The controller has forgotten the unit.
    gone: CancellationToken,
    agent: Arc<Shared>,
}

/// Runs a unit until it is gone or the agent stops. Whatever else ends its loop is reported, and
/// the loop started again.
pub(crate) async fn run(
    agent: Arc<Shared>,
    change: UnitChange,
    wake: watch::Receiver<i64>,
    gone: CancellationToken,
) {
    let directory = UnitDirectory::new(&agent.data, &change.model_uuid, &change.name);
    let reports = Reports::new(agent.kill.clone());
    let sender = send_reports(Arc::clone(&agent), change.id.clone(), reports.clone());
    let sender = AbortOnDropHandle::new(tokio::spawn(sender));
    let mut failures = 0;
    let ended = loop {
        let started = Unit::start(&agent, &change, &directory, &reports, &wake, &gone).await;
        let error = match started {
            Ok(unit) => {
                let error = Box::pin(Turns::new(&unit).run()).await;
                unit.end(&error).await;
                error
            }
            Err(error) => error,
        };
        if matches!(error, Error::Gone | Error::Stopping | Error::Fenced) {
            break error;
        }
        tracing::error!(unit = change.name, error = chain(&error), "a unit's loop ended");
        failures += 1;
        tokio::select! {
            () = tokio::time::sleep(agent.controller.back_off(failures)) => {}
            () = gone.cancelled() => break Error::Gone,
            () = agent.stop.cancelled() => break Error::Stopping,
        }
    };
    match ended {
        Error::Gone => remove(&directory).await,
        Error::Fenced => agent.fenced(),
        // The last log lines; the controller may be gone already.
        _ => {
            let controller = agent.controller.until(CancellationToken::new());
            let delivered = deliver(&controller, &change.id, &reports);
            let _ = tokio::time::timeout(LAST_WORDS, delivered).await;
        }
    }
    drop(sender);
}

impl Unit {
    async fn start(
        agent: &Arc<Shared>,
        change: &UnitChange,
        directory: &UnitDirectory,
        reports: &Reports,
        wake: &watch::Receiver<i64>,
        gone: &CancellationToken,
    ) -> Result<Arc<Self>> {
        let interrupted = leftover::kill(directory.path())?;
        directory.create()?;
        let steps = Steps::load(&agent.controller, &change.id, reports).await?;
        let socket = directory.path().join("agent.socket");
        let unit = Self {
            name: change.name.clone(),
            tools: HookServer::bind(&socket).map_err(file("listen at", &socket))?,
            directory: directory.clone(),
            steps,
            reports: reports.clone(),
            beside: Beside::default(),
            wake: wake.clone(),
            gone: gone.clone(),
            agent: Arc::clone(agent),
        };
        unit.fail_interrupted(&interrupted).await?;
        Ok(Arc::new(unit))
    }

    /// Ends what still runs beside the loop.
    async fn end(&self, error: &Error) {
        if matches!(error, Error::Gone) {
            self.gone.cancel();
        }
        self.beside.wait().await;
    }

    /// Waits for the right to run a process: only so many run at once on a machine.
    async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        tokio::select! {
            biased;
            () = self.gone.cancelled() => Err(Error::Gone),
            () = self.agent.stop.cancelled() => Err(Error::Stopping),
            permit = self.agent.hooks.acquire() => permit.map_err(|_| Error::Stopping),
        }
    }

    async fn log(&self, level: &str, message: String) {
        self.reports.log(level, &format!("unit.{}", self.name), message).await;
    }
}

/// Sends a unit's reports as they come.
async fn send_reports(agent: Arc<Shared>, unit: String, reports: Reports) {
    loop {
        reports.ready(agent.timing.linger).await;
        deliver(&agent.controller, &unit, &reports).await;
    }
}

/// Sends the reports that wait now.
async fn deliver(controller: &Controller, unit: &str, reports: &Reports) {
    let mut batch = reports.take().await;
    if batch.reports.is_empty() {
        return;
    }
    match controller.report(unit, &batch.reports).await {
        Err(Error::Stopping) => reports.put_back(std::mem::take(&mut batch.reports)),
        Err(error) => tracing::warn!(unit, error = chain(&error), "reports are lost"),
        Ok(()) => {}
    }
}

/// Removes a unit's directory, with what still runs in it.
async fn remove(directory: &UnitDirectory) {
    let directory = directory.clone();
    let removed = tokio::task::spawn_blocking(move || {
        leftover::kill(directory.path())?;
        directory.remove()
    });
    match removed.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(error = chain(&error), "a unit's directory stays"),
        Err(error) => tracing::warn!(%error, "a unit's directory stays"),
    }
}
