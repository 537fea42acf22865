//! Forwards: tasks begin when nothing blocks them, and end.

use std::time::Duration;

use super::{Effect, Graph, Hands, Start};
use crate::{
    Depth, FailureClass, FlowState, Retry, TaskState, Then, Timeouts, Work,
    policy::{self, Next, Trouble},
};

/// Where tasks meet that no task needs.
pub(super) const FLOW_END: i64 = -1;

/// Where tasks meet that are not wanted any more because the flow ends; before that, for each controller, those that are not
/// because it undoes what it guards.
const UNWANTED: i64 = -2;

/// Whether tasks meet here that are not wanted any more.
pub(crate) fn is_unwanted(joins: i64) -> bool {
    joins <= UNWANTED
}

impl Graph {
    /// Begins what became ready.
    pub(super) fn advance(&mut self) {
        while let Some(number) = self.ready.pop_front() {
            self.begin_task(number);
        }
    }

    /// Looks at every task that has not ended.
    pub(super) fn look_again(&mut self) {
        if std::mem::take(&mut self.startable) {
            self.unwind_again();
        }
        if self.head.reverting {
            return self.go_on_unwinding();
        }
        self.ready.clear();
        let unblocked = |number: &usize| {
            let node = &self.nodes[*number];
            node.blockers == 0 && node.finished.is_none()
        };
        self.ready = (0..self.nodes.len()).filter(unblocked).collect();
        self.go_on_unwinding();
    }

    /// Begins a task that nothing blocks, unless the flow is not going forwards there.
    fn begin_task(&mut self, number: usize) {
        let node = &self.nodes[number];
        let waits_for_time = node.next_at.is_some_and(|at| at > self.now);
        let can_begin = matches!(node.state, TaskState::Pending | TaskState::MaybeRan)
            || node.state == TaskState::RetryWait && !waits_for_time;
        let halted = self.head.ending.is_some() || self.head.reverting || self.head.suspended;
        let list = node.spec().item_of.map(|(list, _)| self.nodes[list].state);
        let too_early = list.is_some_and(|list| list != TaskState::Waiting);
        if can_begin && list == Some(TaskState::Skipped) {
            // Somebody took care of all of the list.
            return self.finish(number, TaskState::Skipped);
        }
        if !can_begin || halted || too_early || self.is_unwinding(number) {
            return;
        }
        if let Some(depth) = self.refused_by(number) {
            return self.skip(number, depth);
        }
        match self.nodes[number].work().clone() {
            Work::Run => self.begin_run(number),
            Work::Gate => self.succeed(number, "null".into()),
            Work::Wait(wait) => {
                let timeout = self.nodes[number].spec().timeouts.attempt;
                self.begin_waiting(number, timeout);
                let effect = Effect::Look { number, key: wait.key, at_least: wait.at_least };
                self.effects.push(effect);
            }
            Work::Sleep(duration) => self.begin_waiting(number, Some(duration)),
            Work::Until(at) => {
                self.begin_waiting(number, None);
                self.arm(number, at);
            }
            Work::Retry(controller) => self.begin_guard(number, &controller),
            Work::Each(each) => self.begin_each(number, &each),
            Work::Flow(child) => self.begin_child(number, &child),
        }
        if self.nodes[number].next_at.is_some_and(|at| at <= self.now) {
            self.due();
        }
    }

    fn begin_run(&mut self, number: usize) {
        if !self.can_start() {
            return;
        }
        self.disarm(number);
        let node = self.change(number);
        node.state = TaskState::Running;
        node.attempt += 1;
        let attempt = node.attempt;
        self.start(Start { number, attempt, revert: None });
    }

    /// How long an attempt may take: of the time for all attempts, what is left.
    pub(crate) fn timeouts(&self, start: &Start) -> Timeouts {
        let node = &self.nodes[start.number];
        let mut timeouts = node.spec().timeouts;
        if let (Some(total), Some(started), None) =
            (&mut timeouts.total, node.started, &start.revert)
        {
            let since = self.now.saturating_sub(started).max(0).unsigned_abs();
            *total = total.saturating_sub(Duration::from_micros(since));
        }
        timeouts
    }

    /// Whether a worker is here; if not, one has to take the flow.
    pub(super) fn can_start(&mut self) -> bool {
        let free = self.hands == Hands::Free;
        self.startable |= free;
        !free
    }

    pub(super) fn begin_waiting(&mut self, number: usize, timeout: Option<Duration>) {
        let now = self.now;
        let node = self.change(number);
        node.state = TaskState::Waiting;
        node.started.get_or_insert(now);
        if let Some(timeout) = timeout {
            self.arm(number, now.saturating_add(policy::micros(timeout)));
        }
    }

