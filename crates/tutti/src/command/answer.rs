//! What commands do with the controller's answers: report, confirm, wait.

use std::io::{self, BufRead as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::Value;
use tutti_model::api::Accepted;

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output;

/// How long a controller that went away is waited for.
const AWAY: Duration = Duration::from_secs(30);

/// Reports a change on stderr.
pub(super) fn report(context: &Context, accepted: &Accepted) {
    for message in &accepted.messages {
        context.tell(message);
    }
}

/// Reports a removal on stdout, as Juju does (`will remove unit a/1`).
pub(super) fn report_removal(accepted: &Accepted) -> Outcome {
    let lines: String = accepted.messages.iter().map(|line| format!("{line}\n")).collect();
    output::write(&lines)
}

/// Asks before something is destroyed. Without an answer nothing is.
pub(super) fn confirm(no_prompt: bool, what: &str) -> Outcome {
    if no_prompt {
        return Ok(());
    }
    let mut stderr = anstream::stderr();
    // The question is lost on nobody who could answer it.
    let _ = write!(stderr, "{what}\n\nContinue [y/N]? ");
    let _ = stderr.flush();
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ if read == 0 => {
            let _ = writeln!(stderr);
            Err(Failure::new("aborted: nobody answered; use --no-prompt to go ahead unasked"))
        }
        _ => Err(Failure::new("aborted")),
    }
}

/// Names in [`Accepted::resource`], whatever their nesting: a text, a list, or an object of them.
pub(super) fn names(resource: &Value) -> Vec<String> {
    match resource {
        Value::String(name) => vec![name.clone()],
        Value::Number(number) => vec![number.to_string()],
        Value::Array(items) => items.iter().flat_map(names).collect(),
        Value::Object(fields) => fields.values().flat_map(names).collect(),
        Value::Null | Value::Bool(_) => Vec::new(),
    }
}

/// The pauses between looks at something that will be over soon: short ones first.
#[derive(Debug)]
pub(super) struct Pauses {
    next: Duration,
}

impl Pauses {
    /// Starts with short pauses.
    pub(super) fn new() -> Self {
        Self { next: Duration::from_millis(10) }
    }

    /// Waits for the next look.
    pub(super) async fn pause(&mut self) {
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 3 / 2).min(Duration::from_millis(250));
    }
}

/// A controller that goes away while a command follows something, and is expected back: it may only
/// have been started anew.
#[derive(Debug, Default)]
pub(super) struct Away {
    since: Option<Instant>,
}

impl Away {
    /// Whether to ask again after this failure.
    pub(super) fn is_endured(&mut self, failure: &Failure) -> bool {
        if !failure.is_absence() {
            return false;
        }
        if self.since.is_none() {
            output::tell("the controller has gone away; waiting for it to come back");
        }
        self.since.get_or_insert_with(Instant::now).elapsed() < AWAY
    }

    /// It has answered.
    pub(super) fn is_over(&mut self) {
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_found_at_any_depth() {
        assert_eq!(names(&json!(["1", "2"])), ["1", "2"]);
        assert_eq!(names(&json!({"machines": [3]})), ["3"]);
        assert!(names(&Value::Null).is_empty());
    }
}
