//! A new flow: checked, numbered, queued.

use std::collections::BTreeSet;

use tutti_store::{Json, ToValue, Tx, Value};
use uuid::Uuid;

use crate::{
    Access, Error, Fate, FlowRow, FlowState, NewFlow, NewTask, Result, TOPIC, Then, Work, change,
    control,
    plan::Spec,
    query, queue,
    sql::{self, Flow},
    task_id,
};

/// Tasks of one flow; more belong into flows of their own.
const TASKS_MAX: usize = 100_000;

/// The columns of a new flow's row.
const FLOW_COLUMNS: &[&str] = &[
    "id",
    "ticket",
    "kind",
    "title",
    "model",
    "state",
    "reverting",
    "revertible",
    "converge",
    "generation",
    "resources",
    "ungranted",
    "tasks",
    "epoch",
    "losses",
    "nudged",
    "created",
    "priority",
    "pass",
    "passive",
    "parent",
    "parent_task",
    "fate",
];

/// The columns of a new task's row.
pub(crate) const TASK_COLUMNS: &[&str] = &[
    "flow",
    "number",
    "id",
    "name",
    "title",
    "resource",
    "input",
    "needs",
    "spec",
    "wait_key",
    "wait_at_least",
    "attempts_max",
    "or_revert",
    "state",
    "attempt",
    "revert_attempt",
];

/// The task of another flow that submits one.
type Parent = (Uuid, usize, Fate);

/// Queues a flow in the caller's transaction, so that desired state and the flow that brings it about are one commit. The
/// first tasks begin once it has all its resources, which may be at once. `now` is in microseconds since 1970, UTC.
///
/// # Errors
/// [`Error::Plan`] if a task needs one that is not before it, a resource is named twice, or the plan is otherwise senseless;
/// storage errors.
pub fn submit(tx: &mut Tx<'_>, flow: NewFlow, now: i64) -> Result<FlowRow> {
    let id = flow.id;
    match enqueue(tx, &flow, None, now)? {
        Some(ticket) => Ok(ready(flow, ticket, now)),
        None => query::flow(tx, id)?.ok_or(Error::NoFlow { id }),
    }
}

/// A new flow that any worker may take, as a query would show it.
fn ready(flow: NewFlow, ticket: i64, now: i64) -> FlowRow {
    let tasks = i64::try_from(flow.tasks.len()).unwrap_or(i64::MAX);
    let mut resources = flow.resources;
    resources.sort_by(|one, other| one.0.cmp(&other.0));
    FlowRow {
        id: flow.id,
        ticket,
        kind: flow.kind,
        title: flow.title,
        model: flow.model,
        state: FlowState::Ready,
        cancelling: false,
        reverting: false,
        converge: flow.converge,
        generation: flow.generation,
        tasks,
        tasks_open: tasks,
        superseded_by: None,
        error: None,
        created: now,
        requeued: None,
        started: None,
        finished: None,
        resources,
        waiting_for: Vec::new(),
        priority: flow.priority,
        parent: None,
        suspended: false,
        wake_at: None,
    }
}

/// Queues the flow of a task. One its parent waits for runs under the parent's resources and enters no queue.
pub(crate) fn submit_child(tx: &mut Tx<'_>, flow: NewFlow, parent: Parent, now: i64) -> Result<()> {
    enqueue(tx, &flow, Some(parent), now).map(drop)
}

