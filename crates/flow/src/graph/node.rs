//! A task of a flow in memory.

use tutti_store::row;
use uuid::Uuid;

use super::Left;
use crate::{Backoff, Fate, Retry, TaskState, Then, Wait, Work, plan::Spec};

row! {
    /// A task as it is loaded.
    #[derive(Clone, Debug)]
    pub(crate) struct Row {
        pub(crate) flow: Uuid,
        pub(crate) number: i64,
        pub(crate) name: String,
        pub(crate) resource: Option<String>,
        pub(crate) input: String,
        pub(crate) needs: Option<String>,
        pub(crate) spec: Option<String>,
        pub(crate) wait_key: Option<String>,
        pub(crate) wait_at_least: Option<i64>,
        pub(crate) attempts_max: u32,
        pub(crate) or_revert: bool,
        pub(crate) state: TaskState,
        pub(crate) attempt: u32,
        pub(crate) revert_attempt: u32,
        pub(crate) before_revert: Option<TaskState>,
        pub(crate) output: Option<String>,
        pub(crate) error: Option<String>,
        pub(crate) next_at: Option<i64>,
        pub(crate) started: Option<i64>,
        pub(crate) finished: Option<i64>,
        pub(crate) offered: bool,
        pub(crate) failure: Option<String>,
        pub(crate) ran: bool,
    }
}

impl Row {
    /// A plain task of which nothing has happened.
    pub(crate) fn pending(
        flow: Uuid,
        number: i64,
        name: String,
        input: String,
        retry: &Retry,
    ) -> Self {
        Self {
            flow,
            number,
            name,
            resource: None,
            input,
            needs: None,
            spec: None,
            wait_key: None,
            wait_at_least: None,
            attempts_max: retry.attempts_max,
            or_revert: retry.then == Then::Revert,
            state: TaskState::Pending,
            attempt: 0,
            revert_attempt: 0,
            before_revert: None,
            output: None,
            error: None,
            next_at: None,
            started: None,
            finished: None,
            offered: false,
            failure: None,
            ran: false,
        }
    }
}

/// A task of a flow in memory.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) resource: Option<String>,
    pub(crate) input: String,
    pub(crate) retry: Retry,
    /// Nothing for a plain task.
    spec: Option<Box<Spec>>,
    pub(crate) state: TaskState,
    pub(crate) attempt: u32,
    pub(crate) revert_attempt: u32,
    /// Its state before undoing it began. For a controller: what follows the undoing of what it guards.
    pub(crate) before_revert: Option<TaskState>,
    pub(crate) output: Option<String>,
    pub(crate) error: Option<String>,
    /// Its error before undoing it began.
    pub(crate) failure: Option<String>,
    pub(crate) next_at: Option<i64>,
    pub(crate) started: Option<i64>,
    pub(crate) finished: Option<i64>,
    /// Its present attempt is made by whoever claims it.
    pub(crate) offered: bool,
    /// An attempt before the flow was retried may have had an effect that has not been undone.
    pub(crate) ran: bool,
    pub(super) needs: Vec<usize>,
    pub(super) successors: Vec<usize>,
    /// Needs that have not [passed](Node::is_passed).
    pub(super) blockers: usize,
    /// Of a list's task: its items, and how many of them have not succeeded.
    pub(super) items: Vec<usize>,
    pub(super) items_open: usize,
}

static PLAIN: Spec = Spec::PLAIN;

