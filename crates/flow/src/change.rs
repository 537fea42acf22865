//! News for flows. A flow that nobody has is changed on the spot; a worker that has one is told.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tutti_store::{Json, Tx};
use uuid::Uuid;

use crate::{
    Error, FailureClass, Fate, FlowState, Result, TOPIC, TaskState,
    announce::{self, TaskFailed},
    aside,
    boundary::{self, Boundary, Written},
    child_id,
    failure::{self, Failed},
    graph::{self, Event, Graph, Hands, Head, Return, Row},
    policy::Trouble,
    sql::{self, Flow},
    task_id,
};

/// An [`Event`] from outside, as it is kept until the flow's worker reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum News {
    Arrived(usize, String),
    Missed(usize, String),
    Undone(usize, Option<String>),
    Troubled(usize, Option<String>),
    Cancel,
    Suspend(bool),
    Returned(usize, u32, Return),
}

impl From<News> for Event {
    fn from(news: News) -> Self {
        match news {
            News::Arrived(number, output) => Self::Arrived(number, output),
            News::Missed(number, message) => Self::Missed(number, message),
            News::Undone(number, trouble) => Self::Undone(number, trouble),
            News::Troubled(number, message) => Self::Troubled(number, message),
            News::Cancel => Self::Cancel,
            News::Suspend(suspended) => Self::Suspend(suspended),
            News::Returned(number, attempt, what) => Self::Returned(number, attempt, what),
        }
    }
}

/// Tells a flow what happened.
pub(crate) fn tell(tx: &mut Tx<'_>, id: Uuid, news: Vec<News>, now: i64) -> Result<()> {
    match reach(tx, id, &news, now)? {
        Some(flow) => take_in(tx, flow, news, now),
        None => Ok(()),
    }
}

/// Tells a flow news of tasks that wait for signals or flows, each with where its end meets others ([`Graph::joins`]). News of
/// which nothing follows costs the same in a flow of any length.
pub(crate) fn tell_waiting(
    tx: &mut Tx<'_>,
    id: Uuid,
    news: Vec<(News, Option<i64>)>,
    now: i64,
) -> Result<()> {
    let (news, joins): (Vec<News>, Vec<Option<i64>>) = news.into_iter().unzip();
    let Some(flow) = reach(tx, id, &news, now)? else { return Ok(()) };
    let head = flow.head();
    let mut rest = Vec::new();
    for (one, joins) in news.into_iter().zip(joins) {
        let undone = matches!(one, News::Undone(..));
        if !head.is_at_rest(undone, joins, now) || !note(tx, &flow, &one, joins, now)? {
            rest.push(one);
        }
    }
    if rest.is_empty() { Ok(()) } else { take_in(tx, flow, rest, now) }
}