/// Answers the ticket if any worker may take the flow at once.
fn enqueue(
    tx: &mut Tx<'_>,
    flow: &NewFlow,
    parent: Option<Parent>,
    now: i64,
) -> Result<Option<i64>> {
    check(flow)?;
    let mut resources = flow.resources.clone();
    resources.sort_by(|one, other| one.0.cmp(&other.0));
    let names = resources.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join("\n");
    if flow.converge && parent.is_none() {
        supersede(tx, flow, &names, now)?;
    }
    let (ticket, reached): (i64, i64) = tx.one(sql::TICKET, ())?;
    let joined = parent.is_some_and(|(_, _, fate)| fate == Fate::Joined);
    let mut ungranted = 0_i64;
    let mut entries = Vec::with_capacity(resources.len());
    for (name, access) in &resources {
        let exclusive = *access == Access::Exclusive;
        let granted = joined || queue::is_free(tx, name, exclusive)?;
        ungranted += i64::from(!granted);
        entries.push((name.as_str(), exclusive, granted));
    }
    let passive = flow.tasks.iter().all(|task| matches!(task.work, Work::Wait(_) | Work::Gate));
    let ready = ungranted == 0 && !passive;
    let new = New { flow, names: &names, ticket, ungranted, passive, ready, parent };
    insert(tx, &new, reached, now)?;
    insert_resources(tx, flow, ticket, &entries, joined)?;
    insert_tasks(tx, flow)?;
    if ready {
        tx.ring(TOPIC);
    } else if ungranted == 0 {
        change::begin(tx, flow.id, now)?;
    }
    Ok(ready.then_some(ticket))
}

fn check(flow: &NewFlow) -> Result<()> {
    let refused = |reason: String| Err(Error::Plan { kind: flow.kind.clone(), reason });
    let mut names = BTreeSet::new();
    for (name, _) in &flow.resources {
        if name.is_empty() || name.contains('\n') {
            return refused(format!("`{}` is no name of a resource", name.escape_debug()));
        }
        if !names.insert(name) {
            return refused(format!("resource `{name}` is named twice"));
        }
    }
    if flow.tasks.len() > TASKS_MAX {
        return refused(format!("more than {TASKS_MAX} tasks"));
    }
    for (at, task) in flow.tasks.iter().enumerate() {
        let bound = task.bindings.iter().map(|binding| binding.task);
        let asked = task.when.iter().map(|when| when.task);
        let needs = task.needs.iter().copied().chain(bound).chain(asked).chain(task.guard);
        if let Some(need) = needs.into_iter().find(|need| *need >= at) {
            return refused(format!("task {at} needs task {need}, which is not before it"));
        }
        if let Some(guard) = task.guard
            && !matches!(flow.tasks[guard].work, Work::Retry(_))
        {
            return refused(format!(
                "task {at} is guarded by task {guard}, which is no controller"
            ));
        }
        if let Some(label) = task.labels.first()
            && task.work != Work::Run
        {
            return refused(format!(
                "task {at} needs a worker with the label `{label}`, but no worker runs it"
            ));
        }
        if let Work::Flow(child) = &task.work {
            check_child(flow, at, child)?;
        }
    }
    Ok(())
}

/// A parent that holds resources and waits for a child that waits for others could wait for ever.
fn check_child(flow: &NewFlow, at: usize, child: &crate::Child) -> Result<()> {
    let covered = |(name, access): &(String, Access)| {
        let held = |(own, how): &(String, Access)| {
            own == name && (*how == Access::Exclusive || *access == Access::Shared)
        };
        flow.resources.iter().any(held)
    };
    if child.fate == Fate::Joined
        && let Some((name, _)) = child.flow.resources.iter().find(|one| !covered(one))
    {
        let reason =
            format!("task {at} waits for a flow about `{name}`, which this flow does not hold");
        return Err(Error::Plan { kind: flow.kind.clone(), reason });
    }
    check(&child.flow)
}

/// Ends the unstarted flows this one makes superfluous: those of the same kind for the same resources, unless a flow
/// queued behind them relies on what they do.
fn supersede(tx: &mut Tx<'_>, flow: &NewFlow, names: &str, now: i64) -> Result<()> {
    let older: Vec<Flow> = tx.all(sql::FLOWS_UNSTARTED, (names, &flow.kind))?;
    for one in older {
        let entries: Vec<(String, i64)> = tx.all(sql::QUEUE_TICKETS, (one.id,))?;
        for (resource, ticket) in entries {
            let last: Option<i64> = tx.one(sql::QUEUE_LAST, (resource,))?;
            if last != Some(ticket) {
                return Ok(());
            }
        }
        control::end_unstarted(tx, one, FlowState::Superseded, Some(flow.id), now)?;
    }
    Ok(())
}

