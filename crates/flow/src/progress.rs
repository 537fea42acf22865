//! One change of one flow inside a transaction: tasks end and begin, then the flow's row says where it stands.
//!
//! Whoever changes a flow loads it, makes the change, and calls [`Progress::settle`] exactly once. What that sets free is
//! handed to [`queue::grant`](crate::queue::grant).

use serde::Serialize;
use serde_json::json;
use tutti_store::Tx;
use uuid::Uuid;

use crate::{
    ENDED, FlowState, Result, TOPIC, TaskState, Then,
    sql::{self, Ended, Flow, Task},
    step::{self, Counts, Next, Standing, Trouble},
};

/// An attempt a worker shall make now.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) flow: Uuid,
    pub(crate) epoch: i64,
    pub(crate) number: i64,
    pub(crate) task: Uuid,
    pub(crate) name: String,
    pub(crate) input: String,
    /// From 1; of this direction.
    pub(crate) attempt: u32,
    /// What the task left, if it shall be undone.
    pub(crate) revert: Option<Left>,
}

/// What a task to be undone left.
#[derive(Clone, Debug)]
pub(crate) enum Left {
    Output(String),
    Failure(String),
    Unknown,
}

/// Who makes the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hands {
    /// The worker that has the flow: it starts what can be started.
    Worker,
    /// Somebody else, or a worker about to stop.
    Free,
}

/// A change of a flow under way.
pub(crate) struct Progress<'t, 'c> {
    pub(crate) tx: &'t mut Tx<'c>,
    pub(crate) flow: Flow,
    pub(crate) now: i64,
    hands: Hands,
    header: Header,
    started: Vec<Attempt>,
}

/// What of a flow's row is in indexes, or changes together with that.
type Header = (FlowState, Option<FlowState>, bool, Option<Uuid>, Option<i64>);

fn header(flow: &Flow) -> Header {
    (flow.state, flow.ending, flow.reverting, flow.worker, flow.started)
}

/// What a settled change leads to.
#[derive(Default)]
pub(crate) struct Settled {
    /// Attempts to make now.
    pub(crate) started: Vec<Attempt>,
    /// Resources whose queues moved.
    pub(crate) released: Vec<String>,
    /// Whether a worker still has the flow.
    pub(crate) held: bool,
}

impl<'t, 'c> Progress<'t, 'c> {
    /// A change of a flow as it was loaded.
    pub(crate) fn new(tx: &'t mut Tx<'c>, flow: Flow, hands: Hands, now: i64) -> Self {
        let header = header(&flow);
        Self { tx, flow, now, hands, header, started: Vec::new() }
    }

    /// Records that a task succeeded and begins what needed only that.
    pub(crate) fn succeed(&mut self, number: i64, output: &str) -> Result<()> {
        let mut done = vec![(number, output.to_owned())];
        while let Some((number, output)) = done.pop() {
            let params = (self.flow.id, number, output, self.now);
            let task: Ended = self.tx.one(sql::TASK_SUCCEEDED, params)?;
            self.flow.open -= 1;
            self.flow.losses = 0;
            self.announce_task(&task, TaskState::Succeeded)?;
            let mut next: Vec<Task> = self.tx.all(sql::TASKS_UNBLOCK, (self.flow.id, number))?;
            next.retain(|task| task.blockers == 0);
            next.sort_by_key(|task| task.number);
            for task in next {
                done.extend(self.begin(&task)?);
            }
        }
        Ok(())
    }

    /// Begins the tasks that can begin, after a take or a nudge.
    pub(crate) fn resume(&mut self) -> Result<()> {
        self.flow.nudged = false;
        if self.flow.ending.is_some() || self.flow.reverting {
            return Ok(());
        }
        let unblocked: Vec<Task> = self.tx.all(sql::TASKS_UNBLOCKED, (self.flow.id,))?;
        for task in unblocked {
            let due = match task.state {
                TaskState::Pending | TaskState::MaybeRan => true,
                TaskState::RetryWait => task.next_at.is_none_or(|at| at <= self.now),
                _ => false,
            };
            if due && let Some((number, output)) = self.begin(&task)? {
                self.succeed(number, &output)?;
            }
        }
        Ok(())
    }

    /// Begins a task that nothing blocks. A wait that is over before it began is answered with its output.
    fn begin(&mut self, task: &Task) -> Result<Option<(i64, String)>> {
        if self.flow.ending.is_some() {
            return Ok(None);
        }
        if let Some(key) = &task.wait_key {
            return self.begin_wait(task, key);
        }
        if self.hands == Hands::Free {
            self.flow.nudged = true;
            return Ok(None);
        }
        self.tx.exec(sql::TASK_START, (self.flow.id, task.number, self.now))?;
        self.start(task, task.attempt + 1, None);
        Ok(None)
    }

