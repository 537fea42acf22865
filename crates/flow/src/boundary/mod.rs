//! Boundaries: what a change of a flow writes. Those of many flows are written together, each fenced by its flow's epoch.

mod end;
mod write;

use std::sync::Arc;

use serde_json::json;
use tutti_store::{ToValue as _, Value};
use uuid::Uuid;

use crate::{
    Child, FailureClass, Fate, FlowState, TaskState, Work, child_id, failure,
    graph::{Effect, Event, Graph, Head, Label, Node, Offer, Settled},
    task_id,
};

pub(crate) use write::{write, write_plain};

/// What one change of one flow writes.
#[derive(Debug)]
pub(crate) struct Boundary {
    flow: Uuid,
    epoch: i64,
    /// The worker that has the flow.
    owner: Option<Uuid>,
    label: Arc<Label>,
    head: Option<Head>,
    /// Where the world was told that it stood before.
    from: FlowState,
    held: bool,
    changed: Vec<Changed>,
    failures: Vec<Failed>,
    /// Attempts that failed, to be kept.
    kept: Vec<failure::Failed>,
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
    /// Tasks that start over.
    anew: Vec<usize>,
    /// Flows of its tasks that are suspended with it, or go on with it.
    suspends: Vec<(Uuid, bool)>,
    parent: Option<(Uuid, i64, Fate)>,
    output: Option<String>,
    /// The news read from the flow's inbox.
    heard: Vec<Uuid>,
    fence: Fence,
}

/// How a boundary keeps off a flow that is another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fence {
    /// What writes it is refused, and all that is written together with it.
    Refused,
    /// It is asked for first.
    Asked,
    /// As asked. It was written before, perhaps: nobody answered.
    Again,
    /// The flow is the worker's for certain.
    Certain,
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
    ran: bool,
}

#[derive(Debug)]
struct Failed {
    task: Uuid,
    name: String,
    resource: Option<String>,
    state: TaskState,
    class: Option<FailureClass>,
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

impl Changed {
    /// The parameters of [`sql::TASK_WRITE`](crate::sql::TASK_WRITE).
    fn row(&self, flow: Uuid) -> Vec<Value> {
        vec![
            flow.to_value(),
            self.number.to_value(),
            self.state.to_value(),
            self.attempt.to_value(),
            self.revert_attempt.to_value(),
            self.before_revert.to_value(),
            self.output.to_value(),
            self.error.to_value(),
            self.next_at.to_value(),
            self.started.to_value(),
            self.finished.to_value(),
            self.offered.to_value(),
            self.failure.to_value(),
            self.ran.to_value(),
        ]
    }

    /// Whether nothing went wrong with it, and it is not undone.
    fn is_smooth(&self) -> bool {
        self.revert_attempt == 0
            && self.before_revert.is_none()
            && self.error.is_none()
            && self.next_at.is_none()
            && !self.offered
            && self.failure.is_none()
            && !self.ran
    }

    /// The parameters of [`sql::TASK_GOES_ON`](crate::sql::TASK_GOES_ON), but for the epoch.
    fn smooth_row(&self, flow: Uuid) -> Vec<Value> {
        vec![
            flow.to_value(),
            self.number.to_value(),
            self.state.to_value(),
            self.attempt.to_value(),
            self.output.to_value(),
            self.started.to_value(),
            self.finished.to_value(),
        ]
    }
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
            from: settled.from,
            held: settled.held,
            changed: settled.touched.iter().map(|number| changed(graph, *number)).collect(),
            failures: Vec::new(),
            kept: Vec::new(),
            looks: Vec::new(),
            added: Vec::new(),
            tasks: graph.nodes.len(),
            children: Vec::new(),
            waits: false,
            cancels: Vec::new(),
            undoes: Vec::new(),
            offers: Vec::new(),
            withdrawals: Vec::new(),
            anew: Vec::new(),
            suspends: Vec::new(),
            parent: graph.parent,
            output: None,
            heard: heard.to_vec(),
            fence: Fence::Asked,
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
            Effect::Anew { number } => self.anew.push(*number),
            Effect::Keep(failed) => self.kept.push(failed.clone()),
            Effect::Failed { number, state, class, error } => self.failures.push(Failed {
                task: task_id(graph.id, *number),
                name: graph.nodes[*number].name.clone(),
                resource: graph.nodes[*number].resource.clone(),
                state: *state,
                class: *class,
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

    /// The same, refused as a whole if the flow is another's: nobody has to be asked first.
    pub(crate) fn or_refused(self) -> Self {
        Self { fence: Fence::Refused, ..self }
    }

    /// The same once more, after nobody answered whether it is written.
    pub(crate) fn again(self) -> Self {
        Self { fence: Fence::Again, ..self }
    }

    /// The same for a flow that was taken in the transaction that writes it.
    pub(crate) fn taken(self) -> Self {
        Self { fence: Fence::Certain, ..self }
    }

    /// Whether it changes rows of tasks alone: see [`write_plain`].
    pub(crate) fn is_plain(&self) -> bool {
        self.fence == Fence::Refused
            && self.head.is_none()
            && self.failures.is_empty()
            && self.kept.is_empty()
            && self.looks.is_empty()
            && self.added.is_empty()
            && self.children.is_empty()
            && self.cancels.is_empty()
            && self.undoes.is_empty()
            && self.offers.is_empty()
            && self.withdrawals.is_empty()
            && self.anew.is_empty()
            && self.suspends.is_empty()
            && self.heard.is_empty()
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_none() && self.changed.is_empty() && self.heard.is_empty()
    }

    fn ended(&self) -> Option<&Head> {
        self.head.as_ref().filter(|head| head.state.is_ended())
    }

    /// Whether nobody is to be asked about its head: news does not hold back a flow that stays or ends.
    fn is_refused_by_its_head(&self) -> bool {
        self.fence == Fence::Refused && (self.held || self.ended().is_some())
    }

    /// The parameters of [`sql::HEAD_WRITE`](crate::sql::HEAD_WRITE).
    fn head_row(&self) -> Option<Vec<Value>> {
        let head = self.head.as_ref()?;
        Some(vec![
            self.flow.to_value(),
            self.epoch.to_value(),
            head.state.to_value(),
            head.ending.to_value(),
            head.reverting.to_value(),
            head.suspended.to_value(),
            self.held.to_value(),
            head.losses.to_value(),
            head.superseded_by.to_value(),
            head.error.to_value(),
            head.wake_at.to_value(),
            head.started.to_value(),
            head.finished.to_value(),
            self.owner.to_value(),
        ])
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
        ran: node.ran,
    }
}
