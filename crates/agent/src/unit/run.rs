//! One process of the charm, for a hook or a task.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tutti_model::agent::Context;

use super::Unit;
use super::stop::{Limit, Stop, stopped};
use crate::environment::{EXEC, Event, Place, context_id, environment};
use crate::error::chain;
use crate::hook_tool::{self, Run};
use crate::leftover::Mark;
use crate::output::Captured;
use crate::process::{self, Destination, Ending, Program, is_program};
use crate::tools::{OpenRun, Surroundings};
use crate::{Error, Result};

/// How a run ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal from somebody else.
    Signalled(i32),
    /// Killed by the agent.
    Stopped(Stop),
    /// There is nothing to run.
    Missing,
    /// What there is does not start.
    NotStarted(String),
}

/// An ended run.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) outcome: Outcome,
    /// What the charm asked for through its hook tools.
    pub(super) collected: hook_tool::Outcome,
    /// Only for tasks.
    pub(super) stdout: Captured,
    /// Only for tasks.
    pub(super) stderr: Captured,
}

/// How a charm handles an event.
enum Handler {
    /// The charm's `dispatch`, for every event.
    Dispatch(PathBuf),
    /// A file of this event's own.
    File(PathBuf),
    /// A shell command.
    Shell(String),
    None,
}

impl Unit {
    /// Whether the charm has anything to run for an event.
    pub(super) fn handles(&self, event: &Event) -> bool {
        !matches!(handler(&self.directory.charm(), event, &Context::default()), Handler::None)
    }

    /// Names of the hooks the charm has something to run for; none: its `dispatch` is for all.
    pub(super) fn handled(&self) -> Option<BTreeSet<String>> {
        let charm = self.directory.charm();
        if is_program(&charm.join("dispatch")) {
            return None;
        }
        let entries = fs::read_dir(charm.join("hooks")).into_iter().flatten().flatten();
        let programs = entries.filter(|entry| is_program(&entry.path()));
        Some(programs.filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }

    /// Says that there is nothing to run for an event.
    pub(super) async fn missing(&self, event: &Event) {
        self.log("INFO", format!("skipped {:?} hook (missing)", event.name())).await;
    }

    /// Runs the charm for an event of the unit's loop.
    pub(super) async fn run(self: &Arc<Self>, event: &Event, context: Context) -> Ran {
        let id = context_id(&self.name, event);
        match Mark::announce(self.directory.path(), &id, None) {
            Ok(mut mark) => {
                let ran = self.run_marked(event, context, &mut mark).await;
                mark.end();
                ran
            }
            Err(error) => Ran::failed(&error),
        }
    }

    /// Runs the charm for one event. The mark names the run. Whatever the agent itself cannot do,
    /// for lack of disk space say, counts as the charm's failure.
    pub(super) async fn run_marked(
        self: &Arc<Self>,
        event: &Event,
        context: Context,
        mark: &mut Mark,
    ) -> Ran {
        let ran = self.try_run(event, context, mark).await;
        ran.unwrap_or_else(|error| Ran::failed(&error))
    }

    async fn try_run(
        self: &Arc<Self>,
        event: &Event,
        context: Context,
        mark: &mut Mark,
    ) -> Result<Ran> {
        let charm = self.directory.charm();
        let handler = handler(&charm, event, &context);
        let Some(program) = self.program(&handler, event, &context, mark.context()) else {
            self.missing(event).await;
            return Ok(Ran::not_run(Outcome::Missing));
        };
        let limit = limit(event, &context);
        let destination = Destination {
            reports: self.reports.clone(),
            logger: format!("unit.{}.{}", self.name, event.name()),
            capture: matches!(event, Event::Task { .. }),
        };
        let open = self.open(event, context, mark.context());
        let mut stop = None;
        let finished = process::run(&program, mark, &destination, async {
            stop = Some(stopped(self, limit).await);
        })
        .await;
        let collected = open.end().await;
        let finished = match finished {
            Ok(finished) => finished,
            Err(error) => {
                let outcome = Outcome::NotStarted(chain(&error));
                return Ok(Ran { collected, ..Ran::not_run(outcome) });
            }
        };
        let outcome = match finished.ending {
            Ending::Exited(code) => Outcome::Exited(code),
            Ending::Signalled(signal) => Outcome::Signalled(signal),
            Ending::Killed => Outcome::Stopped(stop.unwrap_or(Stop::Agent)),
        };
        Ok(Ran { outcome, collected, stdout: finished.stdout, stderr: finished.stderr })
    }

    /// Lets hook tools call on behalf of the run.
    fn open(&self, event: &Event, context: Context, id: &str) -> OpenRun<'_> {
        let journal = &self.steps.snapshot().journal;
        let run = match event {
            Event::Hook(hook) => Run::hook(&self.name, journal, hook),
            Event::Task { .. } => Run::task(&self.name, journal),
        };
        let surroundings = Surroundings {
            reports: self.reports.clone(),
            artifacts: self.agent.resources.clone(),
            directory: self.directory.path().to_owned(),
        };
        OpenRun::begin(&self.tools, id, run, context, surroundings)
    }

    fn program(
        &self,
        handler: &Handler,
        event: &Event,
        context: &Context,
        context_id: &str,
    ) -> Option<Program> {
        let snapshot = self.steps.snapshot();
        let (charm, tools) = (self.directory.charm(), self.directory.tools());
        let (file, arguments) = match handler {
            Handler::Dispatch(file) | Handler::File(file) => (file.clone(), Vec::new()),
            Handler::Shell(command) => ("/bin/bash".into(), vec!["-c".to_owned(), command.clone()]),
            Handler::None => return None,
        };
        let place = Place {
            unit: &self.name,
            model: &snapshot.model,
            machine: snapshot.machine.as_deref(),
            principal: snapshot.principal.as_deref(),
            charm: &charm,
            tools: &tools,
            socket: &self.tools.path().to_string_lossy(),
            context_id,
            home: &self.agent.home,
        };
        let environment = environment(&place, event, context);
        Some(Program { file, arguments, directory: charm.clone(), environment })
    }
}

impl Ran {
    fn failed(error: &Error) -> Self {
        Self::not_run(Outcome::NotStarted(chain(error)))
    }

    fn not_run(outcome: Outcome) -> Self {
        Self {
            outcome,
            collected: hook_tool::Outcome::default(),
            stdout: Captured::default(),
            stderr: Captured::default(),
        }
    }
}

fn handler(charm: &Path, event: &Event, context: &Context) -> Handler {
    if let Event::Task { name, .. } = event
        && name == EXEC
    {
        let command = context.action.as_ref().map(|action| action.command.clone());
        return Handler::Shell(command.unwrap_or_default());
    }
    let dispatch = charm.join("dispatch");
    if is_program(&dispatch) {
        return Handler::Dispatch(dispatch);
    }
    let file = charm.join(event.dispatch_path());
    if is_program(&file) { Handler::File(file) } else { Handler::None }
}

fn limit(event: &Event, context: &Context) -> Limit {
    match event {
        Event::Hook(_) => Limit::Hook,
        Event::Task { task, .. } => {
            let timeout = context.action.as_ref().map_or(0, |action| action.timeout_ms);
            let timeout = (timeout > 0).then(|| Duration::from_millis(timeout));
            Limit::Task { task: *task, timeout }
        }
    }
}
