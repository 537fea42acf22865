//! Boundaries: what a change of a flow writes. Those of many flows are written together, each fenced by its flow's epoch.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::json;
use tutti_store::{Json, ToValue as _, Tx, Value};
use uuid::Uuid;

use crate::{
    Child, Fate, FlowState, NewFlow, Result, TaskState, Work,
    announce::{self, TaskFailed},
    change, child_id,
    graph::{Effect, Event, Graph, Head, Label, Node, Offer, Settled},
    offer, queue, sql, submit, task_id,
};

/// What one change of one flow writes.
#[derive(Debug)]
pub(crate) struct Boundary {
    flow: Uuid,
    epoch: i64,
    /// The worker that has the flow.
    owner: Option<Uuid>,
    label: Arc<Label>,
    head: Option<Head>,
    held: bool,
    changed: Vec<Changed>,
    failures: Vec<Failed>,
    looks: Vec<Look>,
    added: Vec<Vec<Value>>,
    tasks: usize,
    children: Vec<Born>,
    /// It has tasks that wait for signals or flows.
    waits: bool,
    /// Flows of its tasks whose results nobody wants any more, and where their ends meet.
    cancels: Vec<(Uuid, i64)>,
    /// Tasks whose flows are to be undone, and where the ends of that meet.
    undoes: Vec<(usize, Option<i64>)>,
    /// Attempts for others to make.
    offers: Vec<Offer>,
    /// Those nobody shall begin any more, and whether whoever has shall stop.
    withdrawals: Vec<(usize, bool)>,
    /// Flows of its tasks that are suspended with it, or go on with it.
    suspends: Vec<(Uuid, bool)>,
    parent: Option<(Uuid, i64, Fate)>,
    output: Option<String>,
    /// The news read from the flow's inbox.
    heard: Vec<Uuid>,
    /// It was written before, perhaps: nobody answered.
    again: bool,
}

/// A task that waits for a signal.
#[derive(Debug)]
struct Look {
    number: usize,
    key: String,
    at_least: i64,
    /// Where its end meets that of others.
    joins: Option<i64>,
    /// The trouble it knows of.
    trouble: Option<String>,
}

/// A flow that a task submits.
#[derive(Debug)]
struct Born {
    number: usize,
    child: Child,
    /// Where the end of the task meets that of others.
    joins: Option<i64>,
}

/// What changed of a task.
#[derive(Debug)]
struct Changed {
    number: usize,
    state: TaskState,
    attempt: u32,
    revert_attempt: u32,
    before_revert: Option<TaskState>,
    output: Option<String>,
    error: Option<String>,
    next_at: Option<i64>,
    started: Option<i64>,
    finished: Option<i64>,
    offered: bool,
    failure: Option<String>,
}

#[derive(Debug)]
struct Failed {
    task: Uuid,
    name: String,
    resource: Option<String>,
    state: TaskState,
    error: Option<String>,
}

/// What became of a boundary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is written.
    Done,
    /// What tasks wait for had come already. Nothing is written: all of it is one change.
    Arrived(Vec<Arrival>),
    /// There is news to be read before the flow can be let go. Nothing is written.
    Nudged,
    /// The flow is another's. Nothing is written.
    Fenced,
}

/// Something a task waits for that had happened before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Value(usize, i64),
    Trouble(usize, Option<String>),
}

impl Look {
    /// What there is to tell of a signal's value and trouble.
    fn arrival(&self, signal: Option<&(Option<i64>, Option<String>)>) -> Option<Arrival> {
        let (value, trouble) = signal.cloned().unwrap_or_default();
        match value {
            Some(value) if value >= self.at_least => Some(Arrival::Value(self.number, value)),
            _ if trouble != self.trouble => Some(Arrival::Trouble(self.number, trouble)),
            _ => None,
        }
    }
}

impl From<Arrival> for Event {
    fn from(arrival: Arrival) -> Self {
        match arrival {
            Arrival::Value(number, value) => {
                Self::Arrived(number, json!({ "value": value }).to_string())
            }
            Arrival::Trouble(number, message) => Self::Troubled(number, message),
        }
    }
}

