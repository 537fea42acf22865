//! What people and the API see: flows and tasks as typed rows, newest first.

mod find;
mod totals;

use std::collections::HashMap;

use serde_json::value::Value;
use tutti_store::{Json, Tx, row, sql};
use uuid::Uuid;

use crate::{Access, FailureClass, FlowState, Result, TaskState, Wait, task_id};

pub use find::{flows_like, tasks_like};
pub use totals::{EndedTask, OpenFlows, ended_tasks, open_flows, open_tasks};

/// Rows of one page, at most.
const PAGE_MAX: u32 = 1000;

/// A flow as seen from outside. Times are microseconds since 1970, UTC.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowRow {
    /// Its id.
    pub id: Uuid,
    /// Its place in the one order of flows; a retried flow gets a new one.
    pub ticket: i64,
    /// What sort of change it is.
    pub kind: String,
    /// One sentence for people.
    pub title: String,
    /// The scope it belongs to.
    pub model: Option<String>,
    /// Where it stands.
    pub state: FlowState,
    /// Whether somebody cancelled it; it ends as soon as its running tasks do.
    pub cancelling: bool,
    /// Whether somebody suspended it; nothing of it begins until it is resumed.
    pub suspended: bool,
    /// Among flows that could run, greater ones go first.
    pub priority: i32,
    /// The flow and the id of its task that submitted it.
    pub parent: Option<(Uuid, Uuid)>,
    /// Whether it is newer desired state that it brings about.
    pub converge: bool,
    /// The generation of the desired state it was submitted for.
    pub generation: Option<i64>,
    /// Its tasks in all, and those that have not ended.
    pub tasks: i64,
    /// Tasks that have not ended.
    pub tasks_open: i64,
    /// The flow that took its place.
    pub superseded_by: Option<Uuid>,
    /// Why it failed.
    pub error: Option<String>,
    /// When something of it is due, if it waits for a time.
    pub wake_at: Option<i64>,
    /// When it was submitted.
    pub created: i64,
    /// When its first task began.
    pub started: Option<i64>,
    /// When it ended.
    pub finished: Option<i64>,
    /// What it changes or relies on.
    pub resources: Vec<(String, Access)>,
    /// What keeps it blocked.
    pub waiting_for: Vec<WaitingFor>,
    /// For what it was submitted; see [`Trace`](crate::Trace).
    pub trace: Option<String>,
}

/// A resource a blocked flow waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingFor {
    /// The resource.
    pub resource: String,
    /// The flow next before it in the resource's queue.
    pub flow: Uuid,
}

/// A task as seen from outside. Times are microseconds since 1970, UTC.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRow {
    /// Its id.
    pub id: Uuid,
    /// Its flow.
    pub flow: Uuid,
    /// Its position in the flow, from 0.
    pub number: i64,
    /// The name of its handler.
    pub name: String,
    /// One sentence for people.
    pub title: String,
    /// The resource it works on.
    pub resource: Option<String>,
    /// The scope of its flow.
    pub model: Option<String>,
    /// Where it stands.
    pub state: TaskState,
    /// Attempts begun so far.
    pub attempt: u32,
    /// Attempts in all.
    pub attempts_max: u32,
    /// What it was given.
    pub input: Value,
    /// What it answered.
    pub output: Option<Value>,
    /// Why the last attempt failed, or what is wrong with what it waits for.
    pub error: Option<String>,
    /// What sort of failure that was; of a list or a controller it is that of a task of theirs, and not said again.
    pub class: Option<FailureClass>,
    /// What it needs of a worker and who has claimed it, if its flow's owner cannot run it.
    pub offer: Option<OfferRow>,
    /// What it waits for, if it is that kind of task.
    pub wait: Option<Wait>,
    /// How far it is, from 0 to 1, if it ever said so.
    pub progress: Option<f64>,
    /// When the next attempt is due.
    pub next_at: Option<i64>,
    /// When it began.
    pub started: Option<i64>,
    /// When it ended.
    pub finished: Option<i64>,
}

