//! `flow watch`: a line for everything that changes in a flow, until it ends.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use tutti_client::{Client, encode};
use tutti_model::api::FlowInfo;

use super::tree::{percent, took, waits};
use super::{Away, Pauses};
use crate::arguments::{GoDuration, OutputArguments};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Format, style};
use crate::status::time::Clock;

/// How long one look waits for the flow's end.
const LOOK: Duration = Duration::from_secs(1);

/// Follows a flow until it ends, and the one that takes its place. Fails if it did not succeed.
pub(super) async fn follow(client: &Client, id: &str, output: &OutputArguments) -> Outcome {
    tokio::select! {
        ended = until_it_ends(client, id, output) => ended,
        () = output::reader_gone() => Err(Failure::BrokenPipe),
    }
}

async fn until_it_ends(client: &Client, id: &str, output: &OutputArguments) -> Outcome {
    let mut id = id.to_owned();
    let is_told = output.form(Format::Tabular) == Format::Tabular;
    let mut seen = Seen::default();
    let mut pauses = Pauses::new();
    let mut patience = Duration::ZERO;
    let (mut away, mut has_answered) = (Away::default(), false);
    loop {
        let flow = match look(client, &id, patience).await {
            Err(failure) if has_answered && away.is_endured(&failure) => {
                pauses.pause().await;
                continue;
            }
            looked => looked?,
        };
        away.is_over();
        (has_answered, patience) = (true, LOOK);
        if is_told {
            output::write(&seen.news(&flow, Timestamp::now()))?;
        }
        if flow.finished.is_empty() {
            // The answer comes at once when too many wait, or when the controller stops.
            pauses.pause().await;
            continue;
        }
        if let ("superseded", Some(newer)) = (flow.state.as_str(), &flow.superseded_by) {
            id.clone_from(newer);
            patience = Duration::ZERO;
            continue;
        }
        if !is_told {
            output.print(Format::Json, &flow, String::new)?;
        }
        return if flow.state == "succeeded" { Ok(()) } else { Err(Failure::Exit(1)) };
    }
}

/// A flow, as soon as it is over or after `patience`.
pub(super) async fn look(client: &Client, id: &str, patience: Duration) -> Outcome<FlowInfo> {
    let wait = GoDuration(patience).milliseconds();
    Ok(client.get(&format!("/v1/flows/{}?wait_ms={wait}", encode(id))).await?)
}

/// What has been told, by id of flow and task.
#[derive(Debug, Default)]
struct Seen {
    told: HashMap<String, String>,
}

impl Seen {
    /// A line for everything that is not as it was told last; of tasks that have not begun nothing.
    fn news(&mut self, flow: &FlowInfo, now: Timestamp) -> String {
        let mut text = String::new();
        let mut about = String::new();
        match waits(flow).join(", ") {
            ahead if !ahead.is_empty() => about = format!(", waits for {ahead}"),
            _ if !flow.finished.is_empty() && !flow.started.is_empty() => {
                about = format!(" after {}", took(&flow.started, &flow.finished, now));
            }
            _ => {}
        }
        if !flow.message.is_empty() {
            about = format!("{about}: {}", flow.message);
        }
        let whole = (&flow.id, flow.title.as_str(), flow.state.as_str());
        if flow.finished.is_empty() {
            self.line(&mut text, now, whole, &about);
        }
        for task in flow.tasks.iter().filter(|task| task.state != "pending") {
            let message = match (&task.message, task.progress) {
                (message, _) if !message.is_empty() => format!(": {message}"),
                (_, Some(progress)) if task.finished.is_empty() => {
                    format!(" {}", percent(progress))
                }
                _ => String::new(),
            };
            self.line(&mut text, now, (&task.id, &task.title, &task.state), &message);
        }
        if !flow.finished.is_empty() {
            self.line(&mut text, now, whole, &about);
        }
        text
    }

    fn line(
        &mut self,
        text: &mut String,
        now: Timestamp,
        (id, title, state): (&String, &str, &str),
        more: &str,
    ) {
        let told = format!("{state} {more}");
        if self.told.get(id) == Some(&told) {
            return;
        }
        self.told.insert(id.clone(), told);
        let time = Clock::new(false).format(now.as_microsecond(), "%H:%M:%S");
        let style = style::of_status(state);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{time} {style}{state:<10}{style:#} {title}{more}");
    }
}

#[cfg(test)]
mod tests {
    use tutti_model::api::TaskInfo;

    use super::*;

    #[test]
    fn only_what_changed_is_told() {
        let now: Timestamp = "2026-08-11T10:00:09Z".parse().unwrap();
        let task = |state: &str| TaskInfo {
            id: "t".into(),
            title: "Check".into(),
            state: state.into(),
            ..TaskInfo::default()
        };
        let mut flow = FlowInfo {
            id: "f".into(),
            title: "Deploy db".into(),
            state: "running".into(),
            started: "2026-08-11T10:00:00Z".into(),
            tasks: vec![task("pending")],
            ..FlowInfo::default()
        };
        let mut seen = Seen::default();
        let mut news = |flow: &FlowInfo| {
            let text = anstream::adapter::strip_str(&seen.news(flow, now)).to_string();
            text.lines().map(|line| line[9..].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(news(&flow), ["running    Deploy db"]);
        assert!(news(&flow).is_empty());
        flow.tasks = vec![TaskInfo { progress: Some(0.4), ..task("running") }];
        assert_eq!(news(&flow), ["running    Check 40 %"]);
        flow.tasks = vec![TaskInfo { message: "no".into(), ..task("failed") }];
        flow.state = "failed".into();
        flow.finished = "2026-08-11T10:00:09Z".into();
        assert_eq!(news(&flow), ["failed     Check: no", "failed     Deploy db after 9s"]);
    }
}