impl Boundary {
    /// What is to be written of a change that was settled, by the worker that has the flow, if one has; `heard` is the news it
    /// took in.
    pub(crate) fn of(
        graph: &Graph,
        owner: Option<Uuid>,
        settled: &Settled,
        heard: &[Uuid],
    ) -> Self {
        let mut boundary = Self {
            flow: graph.id,
            epoch: graph.epoch,
            owner,
            label: Arc::clone(&graph.label),
            head: settled.head.then(|| graph.head.clone()),
            held: settled.held,
            changed: settled.touched.iter().map(|number| changed(graph, *number)).collect(),
            failures: Vec::new(),
            looks: Vec::new(),
            added: Vec::new(),
            tasks: graph.nodes.len(),
            children: Vec::new(),
            waits: false,
            cancels: Vec::new(),
            undoes: Vec::new(),
            offers: Vec::new(),
            withdrawals: Vec::new(),
            suspends: Vec::new(),
            parent: graph.parent,
            output: None,
            heard: heard.to_vec(),
            again: false,
        };
        for effect in &settled.effects {
            boundary.add(graph, effect);
        }
        if graph.head.state.is_ended() {
            let waits = |node: &Node| matches!(node.work(), Work::Wait(_) | Work::Flow(_));
            boundary.waits = graph.nodes.iter().any(waits);
        }
        if graph.parent.is_some() && graph.head.state == FlowState::Succeeded {
            boundary.output = graph.last_output();
        }
        boundary
    }

    /// What else a change asks for.
    fn add(&mut self, graph: &Graph, effect: &Effect) {
        match effect {
            Effect::Look { number, key, at_least } => {
                // It may have ended since.
                if graph.is_waiting(*number) {
                    self.looks.push(Look {
                        number: *number,
                        key: key.clone(),
                        at_least: *at_least,
                        joins: graph.joins(*number),
                        trouble: graph.nodes[*number].error.clone(),
                    });
                }
            }
            Effect::Add(items) => {
                self.added.extend(items.iter().map(|item| item.values(graph)));
            }
            Effect::Submit { number } => {
                if let Work::Flow(child) = graph.nodes[*number].work() {
                    self.children.push(Born {
                        number: *number,
                        child: (**child).clone(),
                        joins: graph.joins(*number),
                    });
                }
            }
            Effect::Failed { number, state, error } => self.failures.push(Failed {
                task: task_id(graph.id, *number),
                name: graph.nodes[*number].name.clone(),
                resource: graph.nodes[*number].resource.clone(),
                state: *state,
                error: error.clone(),
            }),
            Effect::Cancel { number, joins } => {
                self.cancels.push((child_id(task_id(graph.id, *number)), *joins));
            }
            Effect::Undo { number, joins } => self.undoes.push((*number, *joins)),
            Effect::Offer(offer) => self.offers.push(offer.clone()),
            Effect::Withdraw { number, stop } => self.withdrawals.push((*number, *stop)),
            Effect::Suspend { number, suspended } => {
                let child = child_id(task_id(graph.id, *number));
                self.suspends.push((child, *suspended));
            }
        }
    }

    /// The same once more, after nobody answered whether it is written.
    pub(crate) fn again(self) -> Self {
        Self { again: true, ..self }
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_none() && self.changed.is_empty() && self.heard.is_empty()
    }

    fn ended(&self) -> Option<&Head> {
        self.head.as_ref().filter(|head| head.state.is_ended())
    }
}

fn changed(graph: &Graph, number: usize) -> Changed {
    let node = &graph.nodes[number];
    Changed {
        number,
        state: node.state,
        attempt: node.attempt,
        revert_attempt: node.revert_attempt,
        before_revert: node.before_revert,
        output: node.output.clone(),
        error: node.error.clone(),
        next_at: node.next_at,
        started: node.started,
        finished: node.finished,
        offered: node.offered,
        failure: node.failure.clone(),
    }
}

