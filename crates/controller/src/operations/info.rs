//! Operations and tasks as the API shows them.

use std::collections::BTreeMap;

use serde_json::Value;
use tutti_model::api::{OperationInfo, OperationTask};
use tutti_store::Tx;

use super::progress::is_final;
use super::sql;
use crate::models::Model;
use crate::{Error, time};

/// The most operations one answer lists.
const LIST: u32 = 1000;

/// The operation of that number.
pub(super) fn operation(
    tx: &mut Tx<'_>,
    model: &Model,
    number: i64,
) -> Result<OperationInfo, Error> {
    let found: Option<sql::Operation> = tx.maybe(sql::FIND, (&model.id, number))?;
    let operation =
        found.ok_or_else(|| Error::NotFound(format!("operation \"{number}\" not found")))?;
    let tasks: Vec<sql::Task> = tx.all(sql::TASKS_OF, (&model.id, number))?;
    let messages = by_task(tx.all(sql::MESSAGES_OF, (&model.id, number))?);
    Ok(info(operation, tasks.iter(), &messages))
}

/// The newest operations, oldest first; 0 = as many as there may be in one answer.
pub(super) fn list(
    tx: &mut Tx<'_>,
    model: &Model,
    limit: u32,
) -> Result<Vec<OperationInfo>, Error> {
    let limit = if limit == 0 { LIST } else { limit.min(LIST) };
    let mut operations: Vec<sql::Operation> = tx.all(sql::NEWEST, (&model.id, limit))?;
    operations.reverse();
    let Some(first) = operations.first() else { return Ok(Vec::new()) };
    let tasks: Vec<sql::Task> = tx.all(sql::TASKS_FROM, (&model.id, first.number))?;
    let messages = by_task(tx.all(sql::MESSAGES_FROM, (&model.id, first.number))?);
    let of = |number: i64| tasks.iter().filter(move |task| task.operation == number);
    Ok(operations
        .into_iter()
        .map(|one| (one.number, one))
        .map(|(n, one)| info(one, of(n), &messages))
        .collect())
}

/// What each task said.
type Messages = BTreeMap<i64, Vec<String>>;

fn by_task(rows: Vec<sql::Message>) -> Messages {
    let mut messages = Messages::new();
    for row in rows {
        messages.entry(row.task).or_default().push(row.text);
    }
    messages
}

/// The task of that number.
pub(super) fn find(tx: &mut Tx<'_>, model: &Model, number: i64) -> Result<sql::Task, Error> {
    tx.maybe(sql::TASK, (&model.id, number))?
        .ok_or_else(|| Error::NotFound(format!("task \"{number}\" not found")))
}

fn info<'t>(
    operation: sql::Operation,
    tasks: impl Iterator<Item = &'t sql::Task>,
    messages: &Messages,
) -> OperationInfo {
    let tasks: Vec<_> = tasks.collect();
    let ended = tasks.iter().all(|task| is_final(&task.status));
    let completed = tasks.iter().filter_map(|task| task.completed).max();
    OperationInfo {
        id: operation.number.to_string(),
        summary: operation.summary,
        status: status(tasks.iter().map(|task| task.status.as_str())).to_owned(),
        refused: operation.refused.0,
        flow: operation.flow,
        enqueued: time::operation_time(operation.enqueued),
        completed: completed.filter(|_| ended).map(time::operation_time).unwrap_or_default(),
        tasks: tasks.into_iter().map(|one| show(one, messages)).collect(),
    }
}

/// The task of that number as the API shows it.
pub(super) fn task(tx: &mut Tx<'_>, model: &Model, number: i64) -> Result<OperationTask, Error> {
    let row = find(tx, model, number)?;
    let messages = by_task(tx.all(sql::MESSAGES_OF_TASK, (&model.id, number))?);
    Ok(show(&row, &messages))
}

fn show(task: &sql::Task, messages: &Messages) -> OperationTask {
    OperationTask {
        id: task.number.to_string(),
        operation: task.operation.to_string(),
        receiver: task.receiver.clone(),
        name: task.name.clone(),
        status: task.status.clone(),
        message: task.message.clone(),
        results: match &task.results.0 {
            Value::Null => Value::Object(serde_json::Map::new()),
            results => results.clone(),
        },
        log: task
            .log
            .0
            .iter()
            .chain(messages.get(&task.number).into_iter().flatten())
            .cloned()
            .collect(),
        enqueued: time::operation_time(task.enqueued),
        started: task.started.map(time::operation_time).unwrap_or_default(),
        completed: task.completed.map(time::operation_time).unwrap_or_default(),
    }
}

/// The status over all tasks: what is under way first, then the worst end.
fn status<'t>(tasks: impl Iterator<Item = &'t str> + Clone) -> &'t str {
    let order =
        ["aborting", "running", "pending", "error", "failed", "aborted", "cancelled", "completed"];
    let begun = tasks.clone().any(|status| status != "pending");
    let found = order.into_iter().find(|status| tasks.clone().any(|task| task == *status));
    match found {
        Some("pending") if begun => "running",
        Some(status) => status,
        None => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::status;

    #[test]
    fn an_operation_is_what_its_tasks_are() {
        for (tasks, expected) in [
            (&["pending", "pending"][..], "pending"),
            (&["pending", "completed"], "running"),
            (&["running", "failed"], "running"),
            (&["completed", "failed"], "failed"),
            (&["completed", "cancelled"], "cancelled"),
            (&["completed", "completed"], "completed"),
            (&[], "error"),
        ] {
            assert_eq!(status(tasks.iter().copied()), expected, "{tasks:?}");
        }
    }
}
