//! What the engine refuses.

use uuid::Uuid;

use crate::{FlowState, TaskState, policy::storable};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the flow engine.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database refused or failed.
    #[error("flow storage failed")]
    Store(#[from] tutti_store::Error),
    /// There is no such flow.
    #[error("no flow {id}")]
    NoFlow {
        /// The id asked for.
        id: Uuid,
    },
    /// There is no such task.
    #[error("no task {id}")]
    NoTask {
        /// The id asked for.
        id: Uuid,
    },
    /// The plan of a new flow makes no sense.
    #[error("flow `{kind}` cannot be planned: {reason}")]
    Plan {
        /// The kind of the flow.
        kind: String,
        /// What is wrong.
        reason: String,
    },
    /// The flow has ended, so there is nothing to cancel.
    #[error("flow {id} has ended: {state}")]
    Ended {
        /// The flow.
        id: Uuid,
        /// How it ended.
        state: FlowState,
    },
    /// The flow has not ended, so it cannot be forgotten.
    #[error("flow {id} has not ended")]
    NotEnded {
        /// The flow.
        id: Uuid,
    },
    /// The flow is reverting; a second change of mind is not possible.
    #[error("flow {id} is reverting")]
    Reverting {
        /// The flow.
        id: Uuid,
    },
    /// Only failed, reverted, cancelled, parked and stuck flows can be retried.
    #[error("flow {id} is {state}, there is nothing to retry")]
    NotRetryable {
        /// The flow.
        id: Uuid,
        /// Its state.
        state: FlowState,
    },
    /// The flow did nothing that could be undone.
    #[error("flow {id} did nothing that could be undone")]
    NothingDone {
        /// The flow.
        id: Uuid,
    },
    /// Only a task that failed for good can be skipped.
    #[error("task {id} is {state}, only failed ones can be skipped")]
    NotFailed {
        /// The task.
        id: Uuid,
        /// Its state.
        state: TaskState,
    },
    /// What is stored of a flow cannot be read, such as by a worker of an older version.
    #[error("flow {id} cannot be read: {reason}")]
    Stored {
        /// The flow.
        id: Uuid,
        /// What is wrong.
        reason: String,
    },
    /// Events were asked for that are not kept any more, or are still to come.
    #[error("events after {after} are not kept: there are those after {oldest}, up to {last}")]
    Forgotten {
        /// The last event that was seen.
        after: i64,
        /// What can be gone on from, at the least.
        oldest: i64,
        /// The newest event.
        last: i64,
    },
    /// An attempt that is not under way any more had something to say: its worker has lost the flow, or it was given up.
    #[error("attempt {attempt} at task {task} is not under way any more")]
    NotUnderWay {
        /// The task.
        task: Uuid,
        /// The attempt.
        attempt: u32,
    },
    /// What an attempt reports cannot be JSON.
    #[error("what an attempt reports is not JSON: {message}")]
    NotJson {
        /// Why.
        message: String,
    },
    /// What an attempt reports is more than is kept.
    #[error("an attempt reports {bytes} bytes, more than the {max} that are kept")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// The claim has ended: its lease ran out, or it was finished. The task is another's, or done.
    #[error("claim {claim} has ended: the task is another's, or done")]
    ClaimLost {
        /// The claim.
        claim: Uuid,
    },
    /// Attempts went on although their time was over, more than [`Builder::leaks_max`](crate::Builder::leaks_max): the process
    /// has to be replaced.
    #[error(
        "more than {max} attempts at tasks go on although their time is over, each blocking a thread: this process has to be replaced"
    )]
    Leaks {
        /// How many may.
        max: usize,
    },
    /// A task that does not wait for its completion from outside was completed.
    #[error("task {id} is not waiting")]
    NotWaiting {
        /// The task.
        id: Uuid,
    },
}

impl Error {
    /// Whether what was asked is at fault: the same would be refused again.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Store(error) if error.is_refusal() => true,
            Self::Plan { .. } => true,
            _ => self.is_unreadable(),
        }
    }

    /// Whether what is stored is at fault.
    pub(crate) fn is_unreadable(&self) -> bool {
        matches!(self, Self::Stored { .. } | Self::Store(tutti_store::Error::Column { .. }))
    }

    /// The error of a read, with what of the flow cannot be read if that is the cause.
    pub(crate) fn unread(error: tutti_store::Error, id: Uuid, what: &str) -> Self {
        match error {
            tutti_store::Error::Column { .. } => {
                Self::Stored { id, reason: format!("{what}: {error}") }
            }
            error => error.into(),
        }
    }

    /// The error and what it comes from, to be kept with a flow.
    pub(crate) fn with_causes(&self) -> String {
        let whole = std::iter::successors(Some(self as &dyn std::error::Error), |one| one.source());
        storable(&whole.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    }
}
