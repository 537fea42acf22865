//! Backwards: what was done is undone, each task after everything that relied on it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Effect, Graph, Node, Start, forward::FLOW_END};
use crate::{
    Failure, FailureClass, FlowState, TaskState, Work,
    policy::{self, Next, Trouble},
};

/// The undoing of what a controller guards, or of the whole flow.
#[derive(Clone, Debug)]
pub(super) enum Unwinding {
    /// Tasks of it still run.
    Waiting,
    /// Tasks are being undone: for each, how many that rely on it have not been; and how many are left.
    Undoing { blocked: BTreeMap<usize, usize>, left: usize },
}

impl Graph {
    /// What was being undone when the flow was stored.
    pub(super) fn resume_unwinding(&mut self) {
        if self.head.reverting {
            self.unwinding.insert(None, Unwinding::Waiting);
            return;
        }
        for (number, node) in self.nodes.iter().enumerate() {
            if node.state == TaskState::Reverting && matches!(node.work(), Work::Retry(_)) {
                self.unwinding.insert(Some(number), Unwinding::Waiting);
            }
        }
    }

    /// Reverts the whole flow; nothing of it runs.
    pub(super) fn revert_all(&mut self) {
        self.head.reverting = true;
        self.unwinding.clear();
        self.unwinding.insert(None, Unwinding::Waiting);
        self.go_on_unwinding();
    }

    /// The handlers that would be asked to undo something.
    pub(crate) fn undoers(&self) -> BTreeSet<String> {
        let asked = |node: &&Node| *node.work() == Work::Run && node.has_begun() && node.is_left();
        self.nodes.iter().filter(asked).map(|node| node.name.clone()).collect()
    }

    /// The tasks whose flows would be undone with this one.
    pub(crate) fn children_done(&self) -> Vec<usize> {
        let done = |node: &Node| node.has_joined() && node.is_left();
        (0..self.nodes.len()).filter(|number| done(&self.nodes[*number])).collect()
    }

    /// Whether everything has been undone.
    pub(super) fn is_reverted(&self) -> bool {
        self.head.reverting && self.unwinding.is_empty()
    }

    /// Begins to undo where nothing runs any more.
    pub(super) fn go_on_unwinding(&mut self) {
        // What could not be undone keeps what it relies on as it is.
        if self.unwinding.is_empty() || self.head.ending == Some(FlowState::Stuck) {
            return;
        }
        if self.startable {
            self.unwind_again();
        }
        let waiting = |(what, how): (&Option<usize>, &Unwinding)| {
            matches!(how, Unwinding::Waiting).then_some(*what)
        };
        for what in self.unwinding.iter().filter_map(waiting).collect::<Vec<_>>() {
            if self.can_unwind(what) {
                self.unwind(what);
            }
        }
    }

    /// What could not be started without a worker is looked for again.
    pub(super) fn unwind_again(&mut self) {
        self.unwinding.values_mut().for_each(|unwinding| *unwinding = Unwinding::Waiting);
    }

    fn can_unwind(&self, what: Option<usize>) -> bool {
        let under_way = self.active.iter().chain(&self.offered);
        let mut running = under_way.filter(|number| self.is_running(**number));
        let Some(guard) = what else { return running.next().is_none() };
        let halted = self.head.reverting || self.head.ending.is_some();
        let outer = self.is_unwinding(guard);
        let mut busy = running.chain(&self.children);
        !halted && !outer && !busy.any(|number| self.is_guarded(*number, guard))
    }

    fn unwind(&mut self, what: Option<usize>) {
        let members = match what {
            Some(guard) => self.guarded(guard),
            None => (0..self.nodes.len()).collect(),
        };
        self.unwinding.retain(|other, _| {
            *other == what || other.is_none_or(|guard| members.binary_search(&guard).is_err())
        });
        for &number in &members {
            if self.nodes[number].finished.is_none() && !self.has_effect(number) {
                self.finish(number, TaskState::Skipped);
            }
        }
        let undo: Vec<usize> =
            members.into_iter().filter(|number| self.has_effect(*number)).collect();
        let mut blocked: BTreeMap<usize, usize> = undo.iter().map(|number| (*number, 0)).collect();
        for &number in &undo {
            for prior in self.relies_on(number) {
                if let Some(count) = blocked.get_mut(&prior) {
                    *count += 1;
                }
            }
        }
        let free = blocked.iter().filter(|(_, count)| **count == 0).map(|(number, _)| *number);
        let free: VecDeque<usize> = free.rev().collect();
        self.unwinding.insert(what, Unwinding::Undoing { blocked, left: undo.len() });
        self.undo(what, free);
    }

    /// Whether a task may have had an effect; a list, however it stands, by its items: they rely through it on what it needs.
    fn has_effect(&self, number: usize) -> bool {
        let node = &self.nodes[number];
        node.has_effect() || node.items.iter().any(|item| self.nodes[*item].has_effect())
    }

    /// The tasks that may be undone only after this one.
    fn relies_on(&self, number: usize) -> Vec<usize> {
        let node = &self.nodes[number];
        let mut priors = node.needs.clone();
        for need in &node.needs {
            priors.extend(&self.nodes[*need].items);
        }
        priors.extend(node.spec().item_of.map(|(list, _)| list));
        priors
    }

    fn undo(&mut self, what: Option<usize>, mut free: VecDeque<usize>) {
        while let Some(number) = free.pop_front() {
            if self.start_revert(number) {
                free.extend(self.undone(what, number));
            }
        }
        if let Some(Unwinding::Undoing { left: 0, .. }) = self.unwinding.get(&what) {
            self.unwinding.remove(&what);
            if let Some(guard) = what {
                self.guard_unwound(guard);
            }
        }
    }

