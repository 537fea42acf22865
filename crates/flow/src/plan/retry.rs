//! What follows a failure: of one task, and of the tasks a controller guards.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Backoff;

/// What follows a failed attempt of one task. Between attempts no worker is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all, from 1.
    pub attempts_max: u32,
    /// What follows the last failure, or the first terminal one, unless a [`Controller`] guards the task.
    pub then: Then,
    /// The waits between attempts.
    #[serde(default, skip_serializing_if = "Backoff::is_default")]
    pub backoff: Backoff,
}

/// What follows a task's last failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The flow fails and leaves things as they are, for a later flow to repair.
    Fail,
    /// The flow is reverted.
    Revert,
}

impl Default for Retry {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Retry {
    /// Ten attempts (some five minutes), then the flow fails.
    pub const DEFAULT: Self = Self::times(10);

    /// So many attempts in all.
    #[must_use]
    pub const fn times(attempts_max: u32) -> Self {
        let attempts_max = if attempts_max == 0 { 1 } else { attempts_max };
        Self { attempts_max, then: Then::Fail, backoff: Backoff::DEFAULT }
    }

    /// One attempt only.
    #[must_use]
    pub const fn never() -> Self {
        Self::times(1)
    }

    /// Attempts without end; only a terminal failure ends them.
    #[must_use]
    pub const fn forever() -> Self {
        Self::times(u32::MAX)
    }

    /// Reverts the flow after the last failure.
    #[must_use]
    pub const fn or_revert(self) -> Self {
        Self { then: Then::Revert, ..self }
    }

    /// Waits like this between attempts.
    #[must_use]
    pub const fn backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }
}

/// What follows a failure among the tasks a controller guards. They are always reverted first; the controllers are
/// TaskFlow's, with waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Controller {
    /// The failure goes to the next controller outwards; without one the whole flow is reverted.
    AlwaysRevert,
    /// The whole flow is reverted, whatever controllers there are outwards.
    AlwaysRevertAll,
    /// They run again, so many times in all.
    Times {
        /// How often they run at most, from 1.
        attempts_max: u32,
        /// The waits before repetitions.
        #[serde(
            default = "Backoff::none",
            alias = "pause",
            deserialize_with = "Backoff::or_pause"
        )]
        backoff: Backoff,
    },
    /// They run once for each value, until a run succeeds. The value is the member `value` of the controller's output.
    ForEach {
        /// The values, in order.
        values: Vec<Value>,
    },
    /// As [`ForEach`](Self::ForEach); the values are the member `values` of the controller's input.
    ParameterizedForEach,
}

impl Controller {
    /// They run again at once, so many times in all.
    #[must_use]
    pub const fn times(attempts_max: u32) -> Self {
        Self::Times { attempts_max, backoff: Backoff::NONE }
    }
}

/// Why an attempt failed, in a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
