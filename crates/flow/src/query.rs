//! What people and the API see: flows and tasks as typed rows, newest first.

mod find;
mod ledger;
mod statements;
mod totals;

use std::collections::HashMap;

use serde_json::value::Value;
use tutti_store::{Json, Tx, row};
use uuid::Uuid;

use crate::{Access, FailureClass, FlowState, Result, TaskState, Wait, task_id};

use statements as sql;
pub(crate) use statements::shown_state;
use statements::{RawFlow, RawTask};

pub use find::{flows_like, tasks_like};
pub use ledger::{LedgerFilter, LedgerRow, ledger};
pub use totals::{EndedTask, OpenFlows, ended_tasks, is_crowded, open_flows, open_tasks};

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
    /// Whether what it did is being undone, or is to be undone once it has its resources.
    pub reverting: bool,
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
    /// When it was put back into its queues after it had ended, if it was.
    pub requeued: Option<i64>,
    /// When its first task began; of one that was retried, since then.
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

/// The last place in a queue that rows of flows tell from those behind it.
pub const PLACE_MAX: u32 = 1_000;

/// A resource a blocked flow waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingFor {
    /// The resource.
    pub resource: String,
    /// The flow next before it in the resource's queue.
    pub flow: Uuid,
    /// Its place in the queue: 1 has the resource, and [`PLACE_MAX`] stands for that or a later one. [`places`] counts on.
    pub place: u32,
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
    /// Of this kind, or with this in its title, in any case.
    pub name: Option<String>,
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
    /// Of flows submitted by a task of this flow.
    pub parent: Option<Uuid>,
    /// Of flows submitted at this time or later, to the millisecond.
    pub since: Option<i64>,
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
}

