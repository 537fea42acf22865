//! A flow for a person: what it is, how it stands, what holds it up, and its tasks as a tree, each
//! below the last of those it needs.

use std::collections::HashMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use tutti_model::api::{ChildFlow, FlowInfo, TaskInfo};

use super::id::short;
use crate::output::measure::{counted, duration};
use crate::output::style;

/// Deeper than this the tree does not go: what is below stands beside.
const DEPTH: usize = 12;

/// The text of `flow show`.
pub(super) fn describe(flow: &FlowInfo, now: Timestamp) -> String {
    let mut text = format!("{}\n\n", flow.title);
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<10} {value}");
        }
    };
    line("Flow", &flow.id);
    line("State", &state(flow));
    line("Message", &flow.message);
    line("Model", &flow.model);
    line("Resources", &flow.resources.join(", "));
    for ahead in waits(flow) {
        line("Waits for", &ahead);
    }
    line(
        "Replaced",
        &flow.superseded_by.as_ref().map(|id| format!("by flow {id}")).unwrap_or_default(),
    );
    line("Parent", flow.parent.as_deref().unwrap_or_default());
    line("Created", &flow.created);
    line("Retried", &flow.retried);
    let queued = if flow.retried.is_empty() { &flow.created } else { &flow.retried };
    line("Started", &after(&flow.started, queued, now));
    line("Finished", &after(&flow.finished, &flow.started, now));
    line("Next", &due(&flow.next, now));
    line("Can be", &verbs(flow));
    if !flow.tasks.is_empty() {
        text.push('\n');
        text.push_str(&tasks(flow, now));
    }
    text
}

fn state(flow: &FlowInfo) -> String {
    let style = style::of_status(&flow.state);
    let mut text = format!("{style}{}{style:#}", flow.state);
    if flow.cancelling {
        text.push_str(", being cancelled");
    } else if flow.reverting && flow.state != "reverting" {
        text.push_str(", to be reverted");
    }
    if flow.finished.is_empty() && flow.task_count > 0 {
        let (all, ended) = (flow.task_count, flow.task_count - flow.tasks_open);
        let all = counted(usize::try_from(all).unwrap_or_default(), "task");
        // Writing to a String cannot fail.
        let _ = write!(text, ", {ended} of {all} ended");
    }
    text
}

/// What can be asked of it, by the commands that do.
fn verbs(flow: &FlowInfo) -> String {
    let participle = |verb: &String| match verb.as_str() {
        "cancel" => "cancelled".to_owned(),
        "retry" => "retried".to_owned(),
        verb => format!("{}ed", verb.trim_end_matches('e')),
    };
    flow.verbs.iter().map(participle).collect::<Vec<_>>().join(", ")
}

/// What is ahead of it: `flow X of application/db, 3rd in the queue`.
pub(super) fn waits(flow: &FlowInfo) -> Vec<String> {
    let ahead = flow.waiting_for.iter().map(|ahead| {
        let place = ahead.position.map(|place| format!(", {} in the queue", ordinal(place)));
        let id = short(&ahead.flow);
        format!("flow {id} of {}{}", ahead.resource, place.unwrap_or_default())
    });
    ahead.collect()
}

fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// A time, and how long after another one it was.
fn after(time: &str, before: &str, now: Timestamp) -> String {
    match (time.is_empty(), took(before, time, now)) {
        (true, _) => String::new(),
        (_, took) if took.is_empty() => time.to_owned(),
        (_, took) => format!("{time}, after {took}"),
    }
}

fn due(time: &str, now: Timestamp) -> String {
    let Ok(at) = time.parse::<Timestamp>() else { return String::new() };
    match at > now {
        true => format!("in {}", duration(at.duration_since(now).as_millis())),
        false => "now".to_owned(),
    }
}

/// How long something took, or has taken until now; nothing if it has not begun.
pub(super) fn took(started: &str, finished: &str, now: Timestamp) -> String {
    let Ok(started) = started.parse::<Timestamp>() else { return String::new() };
    let finished = finished.parse::<Timestamp>().unwrap_or(now);
    duration(finished.duration_since(started).as_millis().max(0))
}

pub(super) fn percent(progress: f64) -> String {
    format!("{:.0} %", progress.clamp(0.0, 1.0) * 100.0)
}

/// A line of the tree.
struct Row<'t> {
    /// What leads up to it, and the same for lines that belong to it.
    branch: String,
    below: String,
    what: What<'t>,
}

#[derive(Clone, Copy)]
enum What<'t> {
    Task(&'t TaskInfo),
    Child(&'t ChildFlow),
}

impl What<'_> {
    fn title(&self) -> &str {
        match self {
            Self::Task(task) if task.title.is_empty() => &task.name,
            Self::Task(task) => &task.title,
            Self::Child(child) => &child.title,
        }
    }

    fn state(&self) -> &str {
        match self {
            Self::Task(task) => &task.state,
            Self::Child(child) => &child.state,
        }
    }

    fn id(&self) -> &str {
        match self {
            Self::Task(task) => &task.id,
            Self::Child(child) => &child.id,
        }
    }
}

