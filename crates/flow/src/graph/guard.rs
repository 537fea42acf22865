//! Controllers: what follows a failure among the tasks they guard.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Effect, Graph, revert::Unwinding};
use crate::{Controller, FailureClass, FlowState, TaskState, Work};

/// What a controller decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Again,
    Revert,
    RevertAll,
}

impl Graph {
    /// A controller begins a run of what it guards.
    pub(super) fn begin_guard(&mut self, guard: usize, controller: &Controller) {
        let values = match self.values(guard, controller) {
            Ok(values) => values,
            Err(message) => return self.fail_by_policy(guard, FailureClass::Bug, &message),
        };
        let node = self.change(guard);
        node.attempt += 1;
        let attempt = node.attempt;
        let value = values.as_ref().map(|values| values.get(attempt as usize - 1).cloned());
        if value == Some(None) {
            return self.fail_by_policy(guard, FailureClass::Terminal, "there is no value to try");
        }
        let output = json!({ "attempt": attempt, "value": value.flatten() });
        self.succeed(guard, output.to_string());
    }

    /// The values a controller goes through, if it is of that kind.
    fn values(&self, guard: usize, controller: &Controller) -> Result<Option<Vec<Value>>, String> {
        match controller {
            Controller::ForEach { values } => Ok(Some(values.clone())),
            Controller::ParameterizedForEach => {
                let input = self.input_value(guard)?;
                let values = input.get("values").and_then(Value::as_array).cloned();
                values.map(Some).ok_or_else(|| "its `values` are not a list".into())
            }
            _ => Ok(None),
        }
    }

    /// Something guarded failed for good.
    pub(super) fn guard_failed(&mut self, guard: usize, message: &str) {
        if self.nodes[guard].state == TaskState::Reverting {
            return;
        }
        match self.decide(guard) {
            Decision::RevertAll => self.end_with(FlowState::Reverted, message),
            decision => {
                let after = match decision {
                    Decision::Again => TaskState::RetryWait,
                    _ => TaskState::Failed,
                };
                let node = self.change(guard);
                node.before_revert = Some(after);
                node.error = Some(message.to_owned());
                node.state = TaskState::Reverting;
                node.finished = None;
                self.open += 1;
                self.unwinding.insert(Some(guard), Unwinding::Waiting);
                self.go_on_unwinding();
            }
        }
    }

    fn decide(&self, guard: usize) -> Decision {
        let node = &self.nodes[guard];
        let Work::Retry(controller) = node.work() else { return Decision::Revert };
        let tries_max = match controller {
            Controller::AlwaysRevert => return Decision::Revert,
            Controller::AlwaysRevertAll => return Decision::RevertAll,
            Controller::Times { attempts_max, .. } => *attempts_max as usize,
            Controller::ForEach { .. } | Controller::ParameterizedForEach => {
                let values = self.values(guard, controller).ok().flatten();
                values.map_or(0, |values| values.len())
            }
        };
        if (node.attempt as usize) < tries_max { Decision::Again } else { Decision::Revert }
    }

    /// What a controller guards has been undone.
    pub(super) fn guard_unwound(&mut self, guard: usize) {
        let node = &self.nodes[guard];
        let message = node.error.clone().unwrap_or_default();
        if node.before_revert == Some(TaskState::RetryWait) {
            return self.run_again(guard);
        }
        self.change(guard).before_revert = None;
        self.finish_failed(guard, TaskState::Failed);
        match self.deciding(guard) {
            Some(outer) => self.guard_failed(outer, &message),
            None => self.end_with(FlowState::Reverted, &message),
        }
    }

