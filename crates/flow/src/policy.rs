//! The engine's decisions, without a database: what follows an attempt, where a flow stands, how long to wait.

use crate::{Failure, FailureClass, FlowState, Retry, Then};

/// Panics of one task, or deaths of a flow's worker in a row, after which the flow is parked as poison.
pub(crate) const POISON_MAX: u32 = 3;

/// Why a flow is set aside whose workers die.
pub(crate) fn deadly() -> String {
    format!("its worker died {POISON_MAX} times without progress")
}

/// A failed revert is tried at least so often, however few attempts its task was given.
const REVERT_ATTEMPTS_MIN: u32 = 3;

/// How an attempt ended badly.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Trouble {
    /// The handler said so.
    Failed(Failure),
    /// The engine says so, and what sort of failure it is.
    Classed(FailureClass, Failure),
    /// The handler panicked.
    Panicked(String),
    /// This worker has no handler of that name.
    NoHandler(String),
    /// It was not made, because its backend does not answer: it shall come back then.
    Held { reason: String, until: i64 },
}

impl Trouble {
    /// Its time was over.
    pub(crate) fn late(message: String) -> Self {
        Self::Classed(FailureClass::Timeout, Failure::Retryable(message))
    }

    /// What it is given or answers does not fit.
    pub(crate) fn bug(message: String) -> Self {
        Self::Classed(FailureClass::Bug, Failure::Terminal(message))
    }

    /// What came of it cannot be kept.
    pub(crate) fn refused(message: String) -> Self {
        Self::Classed(FailureClass::Refused, Failure::Terminal(message))
    }

    /// What was waited for will not come.
    pub(crate) fn missed(message: String) -> Self {
        Self::Failed(Failure::Terminal(message))
    }

    /// Whether an attempt was made: what is held has not failed.
    pub(crate) fn was_made(&self) -> bool {
        !matches!(self, Self::Held { .. })
    }

    pub(crate) fn class(&self) -> FailureClass {
        match self {
            Self::Failed(Failure::Retryable(_)) | Self::Held { .. } => FailureClass::Retryable,
            Self::Failed(Failure::Terminal(_)) => FailureClass::Terminal,
            Self::Classed(class, _) => *class,
            Self::Panicked(_) => FailureClass::Bug,
            Self::NoHandler(_) => FailureClass::Refused,
        }
    }

    /// What sort of failure it is of a flow that was `cancelled`, or was not: whatever its tasks say then, they say because of that.
    pub(crate) fn class_in(&self, cancelled: bool) -> FailureClass {
        match self.class() {
            FailureClass::Retryable | FailureClass::Terminal if cancelled => {
                FailureClass::Cancelled
            }
            class => class,
        }
    }

    pub(crate) fn message(&self) -> String {
        match self {
            Self::Failed(failure) | Self::Classed(_, failure) => storable(failure.message()),
            Self::Panicked(message) => format!("panicked: {}", storable(message)),
            Self::NoHandler(name) => format!("no worker knows the task `{name}`"),
            Self::Held { reason, .. } => storable(reason),
        }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What follows an attempt that ended badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another attempt after so many microseconds.
    Again(i64),
    /// The same attempt at this time: it was not made.
    Held(i64),
    /// The flow ends like this once nothing of it runs; `Reverted` means that it is undone first.
    End(FlowState),
}

/// What follows attempt number `attempt`. `random` spreads retries.
pub(crate) fn after_trouble(trouble: &Trouble, attempt: u32, retry: &Retry, random: u32) -> Next {
    match trouble {
        Trouble::NoHandler(_) => Next::End(FlowState::Parked),
        Trouble::Held { until, .. } => Next::Held(*until),
        Trouble::Panicked(_) if attempt >= POISON_MAX => Next::End(FlowState::Parked),
        Trouble::Panicked(_) => Next::Again(retry.backoff.wait(attempt, random)),
        Trouble::Failed(Failure::Retryable(_)) | Trouble::Classed(_, Failure::Retryable(_))
            if attempt < retry.attempts_max =>
        {
            Next::Again(retry.backoff.wait(attempt, random))
        }
        Trouble::Failed(_) | Trouble::Classed(..) => Next::End(match retry.then {
            Then::Fail => FlowState::Failed,
            Then::Revert => FlowState::Reverted,
        }),
    }
}

/// What follows a failed attempt to undo a task: another one, or a stuck flow.
pub(crate) fn after_revert_trouble(
    trouble: &Trouble,
    attempt: u32,
    retry: &Retry,
    random: u32,
) -> Next {
    let attempts_max = retry.attempts_max.max(REVERT_ATTEMPTS_MIN);
    match trouble {
        Trouble::Failed(Failure::Retryable(_))
        | Trouble::Classed(_, Failure::Retryable(_))
        | Trouble::Panicked(_)
            if attempt < attempts_max =>
        {
            Next::Again(retry.backoff.wait(attempt, random))
        }
        Trouble::Held { until, .. } => Next::Held(*until),
        _ => Next::End(FlowState::Stuck),
    }
}

/// What decides where a flow stands that is not reverting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    /// Tasks that have not ended.
    pub(crate) open: usize,
    /// Tasks a worker is running.
    pub(crate) active: usize,
    /// Whether a task could be started and was not.
    pub(crate) startable: bool,
    /// Whether flows of its own, or attempts elsewhere, are under way that must end first.
    pub(crate) elsewhere: bool,
    /// Whether nothing shall begin for now.
    pub(crate) suspended: bool,
    /// How it shall end, if that is decided.
    pub(crate) ending: Option<FlowState>,
    /// Whether cancelling undoes what was done.
    pub(crate) revertible: bool,
}

