//! What a caller says about a flow: its tasks, resources and states.

use serde_json::Value;
use uuid::Uuid;

/// How a flow uses a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Alone: flows before it end first, flows behind it wait.
    Exclusive,
    /// Together with other shared ones.
    Shared,
}

/// A flow to submit. Its tasks begin once it is at the head of the queue of every resource it names.
#[derive(Clone, Debug)]
pub struct NewFlow {
    /// Its id, from the caller, so that desired state can refer to it in the same transaction. Use UUIDv7.
    pub id: Uuid,
    /// What sort of change it is, such as `deploy`.
    pub kind: String,
    /// One sentence for people.
    pub title: String,
    /// The scope it belongs to, for filters; opaque to the engine.
    pub model: Option<String>,
    /// What it changes or relies on; a name must not occur twice.
    pub resources: Vec<(String, Access)>,
    /// Its tasks; each may need earlier ones.
    pub tasks: Vec<NewTask>,
    /// Whether it brings its resources to whatever is desired when it runs. As long as it has not started, a newer flow of
    /// the same kind for exactly the same resources takes its place, unless another flow was queued between them.
    pub converge: bool,
    /// The generation of the desired state it was submitted for.
    pub generation: Option<i64>,
}

/// A task of a new flow.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// The [`Task::NAME`](crate::Task::NAME) of its handler; for a task with a `wait` only a name, such as `unit.converge`.
    pub name: String,
    /// One sentence for people.
    pub title: String,
    /// The resource it works on, for filters.
    pub resource: Option<String>,
    /// What its handler is given.
    pub input: Value,
    /// Positions in [`NewFlow::tasks`] of earlier tasks that must have succeeded.
    pub needs: Vec<usize>,
    /// Makes it a task without a worker: it succeeds by a signal from outside.
    pub wait: Option<Wait>,
    /// What follows a failure.
    pub retry: Retry,
}

/// What a task waits for: [`signal`](crate::signal) of the key with at least this value, now or earlier. Its own task id as
/// key makes it wait for [`complete`](crate::complete).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The key signalled.
    pub key: String,
    /// The smallest value that will do.
    pub at_least: i64,
}

/// What follows a failed attempt. Between attempts the flow waits: half a second, doubling up to five minutes, jittered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all, from 1.
    pub attempts_max: u32,
    /// What follows the last failure, or the first terminal one.
    pub then: Then,
}

/// What follows a task's last failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The flow fails and leaves things as they are, for a later flow to repair.
    Fail,
    /// The flow is reverted.
    Revert,
}

impl Default for Retry {
    /// Ten attempts (some five minutes), then the flow fails.
    fn default() -> Self {
        Self::times(10)
    }
}

impl Retry {
    /// So many attempts in all.
    #[must_use]
    pub fn times(attempts_max: u32) -> Self {
        Self { attempts_max: attempts_max.max(1), then: Then::Fail }
    }

    /// One attempt only.
    #[must_use]
    pub fn never() -> Self {
        Self::times(1)
    }

    /// Attempts without end; only a terminal failure ends them.
    #[must_use]
    pub fn forever() -> Self {
        Self::times(u32::MAX)
    }

    /// Reverts the flow after the last failure.
    #[must_use]
    pub fn or_revert(self) -> Self {
        Self { then: Then::Revert, ..self }
    }
}

/// Why an attempt failed, in a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Trying again may help.
    Retryable(String),
    /// Trying again is useless.
    Terminal(String),
}

impl Failure {
    /// The sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Retryable(message) | Self::Terminal(message) => message,
        }
    }
}

/// The id of a flow's task, known before the flow is submitted.
#[must_use]
pub fn task_id(flow: Uuid, position: usize) -> Uuid {
    Uuid::from_u128(flow.as_u128().wrapping_add(1 + position as u128))
}

macro_rules! states {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $state:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$doc])* $state,)* }

        impl $name {
            /// Every state.
            pub const ALL: &[Self] = &[$(Self::$state),*];

            /// The word used in the database and in the API.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$state => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownState;

            fn from_str(text: &str) -> Result<Self, UnknownState> {
                match text { $($text => Ok(Self::$state),)* _ => Err(UnknownState(text.to_owned())) }
            }
        }

        impl tutti_store::ToValue for $name {
            fn to_value(&self) -> tutti_store::Value {
                self.as_str().to_value()
            }
        }

        impl tutti_store::FromValue for $name {
            fn from_value(value: tutti_store::Value) -> tutti_store::Result<Self> {
                let text = <String as tutti_store::FromValue>::from_value(value)?;
                text.parse().map_err(|_| {
                    tutti_store::Error::mismatch(stringify!($name), &tutti_store::Value::Text(text))
                })
            }
        }
    };
}

/// A word that names no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a state")]
pub struct UnknownState(pub String);

states! {
    /// Where a flow stands.
    FlowState {
        /// An earlier flow still has one of its resources.
        Blocked = "blocked",
        /// A worker may take it.
        Ready = "ready",
        /// A worker has it.
        Running = "running",
        /// It waits for a signal or the time of a retry; no worker has it.
        Waiting = "waiting",
        /// What it did is being undone, last task first.
        Reverting = "reverting",
        /// Given up as poison: its worker died or panicked over it too often, or no worker knows its handler.
        Parked = "parked",
        /// Every task succeeded.
        Succeeded = "succeeded",
        /// A task failed for good; what was done stays.
        Failed = "failed",
        /// A task failed for good; what was done was undone.
        Reverted = "reverted",
        /// Somebody cancelled it.
        Cancelled = "cancelled",
        /// A newer flow took its place before it started.
        Superseded = "superseded",
        /// Undoing failed for good: somebody has to look.
        Stuck = "stuck",
    }
}

impl FlowState {
    /// Whether it will not go on by itself.
    #[must_use]
    pub fn is_ended(self) -> bool {
        !matches!(
            self,
            Self::Blocked | Self::Ready | Self::Running | Self::Waiting | Self::Reverting
        )
    }
}

states! {
    /// Where a task stands.
    TaskState {
        /// It has not begun.
        Pending = "pending",
        /// A worker runs it.
        Running = "running",
        /// An attempt failed; the next one comes by itself.
        RetryWait = "retry_wait",
        /// It waits for a signal.
        Waiting = "waiting",
        /// It waits for a signal, and its subject is in [`trouble`](crate::trouble).
        Retrying = "retrying",
        /// Done.
        Succeeded = "succeeded",
        /// Failed for good.
        Failed = "failed",
        /// Its worker died meanwhile: it may have had its effect. It runs again.
        MaybeRan = "maybe_ran",
        /// It is being undone.
        Reverting = "reverting",
        /// Undone.
        Reverted = "reverted",
        /// Undoing it failed for good.
        RevertFailed = "revert_failed",
        /// The flow was cancelled before it ended.
        Cancelled = "cancelled",
        /// The flow ended before its turn came.
        Skipped = "skipped",
    }
}