/// A task offered to workers that have what its flow's owner lacks. As text, it says what it waits for, or at whom it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferRow {
    /// The name of the handler a worker must have.
    pub name: String,
    /// The labels it must have.
    pub labels: Vec<String>,
    /// The worker that has claimed it.
    pub worker: Option<String>,
}

impl std::fmt::Display for OfferRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, labels, worker } = self;
        match (worker, &labels[..]) {
            (Some(worker), _) => write!(f, "claimed by worker {worker}"),
            (None, []) => write!(f, "waiting for a worker that knows {name}"),
            (None, [label]) => {
                write!(f, "waiting for a worker with label {label} that knows {name}")
            }
            (None, labels) => {
                let labels = labels.join(", ");
                write!(f, "waiting for a worker with labels {labels} that knows {name}")
            }
        }
    }
}

/// Which flows to list. The default is all, the newest hundred.
#[derive(Clone, Debug, Default)]
pub struct FlowFilter {
    /// In this scope.
    pub model: Option<String>,
    /// About this resource.
    pub resource: Option<String>,
    /// In one of these states; all if empty.
    pub state: Vec<FlowState>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Submitted by a task of this flow.
    pub parent: Option<Uuid>,
    /// Submitted at this time or later.
    pub since: Option<i64>,
    /// At most so many; 100 if absent, 1000 at most.
    pub limit: Option<u32>,
    /// Older than this flow, the last of the page before.
    pub after: Option<Uuid>,
}

/// Which tasks to list. The default is all, the newest hundred.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    /// In this scope.
    pub model: Option<String>,
    /// On this resource, or in a flow about it; a name that ends with `/` or `*` stands for all that begin like it.
    pub resource: Option<String>,
    /// In one of these states; all if empty.
    pub state: Vec<TaskState>,
    /// Of this flow; then in the order of the flow.
    pub flow: Option<Uuid>,
    /// Of this name.
    pub name: Option<String>,
    /// That failed so; all if empty.
    pub class: Vec<FailureClass>,
    /// At most so many; 100 if absent, 1000 at most.
    pub limit: Option<u32>,
    /// After this task, the last of the page before.
    pub after: Option<Uuid>,
}

row! {
    /// An attempt that failed, or a wait that came to nothing.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct FailedAttempt {
        /// Which attempt it was, from 1; 0 of a task that no worker runs.
        pub attempt: u32,
        /// Whether it was one to undo the task.
        pub undoing: bool,
        /// When it failed, in microseconds since 1970, UTC.
        pub at: i64,
        /// What sort of failure it was.
        pub class: FailureClass,
        /// Why it failed, in a sentence.
        pub message: String,
        /// The worker that made it, if one is known.
        pub worker: Option<String>,
    }

    /// What a task said while it ran.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct LogLine {
        /// The task's position in the flow, from 0.
        pub number: i64,
        /// When it said so, in microseconds since 1970, UTC.
        pub at: i64,
        /// What it said.
        pub line: String,
    }

    struct RawFlow {
        id: Uuid, ticket: i64, kind: String, title: String, model: Option<String>, state: FlowState,
        ending: Option<FlowState>, converge: bool, generation: Option<i64>, tasks: i64, open: i64,
        superseded_by: Option<Uuid>, error: Option<String>, created: i64, started: Option<i64>, finished: Option<i64>,
        suspended: bool, priority: i32, parent: Option<Uuid>, parent_task: Option<i64>, wake_at: Option<i64>,
        trace: Option<String>,
    }

    struct RawTask {
        id: Uuid, flow: Uuid, number: i64, name: String, title: String, resource: Option<String>,
        model: Option<String>, state: TaskState, attempt: u32, attempts_max: u32, input: Json<Value>,
        output: Option<Json<Value>>, error: Option<String>, wait_key: Option<String>, wait_at_least: Option<i64>,
        next_at: Option<i64>, started: Option<i64>, finished: Option<i64>, progress: Option<f64>,
        labels: Option<Json<Vec<String>>>, worker: Option<String>, class: Option<FailureClass>,
    }
}

