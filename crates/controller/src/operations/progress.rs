//! Tasks begin, log, end and are cancelled.
//!
//! A task that has ended stays as it is: a report that comes again, or too late, changes nothing.

use serde_json::{Value, json};
use tutti_flow::Failure;
use tutti_model::agent::TaskReport;
use tutti_store::{Json, Tx};
use uuid::Uuid;

use super::{BELL, sql};
use crate::logs::printable;
use crate::relations::Touched;
use crate::{Error, time};

/// Messages kept of one task.
const MESSAGES: i64 = 4096;

/// An agent says that a task of its unit began, or how it ended.
pub(crate) fn report(
    tx: &mut Tx<'_>,
    unit: &str,
    report: &TaskReport,
    now: i64,
) -> Result<(), Error> {
    let Some(task) = tx.maybe::<sql::Task>(sql::OF_UNIT, (unit, report.task))? else {
        return Ok(());
    };
    if report.status == "running" { begin(tx, &task, now) } else { end(tx, &task, report, now) }
}

/// A task begins to run.
pub(super) fn begin(tx: &mut Tx<'_>, task: &sql::Task, now: i64) -> Result<(), Error> {
    if task.status == "pending" {
        tx.exec(sql::SET_STATUS, (&task.model, task.number, "running", Some(now)))?;
        tx.ring(BELL);
    }
    Ok(())
}

/// A task has ended.
pub(super) fn end(
    tx: &mut Tx<'_>,
    task: &sql::Task,
    report: &TaskReport,
    now: i64,
) -> Result<(), Error> {
    if is_final(&task.status) {
        return Ok(());
    }
    if !is_final(&report.status) {
        return Err(Error::Invalid(format!("{:?} is not how a task ends", report.status)));
    }
    let results = if report.results.is_null() { json!({}) } else { report.results.clone() };
    let message = printable(&report.message);
    let row = (&task.model, task.number, &report.status, &message, Json(results), now);
    tx.exec(sql::END, row)?;
    tx.ring(BELL);
    let body = json!({"uuid": task.model, "operation": task.operation, "task": task.number,
        "receiver": task.receiver, "event": report.status});
    tx.outbox("operation-task", &body)?;
    complete(tx, task, now)
}

/// A message of a running task.
pub(crate) fn log(
    tx: &mut Tx<'_>,
    unit: &str,
    number: i64,
    message: &str,
    now: i64,
) -> Result<(), Error> {
    let Some(task) = tx.maybe::<sql::Task>(sql::OF_UNIT, (unit, number))? else {
        return Ok(());
    };
    let last: i64 = tx.one(sql::LAST_POSITION, (&task.model, number))?;
    if last < MESSAGES {
        let text = format!("{} {message}", time::operation_time(now));
        tx.exec(sql::ADD_MESSAGE, (&task.model, number, last + 1, text))?;
        tx.ring(BELL);
    }
    Ok(())
}

/// An operator cancels a task: one that has not begun ends at once, one that runs is to be killed
/// by its agent. Answers whether its unit must react.
pub(super) fn cancel(tx: &mut Tx<'_>, task: &sql::Task, now: i64) -> Result<bool, Error> {
    match task.status.as_str() {
        "pending" => {
            end(tx, task, &ended(task, "cancelled", "action cancelled via the API"), now)?;
            Ok(true)
        }
        "running" => {
            tx.exec(sql::SET_STATUS, (&task.model, task.number, "aborting", task.started))?;
            tx.ring(BELL);
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// The flow behind an operation was cancelled: so is every task of it that has not ended. Units that must react are touched;
/// what runs on machines is a task of the flow itself, and has been told.
pub(crate) fn cancel_of_flow(
    tx: &mut Tx<'_>,
    model: &str,
    flow: Uuid,
    now: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    let tasks: Vec<sql::Task> = tx.all(sql::UNFINISHED_OF_FLOW, (model, flow.to_string()))?;
    for task in tasks.into_iter().filter(|task| task.unit.is_some() || task.status == "pending") {
        cancel(tx, &task, now)?;
        touched.extend(task.unit);
    }
    Ok(())
}

/// A unit's records are gone: nobody will run its tasks.
pub(crate) fn cancel_for_unit(tx: &mut Tx<'_>, unit: &str, now: i64) -> Result<(), Error> {
    let tasks: Vec<sql::Task> = tx.all(sql::UNFINISHED_OF_UNIT, (unit,))?;
    for task in tasks {
        let status = if task.status == "pending" { "cancelled" } else { "aborted" };
        end(tx, &task, &ended(&task, status, "unit removed"), now)?;
    }
    Ok(())
}

/// A report without results.
pub(super) fn ended(task: &sql::Task, status: &str, message: &str) -> TaskReport {
    TaskReport {
        task: task.number,
        status: status.to_owned(),
        message: message.to_owned(),
        results: Value::Null,
    }
}

/// Whether a task has ended.
pub(super) fn is_final(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "cancelled" | "aborted" | "error")
}

/// Tells the flow of a unit's task. A failure ends a flow, so failures are told only when every
/// task of the operation has ended; until then they show as trouble.
fn complete(tx: &mut Tx<'_>, task: &sql::Task, now: i64) -> Result<(), Error> {
    let operation: Option<sql::Operation> = tx.maybe(sql::FIND, (&task.model, task.operation))?;
    let flow = operation.and_then(|operation| operation.flow);
    let Some(flow) = flow.and_then(|flow| Uuid::try_parse(&flow).ok()) else { return Ok(()) };
    let tasks: Vec<sql::Task> = tx.all(sql::TASKS_OF, (&task.model, task.operation))?;
    let all_ended = tasks.iter().all(|task| is_final(&task.status));
    for (position, one) in tasks.iter().enumerate().filter(|(_, one)| one.unit.is_some()) {
        let id = tutti_flow::task_id(flow, position);
        let result = match failure(one) {
            None if one.number == task.number => Ok(json!({"status": one.status})),
            Some(message) if all_ended => Err(Failure::Terminal(message)),
            Some(message) if one.number == task.number => Err(Failure::Retryable(message)),
            _ => continue,
        };
        match tutti_flow::complete(tx, id, result, now) {
            // The flow was cancelled or forgotten; the task is what counts.
            Ok(())
            | Err(tutti_flow::Error::NoTask { .. } | tutti_flow::Error::NotWaiting { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Why a task that has ended is no success; none also while it has not ended.
fn failure(task: &sql::Task) -> Option<String> {
    let code = task.results.0.get("return-code").and_then(Value::as_i64).unwrap_or_default();
    match task.status.as_str() {
        "completed" if code == 0 => None,
        "completed" => Some(format!("task {} ended with return code {code}", task.number)),
        status if is_final(status) && task.message.is_empty() => Some(format!("task {status}")),
        status if is_final(status) => Some(task.message.clone()),
        _ => None,
    }
}