fn tasks(flow: &FlowInfo, now: Timestamp) -> String {
    let rows = rows(flow);
    let length = |row: &Row<'_>| row.branch.chars().count() + 2 + row.what.title().chars().count();
    let width = rows.iter().map(length).max().unwrap_or(0);
    let states = rows.iter().map(|row| row.what.state().len()).max().unwrap_or(0);
    let mut text = String::new();
    for row in &rows {
        let state = row.what.state();
        let style = style::of_status(state);
        let gap = " ".repeat(width - length(row) + 2);
        let (took, notes) = match row.what {
            What::Task(task) => (took(&task.started, &task.finished, now), notes(task, now)),
            What::Child(_) => (String::new(), "flow".to_owned()),
        };
        let line = format!(
            "{}{style}{}{style:#} {}{gap}{style}{state:<states$}{style:#}  {took:>6}  {}  {notes}",
            row.branch,
            mark(state),
            row.what.title(),
            short(row.what.id()),
        );
        text.push_str(line.trim_end());
        text.push('\n');
        let message = match row.what {
            What::Task(task) => task.message.as_str(),
            What::Child(_) => "",
        };
        for said in message.lines().filter(|said| !said.trim().is_empty()) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}  {style}{}{style:#}", row.below, said.trim_end());
        }
    }
    text
}

/// The tasks in the order of the tree, and below each the flows it submitted.
fn rows(flow: &FlowInfo) -> Vec<Row<'_>> {
    let places: HashMap<&str, usize> =
        flow.tasks.iter().enumerate().map(|(at, task)| (task.id.as_str(), at)).collect();
    let place = |id: &String| places.get(id.as_str()).copied();
    let mut below: Vec<Vec<What<'_>>> = vec![Vec::new(); flow.tasks.len()];
    let mut tops = Vec::new();
    for child in &flow.children {
        match child.task.as_ref().and_then(place) {
            Some(at) => below[at].push(What::Child(child)),
            None => tops.push(What::Child(child)),
        }
    }
    for (at, task) in flow.tasks.iter().enumerate() {
        // Only what is before it: a plan has no circles, and the tree shall not depend on that.
        match task.needs.iter().filter_map(place).filter(|need| *need < at).max() {
            Some(need) => below[need].push(What::Task(task)),
            None => tops.push(What::Task(task)),
        }
    }
    // Deep plans are not worth a deep stack.
    let mut rows = Vec::new();
    let mut left: Vec<(What<'_>, String, String, usize)> =
        tops.into_iter().rev().map(|top| (top, String::new(), String::new(), 0)).collect();
    while let Some((what, branch, lead, depth)) = left.pop() {
        let inner = match what {
            What::Task(task) => places.get(task.id.as_str()).map(|at| below[*at].as_slice()),
            What::Child(_) => None,
        };
        let inner = inner.unwrap_or_default();
        for (at, one) in inner.iter().enumerate().rev() {
            let is_last = at + 1 == inner.len();
            left.push(match depth {
                DEPTH.. => (*one, branch.clone(), lead.clone(), depth),
                _ => (
                    *one,
                    format!("{lead}{}", if is_last { "└─ " } else { "├─ " }),
                    format!("{lead}{}", if is_last { "   " } else { "│  " }),
                    depth + 1,
                ),
            });
        }
        let under = if inner.is_empty() { lead } else { format!("{lead}│") };
        rows.push(Row { branch, below: under, what });
    }
    rows
}

fn mark(state: &str) -> char {
    match state {
        "succeeded" => '✓',
        "failed" | "revert_failed" | "stuck" => '✗',
        "running" => '●',
        "reverting" | "reverted" => '↺',
        "skipped" | "cancelled" | "superseded" | "abandoned" => '–',
        "pending" | "blocked" | "ready" => '○',
        _ => '◐',
    }
}

/// What else there is to know of a task.
fn notes(task: &TaskInfo, now: Timestamp) -> String {
    let mut notes = Vec::new();
    if let Some(progress) = task.progress.filter(|_| task.finished.is_empty()) {
        notes.push(percent(progress));
    }
    if task.attempts > 1 {
        let most = match task.attempts_max {
            most if most >= task.attempts => format!(" of {most}"),
            _ => String::new(),
        };
        notes.push(format!("attempt {}{most}", task.attempts));
    }
    if task.finished.is_empty() && !task.next.is_empty() {
        notes.push(format!("next attempt {}", due(&task.next, now)));
    }
    if let Some(class) = task.class.as_ref().filter(|_| !task.recovering) {
        notes.push(class.clone());
    }
    if task.recovering {
        notes.push("its worker died, it runs again".to_owned());
    }
    notes.join(", ")
}

#[cfg(test)]
mod tests;