/// Writes boundaries of different flows; answers what became of each. `now` is in microseconds since 1970, UTC.
pub(crate) fn write(tx: &mut Tx<'_>, boundaries: &[&Boundary], now: i64) -> Result<Vec<Written>> {
    let before = boundaries.iter().map(|boundary| is_written(tx, boundary));
    let before: Vec<bool> = before.collect::<Result<_>>()?;
    let mut written = look(tx, boundaries, &before)?;
    for (boundary, what) in boundaries.iter().zip(&written) {
        if *what == Written::Done && !boundary.heard.is_empty() {
            let heard = (boundary.flow, boundary.epoch, Json(&boundary.heard));
            tx.exec(sql::FLOW_HEARD, heard)?;
        }
    }
    write_heads(tx, boundaries, &mut written)?;
    fence(tx, boundaries, &mut written)?;
    let mut done = Vec::with_capacity(boundaries.len());
    for ((boundary, before), what) in boundaries.iter().zip(before).zip(&written) {
        if *what != Written::Done {
            continue;
        }
        // What must not be done twice.
        if !before {
            add_tasks(tx, boundary)?;
            announce_failures(tx, boundary)?;
            offer::add(tx, (boundary.flow, boundary.epoch), &boundary.offers, now)?;
        }
        done.push(*boundary);
    }
    write_tasks(tx, &done)?;
    forget_heard(tx, &done)?;
    begin_waits(tx, &done)?;
    for boundary in &done {
        for born in &boundary.children {
            submit_child(tx, boundary, born, now)?;
        }
        for (number, _) in &boundary.undoes {
            change::undo_child(tx, (boundary.flow, *number), now)?;
        }
        for (child, suspended) in &boundary.suspends {
            change::suspend_child(tx, *child, *suspended, now)?;
        }
    }
    end(tx, &done, now)?;
    for boundary in &done {
        offer::withdraw(tx, boundary.flow, &boundary.withdrawals, now)?;
    }
    Ok(written)
}

/// Forgets news together with writing what came of it. What is not written yet is to be heard again after a crash.
fn forget_heard(tx: &mut Tx<'_>, done: &[&Boundary]) -> Result<()> {
    for boundary in done.iter().filter(|boundary| !boundary.heard.is_empty()) {
        tx.exec(sql::INBOX_HEARD, (boundary.flow, Json(&boundary.heard)))?;
    }
    Ok(())
}

