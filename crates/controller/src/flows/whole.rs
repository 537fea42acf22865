//! One flow with everything there is to see of it: tasks and what they need, its place in the
//! queues, its children, what can be asked of it.

use std::collections::HashMap;

use tutti_flow::{FlowFilter, FlowRow, TaskFilter, TaskRow, query, task_id};
use tutti_model::api::{ChildFlow, FlowInfo, FlowLogLine};
use tutti_store::Tx;
use uuid::Uuid;

use super::{show, verb};
use crate::time::rfc3339_milliseconds;
use crate::{Error, models};

/// Tasks read at a time, and children that are shown.
const PAGE: u32 = 1000;

/// A flow with its tasks.
pub(crate) fn whole(tx: &mut Tx<'_>, id: Uuid) -> Result<FlowInfo, Error> {
    let row = query::flow(tx, id)?.ok_or(tutti_flow::Error::NoFlow { id })?;
    let names = models::names(tx)?;
    let name = |model: &str| names.get(model).cloned().unwrap_or_default();
    let verbs = verb::possible(tx, &row)?;
    let mut flow = show::flow(row, name);
    flow.verbs = verbs.into_iter().map(|verb| verb.as_str().to_owned()).collect();
    flow.children = children(tx, id)?;
    for (row, needs) in with_needs(tx, id)? {
        let mut task = show::task(row, name);
        task.needs = needs.into_iter().map(|need| task_id(id, need).to_string()).collect();
        flow.tasks.push(task);
    }
    Ok(flow)
}

/// Every task of a flow, in its order, and the positions of those it needs.
pub(super) fn with_needs(tx: &mut Tx<'_>, flow: Uuid) -> Result<Vec<(TaskRow, Vec<usize>)>, Error> {
    let mut needs = query::needs(tx, flow)?;
    let with_needs = |row: TaskRow| {
        let needs = needs.remove(&row.number).unwrap_or_default();
        (row, needs)
    };
    Ok(tasks(tx, flow)?.into_iter().map(with_needs).collect())
}

/// Every task of a flow, in its order.
fn tasks(tx: &mut Tx<'_>, flow: Uuid) -> Result<Vec<TaskRow>, Error> {
    let mut found: Vec<TaskRow> = Vec::new();
    loop {
        let after = found.last().map(|task| task.id);
        let filter =
            TaskFilter { flow: Some(flow), limit: Some(PAGE), after, ..TaskFilter::default() };
        let page = query::tasks(tx, &filter)?;
        let is_last = page.len() < PAGE as usize;
        found.extend(page);
        if is_last {
            return Ok(found);
        }
    }
}

fn children(tx: &mut Tx<'_>, flow: Uuid) -> Result<Vec<ChildFlow>, Error> {
    let filter = FlowFilter { parent: Some(flow), limit: Some(PAGE), ..FlowFilter::default() };
    let shown = |child: FlowRow| ChildFlow {
        id: child.id.to_string(),
        kind: child.kind,
        title: child.title,
        state: child.state.to_string(),
        task: child.parent.map(|(_, task)| task.to_string()),
    };
    Ok(query::flows(tx, &filter)?.into_iter().rev().map(shown).collect())
}

/// What the tasks of a flow said while they ran, oldest first.
pub(super) fn log(tx: &mut Tx<'_>, id: Uuid) -> Result<Vec<FlowLogLine>, Error> {
    query::flow(tx, id)?.ok_or(tutti_flow::Error::NoFlow { id })?;
    let lines = query::log(tx, id, None)?;
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let tasks: HashMap<i64, TaskRow> =
        tasks(tx, id)?.into_iter().map(|task| (task.number, task)).collect();
    let shown = |line: query::LogLine| {
        let task = tasks.get(&line.number);
        FlowLogLine {
            time: rfc3339_milliseconds(line.at),
            task: task.map(|task| task.id.to_string()).unwrap_or_default(),
            title: task.map(|task| task.title.clone()).unwrap_or_default(),
            line: line.line,
        }
    };
    Ok(lines.into_iter().map(shown).collect())
}
