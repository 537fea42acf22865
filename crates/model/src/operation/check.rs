//! Which journals are possible. A journal that is not is refused when written and when read.

use thiserror::Error;

use crate::agent::{Hook, Journal, Operation};

/// Why a journal is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum JournalError {
    /// A switch of the charm directory to nothing.
    #[error("deploy without a charm")]
    NoTarget,
    /// Something runs without a charm directory.
    #[error("an installed or running unit without a charm")]
    NoCharm,
    /// `install` a second time.
    #[error("install of an installed unit")]
    InstalledTwice,
    /// A task without a number.
    #[error("run-action without a task")]
    NoTask,
    /// A failed hook beside something else than a task.
    #[error("a failed hook is kept although no task runs")]
    FailedWithoutTask,
    /// Nothing in progress although something is owed.
    #[error("nothing in progress although hooks are owed")]
    Owed,
    /// Failures counted without a hook.
    #[error("failures without a hook in progress")]
    FailuresWithoutHook,
    /// Life in the wrong order.
    #[error("started or removed before install")]
    NotInstalled,
    /// Relation hooks in the wrong order.
    #[error("a relation with members before it was created")]
    MembersBeforeCreated,
    /// `changed` owed for a unit that has not joined.
    #[error("relation-changed is owed for a unit that has not joined")]
    ChangedBeforeJoined,
}

/// Checks a journal before it is written or after it was read.
///
/// # Errors
///
/// The first contradiction found.
pub fn check_journal(journal: &Journal) -> Result<(), JournalError> {
    let fail = |when: bool, error: JournalError| if when { Err(error) } else { Ok(()) };
    let installs =
        |operation: &Operation| matches!(operation, Operation::RunHook { hook: Hook::Install, .. });
    let deploying = matches!(journal.operation, Operation::Deploy { .. });
    let resting = journal.operation == Operation::Continue;
    match &journal.operation {
        Operation::Deploy { charm, .. } => fail(charm.digest.is_empty(), JournalError::NoTarget)?,
        Operation::RunAction { task } => fail(*task <= 0, JournalError::NoTask)?,
        Operation::RunHook { .. } | Operation::Continue => {}
    }
    fail(journal.installed && installs(&journal.operation), JournalError::InstalledTwice)?;
    let charmless = journal.charm.is_none();
    fail(charmless && (journal.installed || !(resting || deploying)), JournalError::NoCharm)?;
    let task = matches!(journal.operation, Operation::RunAction { .. });
    fail(journal.failed.is_some() && !task, JournalError::FailedWithoutTask)?;
    let owed = !journal.queue.is_empty() || journal.interrupted.is_some();
    fail(resting && owed, JournalError::Owed)?;
    fail(
        resting && (journal.failures > 0 || journal.kills > 0),
        JournalError::FailuresWithoutHook,
    )?;
    let began = journal.started || journal.removed || journal.stopped;
    fail(began && !journal.installed, JournalError::NotInstalled)?;
    for relation in journal.relations.values() {
        let members = !relation.members.is_empty();
        fail(members && !relation.created, JournalError::MembersBeforeCreated)?;
        let pending = relation.changed_pending.as_ref();
        let unknown = pending.is_some_and(|unit| !relation.members.contains_key(unit));
        fail(unknown, JournalError::ChangedBeforeJoined)?;
    }
    Ok(())
}

impl Journal {
    /// Whether the journal is possible at all.
    ///
    /// # Errors
    ///
    /// The first contradiction found.
    pub fn check(&self) -> Result<(), JournalError> {
        check_journal(self)
    }
}
