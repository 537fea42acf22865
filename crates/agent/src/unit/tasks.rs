//! Running tasks: actions and commands, in the unit's loop or beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tutti_model::agent::{Changes, HookStep, Operation, PendingTask, Snapshot, Step, TaskReport};
use tutti_model::operation::{begin_task, commit_task};

use super::Unit;
use super::run::{Outcome, Ran};
use super::stop::Stop;
use super::turns::Turns;
use crate::environment::{EXEC, Event, context_id};
use crate::error::chain;
use crate::leftover::{Leftover, Mark};
use crate::{Error, Result};

/// What a task says whose agent died.
const TERMINATED: &str = "action terminated";

/// The tasks of a unit that its loop must leave alone.
#[derive(Debug, Default)]
pub(super) struct Beside {
    tasks: Mutex<BTreeMap<i64, Progress>>,
    tracker: TaskTracker,
}

/// How far a task is that is not the loop's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Runs beside the loop.
    Running,
    /// Has ended, though a snapshot may still list it.
    Ended,
}

impl Beside {
    /// The tasks that are not the loop's business. Forgets those that have ended and that no
    /// snapshot lists any more.
    pub(super) fn known(&self, snapshot: &Snapshot) -> BTreeSet<i64> {
        let listed = |task: &i64| snapshot.tasks.iter().any(|other| other.task == *task);
        let mut tasks = self.lock();
        tasks.retain(|task, progress| *progress == Progress::Running || listed(task));
        tasks.keys().copied().collect()
    }

    /// A task has ended.
    pub(super) fn ended(&self, task: i64) {
        self.lock().insert(task, Progress::Ended);
    }

    /// A task is about to run beside the loop. False if it does or did already.
    fn begin(&self, task: i64) -> bool {
        let mut tasks = self.lock();
        let new = !tasks.contains_key(&task);
        if new {
            tasks.insert(task, Progress::Running);
        }
        new
    }

    /// Runs something else that must have ended before the unit does.
    pub(super) fn track(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.tracker.spawn(work)
    }

    /// Waits until none runs.
    pub(super) async fn wait(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<i64, Progress>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns<'_> {
    /// Runs a task in the unit's own order.
    pub(super) async fn task(&mut self, task: &PendingTask) -> Result<()> {
        let unit = self.unit;
        let _turn = unit.turn().await?;
        let begun = unit.steps.take(|snapshot| begin_task(snapshot, task)).await?;
        let ran = unit.run(&event(task), begun.context).await;
        let done = unit.done(task, ran)?;
        self.local.status_set |= done.status_set;
        self.dispatched().await;
        unit.conclude(done, commit_task).await?;
        unit.beside.ended(task.task);
        Ok(())
    }
}

/// An ended task.
struct Done {
    report: TaskReport,
    changes: Changes,
    status_set: bool,
}

impl Unit {
    /// Starts the tasks that may run beside hooks, if the unit can run anything at all.
    pub(super) fn start_beside(self: &Arc<Self>) {
        let snapshot = self.steps.snapshot();
        let queued = matches!(
            snapshot.journal.operation,
            Operation::RunHook { step: HookStep::Queued, .. } | Operation::Deploy { .. }
        );
        if snapshot.journal.charm.is_none() || queued {
            return;
        }
        for task in snapshot.tasks.iter().filter(|task| task.parallel && !task.cancelled) {
            if self.beside.begin(task.task) {
                let (unit, task) = (Arc::clone(self), task.clone());
                self.beside.tracker.spawn(async move {
                    if let Err(error) = unit.task_beside(&task).await {
                        let (unit, task) = (&unit.name, task.task);
                        tracing::warn!(unit, task, error = chain(&error), "a task was left");
                    }
                    unit.beside.ended(task.task);
                });
            }
        }
    }

    /// Runs a task beside the loop: its steps leave the journal as it is.
    async fn task_beside(self: &Arc<Self>, task: &PendingTask) -> Result<()> {
        let _turn = self.turn().await?;
        let id = context_id(&self.name, &event(task));
        let mut mark = Mark::announce(self.directory.path(), &id, Some(task.task))?;
        let begun = loop {
            let begun = self.steps.take(|snapshot| Step {
                want_context: true,
                ..beside(snapshot, report(task.task, "running", ""))
            });
            match begun.await {
                Err(Error::Moved) => {}
                begun => break begun?,
            }
        };
        let ran = self.run_marked(&event(task), begun.context, &mut mark).await;
        self.conclude(self.done(task, ran)?, beside).await?;
        mark.end();
        Ok(())
    }