    /// How far "no" spreads, if a condition does not hold.
    fn refused_by(&self, number: usize) -> Option<Depth> {
        let conditions = &self.nodes[number].spec().when;
        let refused = conditions.iter().filter(|when| {
            let needed = self.nodes.get(when.task);
            let output = needed.and_then(|needed| self.output(needed));
            !when.is.holds(output.as_ref())
        });
        refused.map(|when| when.depth).max()
    }

    /// Skips a task and as many of those behind it as the depth says.
    fn skip(&mut self, number: usize, depth: Depth) {
        let within = self.nodes[number].spec().within.clone();
        let mut skipped = vec![number];
        let mut at = 0;
        while at < skipped.len() {
            let one = skipped[at];
            at += 1;
            if !matches!(self.nodes[one].state, TaskState::Pending | TaskState::MaybeRan) {
                continue;
            }
            self.finish(one, TaskState::Skipped);
            let spreads = match depth {
                Depth::Atom => false,
                Depth::Neighbors => one == number,
                Depth::Flow | Depth::All => true,
            };
            if spreads {
                let reached = self.nodes[one].successors.iter().copied();
                let inside = |next: &usize| {
                    depth != Depth::Flow || self.nodes[*next].spec().within.starts_with(&within)
                };
                skipped.extend(reached.filter(inside).collect::<Vec<_>>());
            }
        }
        self.release(number);
    }

    /// A task has passed: those that needed only it are ready, or pass as well if they are skipped.
    fn release(&mut self, number: usize) {
        let mut passed = vec![number];
        while let Some(number) = passed.pop() {
            for at in 0..self.nodes[number].successors.len() {
                let next = self.nodes[number].successors[at];
                let node = &mut self.nodes[next];
                node.blockers = node.blockers.saturating_sub(1);
                match (node.blockers, node.state) {
                    (0, TaskState::Skipped) => passed.push(next),
                    (0, _) if node.finished.is_none() => self.ready.push_back(next),
                    _ => {}
                }
            }
        }
    }

    pub(super) fn succeed(&mut self, number: usize, output: String) {
        let now = self.now;
        let node = self.change(number);
        node.started.get_or_insert(now);
        node.output = Some(output);
        node.error = None;
        self.finish(number, TaskState::Succeeded);
        self.head.losses = 0;
        self.item_succeeded(number);
        self.release(number);
    }

    /// A worker's attempt ended.
    pub(super) fn attempted(&mut self, number: usize, outcome: Result<String, Trouble>) {
        self.active.remove(&number);
        if self.nodes[number].state == TaskState::Reverting {
            return self.revert_attempted(number, outcome.map(drop));
        }
        match outcome {
            Ok(output) => self.succeed(number, output),
            Err(trouble) => self.attempt_failed(number, &trouble),
        }
        self.go_on_unwinding();
    }

    /// When the time for all attempts is over, if it is limited.
    fn end_of(&self, number: usize) -> Option<i64> {
        let node = &self.nodes[number];
        let total = node.spec().timeouts.total.map(policy::micros);
        total.zip(node.started).map(|(total, started)| started.saturating_add(total))
    }

    fn attempt_failed(&mut self, number: usize, trouble: &Trouble) {
        let (node, end) = (&self.nodes[number], self.end_of(number));
        let next = |retry| policy::after_trouble(trouble, node.attempt, &retry, self.random);
        let next = match next(node.retry) {
            // Another attempt would begin too late.
            Next::Again(delay) if end.is_some_and(|end| self.now.saturating_add(delay) >= end) => {
                next(Retry { attempts_max: 0, ..node.retry })
            }
            next => next,
        };
        let halted = self.head.ending.is_some() || self.is_unwinding(number);
        match next {
            // Going on is not wanted any more: that it was retryable does not matter.
            Next::Again(_) if halted => self.fail(number, &trouble.message(), FlowState::Failed),
            Next::Again(delay) => {
                self.retry_at(number, self.now.saturating_add(delay), trouble.message());
            }
            Next::Held(until) => {
                // It was not made, so it does not count.
                self.change(number).attempt -= 1;
                if end.is_some_and(|end| until >= end) {
                    self.fail_by_policy(number, FailureClass::Timeout, &trouble.message());
                } else {
                    self.retry_at(number, until, trouble.message());
                }
            }
            Next::End(ending) => self.fail(number, &trouble.message(), ending),
        }
    }

    fn retry_at(&mut self, number: usize, at: i64, message: String) {
        let node = self.change(number);
        node.state = TaskState::RetryWait;
        node.error = Some(message);
        self.arm(number, at);
    }

