//! Where a flow stands after a change, and what of it is to be written.

use std::mem;

use super::{Effect, Graph, Hands, Start};
use crate::{
    FlowState, TaskState, Work,
    policy::{self, Counts, Standing},
};

/// Flows that are told to end in one transaction: of more, the others are told in those after it.
pub(super) const CANCELS_MAX: usize = 100;

/// What a settled change leads to.
#[derive(Debug)]
pub(crate) struct Settled {
    /// Attempts to make once the change is written.
    pub(crate) starts: Vec<Start>,
    /// Tasks whose rows are to be written.
    pub(crate) touched: Vec<usize>,
    /// Whether the flow's own row is to be written.
    pub(crate) head: bool,
    /// Where others were told that the flow stood before.
    pub(crate) from: FlowState,
    /// What else is to be done in the same transaction.
    pub(crate) effects: Vec<Effect>,
    /// Whether a worker keeps the flow.
    pub(crate) held: bool,
}

impl Graph {
    /// Decides where the flow stands now.
    pub(crate) fn settle(&mut self) -> Settled {
        let state = self.stand();
        let now = self.now;
        let held = matches!(state, FlowState::Running | FlowState::Reverting);
        let begun = |number: &usize| self.nodes[*number].started.is_some();
        if self.head.started.is_none()
            && (held || state == FlowState::Waiting || self.touched.iter().any(begun))
        {
            self.head.started = Some(now);
        }
        self.head.state = state;
        self.head.wake_at = if state == FlowState::Waiting { self.next_at() } else { None };
        if state.is_ended() {
            self.leave(state);
            self.head.finished = Some(now);
        }
        let head = self.written.as_ref() != Some(&self.head);
        if head {
            self.written = Some(self.head.clone());
        }
        let from = mem::replace(&mut self.told, self.head.told());
        Settled {
            starts: mem::take(&mut self.starts),
            touched: mem::take(&mut self.touched).into_iter().collect(),
            head,
            from,
            effects: mem::take(&mut self.effects),
            held,
        }
    }

    /// Nothing of a settled change was written.
    pub(crate) fn unsettle(&mut self, settled: Settled) {
        self.written = None;
        self.told = settled.from;
        self.touched.extend(settled.touched);
        self.effects.extend(settled.effects);
        self.starts.extend(settled.starts);
    }

    fn stand(&mut self) -> FlowState {
        self.end_children();
        self.withdraw_unwanted();
        if self.cancels_left {
            // Whoever has it goes on at once, or a worker takes it for that.
            return match self.hands {
                Hands::Worker => FlowState::Running,
                Hands::Free if self.active.is_empty() => FlowState::Ready,
                Hands::Free => FlowState::Running,
            };
        }
        // News does not call off the worker that is wanted already.
        let untaken = self.hands == Hands::Free && self.head.state == FlowState::Ready;
        if !self.head.reverting {
            let standing = policy::standing(Counts {
                open: self.open,
                active: self.active.len(),
                startable: self.startable || untaken,
                elsewhere: !self.children.is_empty() || self.goes_on_elsewhere(),
                suspended: self.head.suspended,
                ending: self.head.ending,
                revertible: self.revertible,
            });
            match standing {
                Standing::In(state) => return state,
                Standing::Revert => self.revert_all(),
            }
        }
        if !self.active.is_empty() {
            FlowState::Reverting
        } else if self.goes_on_elsewhere() {
            FlowState::Waiting
        } else if self.head.ending == Some(FlowState::Stuck) {
            FlowState::Stuck
        } else if self.is_reverted() {
            let cancelled = self.head.ending == Some(FlowState::Cancelled);
            if cancelled { FlowState::Cancelled } else { FlowState::Reverted }
        } else if self.startable || untaken {
            FlowState::Ready
        } else {
            FlowState::Waiting
        }
    }

    /// Tells the flows to end whose results nobody wants any more, some at a time.
    fn end_children(&mut self) {
        self.cancels_left = false;
        if self.head.ending.is_none() && self.unwinding.is_empty() {
            return;
        }
        if self.hands == Hands::Free
            && self.head.state == FlowState::Ready
            && self.children.len() > CANCELS_MAX
        {
            // Whoever takes it tells them, each few in a transaction: this one may come of having told some.
            self.cancels_left = true;
            return;
        }
        let untold = self.children.difference(&self.children_told);
        let unwanted = untold.filter_map(|number| Some((*number, self.joins_unwanted(*number)?)));
        let mut unwanted: Vec<(usize, i64)> = unwanted.take(CANCELS_MAX + 1).collect();
        self.cancels_left = unwanted.len() > CANCELS_MAX;
        unwanted.truncate(CANCELS_MAX);
        for (number, joins) in unwanted {
            self.children_told.insert(number);
            self.effects.push(Effect::Cancel { number, joins });
        }
    }

    /// What the flow leaves undone when it ends.
    fn leave(&mut self, state: FlowState) {
        let left = match state {
            FlowState::Cancelled => TaskState::Cancelled,
            _ => TaskState::Skipped,
        };
        for number in 0..self.nodes.len() {
            let node = &self.nodes[number];
            if node.state == TaskState::Reverting && *node.work() == Work::Run {
                let node = self.change(number);
                node.error.get_or_insert_with(|| "it was not undone: the flow ended".into());
                self.finish_failed(number, TaskState::RevertFailed);
            } else if node.state == TaskState::Reverting || node.finished.is_none() {
                let left = if node.state == TaskState::MaybeRan { node.state } else { left };
                self.finish(number, left);
            }
        }
    }
}
