//! Operations: actions and commands that people run on units and machines.
//!
//! An operation is the group of tasks of one command: one task per target, numbered by one counter
//! of the model that operations share. A unit's task waits in the unit's queue until its agent runs
//! it; a machine's task is run by the controller, on its own host. A flow stands behind each
//! operation, with a task for each of its tasks.
//!
//! - [`start`]: from a request to tasks, and what is refused;
//! - [`progress`]: tasks begin, log, end, are cancelled;
//! - [`machine`]: commands on machines; [`info`]: what people see.

mod api;
mod info;
mod machine;
mod progress;
mod sql;
mod start;

use tutti_model::agent::{ContextAction, PendingTask, TaskWork};
use tutti_store::Tx;

use crate::Error;

pub(crate) use api::routes;
pub(crate) use info::{operation, task};
pub(crate) use machine::MachineExec;
pub(crate) use progress::{cancel_for_unit, cancel_of_flow, log, report};
pub(crate) use sql::STATEMENTS;

/// Kinds of the flows behind operations: actions and commands.
const FLOWS: [&str; 2] = ["run", "exec"];

/// Whether flows of this kind stand behind operations: what they do is done once, by others.
pub(crate) fn is_behind(kind: &str) -> bool {
    FLOWS.contains(&kind)
}

/// Rings when a task's status changed.
pub(crate) const BELL: &str = "operation-tasks";

/// The tasks a unit has still to run, oldest first, and those it runs that were cancelled.
pub(crate) fn waiting_for(tx: &mut Tx<'_>, unit: &str) -> Result<Vec<PendingTask>, Error> {
    let rows: Vec<sql::Task> = tx.all(sql::WAITING_FOR, (unit,))?;
    let task = |row: sql::Task| PendingTask {
        task: row.number,
        name: row.name,
        work: if row.work == "exec" { TaskWork::Exec } else { TaskWork::Action },
        parallel: row.parallel,
        cancelled: row.status == "aborting",
    };
    Ok(rows.into_iter().map(task).collect())
}

/// What a unit's task is about, for its context.
pub(crate) fn action(
    tx: &mut Tx<'_>,
    unit: &str,
    number: i64,
) -> Result<Option<ContextAction>, Error> {
    let row: Option<sql::Task> = tx.maybe(sql::OF_UNIT, (unit, number))?;
    Ok(row.map(|row| ContextAction {
        task: row.number,
        name: row.name,
        parameters: row.parameters.0,
        command: row.command,
        timeout_ms: row.timeout_ms,
    }))
}

/// Forgets operations of which every task ended before a time.
pub(crate) fn forget(tx: &mut Tx<'_>, before: i64) -> Result<(), Error> {
    if tx.exec(sql::FORGET, (before,))? > 0 {
        tx.exec(sql::FORGET_TASKS, ())?;
        tx.exec(sql::FORGET_MESSAGES, ())?;
    }
    Ok(())
}

/// Forgets a model's operations; commands that still run on its machines are killed.
pub(crate) fn remove_all_of_model(tx: &mut Tx<'_>, model: &str) -> Result<(), Error> {
    tx.exec(sql::REMOVE_MESSAGES, (model,))?;
    tx.exec(sql::REMOVE_TASKS, (model,))?;
    tx.exec(sql::REMOVE_OPERATIONS, (model,))?;
    tx.ring(BELL);
    Ok(())
}