/// What is known of a new flow.
struct New<'a> {
    flow: &'a NewFlow,
    names: &'a str,
    ticket: i64,
    ungranted: i64,
    passive: bool,
    ready: bool,
    parent: Option<Parent>,
}

fn insert(tx: &mut Tx<'_>, new: &New<'_>, reached: i64, now: i64) -> Result<()> {
    let flow = new.flow;
    let revertible = flow
        .tasks
        .iter()
        .any(|task| task.retry.then == Then::Revert || matches!(task.work, Work::Retry(_)));
    let pass: i64 = match &flow.model {
        Some(model) => tx.one(sql::SHARE, (model, reached))?,
        None => reached,
    };
    let state = if new.ready { FlowState::Ready } else { FlowState::Blocked };
    let (parent, task, fate) = match new.parent {
        Some((parent, task, fate)) => (Some(parent), Some(task), Some(fate)),
        None => (None, None, None),
    };
    let row = vec![
        flow.id.to_value(),
        new.ticket.to_value(),
        flow.kind.to_value(),
        flow.title.to_value(),
        flow.model.to_value(),
        state.to_value(),
        false.to_value(),
        revertible.to_value(),
        flow.converge.to_value(),
        flow.generation.to_value(),
        new.names.to_value(),
        new.ungranted.to_value(),
        flow.tasks.len().to_value(),
        0.to_value(),
        0.to_value(),
        false.to_value(),
        now.to_value(),
        flow.priority.to_value(),
        pass.to_value(),
        new.passive.to_value(),
        parent.to_value(),
        task.to_value(),
        fate.to_value(),
    ];
    tx.send_rows("flow", FLOW_COLUMNS, [row])?;
    Ok(())
}

fn insert_resources(
    tx: &mut Tx<'_>,
    flow: &NewFlow,
    ticket: i64,
    entries: &[(&str, bool, bool)],
    joined: bool,
) -> Result<()> {
    if !joined {
        let queue = entries.iter().map(|(name, exclusive, granted)| {
            let (ticket, id) = (ticket.to_value(), flow.id.to_value());
            vec![name.to_value(), ticket, id, exclusive.to_value(), granted.to_value()]
        });
        let columns = &["resource", "ticket", "flow", "exclusive", "granted"];
        tx.send_rows("flow_queue", columns, queue)?;
    }
    let history = entries.iter().map(|(name, exclusive, _)| {
        vec![flow.id.to_value(), name.to_value(), ticket.to_value(), exclusive.to_value()]
    });
    tx.send_rows("flow_resource", &["flow", "resource", "ticket", "exclusive"], history)?;
    Ok(())
}

fn insert_tasks(tx: &mut Tx<'_>, flow: &NewFlow) -> Result<()> {
    let rows = flow.tasks.iter().enumerate().map(|(at, task)| task_row(flow.id, at, task));
    tx.send_rows("flow_task", TASK_COLUMNS, rows)?;
    Ok(())
}

/// Every task one needs, in order.
fn needs(task: &NewTask) -> Option<Json<BTreeSet<usize>>> {
    let bound = task.bindings.iter().map(|binding| binding.task);
    let asked = task.when.iter().map(|when| when.task);
    let needs: BTreeSet<usize> = task.needs.iter().copied().chain(bound).chain(asked).collect();
    (!needs.is_empty()).then_some(Json(needs))
}

fn task_row(flow: Uuid, at: usize, task: &NewTask) -> Vec<Value> {
    let wait = match &task.work {
        Work::Wait(wait) => Some(wait),
        _ => None,
    };
    vec![
        flow.to_value(),
        at.to_value(),
        task_id(flow, at).to_value(),
        task.name.to_value(),
        task.title.to_value(),
        task.resource.to_value(),
        // JSON has no NUL: it is escaped.
        Value::Text(task.input.to_string()),
        needs(task).to_value(),
        Spec::of(task).stored().to_value(),
        wait.map(|wait| wait.key.as_str()).to_value(),
        wait.map(|wait| wait.at_least).to_value(),
        task.retry.attempts_max.to_value(),
        (task.retry.then == Then::Revert).to_value(),
        "pending".to_value(),
        0.to_value(),
        0.to_value(),
    ]
}
