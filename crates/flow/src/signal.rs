//! What happens outside: values reached, subjects gone or in trouble, results of work done elsewhere.

use serde_json::{Value, json};
use tutti_store::Tx;
use uuid::Uuid;

use crate::{
    Error, Failure, FlowState, Result, TaskState,
    progress::{Hands, Progress},
    queue,
    sql::{self, Flow},
};

/// Says that `key` has reached `value`: tasks that wait for that or less succeed, now or when they begin. A smaller value
/// than before changes nothing.
///
/// # Errors
/// Storage errors.
pub fn signal(tx: &mut Tx<'_>, key: &str, value: i64, now: i64) -> Result<()> {
    tx.exec(sql::SIGNAL, (key, value))?;
    succeed_waiting(tx, key, value, &json!({ "value": value }), now)
}

/// Says that the subject behind `key` was removed: what waits for it succeeds with the output `{"gone":true}`, and the key is
/// forgotten.
///
/// # Errors
/// Storage errors.
pub fn signal_gone(tx: &mut Tx<'_>, key: &str, now: i64) -> Result<()> {
    tx.exec(sql::SIGNAL_GONE, (key,))?;
    succeed_waiting(tx, key, i64::MAX, &json!({ "gone": true }), now)
}

/// Says what is wrong with the subject behind `key`, or with `None` that nothing is any more. What waits for it shows as
/// retrying, with the message, until then.
///
/// # Errors
/// Storage errors.
pub fn trouble(tx: &mut Tx<'_>, key: &str, message: Option<&str>, _now: i64) -> Result<()> {
    tx.exec(sql::SIGNAL_TROUBLE, (key, message))?;
    let state = if message.is_some() { TaskState::Retrying } else { TaskState::Waiting };
    tx.exec(sql::TASKS_TROUBLED, (key, state, message))?;
    Ok(())
}

/// Ends a waiting task with a result from outside, such as that of an action an agent ran. A retryable failure leaves it
/// waiting, shown as retrying. Completing a task that has ended changes nothing.
///
/// # Errors
/// [`Error::NoTask`]; [`Error::NotWaiting`] if it has not begun, or has a handler; storage errors.
pub fn complete(
    tx: &mut Tx<'_>,
    task: Uuid,
    result: Result<Value, Failure>,
    now: i64,
) -> Result<()> {
    let found: Option<(Uuid, i64, TaskState)> = tx.maybe(sql::TASK_OF_ID, (task,))?;
    let (flow, number, state) = found.ok_or(Error::NoTask { id: task })?;
    match state {
        TaskState::Waiting | TaskState::Retrying => {}
        TaskState::Succeeded
        | TaskState::Failed
        | TaskState::Cancelled
        | TaskState::Skipped
        | TaskState::Reverted => return Ok(()),
        _ => return Err(Error::NotWaiting { id: task }),
    }
    if let Err(Failure::Retryable(message)) = result {
        tx.exec(sql::TASK_WAIT, (flow, number, TaskState::Retrying, message, now))?;
        return Ok(());
    }
    change(tx, flow, now, |progress| match &result {
        Ok(output) => progress.succeed(number, &output.to_string()),
        Err(failure) => progress.fail_by_policy(number, failure.message()),
    })
}

fn succeed_waiting(tx: &mut Tx<'_>, key: &str, value: i64, output: &Value, now: i64) -> Result<()> {
    let waiting: Vec<(Uuid, i64)> = tx.all(sql::TASKS_WAITING, (key, value))?;
    let output = output.to_string();
    for tasks in waiting.chunk_by(|one, other| one.0 == other.0) {
        change(tx, tasks[0].0, now, |progress| {
            tasks.iter().try_for_each(|(_, number)| progress.succeed(*number, &output))
        })?;
    }
    Ok(())
}

/// Changes a flow without being its worker.
pub(crate) fn change(
    tx: &mut Tx<'_>,
    flow: Uuid,
    now: i64,
    change: impl FnOnce(&mut Progress<'_, '_>) -> Result<()>,
) -> Result<()> {
    let flow: Flow = tx.maybe(sql::FLOW, (flow,))?.ok_or(Error::NoFlow { id: flow })?;
    debug_assert!(flow.state != FlowState::Blocked, "a blocked flow has no task that began");
    let mut progress = Progress::new(tx, flow, Hands::Free, now);
    change(&mut progress)?;
    let settled = progress.settle()?;
    queue::grant(tx, settled.released, now)
}