    fn begin_wait(&mut self, task: &Task, key: &str) -> Result<Option<(i64, String)>> {
        let signal: Option<(Option<i64>, Option<String>)> =
            self.tx.maybe(sql::SIGNAL_OF, (key,))?;
        let (value, trouble) = signal.unwrap_or_default();
        let at_least = task.wait_at_least.unwrap_or_default();
        if let Some(value) = value.filter(|value| *value >= at_least) {
            return Ok(Some((task.number, json!({ "value": value }).to_string())));
        }
        let state = if trouble.is_some() { TaskState::Retrying } else { TaskState::Waiting };
        self.tx.exec(sql::TASK_WAIT, (self.flow.id, task.number, state, trouble, self.now))?;
        Ok(None)
    }

    fn start(&mut self, task: &Task, attempt: u32, revert: Option<Left>) {
        self.flow.active += 1;
        self.started.push(Attempt {
            flow: self.flow.id,
            epoch: self.flow.epoch,
            number: task.number,
            task: task.id,
            name: task.name.clone(),
            input: task.input.clone(),
            attempt,
            revert,
        });
    }

    /// Records how a worker's attempt ended.
    pub(crate) fn attempted(
        &mut self,
        number: i64,
        outcome: &Result<String, Trouble>,
        random: u32,
    ) -> Result<()> {
        self.flow.active -= 1;
        match (outcome, self.flow.reverting) {
            (Ok(output), false) => self.succeed(number, output),
            (Ok(_), true) => self.reverted(number, TaskState::Reverted, None),
            (Err(trouble), reverting) => {
                let task: Task = self.tx.one(sql::TASK, (self.flow.id, number))?;
                let message = trouble.message();
                if reverting {
                    let (attempt, max) = (task.revert_attempt, task.attempts_max);
                    match step::after_revert_trouble(trouble, attempt, max, random) {
                        Next::Again(delay) => {
                            let at = self.now + delay;
                            let params = (self.flow.id, number, message, at);
                            self.tx.exec(sql::TASK_REVERT_RETRY, params)?;
                            Ok(())
                        }
                        Next::End(_) => {
                            self.flow.ending = Some(FlowState::Stuck);
                            self.reverted(number, TaskState::RevertFailed, Some(message))
                        }
                    }
                } else {
                    let then = if task.or_revert { Then::Revert } else { Then::Fail };
                    let (attempt, max) = (task.attempt, task.attempts_max);
                    match step::after_trouble(trouble, attempt, max, then, random) {
                        Next::Again(delay) => {
                            let at = self.now + delay;
                            self.tx.exec(sql::TASK_RETRY, (self.flow.id, number, message, at))?;
                            Ok(())
                        }
                        Next::End(ending) => self.fail(number, &message, ending),
                    }
                }
            }
        }
    }

    /// Records that a task failed for good, and how the flow shall end unless that is decided already.
    pub(crate) fn fail(&mut self, number: i64, message: &str, ending: FlowState) -> Result<()> {
        let params = (self.flow.id, number, message, self.now);
        let task: Ended = self.tx.one(sql::TASK_FAILED, params)?;
        self.flow.open -= 1;
        if self.flow.ending.is_none() {
            self.flow.ending = Some(ending);
            self.flow.error = Some(message.to_owned());
        }
        self.announce_task(&task, TaskState::Failed)
    }

    /// As [`fail`](Self::fail), ending the flow as the task says.
    pub(crate) fn fail_by_policy(&mut self, number: i64, message: &str) -> Result<()> {
        let task: Task = self.tx.one(sql::TASK, (self.flow.id, number))?;
        let ending = if task.or_revert { FlowState::Reverted } else { FlowState::Failed };
        self.fail(number, message, ending)
    }

    fn reverted(&mut self, number: i64, state: TaskState, error: Option<String>) -> Result<()> {
        if error.is_some() {
            self.flow.error.clone_from(&error);
        }
        let params = (self.flow.id, number, state, error, self.now);
        let task: Ended = self.tx.one(sql::TASK_REVERTED, params)?;
        self.announce_task(&task, state)
    }

    /// Decides where the flow stands now and writes its row.
    pub(crate) fn settle(mut self) -> Result<Settled> {
        if self.flow.reverting {
            return self.settle_reverting();
        }
        // A change by somebody else leaves a flow ready that is waiting to be taken.
        let untaken = self.hands == Hands::Free && self.flow.state == FlowState::Ready;
        let standing = step::standing(Counts {
            open: self.flow.open,
            active: self.flow.active,
            startable: self.flow.nudged || untaken,
            ending: self.flow.ending,
            revertible: self.flow.revertible,
        });
        match standing {
            Standing::Running => self.write(FlowState::Running, None),
            Standing::Ready => self.let_go(FlowState::Ready),
            Standing::Waiting => self.let_go(FlowState::Waiting),
            Standing::End(state) => self.end(state),
            Standing::Revert => {
                let left = (self.flow.id, TaskState::Skipped, self.now);
                self.tx.exec(sql::TASKS_LEFT, left)?;
                self.flow.reverting = true;
                self.settle_reverting()
            }
        }
    }

