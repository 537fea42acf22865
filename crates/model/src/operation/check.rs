//! Which journals are possible. A journal that is not is refused when written and when read.

use crate::agent::{Hook, Journal, Operation};
use crate::{Error, Result};

/// Checks a journal before it is written or after it was read.
///
/// # Errors
///
/// [`Error::Journal`] with the first contradiction found.
pub fn check_journal(journal: &Journal) -> Result<()> {
    let fail = |when: bool, problem| if when { Err(Error::Journal { problem }) } else { Ok(()) };
    let installs =
        |operation: &Operation| matches!(operation, Operation::RunHook { hook: Hook::Install, .. });
    let deploying = matches!(journal.operation, Operation::Deploy { .. });
    let resting = journal.operation == Operation::Continue;
    match &journal.operation {
        Operation::Deploy { charm, .. } => fail(charm.digest.is_empty(), "deploy without a charm")?,
        Operation::RunAction { task } => fail(*task <= 0, "run-action without a task")?,
        Operation::RunHook { .. } | Operation::Continue => {}
    }
    fail(journal.installed && installs(&journal.operation), "install of an installed unit")?;
    let charmless = journal.charm.is_none();
    fail(
        charmless && (journal.installed || !(resting || deploying)),
        "an installed or running unit without a charm",
    )?;
    let task = matches!(journal.operation, Operation::RunAction { .. });
    fail(journal.failed.is_some() && !task, "a failed hook is kept although no task runs")?;
    let owed = !journal.queue.is_empty() || journal.interrupted.is_some();
    fail(resting && owed, "nothing in progress although hooks are owed")?;
    fail(
        resting && (journal.failures > 0 || journal.kills > 0),
        "failures without a hook in progress",
    )?;
    let began = journal.started || journal.removed || journal.stopped;
    fail(began && !journal.installed, "started or removed before install")?;
    for relation in journal.relations.values() {
        let members = !relation.members.is_empty();
        fail(members && !relation.created, "a relation with members before it was created")?;
        let pending = relation.changed_pending.as_ref();
        let unknown = pending.is_some_and(|unit| !relation.members.contains_key(unit));
        fail(unknown, "relation-changed is owed for a unit that has not joined")?;
    }
    Ok(())
}

impl Journal {
    /// As [`check_journal`].
    ///
    /// # Errors
    ///
    /// [`Error::Journal`] with the first contradiction found.
    pub fn check(&self) -> Result<()> {
        check_journal(self)
    }
}