macro_rules! flow_columns {
    () => {
        "SELECT flow.id, flow.ticket, flow.kind, flow.title, flow.model, flow.state, flow.ending, flow.converge, \
         flow.generation, flow.tasks, (SELECT count(*) FROM flow_task AS open WHERE open.flow = flow.id \
         AND open.finished IS NULL), flow.superseded_by, flow.error, flow.created, flow.started, flow.finished, \
         flow.suspended, flow.priority, flow.parent, flow.parent_task, flow.wake_at, \
         flow.trace FROM "
    };
}

// $1 model, $2 states as JSON, $3 kind, $4 since, $5 after, $6 limit.
macro_rules! flow_filter {
    () => {
        "(CAST($1 AS TEXT) IS NULL OR flow.model = $1) \
         AND (CAST($2 AS TEXT) IS NULL OR flow.state IN (SELECT value FROM json_each($2))) \
         AND (CAST($3 AS TEXT) IS NULL OR flow.kind = $3) AND flow.created >= $4 AND flow.ticket < \
         coalesce((SELECT ticket FROM flow WHERE id = $5), 9223372036854775807) \
         ORDER BY flow.ticket DESC LIMIT $6"
    };
}

// An error's class is that of the attempt that failed with it. A task whose worker is gone has no error yet.
macro_rules! task_class {
    () => {
        "(SELECT class FROM flow_failure AS failure WHERE failure.flow = task.flow AND failure.number = task.number \
         AND (failure.message = task.error OR task.state = 'maybe_ran' AND failure.class = 'lost') \
         ORDER BY failure.id DESC LIMIT 1)"
    };
}

macro_rules! task_columns {
    () => {
        concat!("SELECT task.id, task.flow, task.number, task.name, task.title, task.resource, flow.model, task.state, \
         task.attempt, task.attempts_max, task.input, task.output, task.error, task.wait_key, task.wait_at_least, \
         task.next_at, task.started, task.finished, task.progress, offer.labels, offer.worker, ", task_class!(), " \
         FROM flow_task AS task JOIN flow ON flow.id = task.flow \
         LEFT JOIN flow_offer AS offer ON task.offered AND offer.flow = task.flow AND offer.number = task.number WHERE ")
    };
}