impl Node {
    pub(super) fn new(row: Row, spec: Option<Spec>) -> Self {
        let then = if row.or_revert { Then::Revert } else { Then::Fail };
        let wait = row.wait_key.map(|key| Wait { key, at_least: row.wait_at_least.unwrap_or(0) });
        let spec = match (spec, wait) {
            (spec, None) => spec,
            (spec, Some(wait)) => Some(Spec { work: Work::Wait(wait), ..spec.unwrap_or_default() }),
        };
        let backoff = spec.as_ref().map_or(Backoff::DEFAULT, |spec| spec.backoff);
        Self {
            name: row.name,
            resource: row.resource,
            input: row.input,
            retry: Retry { attempts_max: row.attempts_max, then, backoff },
            spec: spec.map(Box::new),
            state: row.state,
            attempt: row.attempt,
            revert_attempt: row.revert_attempt,
            before_revert: row.before_revert,
            output: row.output,
            error: row.error,
            failure: row.failure,
            next_at: row.next_at,
            started: row.started,
            finished: row.finished,
            offered: row.offered,
            ran: row.ran,
            needs: Vec::new(),
            successors: Vec::new(),
            blockers: 0,
            items: Vec::new(),
            items_open: 0,
        }
    }

    pub(crate) fn spec(&self) -> &Spec {
        self.spec.as_deref().unwrap_or(&PLAIN)
    }

    pub(crate) fn work(&self) -> &Work {
        &self.spec().work
    }

    /// Whether it submits a flow and waits for it.
    pub(super) fn has_joined(&self) -> bool {
        matches!(self.work(), Work::Flow(child) if child.fate == Fate::Joined)
    }

    pub(super) fn guard(&self) -> Option<usize> {
        self.spec().guard
    }

    /// Whether those that need it can begin. A skipped task lets nothing begin before what it needs itself has ended.
    pub(super) fn is_passed(&self) -> bool {
        match self.state {
            TaskState::Succeeded => true,
            TaskState::Skipped => self.blockers == 0,
            _ => false,
        }
    }

    /// Whether it may have had an effect that has not been undone.
    pub(super) fn has_effect(&self) -> bool {
        match self.state {
            TaskState::Succeeded
            | TaskState::Failed
            | TaskState::MaybeRan
            | TaskState::Running
            | TaskState::Offered
            | TaskState::Reverting => true,
            // The flow may have ended, or been retried, before the next attempt.
            TaskState::RetryWait
            | TaskState::Cancelled
            | TaskState::Skipped
            | TaskState::Pending => self.has_begun(),
            _ => false,
        }
    }

    /// Whether an attempt at it has been made.
    pub(super) fn has_begun(&self) -> bool {
        self.attempt > 0 || self.ran
    }

    /// Whether it may have had an effect that has not been undone, or could not be.
    pub(super) fn is_left(&self) -> bool {
        self.has_effect() || self.state == TaskState::RevertFailed
    }

    /// An attempt to undo it begins.
    pub(super) fn begin_revert(&mut self) {
        if self.before_revert.is_none() {
            self.before_revert = Some(self.state);
            self.failure = self.error.clone();
        }
        self.state = TaskState::Reverting;
        self.revert_attempt += 1;
    }

    /// What it left, if it is being undone.
    pub(super) fn left(&self) -> Left {
        // Where an earlier release began to undo it, its error is all that is known.
        let failure = self.failure.as_ref().or(self.error.as_ref());
        match (self.before_revert, &self.output, failure) {
            (Some(TaskState::Succeeded), Some(output), _) => Left::Output(output.clone()),
            (Some(before), _, Some(failure)) if ended_by_failure(before) => {
                Left::Failure(failure.clone())
            }
            _ => Left::Unknown,
        }
    }

    /// Back to the start, as if it had never begun.
    pub(super) fn reset(&mut self) {
        self.ran &= self.state != TaskState::Reverted;
        self.state = TaskState::Pending;
        self.attempt = 0;
        self.revert_attempt = 0;
        self.before_revert = None;
        self.output = None;
        self.error = None;
        self.failure = None;
        self.next_at = None;
        self.started = None;
        self.finished = None;
        self.offered = false;
    }
}

/// Whether it was a failure that the last attempt at a task in this state came to.
fn ended_by_failure(state: TaskState) -> bool {
    use TaskState::{Cancelled, Failed, RetryWait, Skipped};
    matches!(state, Failed | RetryWait | Cancelled | Skipped)
}