    /// Undoes one task at a time, the last one first: needs point backwards, so that is a reverse topological order.
    fn settle_reverting(mut self) -> Result<Settled> {
        if self.flow.active > 0 {
            return self.write(FlowState::Reverting, None);
        }
        if self.flow.ending == Some(FlowState::Stuck) {
            return self.end(FlowState::Stuck);
        }
        loop {
            let Some(task) = self.tx.maybe::<Task>(sql::TASK_TO_REVERT, (self.flow.id,))? else {
                let cancelled = self.flow.ending == Some(FlowState::Cancelled);
                return self.end(if cancelled {
                    FlowState::Cancelled
                } else {
                    FlowState::Reverted
                });
            };
            if task.wait_key.is_some() || task.attempt == 0 {
                // Nothing of ours was done.
                self.reverted(task.number, TaskState::Reverted, None)?;
                continue;
            }
            if task.next_at.is_some_and(|at| at > self.now) {
                return self.let_go(FlowState::Waiting);
            }
            if self.hands == Hands::Free {
                return self.let_go(FlowState::Ready);
            }
            let before = task.before_revert.unwrap_or(task.state);
            self.tx.exec(sql::TASK_REVERT, (self.flow.id, task.number, before))?;
            let left = match (before, task.output.clone(), task.error.clone()) {
                (TaskState::Succeeded, Some(output), _) => Left::Output(output),
                (TaskState::Failed, _, Some(error)) => Left::Failure(error),
                _ => Left::Unknown,
            };
            self.start(&task, task.revert_attempt + 1, Some(left));
            return self.write(FlowState::Reverting, None);
        }
    }

    /// No worker has the flow any more, but it has not ended.
    fn let_go(mut self, state: FlowState) -> Result<Settled> {
        self.flow.worker = None;
        self.flow.nudged = false;
        if state == FlowState::Ready {
            self.tx.ring(TOPIC);
        }
        self.write(state, None)
    }

    fn end(mut self, state: FlowState) -> Result<Settled> {
        if self.flow.open > 0 {
            let left = match state {
                FlowState::Cancelled => TaskState::Cancelled,
                _ => TaskState::Skipped,
            };
            self.tx.exec(sql::TASKS_LEFT, (self.flow.id, left, self.now))?;
        }
        self.flow.open = 0;
        self.flow.worker = None;
        self.flow.nudged = false;
        let released = self.tx.all(sql::QUEUE_LEAVE, (self.flow.id,))?;
        self.announce_end(state)?;
        self.tx.ring(ENDED);
        self.write(state, Some(released))
    }

    fn write(mut self, state: FlowState, released: Option<Vec<String>>) -> Result<Settled> {
        if self.flow.nudged {
            self.tx.ring(TOPIC);
        }
        if self.flow.started.is_none() && matches!(state, FlowState::Running | FlowState::Waiting) {
            self.flow.started = Some(self.now);
        }
        self.flow.state = state;
        let flow = &self.flow;
        if self.header == header(flow) {
            let params = (flow.id, flow.open, flow.active, flow.losses, flow.nudged);
            self.tx.exec(sql::FLOW_COUNTS, params)?;
        } else {
            let params = (
                flow.id,
                state,
                flow.ending,
                flow.reverting,
                flow.open,
                flow.active,
                flow.worker,
                flow.losses,
                flow.nudged,
                flow.superseded_by,
                &flow.error,
                flow.started,
                released.is_some().then_some(self.now),
            );
            self.tx.exec(sql::FLOW_WRITE, params)?;
        }
        Ok(Settled {
            held: flow.worker.is_some(),
            started: self.started,
            released: released.unwrap_or_default(),
        })
    }

    fn announce_end(&mut self, state: FlowState) -> Result<()> {
        let (kind, title): (String, String) = self.tx.one(sql::FLOW_LABELS, (self.flow.id,))?;
        let event = FlowEnded {
            flow: self.flow.id,
            kind: &kind,
            title: &title,
            model: self.flow.model.as_deref(),
            state,
            error: self.flow.error.as_deref(),
        };
        Ok(self.tx.outbox("flow.ended", &event)?)
    }

    fn announce_task(&mut self, task: &Ended, state: TaskState) -> Result<()> {
        let event = TaskEnded {
            task: task.id,
            flow: self.flow.id,
            model: self.flow.model.as_deref(),
            name: &task.name,
            resource: task.resource.as_deref(),
            state,
            error: task.error.as_deref(),
        };
        Ok(self.tx.outbox("task.ended", &event)?)
    }
}

/// The outbox event of a flow's end. Readers ignore fields they do not know.
#[derive(Serialize)]
struct FlowEnded<'a> {
    flow: Uuid,
    kind: &'a str,
    title: &'a str,
    model: Option<&'a str>,
    state: FlowState,
    error: Option<&'a str>,
}

/// The outbox event of a task's end. Readers ignore fields they do not know.
#[derive(Serialize)]
struct TaskEnded<'a> {
    task: Uuid,
    flow: Uuid,
    model: Option<&'a str>,
    name: &'a str,
    resource: Option<&'a str>,
    state: TaskState,
    error: Option<&'a str>,
}