/// Writes news of which nothing follows for a flow that only waits; answers `false` if something may follow. When the flow
/// wakes stays as it is: a look too early does no harm.
fn note(tx: &mut Tx<'_>, flow: &Flow, news: &News, joins: Option<i64>, now: i64) -> Result<bool> {
    let id = flow.id;
    match (news, joins) {
        (News::Troubled(number, message), _) => {
            let state = Graph::waiting_state(message.as_deref());
            tx.exec(sql::TASK_TROUBLED, (id, *number, state, message))?;
        }
        (News::Arrived(number, output), Some(joins)) => {
            if !tx.one(sql::JOIN_WAITS, (id, joins))? {
                return Ok(false);
            }
            tx.exec(sql::TASK_ARRIVED, (id, *number, output, now))?;
        }
        (News::Missed(number, message), Some(joins)) if graph::is_unwanted(joins) => {
            if !tx.one(sql::JOIN_WAITS, (id, joins))? {
                return Ok(false);
            }
            note_missed(tx, flow, *number, message, now)?;
        }
        (News::Undone(number, None), Some(joins)) => {
            if !tx.one(sql::JOIN_WAITS, (id, joins))? {
                return Ok(false);
            }
            tx.exec(sql::TASK_UNDONE, (id, *number, now))?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn note_missed(tx: &mut Tx<'_>, flow: &Flow, number: usize, message: &str, now: i64) -> Result<()> {
    let failed: Option<(Uuid, String, Option<String>)> =
        tx.maybe(sql::TASK_MISSED, (flow.id, number, message, now))?;
    let Some((task, name, resource)) = failed else { return Ok(()) };
    let class = flow.head().class_of(&Trouble::missed(message.to_owned()));
    let failed = Failed { number, undoing: false, attempt: 0, class, message: message.into() };
    failure::keep(tx, flow.id, &[failed], None, now)?;
    let event = TaskFailed {
        task,
        flow: flow.id,
        model: flow.model.as_deref(),
        name: &name,
        resource: resource.as_deref(),
        state: TaskState::Failed,
        class: Some(class),
        error: Some(message),
    };
    announce::task_failed(tx, &event)
}

/// The flow, if nobody has it and it can be told something; a worker that has it is to read the news.
fn reach(tx: &mut Tx<'_>, id: Uuid, news: &[News], now: i64) -> Result<Option<Flow>> {
    let Some(flow) = row(tx, id, now)? else { return Ok(None) };
    if flow.finished.is_some() || flow.state == FlowState::Blocked {
        return Ok(None);
    }
    if flow.worker.is_none() && !flow.nudged {
        return Ok(Some(flow));
    }
    for one in news {
        tx.exec(sql::INBOX_ADD, (id, Uuid::now_v7(), Json(one)))?;
    }
    tx.exec(sql::FLOW_NUDGE, (id,))?;
    tx.exec(sql::FLOW_READY, (id,))?;
    tx.ring(TOPIC);
    Ok(None)
}

fn take_in(tx: &mut Tx<'_>, flow: Flow, news: Vec<News>, now: i64) -> Result<()> {
    let Some(mut graph) = load_one(tx, flow, now)? else { return Ok(()) };
    for one in news {
        graph.tell(one.into(), Hands::Free, now, 0);
    }
    settle(tx, graph, now)
}

/// The database refuses what came of these tasks of a worker's flow: they fail with that. The flow goes on from what was
/// written last, so whatever else of it ran may run again. If no task is to blame, the flow is set aside.
pub(crate) fn refused(
    tx: &mut Tx<'_>,
    (id, epoch, owner): (Uuid, i64, Uuid),
    tasks: &[usize],
    message: &str,
    now: i64,
) -> Result<()> {
    let news = inbox(tx, &[id])?;
    if tx.exec(sql::FLOW_DROP, (id, epoch, owner))? == 0 {
        // It is another's.
        return Ok(());
    }
    tx.exec(sql::INBOX_CLEAR, (id,))?;
    let Some(flow) = row(tx, id, now)? else { return Ok(()) };
    let Some(mut graph) = load_one(tx, flow, now)? else { return Ok(()) };
    if tasks.is_empty() {
        give_up(&mut graph, news, message, now);
        return settle(tx, graph, now);
    }
    for (_, _, one) in news {
        graph.tell(one, Hands::Free, now, 0);
    }
    for number in tasks {
        // What was written after all stays.
        if !matches!(graph.nodes[*number].state, TaskState::MaybeRan | TaskState::Reverting) {
            continue;
        }
        let trouble = Trouble::refused(message.to_owned());
        graph.tell(Event::Attempted(*number, Err(trouble)), Hands::Free, now, 0);
    }
    settle(tx, graph, now)
}

/// Sets a flow aside of which nothing can be written, news of it least of all. It still waits for what others do for it, and of
/// that is told what is over, without what came of it.
fn give_up(graph: &mut Graph, news: Vec<(Uuid, Uuid, Event)>, message: &str, now: i64) {
    graph.give_up(FailureClass::Refused, message);
    let why = || message.to_owned();
    let over = news.into_iter().filter_map(|(_, _, event)| match event {
        Event::Returned(number, attempt, Return::Withdrawn) => {
            Some(Event::Returned(number, attempt, Return::Withdrawn))
        }
        Event::Returned(number, attempt, _) => {
            Some(Event::Returned(number, attempt, Return::GivenBack))
        }
        Event::Arrived(number, _) | Event::Missed(number, _) => Some(Event::Missed(number, why())),
        Event::Undone(number, trouble) => Some(Event::Undone(number, trouble.map(|_| why()))),
        _ => None,
    });
    for event in over {
        graph.tell(event, Hands::Free, now, 0);
    }
}

/// Sets a flow aside that no worker can begin.
pub(crate) fn set_aside(tx: &mut Tx<'_>, id: Uuid, message: &str, now: i64) -> Result<()> {
    let Some(flow) = row(tx, id, now)? else { return Ok(()) };
    if flow.state != FlowState::Ready {
        return Ok(());
    }
    let news = match inbox(tx, &[id]) {
        Err(error) if error.is_unreadable() => Vec::new(),
        news => news?,
    };
    tx.exec(sql::INBOX_CLEAR, (id,))?;
    tx.exec(sql::FLOW_HEARD, (id, flow.epoch, Json(&[] as &[Uuid])))?;
    let Some(mut graph) = load_one(tx, flow, now)? else { return Ok(()) };
    give_up(&mut graph, news, message, now);
    settle(tx, graph, now)
}

/// Lets a flow begin of which no task needs a worker.
pub(crate) fn begin(tx: &mut Tx<'_>, id: Uuid, now: i64) -> Result<()> {
    let Some(flow) = row(tx, id, now)? else { return Ok(()) };
    let Some(mut graph) = load_one(tx, flow, now)? else { return Ok(()) };
    graph.begin(Hands::Free, now);
    settle(tx, graph, now)
}

/// Writes what became of a flow that nobody has.
fn settle(tx: &mut Tx<'_>, mut graph: Graph, now: i64) -> Result<()> {
    loop {
        let settled = graph.settle();
        let boundary = Boundary::of(&graph, None, &settled, &[]);
        if graph.head.state == FlowState::Ready {
            tx.ring(TOPIC);
        }
        match boundary::write(tx, &[&boundary], now)?.pop() {
            Some(Written::Arrived(arrived)) => {
                graph.unsettle(settled);
                for arrival in arrived {
                    graph.tell(arrival.into(), Hands::Free, now, 0);
                }
            }
            _ => return Ok(()),
        }
    }
}

/// A flow's row; nothing if it cannot be read and was set aside for that.
pub(crate) fn row(tx: &mut Tx<'_>, id: Uuid, now: i64) -> Result<Option<Flow>> {
    let flow: Result<Option<Flow>, _> = tx.maybe(sql::FLOW, (id,));
    let flow = flow.map_err(|error| Error::unread(error, id, "its row"));
    let flow = aside::unless_unreadable(tx, id, flow, now)?;
    flow.map(|flow| flow.ok_or(Error::NoFlow { id })).transpose()
}

/// A flow in memory; nothing if it cannot be read and was set aside for that.
pub(crate) fn load_one(tx: &mut Tx<'_>, flow: Flow, now: i64) -> Result<Option<Graph>> {
    let id = flow.id;
    let graph = load(tx, vec![flow]).and_then(|mut one| one.pop().ok_or(Error::NoFlow { id }));
    let graph = graph.map_err(|error| match error {
        Error::Store(error) => Error::unread(error, id, "its tasks"),
        error => error,
    });
    aside::unless_unreadable(tx, id, graph, now)
}

/// The flows of these rows, in their order.
pub(crate) fn load(tx: &mut Tx<'_>, flows: Vec<Flow>) -> Result<Vec<Graph>> {
    let ids: Vec<Uuid> = flows.iter().map(|flow| flow.id).collect();
    let mut order: Vec<(usize, Flow)> = flows.into_iter().enumerate().collect();
    order.sort_by_key(|(_, flow)| flow.id);
    let mut rows: Vec<Row> = tx.all_many(sql::TASKS, ids.into_iter().map(|id| (id,)))?;
    rows.sort_unstable_by_key(|row| (row.flow, row.number));
    let mut rows = rows.into_iter().peekable();
    let mut graphs = Vec::with_capacity(order.len());
    for (at, flow) in order {
        let id = flow.id;
        let mut own = Vec::new();
        while let Some(row) = rows.next_if(|row| row.flow == id) {
            own.push(row);
        }
        let (whose, head) = flow.parts();
        graphs.push((at, Graph::load(whose, head, own)?));
    }
    graphs.sort_by_key(|(at, _)| *at);
    Ok(graphs.into_iter().map(|(_, graph)| graph).collect())
}

/// News that waits to be read, oldest first.
pub(crate) fn inbox(tx: &mut Tx<'_>, flows: &[Uuid]) -> Result<Vec<(Uuid, Uuid, Event)>> {
    let mut rows: Vec<(Uuid, Uuid, String)> =
        tx.all_many(sql::INBOX, flows.iter().map(|flow| (flow,)))?;
    rows.sort_by_key(|(flow, id, _)| (*flow, *id));
    let event = |text: &str| match serde_json::from_str::<News>(text) {
        Ok(news) => news.into(),
        Err(error) => Event::Unreadable(format!("news for it cannot be read: {error}")),
    };
    Ok(rows.into_iter().map(|(flow, id, text)| (flow, id, event(&text))).collect())
}

/// Cancels the children of a flow that must not outlive it.
pub(crate) fn cancel_children(tx: &mut Tx<'_>, parent: Uuid, now: i64) -> Result<()> {
    let children: Vec<Uuid> = tx.all(sql::CHILDREN, (parent,))?;
    children.into_iter().try_for_each(|child| cancel_child(tx, child, now))
}

/// Cancels a flow whose result nobody wants any more.
pub(crate) fn cancel_child(tx: &mut Tx<'_>, child: Uuid, now: i64) -> Result<()> {
    let done = crate::control::cancel_at(tx, child, now);
    unless_too_late(tx, child, done, now)
}

/// Suspends a flow with the one that waits for it, or lets it go on.
pub(crate) fn suspend_child(tx: &mut Tx<'_>, child: Uuid, suspended: bool, now: i64) -> Result<()> {
    let done = crate::control::suspend_at(tx, child, suspended, now);
    unless_too_late(tx, child, done, now)
}

fn unless_too_late(tx: &mut Tx<'_>, child: Uuid, done: Result<()>, now: i64) -> Result<()> {
    match done {
        Err(Error::NoFlow { .. } | Error::Ended { .. } | Error::Reverting { .. }) => Ok(()),
        done => aside::unless_unreadable(tx, child, done, now).map(drop),
    }
}

/// A task whose flow was submitted before runs again: a flow that has succeeded stays, another is run again.
pub(crate) fn child_again(tx: &mut Tx<'_>, id: Uuid, now: i64) -> Result<()> {
    let child: Flow = tx.maybe(sql::FLOW, (id,))?.ok_or(Error::NoFlow { id })?;
    let (state, joined) = (child.state, child.fate == Some(Fate::Joined));
    let Some((parent, task)) = child.parent.zip(child.parent_task) else { return Ok(()) };
    if child.finished.is_none() {
        return Ok(());
    }
    if state != FlowState::Succeeded {
        match crate::control::retry_at(tx, id, now) {
            Err(Error::NotRetryable { .. }) => {}
            done => return done,
        }
    }
    if !joined {
        return Ok(());
    }
    let Some(graph) = load_one(tx, child, now)? else {
        let end = (state, Some("what came of it cannot be read"));
        return child_missed(tx, (parent, task), id, end, now);
    };
    let output = graph.last_output();
    child_ended(tx, (parent, task), id, &graph.head, output.as_deref(), now)
}

/// Tells a parent how the flow ended that one of its tasks waits for.
pub(crate) fn child_ended(
    tx: &mut Tx<'_>,
    (parent, task): (Uuid, i64),
    child: Uuid,
    head: &Head,
    output: Option<&str>,
    now: i64,
) -> Result<()> {
    let Ok(number) = usize::try_from(task) else { return Ok(()) };
    if tx.maybe(sql::TASK_STATE, (parent, number))? == Some(TaskState::Reverting) {
        return child_undone(tx, (parent, number), child, head, now);
    }
    if head.state != FlowState::Succeeded {
        let end = (head.state, head.error.as_deref());
        return child_missed(tx, (parent, task), child, end, now);
    }
    let output: Value = output.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let output = json!({ "flow": child, "output": output }).to_string();
    tell_parent(tx, parent, child, number, News::Arrived(number, output), now)
}

/// Tells a parent that the flow did not succeed that one of its tasks waits for.
pub(crate) fn child_missed(
    tx: &mut Tx<'_>,
    (parent, task): (Uuid, i64),
    child: Uuid,
    (state, error): (FlowState, Option<&str>),
    now: i64,
) -> Result<()> {
    let Ok(number) = usize::try_from(task) else { return Ok(()) };
    let news = News::Missed(number, end_of(child, state, error));
    tell_parent(tx, parent, child, number, news, now)
}

/// How a flow ended, in words.
fn end_of(flow: Uuid, state: FlowState, error: Option<&str>) -> String {
    format!("flow {flow} is {state}: {}", error.unwrap_or("no reason given"))
}

fn tell_parent(
    tx: &mut Tx<'_>,
    parent: Uuid,
    child: Uuid,
    number: usize,
    news: News,
    now: i64,
) -> Result<()> {
    let joins = tx.maybe(sql::WAIT_OVER, (child, parent, number))?.flatten();
    match tell_waiting(tx, parent, vec![(news, joins)], now) {
        Err(Error::NoFlow { .. }) => Ok(()),
        told => told,
    }
}

/// Undoes what the flow of a task did, for a parent that waits for that.
pub(crate) fn undo_child(tx: &mut Tx<'_>, (parent, number): (Uuid, usize), now: i64) -> Result<()> {
    let id = child_id(task_id(parent, number));
    let Some(child): Option<Flow> = tx.maybe(sql::FLOW, (id,))? else {
        let trouble = format!("flow {id} is forgotten: what it did cannot be undone");
        return tell_parent(tx, parent, id, number, News::Undone(number, Some(trouble)), now);
    };
    match child.state {
        // Somebody tried again by hand.
        _ if child.finished.is_none() => cancel_child(tx, id, now),
        FlowState::Reverted | FlowState::Abandoned | FlowState::Superseded => {
            tell_parent(tx, parent, id, number, News::Undone(number, None), now)
        }
        _ => crate::control::revert_at(tx, id, now),
    }
}

/// Goes on after the end of a flow that its parent wants undone.
fn child_undone(
    tx: &mut Tx<'_>,
    (parent, number): (Uuid, usize),
    child: Uuid,
    head: &Head,
    now: i64,
) -> Result<()> {
    if head.state != FlowState::Stuck {
        return undo_child(tx, (parent, number), now);
    }
    let trouble = end_of(child, head.state, head.error.as_deref());
    tell_parent(tx, parent, child, number, News::Undone(number, Some(trouble)), now)
}
