//! Attempts that others make: a task its flow's owner has no handler or not all the labels for is offered, and whoever claims
//! it says what came of it. Nobody need have the flow meanwhile.

use std::collections::BTreeSet;

use super::{Effect, Graph, Left, Start};
use crate::{
    FailureClass, FlowState, TaskState, Timeouts,
    policy::{self, POISON_MAX, Trouble},
};

/// What a worker has: tasks that want no more than that can run there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Skills {
    pub(crate) handlers: BTreeSet<String>,
    pub(crate) labels: BTreeSet<String>,
}

/// An attempt somebody else shall make.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) number: usize,
    pub(crate) attempt: u32,
    pub(crate) name: String,
    pub(crate) labels: Vec<String>,
    pub(crate) input: String,
    pub(crate) undo: Option<Left>,
    pub(crate) timeouts: Timeouts,
}

/// What came of an offer.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Return {
    /// The attempt ended.
    Ended(Result<String, Trouble>),
    /// Nobody heard of whoever claimed it: it may have had its effect.
    Lapsed,
    /// Whoever claimed it gave it back on purpose.
    GivenBack,
    /// It was taken back before anybody claimed it.
    Withdrawn,
}

impl Graph {
    /// Makes an attempt here if that is possible, or else offers it.
    pub(super) fn start(&mut self, start: Start) {
        let number = start.number;
        let node = &self.nodes[number];
        let here = self.known.handlers.contains(&node.name)
            && node.spec().labels.iter().all(|label| self.known.labels.contains(label));
        // Without its input it fails here as well as anywhere.
        let input = if here { None } else { self.input(number).ok() };
        let Some(input) = input else {
            let now = self.now;
            self.nodes[number].started.get_or_insert(now);
            self.active.insert(number);
            self.starts.push(start);
            return;
        };
        let timeouts = self.timeouts(&start);
        let node = &mut self.nodes[number];
        if node.state == TaskState::Running {
            node.state = TaskState::Offered;
        }
        node.offered = true;
        self.offered.insert(number);
        self.effects.push(Effect::Offer(Offer {
            number,
            attempt: start.attempt,
            name: node.name.clone(),
            labels: node.spec().labels.clone(),
            input,
            undo: start.revert,
            timeouts,
        }));
    }

    /// An offer came to something.
    pub(super) fn returned(&mut self, number: usize, attempt: u32, what: Return) {
        let Some(node) = self.nodes.get(number) else { return };
        let undoing = node.state == TaskState::Reverting;
        let current = if undoing { node.revert_attempt } else { node.attempt };
        if !node.offered || current != attempt {
            return;
        }
        let now = self.now;
        self.offered.remove(&number);
        self.withdrawn.remove(&number);
        let node = self.change(number);
        node.offered = false;
        if what != Return::Withdrawn {
            node.started.get_or_insert(now);
        }
        match what {
            Return::Ended(outcome) => {
                // Whoever ended the claim has kept a failure.
                self.class = outcome.as_ref().err().map(|trouble| self.head.class_of(trouble));
                return self.attempted(number, outcome);
            }
            Return::Withdrawn if undoing => node.revert_attempt -= 1,
            Return::Withdrawn => node.attempt -= 1,
            Return::GivenBack => {}
            Return::Lapsed => {
                self.head.losses += 1;
                if self.head.losses >= i64::from(POISON_MAX) {
                    self.give_up(FailureClass::Lost, &policy::deadly());
                }
            }
        }
        self.attempt_again(number);
    }

    fn attempt_again(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        let undoing = node.state == TaskState::Reverting;
        if undoing && self.head.reverting && self.head.ending == Some(FlowState::Stuck) {
            node.error.get_or_insert_with(|| "it was not undone: another task could not be".into());
            self.finish_failed(number, TaskState::RevertFailed);
        } else if undoing {
            self.revert_due(number);
        } else if node.finished.is_none() {
            node.state = if node.has_begun() { TaskState::MaybeRan } else { TaskState::Pending };
            self.ready.push_back(number);
        }
        self.go_on_unwinding();
    }

    /// Takes back what nobody has claimed and tells whoever has claimed the rest to stop, where going on is not wanted.
    pub(super) fn withdraw_unwanted(&mut self) {
        for number in self.offered.iter().copied().collect::<Vec<_>>() {
            // Undoing goes on whatever people want, unless it is stuck.
            let undoing = self.nodes[number].state == TaskState::Reverting;
            let stop = match self.head.ending {
                Some(ending) if undoing => ending == FlowState::Stuck,
                ending => !undoing && (ending.is_some() || self.is_unwinding(number)),
            };
            let wanted = !stop && (undoing || !self.head.suspended);
            if wanted {
                self.withdrawn.remove(&number);
            } else if self.withdrawn.get(&number) != Some(&stop) {
                self.withdrawn.insert(number, stop);
                self.effects.push(Effect::Withdraw { number, stop });
            }
        }
    }

    /// Whether an attempt at doing a task, not at undoing it, is under way here or elsewhere.
    pub(super) fn is_running(&self, number: usize) -> bool {
        self.active.contains(&number) && self.nodes[number].state == TaskState::Running
            || self.nodes[number].offered && self.nodes[number].state != TaskState::Reverting
    }
}