sql! {
    pub(crate) FLOW = concat!(flow_columns!(), "flow WHERE id = $1");
    pub(crate) FLOWS = concat!(flow_columns!(), "flow WHERE ", flow_filter!());
    pub(crate) FLOWS_UNDER = concat!(flow_columns!(), "flow WHERE flow.parent = $7 AND ", flow_filter!());
    pub(crate) FLOWS_OF = concat!(flow_columns!(),
        "flow_resource JOIN flow ON flow.id = flow_resource.flow WHERE flow_resource.resource = $8 \
         AND (CAST($7 AS TEXT) IS NULL OR flow.parent = $7) AND ", flow_filter!());
    pub(crate) RESOURCES = "SELECT resource, exclusive FROM flow_resource WHERE flow = $1 ORDER BY resource";
    pub(crate) WAITING_FOR = "SELECT own.resource, (
            SELECT flow FROM flow_queue AS before
            WHERE before.resource = own.resource AND before.ticket < own.ticket ORDER BY before.ticket DESC LIMIT 1)
        FROM flow_queue AS own WHERE own.flow = $1 AND NOT own.granted ORDER BY own.resource";
    pub(crate) PLACES = "SELECT own.resource, (
            SELECT count(*) FROM flow_queue AS before
            WHERE before.resource = own.resource AND before.ticket <= own.ticket)
        FROM flow_queue AS own WHERE own.flow = $1 AND NOT own.granted";
    pub(crate) NEEDS = "SELECT number, needs FROM flow_task WHERE flow = $1 AND needs IS NOT NULL";
    pub(crate) TASK = concat!(task_columns!(), "task.id = $1");
    pub(crate) TASKS_OF_FLOW = concat!(task_columns!(), "task.flow = $1
        AND (CAST($2 AS TEXT) IS NULL OR task.state IN (SELECT value FROM json_each($2)))
        AND (CAST($3 AS TEXT) IS NULL OR task.name = $3)
        AND (CAST($6 AS TEXT) IS NULL OR ", task_class!(), " IN (SELECT value FROM json_each($6)))
        AND task.number > coalesce((SELECT number FROM flow_task WHERE id = $4), -1) ORDER BY task.number LIMIT $5");
    pub(crate) FAILURES = "SELECT attempt, undoing, at, class, message, worker FROM flow_failure
        WHERE flow = $1 AND number = $2 ORDER BY id";
    pub(crate) LOG = "SELECT number, at, line FROM flow_log WHERE flow = $1
        AND (CAST($2 AS BIGINT) IS NULL OR number = $2) ORDER BY id DESC LIMIT $3";
    pub(crate) TASKS = concat!(task_columns!(), "
        (CAST($1 AS TEXT) IS NULL OR task.state IN (SELECT value FROM json_each($1)))
        AND (CAST($2 AS TEXT) IS NULL OR task.name = $2)
        AND (CAST($3 AS TEXT) IS NULL OR flow.model = $3)
        AND (CAST($4 AS TEXT) IS NULL OR task.resource = $4 OR EXISTS (
            SELECT 1 FROM flow_resource AS use WHERE use.flow = task.flow AND use.resource = $4))
        AND (CAST($5 AS TEXT) IS NULL OR substr(task.resource, 1, length($5)) = $5 OR EXISTS (
            SELECT 1 FROM flow_resource AS use
            WHERE use.flow = task.flow AND substr(use.resource, 1, length($5)) = $5))
        AND (CAST($8 AS TEXT) IS NULL OR ", task_class!(), " IN (SELECT value FROM json_each($8)))
        AND (CAST($6 AS TEXT) IS NULL OR task.id < $6) ORDER BY task.id DESC LIMIT $7");
}

/// One flow.
///
/// # Errors
/// Storage errors.
pub fn flow(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<FlowRow>> {
    let raw: Option<RawFlow> = tx.maybe(FLOW, (id,))?;
    raw.map(|raw| complete(tx, raw)).transpose()
}

/// The flows a filter lets through, newest first.
///
/// # Errors
/// Storage errors.
pub fn flows(tx: &mut Tx<'_>, filter: &FlowFilter) -> Result<Vec<FlowRow>> {
    let states = (!filter.state.is_empty()).then_some(Json(&filter.state));
    let since = filter.since.unwrap_or(i64::MIN);
    let limit = filter.limit.unwrap_or(100).min(PAGE_MAX);
    let (model, kind) = (&filter.model, &filter.kind);
    let (after, parent) = (filter.after, filter.parent);
    let raw: Vec<RawFlow> = match (&filter.resource, parent) {
        (None, None) => tx.all(FLOWS, (model, states, kind, since, after, limit))?,
        (None, Some(_)) => {
            tx.all(FLOWS_UNDER, (model, states, kind, since, after, limit, parent))?
        }
        (Some(name), _) => {
            tx.all(FLOWS_OF, (model, states, kind, since, after, limit, parent, name))?
        }
    };
    raw.into_iter().map(|raw| complete(tx, raw)).collect()
}

/// A flow's places in the queues of the resources it waits for: 1 has the resource.
///
/// # Errors
/// Storage errors.
pub fn places(tx: &mut Tx<'_>, flow: Uuid) -> Result<Vec<(String, u32)>> {
    Ok(tx.all(PLACES, (flow,))?)
}

/// The tasks each task of a flow needs, by position; those that need none are left out.
///
/// # Errors
/// Storage errors.
pub fn needs(tx: &mut Tx<'_>, flow: Uuid) -> Result<HashMap<i64, Vec<usize>>> {
    let needs: Vec<(i64, Json<Vec<usize>>)> = tx.all(NEEDS, (flow,))?;
    Ok(needs.into_iter().map(|(number, needs)| (number, needs.0)).collect())
}

/// One task.
///
/// # Errors
/// Storage errors.
pub fn task(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<TaskRow>> {
    Ok(tx.maybe::<RawTask>(TASK, (id,))?.map(TaskRow::from))
}

/// The tasks a filter lets through: of one flow in their order, else newest first.
///
/// # Errors
/// Storage errors.
pub fn tasks(tx: &mut Tx<'_>, filter: &TaskFilter) -> Result<Vec<TaskRow>> {
    let states = (!filter.state.is_empty()).then_some(Json(&filter.state));
    let limit = filter.limit.unwrap_or(100).min(PAGE_MAX);
    let (name, after) = (&filter.name, filter.after);
    let classes = (!filter.class.is_empty()).then_some(Json(&filter.class));
    let raw: Vec<RawTask> = if let Some(flow) = filter.flow {
        tx.all(TASKS_OF_FLOW, (flow, states, name, after, limit, classes))?
    } else {
        let resource = filter.resource.as_deref();
        let prefix = resource
            .filter(|name| name.ends_with(['/', '*']))
            .map(|name| name.trim_end_matches('*'));
        let exact = if prefix.is_some() { None } else { resource };
        tx.all(TASKS, (states, name, &filter.model, exact, prefix, after, limit, classes))?
    };
    Ok(raw.into_iter().map(TaskRow::from).collect())
}

/// The newest attempts at a task that failed, ten in each direction, oldest first.
///
/// # Errors
/// Storage errors.
pub fn failures(tx: &mut Tx<'_>, task: &TaskRow) -> Result<Vec<FailedAttempt>> {
    Ok(tx.all(FAILURES, (task.flow, task.number))?)
}

/// The lines the tasks of a flow have left, or one of them, oldest first; the last thousand.
///
/// # Errors
/// Storage errors.
pub fn log(tx: &mut Tx<'_>, flow: Uuid, number: Option<i64>) -> Result<Vec<LogLine>> {
    let mut lines: Vec<LogLine> = tx.all(LOG, (flow, number, PAGE_MAX))?;
    lines.reverse();
    Ok(lines)
}

fn complete(tx: &mut Tx<'_>, raw: RawFlow) -> Result<FlowRow> {
    let resources: Vec<(String, bool)> = tx.all(RESOURCES, (raw.id,))?;
    let access = |exclusive| if exclusive { Access::Exclusive } else { Access::Shared };
    let waiting: Vec<(String, Option<Uuid>)> = match raw.state {
        FlowState::Blocked => tx.all(WAITING_FOR, (raw.id,))?,
        _ => Vec::new(),
    };
    Ok(FlowRow {
        id: raw.id,
        ticket: raw.ticket,
        kind: raw.kind,
        title: raw.title,
        model: raw.model,
        state: raw.state,
        cancelling: raw.ending == Some(FlowState::Cancelled) && !raw.state.is_ended(),
        suspended: raw.suspended,
        priority: raw.priority,
        parent: raw
            .parent
            .zip(raw.parent_task)
            .map(|(flow, task)| (flow, task_id(flow, usize::try_from(task).unwrap_or_default()))),
        converge: raw.converge,
        generation: raw.generation,
        tasks: raw.tasks,
        tasks_open: raw.open,
        superseded_by: raw.superseded_by,
        error: raw.error,
        wake_at: raw.wake_at,
        created: raw.created,
        started: raw.started,
        finished: raw.finished,
        resources: resources.into_iter().map(|(name, only)| (name, access(only))).collect(),
        waiting_for: waiting
            .into_iter()
            .filter_map(|(resource, flow)| Some(WaitingFor { resource, flow: flow? }))
            .collect(),
        trace: raw.trace,
    })
}

impl From<RawTask> for TaskRow {
    fn from(raw: RawTask) -> Self {
        Self {
            id: raw.id,
            flow: raw.flow,
            number: raw.number,
            offer: raw.labels.map(|Json(labels)| {
                let (name, worker) = (raw.name.clone(), raw.worker);
                OfferRow { name, labels, worker }
            }),
            name: raw.name,
            title: raw.title,
            resource: raw.resource,
            model: raw.model,
            state: raw.state,
            attempt: raw.attempt,
            attempts_max: raw.attempts_max,
            input: raw.input.0,
            output: raw.output.map(|output| output.0),
            error: raw.error,
            class: raw.class,
            wait: raw
                .wait_key
                .map(|key| Wait { key, at_least: raw.wait_at_least.unwrap_or_default() }),
            progress: raw.progress,
            next_at: raw.next_at,
            started: raw.started,
            finished: raw.finished,
        }
    }
}