/// Whether a boundary written again was written before. A flow let go by it is not asked about: it is another's.
fn is_written(tx: &mut Tx<'_>, boundary: &Boundary) -> Result<bool> {
    if !boundary.again {
        return Ok(false);
    }
    for changed in &boundary.changed {
        let stored: Option<(TaskState, u32, u32, Option<i64>)> =
            tx.maybe(sql::TASK_STANDS, (boundary.flow, changed.number))?;
        let (attempt, revert_attempt) = (changed.attempt, changed.revert_attempt);
        if stored != Some((changed.state, attempt, revert_attempt, changed.finished)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Sees what has come already of that for which tasks begin to wait. What was written before has looked, too.
fn look(tx: &mut Tx<'_>, boundaries: &[&Boundary], before: &[bool]) -> Result<Vec<Written>> {
    let looks: Vec<&[Look]> = boundaries
        .iter()
        .zip(before)
        .map(|(boundary, before)| if *before { &[] } else { boundary.looks.as_slice() })
        .collect();
    let looked = looks.iter().copied().flatten();
    let keys: BTreeSet<&str> = looked.map(|look| look.key.as_str()).collect();
    if keys.is_empty() {
        return Ok(vec![Written::Done; boundaries.len()]);
    }
    let signals: Vec<(String, Option<i64>, Option<String>)> =
        tx.all_many(sql::SIGNALS_OF, keys.into_iter().map(|key| (key,)))?;
    let signals: BTreeMap<String, (Option<i64>, Option<String>)> =
        signals.into_iter().map(|(key, value, trouble)| (key, (value, trouble))).collect();
    let written = looks.into_iter().map(|looks| {
        let arrived = looks.iter().filter_map(|look| look.arrival(signals.get(&look.key)));
        let arrived: Vec<Arrival> = arrived.collect();
        if arrived.is_empty() { Written::Done } else { Written::Arrived(arrived) }
    });
    Ok(written.collect())
}

fn begin_waits(tx: &mut Tx<'_>, done: &[&Boundary]) -> Result<()> {
    let mut begun = Vec::new();
    for boundary in done {
        let flow = boundary.flow;
        for look in &boundary.looks {
            begun.push((look.key.to_value(), flow, look.number, look.at_least, look.joins));
        }
        let joined = boundary.children.iter().filter(|born| born.child.fate == Fate::Joined);
        let joined = joined.map(|born| (born.number, born.joins));
        for (number, joins) in joined.chain(boundary.undoes.iter().copied()) {
            let child = child_id(task_id(flow, number));
            begun.push((child.to_value(), flow, number, i64::MAX, joins));
        }
    }
    if !begun.is_empty() {
        tx.send_many(sql::WAIT_BEGIN, begun)?;
    }
    let cancels = done.iter().flat_map(|boundary| {
        boundary.cancels.iter().map(|(child, joins)| (child, boundary.flow, joins))
    });
    let cancels: Vec<_> = cancels.collect();
    if !cancels.is_empty() {
        tx.send_many(sql::WAIT_UNWANTED, cancels)?;
    }
    Ok(())
}

fn write_heads(tx: &mut Tx<'_>, boundaries: &[&Boundary], written: &mut [Written]) -> Result<()> {
    let to_write =
        |boundary: &Boundary, what: &Written| boundary.head.is_some() && *what == Written::Done;
    let heads =
        boundaries.iter().zip(&*written).filter(|(boundary, what)| to_write(boundary, what));
    let heads: Vec<Vec<Value>> = heads
        .filter_map(|(boundary, _)| {
            let head = boundary.head.as_ref()?;
            Some(vec![
                boundary.flow.to_value(),
                boundary.epoch.to_value(),
                head.state.to_value(),
                head.ending.to_value(),
                head.reverting.to_value(),
                head.suspended.to_value(),
                boundary.held.to_value(),
                head.losses.to_value(),
                head.superseded_by.to_value(),
                head.error.to_value(),
                head.wake_at.to_value(),
                head.started.to_value(),
                head.finished.to_value(),
                boundary.owner.to_value(),
            ])
        })
        .collect();
    if heads.is_empty() {
        return Ok(());
    }
    let accepted: Vec<Uuid> = tx.all_many(sql::HEAD_WRITE, heads)?;
    let accepted: BTreeSet<Uuid> = accepted.into_iter().collect();
    for (boundary, what) in boundaries.iter().zip(written) {
        if to_write(boundary, what) && !accepted.contains(&boundary.flow) {
            let owner: Option<(i64, Option<Uuid>)> = tx.maybe(sql::FLOW_OWNER, (boundary.flow,))?;
            let own = owner == Some((boundary.epoch, boundary.owner));
            *what = if own { Written::Nudged } else { Written::Fenced };
        }
    }
    Ok(())
}

/// Adds the tasks of lists.
fn add_tasks(tx: &mut Tx<'_>, boundary: &Boundary) -> Result<()> {
    if !boundary.added.is_empty() {
        tx.insert_many("flow_task", submit::TASK_COLUMNS, boundary.added.iter().cloned())?;
        tx.exec(sql::TASKS_GREW, (boundary.flow, boundary.tasks))?;
    }
    Ok(())
}

fn write_tasks(tx: &mut Tx<'_>, done: &[&Boundary]) -> Result<()> {
    let changes: Vec<_> = done
        .iter()
        .flat_map(|boundary| boundary.changed.iter().map(|changed| (*boundary, changed)))
        .collect();
    if changes.is_empty() {
        return Ok(());
    }
    let rows = changes.into_iter().map(|(boundary, changed)| {
        (
            boundary.flow,
            changed.number,
            changed.state,
            changed.attempt,
            changed.revert_attempt,
            changed.before_revert,
            &changed.output,
            &changed.error,
            changed.next_at,
            changed.started,
            changed.finished,
            changed.offered,
            &changed.failure,
        )
    });
    tx.send_many(sql::TASK_WRITE, rows)?;
    Ok(())
}

/// Finds out whose boundaries change no flow's own row, by which the others are fenced.
fn fence(tx: &mut Tx<'_>, boundaries: &[&Boundary], written: &mut [Written]) -> Result<()> {
    let unfenced =
        |boundary: &Boundary, what: &Written| boundary.head.is_none() && *what == Written::Done;
    let asked =
        boundaries.iter().zip(&*written).filter(|(boundary, what)| unfenced(boundary, what));
    let asked: Vec<_> = asked.map(|(boundary, _)| (boundary.flow, boundary.epoch)).collect();
    if asked.is_empty() {
        return Ok(());
    }
    let owned: Vec<Uuid> = tx.all_many(sql::FLOW_OWNED, asked)?;
    let owned: BTreeSet<Uuid> = owned.into_iter().collect();
    for (boundary, what) in boundaries.iter().zip(written) {
        if unfenced(boundary, what) && !owned.contains(&boundary.flow) {
            *what = Written::Fenced;
        }
    }
    Ok(())
}

fn submit_child(
    tx: &mut Tx<'_>,
    parent: &Boundary,
    Born { number, child, .. }: &Born,
    now: i64,
) -> Result<()> {
    let id = child_id(task_id(parent.flow, *number));
    if let Some(before) = tx.maybe::<sql::Flow>(sql::FLOW, (id,))? {
        return change::child_again(tx, before, now);
    }
    let model = child.flow.model.clone().or_else(|| parent.label.model.clone());
    let flow = NewFlow { id, model, ..child.flow.clone() };
    submit::submit_child(tx, flow, (parent.flow, *number, child.fate), now)
}

/// Releases what flows that ended held, and tells whoever wants to know.
fn end(tx: &mut Tx<'_>, done: &[&Boundary], now: i64) -> Result<()> {
    let ended: Vec<(&Boundary, &Head)> =
        done.iter().filter_map(|boundary| Some((*boundary, boundary.ended()?))).collect();
    for (child, _) in done.iter().flat_map(|boundary| &boundary.cancels) {
        change::cancel_child(tx, *child, now)?;
    }
    if ended.is_empty() {
        return Ok(());
    }
    let flows = ended.iter().map(|(boundary, _)| (boundary.flow,));
    let released: Vec<String> = tx.all_many(sql::QUEUE_LEAVE, flows)?;
    let waited = ended.iter().filter(|(boundary, _)| boundary.waits);
    let waited: Vec<_> = waited.map(|(boundary, _)| (boundary.flow,)).collect();
    if !waited.is_empty() {
        tx.exec_many(sql::WAITS_END, waited)?;
    }
    for (boundary, head) in &ended {
        let (label, error) = (&boundary.label, head.error.as_deref());
        announce::flow_ended(tx, boundary.flow, label, head.state, error)?;
        if head.state != FlowState::Succeeded {
            change::cancel_children(tx, boundary.flow, now)?;
        }
        if let Some((parent, task, Fate::Joined)) = boundary.parent {
            let output = boundary.output.as_deref();
            change::child_ended(tx, (parent, task), boundary.flow, head, output, now)?;
        }
    }
    queue::grant(tx, released, now)
}

fn announce_failures(tx: &mut Tx<'_>, boundary: &Boundary) -> Result<()> {
    for failed in &boundary.failures {
        let event = TaskFailed {
            task: failed.task,
            flow: boundary.flow,
            model: boundary.label.model.as_deref(),
            name: &failed.name,
            resource: failed.resource.as_deref(),
            state: failed.state,
            error: failed.error.as_deref(),
        };
        announce::task_failed(tx, &event)?;
    }
    Ok(())
}

/// Grants per flow, so that a flow is changed once however many of its resources moved.
pub(crate) fn counted(flows: Vec<Uuid>) -> BTreeMap<Uuid, i64> {
    let mut counts = BTreeMap::new();
    for flow in flows {
        *counts.entry(flow).or_default() += 1;
    }
    counts
}
