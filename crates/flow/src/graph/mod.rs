//! A flow in the memory of whoever changes it: a state machine without I/O and without a clock.
//!
//! An owner loads it once, tells it what happened, and asks it to [`settle`](Graph::settle): where the flow stands now, which
//! attempts are to be made, and which rows changed. Each event costs what it touches, not what the flow is long.

mod dynamic;
mod forward;
mod guard;
mod input;
mod load;
mod node;
mod offer;
mod revert;
mod settle;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use uuid::Uuid;

use crate::{FailureClass, Fate, FlowState, TaskState, failure::Failed, policy::Trouble};

pub(crate) use dynamic::Item;
pub(crate) use forward::is_unwanted;
pub(crate) use load::{Label, Whose};
pub(crate) use node::{Node, Row};
pub(crate) use offer::{Offer, Return, Skills};
pub(crate) use settle::Settled;

use revert::Unwinding;

/// Who changes the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hands {
    /// The worker that has it: it starts what can be started.
    Worker,
    /// Somebody else, or a worker about to stop.
    Free,
}

/// What a worker has, shared by its flows.
pub(crate) type Known = Arc<Skills>;

/// The flow's own row, as far as it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) state: FlowState,
    /// How it shall end once nothing of it runs.
    pub(crate) ending: Option<FlowState>,
    pub(crate) reverting: bool,
    pub(crate) suspended: bool,
    /// How often its worker died without a task having ended in between.
    pub(crate) losses: i64,
    pub(crate) superseded_by: Option<Uuid>,
    pub(crate) error: Option<String>,
    pub(crate) wake_at: Option<i64>,
    pub(crate) started: Option<i64>,
    pub(crate) finished: Option<i64>,
}

impl Head {
    /// Where the flow stands, as others are told: one that is to be undone may wait for its turn meanwhile, one that was suspended
    /// may still run.
    pub(crate) fn told(&self) -> FlowState {
        match self.state {
            state if state.is_ended() => state,
            _ if self.reverting => FlowState::Reverting,
            _ if self.suspended => FlowState::Suspended,
            state => state,
        }
    }

    /// Whether its tasks are to stop because somebody cancelled it: it is not being undone for that yet.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.ending == Some(FlowState::Cancelled) && !self.reverting
    }

    /// What sort of failure of a task it is.
    pub(crate) fn class_of(&self, trouble: &Trouble) -> FailureClass {
        trouble.class_in(self.is_cancelled())
    }

    /// Whether nothing of it runs or is due: what comes to one of its tasks changes no other, unless all has come that meets
    /// there (`joins`). That is something else while it goes forwards, ends, and is undone.
    pub(crate) fn is_at_rest(&self, undone: bool, joins: Option<i64>, now: i64) -> bool {
        // A worker is to tell more flows to end: it takes in what came of those before.
        let telling = self.state == FlowState::Ready && joins.is_some_and(is_unwanted);
        (matches!(self.state, FlowState::Waiting | FlowState::Suspended) || telling)
            && self.reverting == undone
            && (undone || self.ending.is_none() || joins.is_some_and(is_unwanted))
            && self.losses == 0
            && self.wake_at.is_none_or(|at| at > now)
    }
}

/// An attempt to be made.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) number: usize,
    /// From 1; of this direction.
    pub(crate) attempt: u32,
    /// What the task left, if it shall be undone.
    pub(crate) revert: Option<Left>,
}

/// What a task to be undone left.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Left {
    Output(String),
    Failure(String),
    Unknown,
}

/// What has happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A worker's attempt ended.
    Attempted(usize, Result<String, Trouble>),
    /// An attempt that was offered came to something.
    Returned(usize, u32, Return),
    /// What a task waited for has come, with its output.
    Arrived(usize, String),
    /// What a task waited for will not come.
    Missed(usize, String),
    /// What the flow of a task did has been undone, or why it has not.
    Undone(usize, Option<String>),
    /// What a task waits for is in trouble, or no more.
    Troubled(usize, Option<String>),
    /// Somebody cancels it.
    Cancel,
    /// Somebody suspends it, or lets it go on.
    Suspend(bool),
    /// There is news that cannot be read.
    Unreadable(String),
    /// Time has passed.
    Due,
}

