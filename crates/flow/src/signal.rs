//! What happens outside: values reached, subjects gone or in trouble, results of work done elsewhere.

use serde_json::{Value, json};
use tutti_store::Tx;
use uuid::Uuid;

use crate::{
    Error, Failure, Result, TaskState,
    change::{self, News},
    policy::storable,
    sql,
};

/// Says that `key` has reached `value`: tasks that wait for that or less succeed, now or when they begin. A smaller value
/// than before changes nothing.
///
/// # Errors
/// Storage errors.
pub fn signal(tx: &mut Tx<'_>, key: &str, value: i64, now: i64) -> Result<()> {
    tx.exec(sql::SIGNAL, (key, value))?;
    let output = json!({ "value": value }).to_string();
    let waiting = tx.all(sql::WAITS_OVER, (key, value))?;
    tell(tx, waiting, now, |number| News::Arrived(number, output.clone()))
}

/// Says that the subject behind `key` was removed: what waits for it succeeds with the output `{"gone":true}`, and the key is
/// forgotten.
///
/// # Errors
/// Storage errors.
pub fn signal_gone(tx: &mut Tx<'_>, key: &str, now: i64) -> Result<()> {
    tx.exec(sql::SIGNAL_GONE, (key,))?;
    let output = json!({ "gone": true }).to_string();
    let waiting = tx.all(sql::WAITS_OVER, (key, i64::MAX))?;
    tell(tx, waiting, now, |number| News::Arrived(number, output.clone()))
}

/// Says what is wrong with the subject behind `key`, or with `None` that nothing is any more. What waits for it shows as
/// retrying, with the message, until then.
///
/// # Errors
/// Storage errors.
pub fn trouble(tx: &mut Tx<'_>, key: &str, message: Option<&str>, now: i64) -> Result<()> {
    tx.exec(sql::SIGNAL_TROUBLE, (key, message))?;
    let message = message.map(str::to_owned);
    let waiting = tx.all(sql::TASKS_WAITING, (key,))?;
    tell(tx, waiting, now, |number| News::Troubled(number, message.clone()))
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
    let found: Option<(Uuid, i64, TaskState, Option<String>)> =
        tx.maybe(sql::TASK_OF_ID, (task,))?;
    let (flow, number, state, wait) = found.ok_or(Error::NoTask { id: task })?;
    match state {
        TaskState::Waiting | TaskState::Retrying if wait.is_some() => {}
        TaskState::Succeeded
        | TaskState::Failed
        | TaskState::Cancelled
        | TaskState::Skipped
        | TaskState::Reverted => return Ok(()),
        _ => return Err(Error::NotWaiting { id: task }),
    }
    let joins = match &result {
        Err(Failure::Retryable(_)) => None,
        _ => tx.maybe(sql::WAIT_OVER, (wait, flow, number))?.flatten(),
    };
    let number = usize::try_from(number).unwrap_or_default();
    let news = match result {
        Ok(output) => News::Arrived(number, output.to_string()),
        Err(Failure::Retryable(message)) => News::Troubled(number, Some(storable(&message))),
        Err(Failure::Terminal(message)) => News::Missed(number, storable(&message)),
    };
    change::tell_waiting(tx, flow, vec![(news, joins)], now)
}

/// Tells those who wait for a key, in order.
fn tell(
    tx: &mut Tx<'_>,
    mut waiting: Vec<(Uuid, i64, Option<i64>)>,
    now: i64,
    news: impl Fn(usize) -> News,
) -> Result<()> {
    waiting.sort_unstable();
    for tasks in waiting.chunk_by(|one, other| one.0 == other.0) {
        let told = tasks
            .iter()
            .filter_map(|(_, number, joins)| Some((news(usize::try_from(*number).ok()?), *joins)));
        change::tell_waiting(tx, tasks[0].0, told.collect(), now)?;
    }
    Ok(())
}