/// One flow.
///
/// # Errors
/// Storage errors.
pub fn flow(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<FlowRow>> {
    let raw: Option<RawFlow> = tx.maybe(sql::FLOW, (id,))?;
    Ok(complete(tx, raw.into_iter().collect())?.pop())
}

/// States of flows that ended otherwise than as they should.
const UNSUCCESSFUL: &[FlowState] = &[
    FlowState::Failed,
    FlowState::Reverted,
    FlowState::Cancelled,
    FlowState::Parked,
    FlowState::Stuck,
    FlowState::Abandoned,
];

/// States of tasks that failed for good.
const FAILED: &[TaskState] = &[TaskState::Failed, TaskState::RevertFailed];

/// The flows a filter lets through, newest first.
///
/// # Errors
/// Storage errors.
pub fn flows(tx: &mut Tx<'_>, filter: &FlowFilter) -> Result<Vec<FlowRow>> {
    let states = (!filter.state.is_empty()).then_some(Json(&filter.state));
    let since = filter.since.unwrap_or_default();
    let limit = filter.limit.unwrap_or(100).min(PAGE_MAX);
    let (model, kind) = (&filter.model, &filter.kind);
    let (after, parent) = (filter.after, filter.parent);
    let name = &filter.name;
    let title = name.as_deref().map(pattern);
    let are = |wanted: fn(&FlowState) -> bool| states.is_some() && filter.state.iter().all(wanted);
    let raw: Vec<RawFlow> = if let Some(resource) = &filter.resource {
        let wanted = (model, states, kind, since, after, limit, parent, name, title, resource);
        tx.all(sql::FLOWS_OF, wanted)?
    } else {
        let statement = match parent {
            Some(_) => sql::FLOWS_UNDER,
            None if are(|state| !state.is_ended()) => sql::FLOWS_OPEN,
            None if are(|state| UNSUCCESSFUL.contains(state)) => sql::FLOWS_UNSUCCESSFUL,
            None => sql::FLOWS,
        };
        tx.all(statement, (model, states, kind, since, after, limit, parent, name, title))?
    };
    complete(tx, raw)
}

/// What a text is like that has these words in it, in any case.
fn pattern(words: &str) -> String {
    let mut pattern = String::from("%");
    for letter in words.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

/// A flow's places in the queues of the resources it waits for: 1 has the resource. Takes as long as the queues are.
///
/// # Errors
/// Storage errors.
pub fn places(tx: &mut Tx<'_>, flow: Uuid) -> Result<Vec<(String, u32)>> {
    let waiting: Vec<Ahead> = tx.all_many(sql::WAITING_FOR, [(flow, i64::MAX)])?;
    Ok(waiting.into_iter().map(|(_, resource, _, place)| (resource, place)).collect())
}

/// The tasks each task of a flow needs, by position; those that need none are left out.
///
/// # Errors
/// Storage errors.
pub fn needs(tx: &mut Tx<'_>, flow: Uuid) -> Result<HashMap<i64, Vec<usize>>> {
    let needs: Vec<(i64, Json<Vec<usize>>)> = tx.all(sql::NEEDS, (flow,))?;
    Ok(needs.into_iter().map(|(number, needs)| (number, needs.0)).collect())
}

/// One task.
///
/// # Errors
/// Storage errors.
pub fn task(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<TaskRow>> {
    Ok(tx.maybe::<RawTask>(sql::TASK, (id,))?.map(TaskRow::from))
}

/// The tasks a filter lets through: of one flow in their order, else newest first.
///
/// # Errors
/// Storage errors.
pub fn tasks(tx: &mut Tx<'_>, filter: &TaskFilter) -> Result<Vec<TaskRow>> {
    let states = (!filter.state.is_empty()).then_some(Json(&filter.state));
    let limit = filter.limit.unwrap_or(100).min(PAGE_MAX);
    let (name, model, parent, after) = (&filter.name, &filter.model, filter.parent, filter.after);
    let classes = (!filter.class.is_empty()).then_some(Json(&filter.class));
    if let Some(flow) = filter.flow {
        let raw: Vec<RawTask> =
            tx.all(sql::TASKS_OF_FLOW, (flow, states, name, after, limit, classes))?;
        return Ok(raw.into_iter().map(TaskRow::from).collect());
    }
    // Ids of tasks begin with the time at which their flow was submitted.
    let (before, since) =
        (after.unwrap_or(Uuid::max()), filter.since.map_or(Uuid::nil(), least_id));
    let raw: Vec<RawTask> = if let Some(resource) = filter.resource.as_deref() {
        let (statement, resource) = match resource.ends_with(['/', '*']) {
            true => (sql::TASKS_BELOW, resource.trim_end_matches('*')),
            false => (sql::TASKS_ABOUT, resource),
        };
        tx.all(statement, (states, name, model, parent, before, since, limit, classes, resource))?
    } else {
        let has_failed = |state: &TaskState| FAILED.contains(state);
        let statement = match parent {
            Some(_) => sql::TASKS_UNDER,
            None if classes.is_some() => sql::TASKS_CLASSED,
            None if states.is_some() && filter.state.iter().all(has_failed) => sql::TASKS_FAILED,
            None => sql::TASKS,
        };
        tx.all(statement, (states, name, model, parent, before, since, limit, classes))?
    };
    Ok(raw.into_iter().map(TaskRow::from).collect())
}

/// The least id there can be of what was submitted at this time, microseconds since 1970.
fn least_id(at: i64) -> Uuid {
    let milliseconds = u128::from((at / 1000).max(0).unsigned_abs());
    Uuid::from_u128(milliseconds << 80)
}

/// The newest attempts at a task that failed, ten in each direction, oldest first.
///
/// # Errors
/// Storage errors.
pub fn failures(tx: &mut Tx<'_>, task: &TaskRow) -> Result<Vec<FailedAttempt>> {
    Ok(tx.all(sql::FAILURES, (task.flow, task.number))?)
}

/// The lines the tasks of a flow have left, or one of them, oldest first; the last thousand.
///
/// # Errors
/// Storage errors.
pub fn log(tx: &mut Tx<'_>, flow: Uuid, number: Option<i64>) -> Result<Vec<LogLine>> {
    let mut lines: Vec<LogLine> = tx.all(sql::LOG, (flow, number, PAGE_MAX))?;
    lines.reverse();
    Ok(lines)
}

/// A blocked flow, a resource it waits for, the flow before it there, and its own place.
type Ahead = (Uuid, String, Option<Uuid>, u32);

/// Adds what is in other tables, of all flows at once.
fn complete(tx: &mut Tx<'_>, raw: Vec<RawFlow>) -> Result<Vec<FlowRow>> {
    let mut used: Vec<(Uuid, String, bool)> =
        tx.all_many(sql::RESOURCES, raw.iter().map(|flow| (flow.id,)))?;
    used.sort_unstable();
    let blocked = raw.iter().filter(|flow| flow.state == FlowState::Blocked);
    let mut ahead: Vec<Ahead> =
        tx.all_many(sql::WAITING_FOR, blocked.map(|flow| (flow.id, PLACE_MAX)))?;
    ahead.sort_unstable();
    let mut resources: HashMap<Uuid, Vec<(String, Access)>> = HashMap::new();
    for (flow, name, exclusive) in used {
        let access = if exclusive { Access::Exclusive } else { Access::Shared };
        resources.entry(flow).or_default().push((name, access));
    }
    let mut waiting: HashMap<Uuid, Vec<WaitingFor>> = HashMap::new();
    for (flow, resource, before, place) in ahead {
        let Some(before) = before else { continue };
        waiting.entry(flow).or_default().push(WaitingFor { resource, flow: before, place });
    }
    let whole = |raw: RawFlow| FlowRow {
        resources: resources.remove(&raw.id).unwrap_or_default(),
        waiting_for: waiting.remove(&raw.id).unwrap_or_default(),
        ..raw.into()
    };
    Ok(raw.into_iter().map(whole).collect())
}

impl From<RawFlow> for FlowRow {
    fn from(raw: RawFlow) -> Self {
        Self {
            id: raw.id,
            ticket: raw.ticket,
            kind: raw.kind,
            title: raw.title,
            model: raw.model,
            state: raw.state,
            reverting: raw.reverting && !raw.state.is_ended(),
            cancelling: raw.ending == Some(FlowState::Cancelled) && !raw.state.is_ended(),
            suspended: raw.suspended,
            priority: raw.priority,
            parent: raw.parent.zip(raw.parent_task).map(|(flow, task)| {
                (flow, task_id(flow, usize::try_from(task).unwrap_or_default()))
            }),
            converge: raw.converge,
            generation: raw.generation,
            tasks: raw.tasks,
            tasks_open: raw.open,
            superseded_by: raw.superseded_by,
            error: raw.error,
            wake_at: raw.wake_at,
            created: raw.created,
            requeued: raw.requeued,
            started: raw.started,
            finished: raw.finished,
            resources: Vec::new(),
            waiting_for: Vec::new(),
            trace: raw.trace,
        }
    }
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