/// What settling asks the database to do beside writing rows.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// See whether what a task waits for has come already.
    Look { number: usize, key: String, at_least: i64 },
    /// Add the tasks of a list.
    Add(Vec<Item>),
    /// Submit the flow of a task.
    Submit { number: usize },
    /// Undo what the flow of a task did, whose end meets those of others there.
    Undo { number: usize, joins: Option<i64> },
    /// Cancel the flow a task waits for, whose end meets those of others there ([`Graph::joins_unwanted`]).
    Cancel { number: usize, joins: i64 },
    /// Let somebody make an attempt who can.
    Offer(Offer),
    /// Take an offer back unless it is claimed; whoever has claimed it shall go on, or stop.
    Withdraw { number: usize, stop: bool },
    /// Suspend the flow a task waits for, or let it go on.
    Suspend { number: usize, suspended: bool },
    /// A task starts over: forget what its attempts reported.
    Anew { number: usize },
    /// Keep that an attempt failed.
    Keep(Failed),
    /// Tell the world that a task failed for good, or could not be undone.
    Failed { number: usize, state: TaskState, class: Option<FailureClass>, error: Option<String> },
}

/// A flow in memory.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    pub(crate) id: Uuid,
    pub(crate) epoch: i64,
    pub(crate) label: Arc<Label>,
    pub(crate) revertible: bool,
    /// The flow and the task that submitted it, and what it is to them.
    pub(crate) parent: Option<(Uuid, i64, Fate)>,
    pub(crate) head: Head,
    pub(crate) nodes: Vec<Node>,
    hands: Hands,
    /// What the worker has that has it.
    known: Known,
    now: i64,
    random: u32,
    /// What sort of failure it is that what happens now follows from, if it is one.
    class: Option<FailureClass>,
    /// As last written, if that is known.
    written: Option<Head>,
    /// Where others were told that it stands.
    told: FlowState,
    /// Tasks with an attempt under way.
    active: BTreeSet<usize>,
    /// Tasks that have not ended.
    open: usize,
    /// A task could be started and was not, for want of a worker.
    startable: bool,
    ready: VecDeque<usize>,
    timers: BTreeSet<(i64, usize)>,
    touched: BTreeSet<usize>,
    starts: Vec<Start>,
    effects: Vec<Effect>,
    /// The tasks each controller guards itself, not by one within.
    guarded: BTreeMap<usize, Vec<usize>>,
    /// What is being undone: by the controller that guards it, or all of it.
    unwinding: BTreeMap<Option<usize>, Unwinding>,
    /// Tasks that wait for a flow of theirs to end.
    children: BTreeSet<usize>,
    /// Those whose flows have been told to end.
    children_told: BTreeSet<usize>,
    /// There are more to be told.
    cancels_left: bool,
    /// Tasks whose flows are being undone.
    children_undone: BTreeSet<usize>,
    /// Tasks whose attempts others make.
    offered: BTreeSet<usize>,
    /// Those that are not wanted any more, and whether whoever has claimed them was told to stop.
    withdrawn: BTreeMap<usize, bool>,
}