    /// A task failed for good: its controller decides what follows, or else its own policy.
    fn fail(&mut self, number: usize, message: &str, ending: FlowState) {
        self.change(number).error = Some(message.to_owned());
        self.finish_failed(number, TaskState::Failed);
        let blamed = self.nodes[number].spec().item_of.map_or(number, |(list, _)| list);
        if blamed != number && self.nodes[blamed].finished.is_none() {
            return self.fail(blamed, message, ending);
        }
        match self.deciding(blamed) {
            _ if ending == FlowState::Parked => self.end_with(ending, message),
            Some(guard) => self.guard_failed(guard, message),
            None => self.end_with(ending, message),
        }
    }

    /// As [`fail`](Self::fail), ending the flow as the task says.
    pub(super) fn fail_by_policy(&mut self, number: usize, class: FailureClass, message: &str) {
        self.keep(number, class, message.to_owned());
        let ending = match self.nodes[number].retry.then {
            Then::Fail => FlowState::Failed,
            Then::Revert => FlowState::Reverted,
        };
        self.fail(number, message, ending);
    }

    pub(super) fn end_with(&mut self, ending: FlowState, message: &str) {
        if self.head.ending.is_none() {
            self.head.ending = Some(ending);
            self.head.error = Some(message.to_owned());
        }
    }

    pub(super) fn arrived(&mut self, number: usize, output: String) {
        self.child_ended(number);
        if self.is_waiting(number) {
            self.succeed(number, output);
            self.go_on_unwinding();
        }
    }

    pub(super) fn missed(&mut self, number: usize, message: &str) {
        self.child_ended(number);
        if !self.is_waiting(number) {
            return;
        }
        let class = self.head.class_of(&Trouble::missed(message.to_owned()));
        if self.joins_unwanted(number).is_some() {
            // What follows has been decided without it.
            self.keep(number, class, message.to_owned());
            self.change(number).error = Some(message.to_owned());
            self.finish_failed(number, TaskState::Failed);
        } else {
            self.fail_by_policy(number, class, message);
        }
        self.go_on_unwinding();
    }

    fn child_ended(&mut self, number: usize) {
        self.children.remove(&number);
        self.children_told.remove(&number);
        if self.children_undone.remove(&number) {
            // A worker of an earlier release does not know that this is about undoing it.
            self.start_revert(number);
        }
    }

    pub(super) fn troubled(&mut self, number: usize, message: Option<String>) {
        if self.is_waiting(number) {
            let state = Self::waiting_state(message.as_deref());
            let node = self.change(number);
            node.state = state;
            node.error = message;
        }
    }

    pub(crate) fn is_waiting(&self, number: usize) -> bool {
        let node = self.nodes.get(number);
        node.is_some_and(|node| matches!(node.state, TaskState::Waiting | TaskState::Retrying))
    }

    /// The state of a task that waits for something with this trouble.
    pub(crate) fn waiting_state(trouble: Option<&str>) -> TaskState {
        if trouble.is_some() { TaskState::Retrying } else { TaskState::Waiting }
    }

    /// Where the end of a task meets that of others: the only task that needs it, or the end of the flow. As long as others
    /// wait there too, nothing follows from it.
    pub(crate) fn joins(&self, number: usize) -> Option<i64> {
        match self.nodes[number].successors[..] {
            [] => Some(FLOW_END),
            [next] => i64::try_from(next).ok(),
            _ => None,
        }
    }

    /// Where the end of a task meets that of others if nobody wants any of them any more. As long as another one has not ended,
    /// nothing follows from it: the flow cannot end, and no controller can undo what it guards.
    pub(super) fn joins_unwanted(&self, number: usize) -> Option<i64> {
        if self.head.ending.is_some() {
            return Some(UNWANTED);
        }
        let guard = self.unwinding_guard(number)?;
        i64::try_from(guard).ok().map(|guard| UNWANTED - 1 - guard)
    }

    /// Whatever was to happen by now, happens.
    pub(super) fn due(&mut self) {
        while let Some((at, number)) = self.timers.first().copied()
            && at <= self.now
        {
            self.disarm(number);
            let node = &self.nodes[number];
            match (node.state, node.work()) {
                (TaskState::RetryWait, _)
                    if self.end_of(number).is_some_and(|end| end <= self.now) =>
                {
                    // Whoever was to try again was away too long.
                    let message = node.error.clone().unwrap_or_default();
                    self.fail_by_policy(number, FailureClass::Timeout, &message);
                    self.go_on_unwinding();
                }
                (TaskState::RetryWait, _) => self.ready.push_back(number),
                (TaskState::Reverting, _) => self.revert_due(number),
                (TaskState::Waiting, Work::Sleep(_) | Work::Until(_)) => {
                    self.succeed(number, "null".into());
                }
                (TaskState::Waiting | TaskState::Retrying, _) => {
                    let message = "what it waits for did not come in time";
                    self.fail_by_policy(number, FailureClass::Timeout, message);
                    self.go_on_unwinding();
                }
                _ => {}
            }
        }
    }
}
