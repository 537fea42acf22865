//! Where flows and tasks stand.

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
                text.parse().map_err(|UnknownState(word)| tutti_store::Error::Column {
                    index: 0,
                    expected: stringify!($name),
                    found: format!("`{word}`"),
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
        /// Somebody suspended it: what runs ends, nothing begins.
        Suspended = "suspended",
        /// What it did is being undone, last task first.
        Reverting = "reverting",
        /// Given up as poison: its worker died or panicked over it too often, no worker knows its handler, or what is stored of
        /// it cannot be read.
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
        /// Somebody gave it up as it was.
        Abandoned = "abandoned",
    }
}

states! {
    /// What sort of failure one is.
    FailureClass {
        /// The task says that trying again may help.
        Retryable = "retryable",
        /// The task says that trying again is useless, or what it waits for has failed.
        Terminal = "terminal",
        /// It took longer than it may, or what it waits for did not come in time.
        Timeout = "timeout",
        /// Programs do not do what they promise: a handler panicked, or input or output does not fit the task.
        Bug = "bug",
        /// Its worker died, or stopped before it ended: it may have had its effect.
        Lost = "lost",
        /// It ended because its flow was cancelled.
        Cancelled = "cancelled",
        /// The engine will not have it: no worker knows the task, or its result cannot be kept.
        Refused = "refused",
    }
}

impl FlowState {
    /// Whether somebody may have to act on such a change.
    pub(crate) fn is_told_to(self, to: Self) -> bool {
        let usual =
            |state| matches!(state, Self::Blocked | Self::Ready | Self::Running | Self::Waiting);
        self != to && !(usual(self) && usual(to))
    }

    /// Whether it will not go on by itself.
    #[must_use]
    pub fn is_ended(self) -> bool {
        !matches!(
            self,
            Self::Blocked
                | Self::Ready
                | Self::Running
                | Self::Waiting
                | Self::Suspended
                | Self::Reverting
        )
    }
}

states! {
    /// Where a task stands.
    TaskState {
        /// It has not begun.
        Pending = "pending",
        /// It waits for a worker that has its handler and labels; its flow's owner has not.
        Offered = "offered",
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
        /// A condition did not hold, or the flow ended before its turn came.
        Skipped = "skipped",
    }
}

states! {
    /// What the flow of a task is to the flow of that task.
    #[derive(Default)]
    Fate {
        #[default]
        /// The task waits for it and ends as it does; if the parent is cancelled or fails, so is the child; if the task is
        /// undone, so is what the child did.
        Joined = "joined",
        /// The task does not wait, but when the parent ends unsuccessfully, the child is cancelled.
        Bound = "bound",
        /// The task does not wait; the child outlives the parent.
        Free = "free",
    }
}