impl Graph {
    /// Tells what has happened. `now` is in microseconds since 1970, UTC; `random` spreads retries.
    pub(crate) fn tell(&mut self, event: Event, hands: Hands, now: i64, random: u32) {
        (self.hands, self.now, self.random) = (hands, now, random);
        self.class = None;
        match event {
            Event::Attempted(number, outcome) => {
                if let Err(trouble) = &outcome
                    && trouble.was_made()
                {
                    self.keep(number, self.head.class_of(trouble), trouble.message());
                }
                self.attempted(number, outcome);
            }
            Event::Returned(number, attempt, what) => self.returned(number, attempt, what),
            Event::Arrived(number, output) => self.arrived(number, output),
            Event::Missed(number, message) => self.missed(number, &message),
            Event::Undone(number, trouble) => self.child_undone(number, trouble),
            Event::Troubled(number, message) => self.troubled(number, message),
            Event::Cancel => self.cancel(),
            Event::Suspend(suspended) => self.suspend(suspended),
            Event::Unreadable(message) => self.give_up(FailureClass::Refused, &message),
            Event::Due => self.due(),
        }
        self.advance();
    }

    /// A worker that has these skills has it now.
    pub(crate) fn taken(&mut self, known: Known) {
        self.known = known;
    }

    /// Sets it aside because nobody can go on with it: one that is being undone as stuck.
    pub(crate) fn give_up(&mut self, class: FailureClass, message: &str) {
        if self.head.reverting {
            self.give_up_reverting(class, message);
        } else {
            self.park(message);
        }
    }

    /// Sets it aside as poison.
    fn park(&mut self, message: &str) {
        self.end_with(FlowState::Parked, message);
    }

    /// Begins what can be begun, after a take or for the first time.
    pub(crate) fn begin(&mut self, hands: Hands, now: i64) {
        (self.hands, self.now) = (hands, now);
        self.end_lists();
        self.due();
        self.look_again();
        self.advance();
    }

    /// When something is due at the latest.
    pub(crate) fn next_at(&self) -> Option<i64> {
        if self.cancels_left {
            return Some(self.now);
        }
        self.timers.first().map(|(at, _)| *at)
    }

    fn cancel(&mut self) {
        if !self.head.reverting && !self.head.state.is_ended() {
            self.head.ending.get_or_insert(FlowState::Cancelled);
        }
    }

    /// Suspends it with the flows it waits for, or lets them go on.
    fn suspend(&mut self, suspended: bool) {
        self.head.suspended = suspended;
        let children = self.children.iter();
        self.effects.extend(children.map(|number| Effect::Suspend { number: *number, suspended }));
        if !suspended {
            self.look_again();
        }
    }

    /// Changes a task and notes that its row is to be written.
    fn change(&mut self, number: usize) -> &mut Node {
        self.touched.insert(number);
        &mut self.nodes[number]
    }

    /// Ends a task.
    fn finish(&mut self, number: usize, state: TaskState) {
        let now = self.now;
        let node = self.change(number);
        node.state = state;
        let ended_before = node.finished.replace(now).is_some();
        self.disarm(number);
        if !ended_before {
            self.open = self.open.saturating_sub(1);
        }
    }

    /// Ends a task that failed for good, and tells the world: it may be undone at once, and nobody would see.
    fn finish_failed(&mut self, number: usize, state: TaskState) {
        self.finish(number, state);
        let (class, error) = (self.class, self.nodes[number].error.clone());
        self.effects.push(Effect::Failed { number, state, class, error });
    }

    /// Keeps that a task failed, before its row says so.
    fn keep(&mut self, number: usize, class: FailureClass, message: String) {
        self.class = Some(class);
        let node = &self.nodes[number];
        let undoing = node.state == TaskState::Reverting;
        let attempt = if undoing { node.revert_attempt } else { node.attempt };
        self.effects.push(Effect::Keep(Failed { number, undoing, attempt, class, message }));
    }

    /// Wakes a task at a time.
    fn arm(&mut self, number: usize, at: i64) {
        self.disarm(number);
        self.change(number).next_at = Some(at);
        self.timers.insert((at, number));
    }

    fn disarm(&mut self, number: usize) {
        if let Some(at) = self.nodes[number].next_at.take() {
            self.timers.remove(&(at, number));
            self.touched.insert(number);
        }
    }
}
