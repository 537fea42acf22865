//! Waiting for what the server does: bars on a terminal, and Ctrl-C that cancels.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Session;
use crate::failure::{Failure, Outcome};

/// How often it is asked how far a task is.
const ASKED: Duration = Duration::from_millis(200);

/// A bar of something whose end is not known, and is.
const UNBOUNDED: &str = "{msg:30} {pos} {per_sec}";
const BOUNDED: &str = "{msg:30} {bar:30} {pos}/{len} {per_sec} {eta}";

/// The answer to what takes a while.
#[derive(Deserialize)]
pub(super) struct Begun {
    task: String,
}

/// A task.
#[derive(Debug, Deserialize)]
pub(super) struct Task {
    state: String,
    error: Option<Value>,
    progress_reports: Vec<Report>,
    pub(super) result: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Report {
    code: String,
    message: String,
    total: Option<u64>,
    done: u64,
}

impl Task {
    /// How much of something was done.
    pub(super) fn done(&self, code: &str) -> u64 {
        let report = self.progress_reports.iter().find(|report| report.code == code);
        report.map_or(0, |report| report.done)
    }
}

/// Waits for the end of a task and shows how far it is. Interrupted, it cancels the task.
///
/// # Errors
/// What the task failed with.
pub(super) async fn ended(session: &Session<'_>, begun: &Begun) -> Outcome<Task> {
    let mut bars = Bars::new(session.context.quiet);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    let mut is_cancelling = false;
    loop {
        let task: Task = session.rest.get(&begun.task).await?;
        bars.show(&task.progress_reports);
        match task.state.as_str() {
            "completed" => return Ok(task),
            "failed" => return Err(Failure::new(why(task.error.as_ref()))),
            "canceled" | "skipped" => {
                return Err(Failure::new(
                    "it was cancelled; what was there before is still served",
                ));
            }
            _ => {}
        }
        tokio::select! {
            () = tokio::time::sleep(ASKED) => {}
            heard = &mut interrupted, if !is_cancelling => {
                heard?;
                is_cancelling = true;
                session.context.tell("cancelling …");
                // It may have ended just now.
                let _ = session.rest.patch::<Value>(&begun.task, &json!({"state": "canceled"})).await;
            }
        }
    }
}

fn why(error: Option<&Value>) -> String {
    let said = |name: &str| error.and_then(|error| error[name].as_str()).map(str::to_owned);
    said("description").or_else(|| said("reason")).unwrap_or_else(|| "the task failed".into())
}

/// A bar for each thing that is counted.
struct Bars {
    all: MultiProgress,
    by_code: BTreeMap<String, ProgressBar>,
}

impl Bars {
    fn new(quiet: bool) -> Self {
        let target =
            if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        Self { all: MultiProgress::with_draw_target(target), by_code: BTreeMap::new() }
    }

    fn show(&mut self, reports: &[Report]) {
        for report in reports.iter().filter(|report| report.done > 0 || report.total.is_some()) {
            let bar = self.by_code.entry(report.code.clone()).or_insert_with(|| {
                styled(self.all.add(ProgressBar::no_length()), UNBOUNDED)
                    .with_message(report.message.clone())
            });
            if let Some(total) = report.total
                && bar.length() != Some(total)
            {
                bar.set_length(total);
                *bar = styled(bar.clone(), BOUNDED);
            }
            bar.set_position(report.done);
        }
    }
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.by_code.values().for_each(ProgressBar::finish_and_clear);
    }
}
