//! What people ask of flows, and the sentence for what cannot be done now.

use tutti_flow::{FlowRow, FlowState, TaskState, query};
use tutti_store::Tx;
use uuid::Uuid;

use crate::relations::Touched;
use crate::{Error, clock, operations, sequence, tasks};

/// What can be asked of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// End it, undoing what it did where it says so.
    Cancel,
    /// Begin nothing more of it.
    Suspend,
    /// Go on with it.
    Resume,
    /// Go on from where it failed.
    Retry,
    /// Undo what it did.
    Revert,
    /// Give it up as it is.
    Abandon,
}

impl Verb {
    /// Every verb.
    const ALL: [Self; 6] =
        [Self::Cancel, Self::Suspend, Self::Resume, Self::Retry, Self::Revert, Self::Abandon];

    /// The word in an address.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Retry => "retry",
            Self::Revert => "revert",
            Self::Abandon => "abandon",
        }
    }

    fn participle(self) -> &'static str {
        match self {
            Self::Cancel => "cancelled",
            Self::Suspend => "suspended",
            Self::Resume => "resumed",
            Self::Retry => "retried",
            Self::Revert => "reverted",
            Self::Abandon => "abandoned",
        }
    }

    /// The verb behind the id in an address: `…:cancel`.
    pub(super) fn read(word: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == word).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Error::Invalid(format!("there is no verb \"{word}\" of flows: there are {known}"))
        })
    }

    /// Does it, or says what the flow is like and what can be done instead.
    pub(super) fn apply(self, tx: &mut Tx<'_>, id: Uuid) -> Result<(), Error> {
        let row = query::flow(tx, id)?.ok_or(tutti_flow::Error::NoFlow { id })?;
        let is_again = matches!(self, Self::Retry | Self::Revert);
        if is_again && row.state.is_ended() && operations::is_behind(&row.kind) {
            return Err(Error::Conflict(once(&row, self.participle())));
        }
        if self == Self::Revert
            && !possible(tx, &row)?.contains(&self)
            && row.state != FlowState::Stuck
        {
            return Err(Error::Conflict(self.refusal(tx, &row)?));
        }
        let done = match self {
            Self::Cancel if operations::is_behind(&row.kind) => return cancel_operation(tx, &row),
            Self::Cancel => tutti_flow::cancel(tx, id),
            Self::Suspend => tutti_flow::suspend(tx, id),
            Self::Resume => tutti_flow::resume(tx, id),
            Self::Retry => tutti_flow::retry(tx, id),
            Self::Revert => tutti_flow::revert(tx, id),
            Self::Abandon => tutti_flow::abandon(tx, id),
        };
        self.said(tx, &row, done)
    }

    /// What the engine refuses, as a sentence.
    fn said(
        self,
        tx: &mut Tx<'_>,
        row: &FlowRow,
        done: tutti_flow::Result<()>,
    ) -> Result<(), Error> {
        match done {
            Ok(()) => Ok(()),
            Err(
                tutti_flow::Error::Ended { .. }
                | tutti_flow::Error::Reverting { .. }
                | tutti_flow::Error::NotRetryable { .. },
            ) => Err(Error::Conflict(self.refusal(tx, row)?)),
            Err(error) => Err(error.into()),
        }
    }

    fn refusal(self, tx: &mut Tx<'_>, row: &FlowRow) -> Result<String, Error> {
        let (id, state) = (row.id, row.state);
        let instead: Vec<_> = possible(tx, row)?.into_iter().map(Self::participle).collect();
        let instead = match (instead.split_last(), row.superseded_by) {
            (None, Some(newer)) => format!("flow {newer} took its place"),
            (None, None) => "nothing can be done with it any more".to_owned(),
            (Some((last, [])), _) => format!("it can be {last}"),
            (Some((last, others)), _) => format!("it can be {} or {last}", others.join(", ")),
        };
        let state = match state {
            FlowState::Blocked if row.reverting => "about to be reverted",
            state => state.as_str(),
        };
        let in_vain = self == Self::Revert && offered(row).contains(&self);
        let why = if in_vain { ", for nothing it did can be undone" } else { "" };
        Ok(format!("flow {id} is {state} and cannot be {}{why}: {instead}", self.participle()))
    }
}

/// Cancels the flow behind an operation, and with it the tasks that others run.
fn cancel_operation(tx: &mut Tx<'_>, row: &FlowRow) -> Result<(), Error> {
    let Some(model) = &row.model else { return Ok(()) };
    match sequence::lock_model(tx, model) {
        // With the model its operations are gone.
        Ok(()) | Err(Error::NotFound(_)) => {}
        Err(error) => return Err(error),
    }
    let cancelled = tutti_flow::cancel(tx, row.id);
    Verb::Cancel.said(tx, row, cancelled)?;
    let mut touched = Touched::new();
    operations::cancel_of_flow(tx, model, row.id, clock::now(), &mut touched)?;
    if !touched.is_empty() {
        sequence::touch(tx, touched.iter().map(String::as_str))?;
    }
    Ok(())
}