    /// Starts undoing a task; `true` if that is done already, because there is nothing to undo.
    pub(super) fn start_revert(&mut self, number: usize) -> bool {
        if self.active.contains(&number)
            || self.nodes[number].offered
            || self.children_undone.contains(&number)
        {
            return false;
        }
        let node = &self.nodes[number];
        if node.has_joined() {
            self.undo_child(number);
            return false;
        }
        if *node.work() != Work::Run || !node.has_begun() {
            self.finish(number, TaskState::Reverted);
            return true;
        }
        if node.state == TaskState::Reverting && node.next_at.is_some_and(|at| at > self.now) {
            return false;
        }
        if !self.can_start() {
            return false;
        }
        self.disarm(number);
        let node = self.change(number);
        node.begin_revert();
        let attempt = node.revert_attempt;
        let left = node.left();
        self.start(Start { number, attempt, revert: Some(left) });
        false
    }

    /// Asks for what the flow of a task did to be undone.
    fn undo_child(&mut self, number: usize) {
        self.change(number).begin_revert();
        self.children_undone.insert(number);
        // A controller goes on as soon as its own is undone, whatever else is.
        let joins = match self.relies_on(number)[..] {
            _ if !self.head.reverting => None,
            [] => Some(FLOW_END),
            [prior] => i64::try_from(prior).ok(),
            _ => None,
        };
        self.effects.push(Effect::Undo { number, joins });
    }

    /// What the flow of a task did has been undone, or will not be.
    pub(super) fn child_undone(&mut self, number: usize, trouble: Option<String>) {
        if self.children_undone.remove(&number) {
            if let Some(message) = &trouble {
                self.keep(number, FailureClass::Terminal, message.clone());
            }
            let failed = |message| Trouble::Failed(Failure::Terminal(message));
            self.revert_attempted(number, trouble.map_or(Ok(()), |message| Err(failed(message))));
        }
    }

    /// Whether something of it is run or undone by others, or by flows of its own.
    pub(super) fn goes_on_elsewhere(&self) -> bool {
        !self.offered.is_empty() || !self.children_undone.is_empty()
    }

    /// Counts an undone task; answers what may be undone now.
    fn undone(&mut self, what: Option<usize>, number: usize) -> Vec<usize> {
        let priors = self.relies_on(number);
        let Some(Unwinding::Undoing { blocked, left }) = self.unwinding.get_mut(&what) else {
            return Vec::new();
        };
        *left -= 1;
        let mut free = Vec::new();
        for prior in priors {
            if let Some(count) = blocked.get_mut(&prior) {
                *count -= 1;
                if *count == 0 {
                    free.push(prior);
                }
            }
        }
        free.sort_unstable_by(|one, other| other.cmp(one));
        free
    }

    /// A worker's attempt to undo a task ended.
    pub(super) fn revert_attempted(&mut self, number: usize, outcome: Result<(), Trouble>) {
        let Err(trouble) = outcome else {
            let node = self.change(number);
            node.before_revert = None;
            node.error = node.failure.take();
            self.finish(number, TaskState::Reverted);
            self.head.losses = 0;
            let what = self.unwinding_of(number);
            let free = self.undone(what, number).into();
            self.undo(what, free);
            return self.go_on_unwinding();
        };
        let node = &self.nodes[number];
        let next =
            policy::after_revert_trouble(&trouble, node.revert_attempt, &node.retry, self.random);
        let message = trouble.message();
        let node = self.change(number);
        match next {
            Next::Held(until) => {
                // It was not made, so it does not count, and nothing new is known of what the task left.
                node.revert_attempt -= 1;
                node.error.get_or_insert(message);
                self.arm(number, until);
            }
            Next::Again(delay) => {
                node.error = Some(message);
                self.arm(number, self.now.saturating_add(delay));
            }
            Next::End(_) => {
                node.error = Some(message.clone());
                self.finish_failed(number, TaskState::RevertFailed);
                self.head.ending = Some(FlowState::Stuck);
                self.head.error = Some(message);
            }
        }
    }

    /// Nobody shall try again to undo what was being undone.
    pub(super) fn give_up_reverting(&mut self, class: FailureClass, message: &str) {
        for number in 0..self.nodes.len() {
            // What is still being undone, here or elsewhere, may yet succeed.
            let node = &self.nodes[number];
            let elsewhere = node.offered || self.children_undone.contains(&number);
            let under_way = elsewhere || self.active.contains(&number);
            if node.state == TaskState::Reverting && !under_way {
                self.keep(number, class, message.to_owned());
                self.change(number).error = Some(message.to_owned());
                self.finish_failed(number, TaskState::RevertFailed);
            }
        }
        self.head.ending = Some(FlowState::Stuck);
        self.head.error = Some(message.to_owned());
        self.unwinding.clear();
    }

    /// A pause before undoing a task again is over.
    pub(super) fn revert_due(&mut self, number: usize) {
        let stuck = self.head.ending == Some(FlowState::Stuck);
        let halted = !self.head.reverting && self.head.ending.is_some();
        if !stuck && !halted {
            self.start_revert(number);
        }
    }

    /// The undoing a task belongs to.
    fn unwinding_of(&self, number: usize) -> Option<usize> {
        let belongs = |what: &Option<usize>| match self.unwinding.get(what) {
            Some(Unwinding::Undoing { blocked, .. }) => blocked.contains_key(&number),
            _ => false,
        };
        self.guards_of(number).find(|guard| belongs(&Some(*guard)))
    }
}
