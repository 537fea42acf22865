//! What ends a process of a charm before it ends by itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tutti_model::api::Life;

use super::Unit;

/// Why a process was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The agent stops: the run is found interrupted when it starts again.
    Agent,
    /// The unit was removed by force.
    Gone,
    /// The task was cancelled.
    Cancelled,
    /// The task's time is over.
    TimedOut,
    /// A hook of a dying unit must not hold up the removal for ever.
    DyingTooLong,
}

/// What may end a process.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    /// A hook.
    Hook,
    /// A task.
    Task {
        /// Number in the model.
        task: i64,
        /// How long it may take.
        timeout: Option<Duration>,
    },
}

/// Waits until a process must be killed.
pub(super) async fn stopped(unit: &Arc<Unit>, limit: Limit) -> Stop {
    let timeout = async {
        match limit {
            Limit::Task { timeout: Some(timeout), .. } => tokio::time::sleep(timeout).await,
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        () = unit.gone.cancelled() => Stop::Gone,
        () = unit.agent.kill.cancelled() => Stop::Agent,
        () = timeout => Stop::TimedOut,
        stop = wanted(unit, limit) => stop,
    }
}

/// Follows what the controller wants of the unit meanwhile.
async fn wanted(unit: &Arc<Unit>, limit: Limit) -> Stop {
    let mut wake = unit.wake.clone();
    let mut dying_since = None;
    loop {
        let snapshot = unit.steps.snapshot();
        match limit {
            Limit::Hook if snapshot.life != Life::Alive => {
                dying_since.get_or_insert_with(Instant::now);
            }
            Limit::Task { task, .. }
                if snapshot.tasks.iter().any(|other| other.task == task && other.cancelled) =>
            {
                return Stop::Cancelled;
            }
            _ => {}
        }
        let too_long = async {
            match dying_since {
                Some(since) => tokio::time::sleep_until(since + unit.agent.timing.dying_hook).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = too_long => return Stop::DyingTooLong,
            changed = wake.changed() => {
                if changed.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
        // Without an answer the process goes on; what it did is not committed then either.
        let _ = unit.steps.refresh().await;
        unit.start_beside();
    }
}