/// Where a flow stands after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// In this state.
    In(FlowState),
    /// What it did shall be undone.
    Revert,
}

/// Where a flow stands that is not reverting.
pub(crate) fn standing(counts: Counts) -> Standing {
    if counts.active > 0 {
        return Standing::In(FlowState::Running);
    }
    match counts.ending {
        Some(_) if counts.elsewhere => Standing::In(FlowState::Waiting),
        Some(FlowState::Reverted) => Standing::Revert,
        Some(FlowState::Cancelled) if counts.revertible => Standing::Revert,
        Some(ending) => Standing::In(ending),
        None if counts.open == 0 => Standing::In(FlowState::Succeeded),
        None if counts.suspended => Standing::In(FlowState::Suspended),
        None if counts.startable => Standing::In(FlowState::Ready),
        None => Standing::In(FlowState::Waiting),
    }
}

/// A message as the database takes it: without NUL characters.
pub(crate) fn storable(message: &str) -> String {
    message.replace('\0', "\u{fffd}")
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
        .to_owned()
}

/// A duration in microseconds.
pub(crate) fn micros(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Backoff;

    fn retryable() -> Trouble {
        Trouble::Failed(Failure::Retryable("busy".into()))
    }

    #[test]
    fn failures_end_or_go_on() {
        use FlowState::{Failed, Parked, Reverted};
        let terminal = Trouble::Failed(Failure::Terminal("no".into()));
        let panicked = Trouble::Panicked("bug".into());
        let unknown = Trouble::NoHandler("x".into());
        let held = Trouble::Held { reason: "down".into(), until: 7 };
        assert_eq!(after_trouble(&held, 3, &Retry::times(3), 0), Next::Held(7));
        assert_eq!(after_revert_trouble(&held, 3, &Retry::times(3), 0), Next::Held(7));
        for (trouble, attempt, attempts_max, then, expected) in [
            (retryable(), 1, 3, Then::Fail, None),
            (retryable(), 2, 3, Then::Revert, None),
            (retryable(), 3, 3, Then::Fail, Some(Failed)),
            (retryable(), 3, 3, Then::Revert, Some(Reverted)),
            (retryable(), u32::MAX - 1, u32::MAX, Then::Fail, None),
            (terminal.clone(), 1, 3, Then::Fail, Some(Failed)),
            (terminal, 1, 3, Then::Revert, Some(Reverted)),
            (panicked.clone(), 2, 1, Then::Fail, None),
            (panicked, 3, 99, Then::Revert, Some(Parked)),
            (unknown, 1, 99, Then::Revert, Some(Parked)),
        ] {
            let retry = Retry { then, ..Retry::times(attempts_max) };
            let next = after_trouble(&trouble, attempt, &retry, 0);
            match expected {
                Some(state) => assert_eq!(next, Next::End(state), "{trouble:?}"),
                None => assert!(matches!(next, Next::Again(_)), "{trouble:?}"),
            }
        }
    }

    #[test]
    fn reverts_are_tried_three_times_at_least() {
        let (once, often) = (Retry::never(), Retry::times(9).backoff(Backoff::NONE));
        assert_eq!(after_revert_trouble(&retryable(), 1, &often, 0), Next::Again(0));
        assert!(matches!(after_revert_trouble(&retryable(), 2, &once, 0), Next::Again(_)));
        assert_eq!(after_revert_trouble(&retryable(), 3, &once, 0), Next::End(FlowState::Stuck));
        let terminal = Trouble::Failed(Failure::Terminal("no".into()));
        assert_eq!(after_revert_trouble(&terminal, 1, &often, 0), Next::End(FlowState::Stuck));
    }

    #[test]
    fn a_flow_stands_where_its_tasks_put_it() {
        let plain = Counts {
            open: 1,
            active: 0,
            startable: false,
            elsewhere: false,
            suspended: false,
            ending: None,
            revertible: false,
        };
        let ending = |ending, revertible| Counts { ending: Some(ending), revertible, ..plain };
        for (counts, expected) in [
            (Counts { active: 1, ..plain }, Standing::In(FlowState::Running)),
            (
                Counts { active: 1, ..ending(FlowState::Cancelled, true) },
                Standing::In(FlowState::Running),
            ),
            (plain, Standing::In(FlowState::Waiting)),
            (Counts { startable: true, ..plain }, Standing::In(FlowState::Ready)),
            (Counts { open: 0, ..plain }, Standing::In(FlowState::Succeeded)),
            (
                Counts { suspended: true, startable: true, ..plain },
                Standing::In(FlowState::Suspended),
            ),
            (
                Counts { elsewhere: true, ..ending(FlowState::Failed, false) },
                Standing::In(FlowState::Waiting),
            ),
            (ending(FlowState::Failed, true), Standing::In(FlowState::Failed)),
            (ending(FlowState::Parked, true), Standing::In(FlowState::Parked)),
            (ending(FlowState::Cancelled, false), Standing::In(FlowState::Cancelled)),
            (ending(FlowState::Cancelled, true), Standing::Revert),
            (ending(FlowState::Reverted, false), Standing::Revert),
        ] {
            assert_eq!(standing(counts), expected, "{counts:?}");
        }
    }
}