/// Why what an operation ran does not run again: units and machines take each of its tasks once.
fn once(row: &FlowRow, participle: &str) -> String {
    format!(
        "flow {} is {} and cannot be {participle}: it stands behind an operation, which runs once; run it again as a new one",
        row.id, row.state
    )
}

/// What can be done with a flow.
pub(super) fn possible(tx: &mut Tx<'_>, row: &FlowRow) -> Result<Vec<Verb>, Error> {
    let mut verbs = offered(row);
    if verbs.contains(&Verb::Revert) {
        let undoers = tutti_flow::undoers(tx, row.id)?;
        if !undoers.iter().any(|handler| tasks::may_undo(handler)) {
            verbs.retain(|verb| *verb != Verb::Revert);
        }
    }
    Ok(verbs)
}

/// What can be done with a flow like this, if there is anything to undo.
fn offered(row: &FlowRow) -> Vec<Verb> {
    let one_way = row.cancelling || row.reverting;
    let mut verbs = in_state(row.state, one_way, row.suspended);
    if operations::is_behind(&row.kind) {
        verbs.retain(|verb| !matches!(verb, Verb::Retry | Verb::Revert));
    }
    verbs
}

/// `one_way`: it is cancelled or undone, and there is no second change of mind.
fn in_state(state: FlowState, one_way: bool, suspended: bool) -> Vec<Verb> {
    use Verb::{Abandon, Cancel, Resume, Retry, Revert, Suspend};
    match state {
        _ if one_way => vec![Abandon],
        FlowState::Suspended => vec![Resume, Cancel, Abandon],
        FlowState::Blocked | FlowState::Ready | FlowState::Running | FlowState::Waiting => {
            vec![Cancel, if suspended { Resume } else { Suspend }, Abandon]
        }
        FlowState::Reverting => vec![Abandon],
        FlowState::Parked => vec![Retry, Revert, Abandon],
        FlowState::Stuck => vec![Retry, Abandon],
        FlowState::Failed | FlowState::Cancelled => vec![Retry, Revert],
        FlowState::Reverted => vec![Retry],
        FlowState::Succeeded => vec![Revert],
        FlowState::Superseded | FlowState::Abandoned => Vec::new(),
    }
}

/// Says that a task was taken care of by hand; answers its flow, which goes on.
pub(super) fn skip(tx: &mut Tx<'_>, id: Uuid) -> Result<Uuid, Error> {
    let task = query::task(tx, id)?.ok_or(tutti_flow::Error::NoTask { id })?;
    let flow = query::flow(tx, task.flow)?.ok_or(tutti_flow::Error::NoFlow { id: task.flow })?;
    if operations::is_behind(&flow.kind) {
        return Err(Error::Conflict(once(&flow, "continued")));
    }
    match tutti_flow::skip(tx, id) {
        Ok(()) => Ok(task.flow),
        Err(tutti_flow::Error::NotFailed { state, .. }) => Err(Error::Conflict(format!(
            "task {id} is {}: only one that failed, or could not be undone, can be skipped{}",
            super::show::state(state),
            if state == TaskState::Skipped { ", and only once" } else { "" },
        ))),
        Err(tutti_flow::Error::NotRetryable { state, .. }) => Err(Error::Conflict(format!(
            "flow {} is {state}: tasks can be skipped when their flow is failed, parked or stuck",
            task.flow
        ))),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_verbs_and_others_are_answered() {
        for verb in Verb::ALL {
            assert_eq!(Verb::read(verb.as_str()).unwrap(), verb);
        }
        let error = Verb::read("explode").unwrap_err().to_string();
        assert!(error.contains("explode") && error.contains("abandon"), "{error}");
    }

    #[test]
    fn what_can_be_done_follows_from_the_state() {
        use Verb::{Abandon, Cancel, Resume, Suspend};
        assert_eq!(in_state(FlowState::Blocked, false, true), [Cancel, Resume, Abandon]);
        assert_eq!(in_state(FlowState::Running, false, false), [Cancel, Suspend, Abandon]);
        for state in [FlowState::Running, FlowState::Blocked, FlowState::Reverting] {
            assert_eq!(in_state(state, true, false), [Abandon], "{state}");
        }
        assert_eq!(in_state(FlowState::Superseded, false, false), []);
    }
}
