//! One flow with everything there is to see of it: tasks and what they need, its place in the
//! queues, its parent and children, what can be asked of it.

use std::collections::HashMap;

use tutti_flow::{TaskFilter, TaskRow, query, task_id};
use tutti_model::api::{ChildFlow, FlowInfo, FlowLogLine};
use tutti_store::Tx;
use uuid::Uuid;

use super::{show, sql, unscoped, verb};
use crate::time::rfc3339_milliseconds;
use crate::{Error, models};

/// Tasks read at a time.
const PAGE: u32 = 1000;

/// The newest lines of a log that are shown.
const LINES: u32 = 1000;

/// A flow with its tasks.
pub(crate) fn whole(tx: &mut Tx<'_>, id: Uuid) -> Result<FlowInfo, Error> {
    let row = query::flow(tx, id)?.ok_or(tutti_flow::Error::NoFlow { id })?;
    let beside: sql::Beside = tx.one(sql::BESIDE, (id,))?;
    let names = models::names(tx)?;
    let name = |model: &str| names.get(model).cloned().unwrap_or_default();
    let verbs = verb::possible(row.state, row.cancelling, beside.suspended);
    let mut flow = show::flow(row, name);
    flow.verbs = verbs.into_iter().map(|verb| verb.as_str().to_owned()).collect();
    flow.parent = beside.parent.map(|parent| parent.to_string());
    flow.next = beside.wake_at.map(rfc3339_milliseconds).unwrap_or_default();
    flow.children = children(tx, id)?;
    if !flow.waiting_for.is_empty() {
        let places: HashMap<String, u32> =
            tx.all::<(String, u32)>(sql::PLACES, (id,))?.into_iter().collect();
        let places: HashMap<&str, u32> =
            places.iter().map(|(resource, place)| (unscoped(resource), *place)).collect();
        for ahead in &mut flow.waiting_for {
            ahead.position = places.get(ahead.resource.as_str()).copied();
        }
    }
    for (row, shape) in shaped(tx, id)? {
        let mut task = show::task(row, name);
        task.progress = shape.progress;
        task.needs = shape.needs.into_iter().map(|need| task_id(id, need).to_string()).collect();
        flow.tasks.push(task);
    }
    Ok(flow)
}

/// How a task stands to the others.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// The positions of the tasks it needs.
    pub(super) needs: Vec<usize>,
    progress: Option<f64>,
}

/// Every task of a flow, in its order, and how it stands to the others.
pub(super) fn shaped(tx: &mut Tx<'_>, flow: Uuid) -> Result<Vec<(TaskRow, Shape)>, Error> {
    let shapes: Vec<sql::Shape> = tx.all(sql::SHAPE, (flow,))?;
    let shape = |shape: sql::Shape| {
        let needs = shape.needs.map(|needs| needs.0).unwrap_or_default();
        (shape.number, Shape { needs, progress: shape.progress })
    };
    let mut shapes: HashMap<i64, Shape> = shapes.into_iter().map(shape).collect();
    let tasks = tasks(tx, flow)?.into_iter();
    Ok(tasks
        .map(|row| {
            let shape = shapes.remove(&row.number).unwrap_or_default();
            (row, shape)
        })
        .collect())
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
    let children: Vec<sql::Child> = tx.all(sql::CHILDREN, (flow,))?;
    let shown = |child: sql::Child| ChildFlow {
        id: child.id.to_string(),
        kind: child.kind,
        title: child.title,
        state: child.state,
        task: child.task.map(|number| at(flow, number).to_string()),
    };
    Ok(children.into_iter().map(shown).collect())
}

/// What the tasks of a flow said while they ran, oldest first.
pub(super) fn log(tx: &mut Tx<'_>, id: Uuid) -> Result<Vec<FlowLogLine>, Error> {
    query::flow(tx, id)?.ok_or(tutti_flow::Error::NoFlow { id })?;
    let mut lines: Vec<sql::Line> = tx.all(sql::LOG, (id, LINES))?;
    lines.reverse();
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let titles: HashMap<i64, String> =
        tasks(tx, id)?.into_iter().map(|task| (task.number, task.title)).collect();
    let shown = |line: sql::Line| FlowLogLine {
        time: rfc3339_milliseconds(line.at),
        task: at(id, line.number).to_string(),
        title: titles.get(&line.number).cloned().unwrap_or_default(),
        line: line.line,
    };
    Ok(lines.into_iter().map(shown).collect())
}

/// The id of the task at a position.
fn at(flow: Uuid, number: i64) -> Uuid {
    task_id(flow, usize::try_from(number).unwrap_or_default())
}