    /// Fails the tasks that ran beside the loop of an agent that was killed. Those of the loop are
    /// in the journal.
    pub(super) async fn fail_interrupted(&self, leftovers: &[Leftover]) -> Result<()> {
        for task in leftovers.iter().filter_map(|leftover| leftover.task) {
            // Nothing, if it was only the answer to its end that got lost.
            let failed = report(task, "failed", TERMINATED);
            self.steps.take(|snapshot| beside(snapshot, failed)).await?;
            self.beside.ended(task);
        }
        Ok(())
    }

    /// What an ended run means for the task.
    ///
    /// # Errors
    /// The run was killed for another reason than the task's own: it has not ended.
    fn done(&self, task: &PendingTask, mut ran: Ran) -> Result<Done> {
        let (status, message, code) = self.verdict(task, &ran)?;
        let changes = match status {
            "completed" => std::mem::take(&mut ran.collected.changes),
            // `action-fail` is a result; only a process that failed takes its changes with it.
            "failed" if code == Some(0) => std::mem::take(&mut ran.collected.changes),
            _ => Changes::default(),
        };
        let results = results(&ran, code);
        let status_set = ran.collected.status_set;
        let report = TaskReport { results, ..report(task.task, status, &message) };
        Ok(Done { report, changes, status_set })
    }

    /// A task's status, message and return code.
    fn verdict(
        &self,
        task: &PendingTask,
        ran: &Ran,
    ) -> Result<(&'static str, String, Option<i32>)> {
        let failure = ran.collected.failure.clone();
        Ok(match &ran.outcome {
            Outcome::Exited(code) if task.name == EXEC => ("completed", String::new(), Some(*code)),
            Outcome::Exited(0) => match failure {
                Some(message) => ("failed", message, Some(0)),
                None => ("completed", String::new(), Some(0)),
            },
            Outcome::Exited(code) => ("failed", format!("exit status {code}"), Some(*code)),
            Outcome::Signalled(signal) => {
                ("failed", format!("killed by signal {signal}"), Some(128 + signal))
            }
            Outcome::Missing => {
                let message = format!("action not implemented on unit {:?}", self.name);
                ("failed", message, None)
            }
            Outcome::NotStarted(reason) => ("failed", reason.clone(), Some(1)),
            Outcome::Stopped(Stop::Cancelled) => ("aborted", "action cancelled".into(), None),
            Outcome::Stopped(Stop::TimedOut) => ("failed", "action timed out".into(), None),
            Outcome::Stopped(Stop::Gone) => return Err(Error::Gone),
            Outcome::Stopped(_) => return Err(Error::Stopping),
        })
    }

    /// Writes down how a task ended, with everything it changed. Changes that are refused fail the
    /// task, never the unit.
    async fn conclude(
        &self,
        done: Done,
        make: impl Fn(&Snapshot, TaskReport) -> Step,
    ) -> Result<()> {
        let Done { mut report, mut changes, .. } = done;
        loop {
            let taken = self.steps.take(|snapshot| {
                let changes = (!changes.is_empty()).then(|| changes.clone());
                Step { changes, ..make(snapshot, report.clone()) }
            });
            match taken.await {
                Err(Error::Moved) => {}
                Err(error @ Error::Refused { .. }) if !changes.is_empty() => {
                    changes = Changes::default();
                    refused(&mut report, &error);
                }
                taken => return taken.map(drop),
            }
        }
    }
}

fn event(task: &PendingTask) -> Event {
    Event::Task { task: task.task, name: task.name.clone() }
}

/// A step that only tells of a task.
fn beside(snapshot: &Snapshot, report: TaskReport) -> Step {
    Step {
        version: snapshot.version,
        journal: snapshot.journal.clone(),
        task: Some(report),
        ..Step::default()
    }
}

fn report(task: i64, status: &str, message: &str) -> TaskReport {
    TaskReport { task, status: status.into(), message: message.into(), results: Value::Null }
}

/// What the charm has set, plus the return code and the output as far as there is one.
fn results(ran: &Ran, code: Option<i32>) -> Value {
    let mut results = ran.collected.results.clone();
    if let Some(code) = code {
        results.insert("return-code".into(), code.into());
    }
    for (name, output) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
        let text = output.text();
        if !text.is_empty() {
            results.insert(name.into(), text.into());
        }
    }
    Value::Object(results)
}

/// Turns a report into the one of a task whose changes were refused.
fn refused(report: &mut TaskReport, error: &Error) {
    report.status = "failed".into();
    report.message = error.to_string();
    if let Value::Object(results) = &mut report.results {
        results.insert("return-code".into(), 1.into());
        let before = results.get("stderr").and_then(Value::as_str).unwrap_or_default();
        results.insert("stderr".into(), format!("{before}{error}\n").into());
    }
}