    fn run_again(&mut self, guard: usize) {
        let attempt = self.nodes[guard].attempt;
        let guarded = self.guarded(guard);
        let skipped = self.skipped_behind(&guarded);
        let (items, mut members): (Vec<_>, Vec<_>) =
            guarded.into_iter().partition(|number| self.nodes[*number].spec().item_of.is_some());
        // The next run has a list of its own.
        for item in items {
            if self.nodes[item].finished.is_none() {
                self.finish(item, TaskState::Skipped);
            }
        }
        members.extend(skipped);
        members.sort_unstable();
        for &number in &members {
            if self.nodes[number].finished.is_some() {
                self.open += 1;
            }
            self.disarm(number);
            if self.nodes[number].attempt > 0 {
                self.effects.push(Effect::Anew { number });
            }
            let node = self.change(number);
            node.reset();
            node.items.clear();
            node.items_open = 0;
        }
        let node = self.change(guard);
        let error = node.error.take();
        node.reset();
        (node.attempt, node.error, node.state) = (attempt, error, TaskState::RetryWait);
        // Who needs any of them waits again.
        let mut waiting: BTreeSet<usize> = members.iter().copied().collect();
        for number in members.into_iter().chain([guard]) {
            waiting.extend(&self.nodes[number].successors);
        }
        waiting.into_iter().for_each(|number| self.count_blockers(number));
        let node = &self.nodes[guard];
        let pause = match node.work() {
            Work::Retry(Controller::Times { backoff, .. }) => backoff.wait(attempt, self.random),
            _ => 0,
        };
        if pause > 0 {
            self.arm(guard, self.now.saturating_add(pause));
        } else {
            self.ready.push_back(guard);
        }
    }

    /// What was skipped outside because of a decision among these: that is decided anew.
    fn skipped_behind(&self, guarded: &[usize]) -> BTreeSet<usize> {
        let mut skipped = BTreeSet::new();
        let mut open = guarded.to_vec();
        while let Some(number) = open.pop() {
            for &next in &self.nodes[number].successors {
                let outside = guarded.binary_search(&next).is_err();
                if outside && self.nodes[next].state == TaskState::Skipped && skipped.insert(next) {
                    open.push(next);
                }
            }
        }
        skipped
    }

    /// The controller that decides what follows a failure of a task; a skipped one decides nothing.
    pub(super) fn deciding(&self, number: usize) -> Option<usize> {
        let mut guard = self.nodes[number].guard();
        while let Some(one) = guard
            && self.nodes[one].state == TaskState::Skipped
        {
            guard = self.nodes[one].guard();
        }
        guard
    }

    /// The tasks a controller guards, also those of controllers within, in order.
    pub(super) fn guarded(&self, guard: usize) -> Vec<usize> {
        let mut guarded = Vec::new();
        let mut open = vec![guard];
        while let Some(one) = open.pop() {
            for &number in self.guarded.get(&one).into_iter().flatten() {
                guarded.push(number);
                open.push(number);
            }
        }
        guarded.sort_unstable();
        guarded
    }

    pub(super) fn is_guarded(&self, number: usize, guard: usize) -> bool {
        self.guards_of(number).any(|one| one == guard)
    }

    /// The controllers of a task, from the innermost outwards.
    pub(super) fn guards_of(&self, number: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(self.guard_of(number), |guard| self.guard_of(*guard))
    }

    /// Notes which controller guards a task that is new here.
    pub(super) fn note_guard(&mut self, number: usize) {
        if let Some(guard) = self.guard_of(number) {
            self.guarded.entry(guard).or_default().push(number);
        }
    }

    /// The controller of a task; an item's is that of its list.
    fn guard_of(&self, number: usize) -> Option<usize> {
        let spec = self.nodes[number].spec();
        match spec.item_of {
            Some((list, _)) => self.nodes[list].guard(),
            None => spec.guard,
        }
    }

    /// Whether a controller of a task is undoing what it guards.
    pub(super) fn is_unwinding(&self, number: usize) -> bool {
        self.unwinding_guard(number).is_some()
    }

    /// The innermost of the controllers of a task that are undoing what they guard.
    pub(super) fn unwinding_guard(&self, number: usize) -> Option<usize> {
        self.guards_of(number).find(|guard| self.nodes[*guard].state == TaskState::Reverting)
    }
}
