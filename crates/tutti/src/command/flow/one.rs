//! `flow`: one flow, and what is asked of it.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::json;
use tutti_client::{Client, encode};
use tutti_model::api::{FlowGraph, FlowInfo, FlowLogLine};

use super::Pauses;
use super::id::{flow_id, task_id};
use super::{tree, watch};
use crate::arguments::{GoDuration, OutputArguments};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output::Format;

#[derive(Args, Debug)]
pub(crate) struct Flow {
    #[command(subcommand)]
    what: FlowVerb,
}

/// What to do with a flow.
#[derive(Debug, Subcommand)]
enum FlowVerb {
    /// Show a flow with its tasks, each below what it needs
    #[command(after_help = "Examples:\n  tutti flow show 3f2a91c07bd4\n  \
                            tutti flow show 3f2a91c07bd4 --graph dot | dot -Tsvg > flow.svg")]
    Show(ShowFlow),
    /// Follow a flow until it ends; exit code 1 if it did not succeed
    Watch(OneFlow),
    /// Show what the tasks of a flow said while they ran
    Log(OneFlow),
    /// Cancel a flow; what it began is reverted or ends where it is safe
    Cancel(OneFlow),
    /// Begin nothing more of a flow until it is resumed
    Suspend(OneFlow),
    /// Let a suspended flow go on
    Resume(OneFlow),
    /// Let a flow go on from where it failed
    Retry(OneFlow),
    /// Undo what a flow did, last task first
    Revert(OneFlow),
    /// Give a flow up as it is; it holds up nobody any more
    Abandon(OneFlow),
    /// Say that a failed task was taken care of by hand; its flow goes on
    Skip(SkipTask),
}

#[derive(Args, Debug)]
struct ShowFlow {
    /// The flow's id, or six or more characters of its beginning or end
    #[arg(value_name = "FLOW")]
    flow: String,
    /// Wait until it is over, at most so long; exit code 1 if it is not over then
    #[arg(long, value_name = "DURATION")]
    wait: Option<GoDuration>,
    /// As a picture in this language: mermaid or dot
    #[arg(long, value_name = "LANGUAGE", num_args = 0..=1, default_missing_value = "mermaid")]
    graph: Option<Language>,
    #[command(flatten)]
    output: OutputArguments,
}

/// Languages of pictures.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Language {
    /// Mermaid, as Markdown pages show it
    Mermaid,
    /// Graphviz
    Dot,
}

#[derive(Args, Debug)]
struct OneFlow {
    /// The flow's id, or six or more characters of its beginning or end
    #[arg(value_name = "FLOW")]
    flow: String,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Args, Debug)]
struct SkipTask {
    /// The task's id, or six or more characters of its beginning or end
    #[arg(value_name = "TASK")]
    task: String,
    #[command(flatten)]
    output: OutputArguments,
}

impl Flow {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client(&context.target(None)?).await?;
        match self.what {
            FlowVerb::Show(command) => command.run(&client).await,
            FlowVerb::Watch(one) => {
                watch::follow(&client, &flow_id(&client, &one.flow).await?, &one.output).await
            }
            FlowVerb::Log(one) => one.log(context, &client).await,
            FlowVerb::Cancel(one) => one.ask(&client, "cancel").await,
            FlowVerb::Suspend(one) => one.ask(&client, "suspend").await,
            FlowVerb::Resume(one) => one.ask(&client, "resume").await,
            FlowVerb::Retry(one) => one.ask(&client, "retry").await,
            FlowVerb::Revert(one) => one.ask(&client, "revert").await,
            FlowVerb::Abandon(one) => one.ask(&client, "abandon").await,
            FlowVerb::Skip(SkipTask { task, output }) => {
                let id = task_id(&client, &task).await?;
                let path = format!("/v1/tasks/{}/skip", encode(&id));
                print(&client.post(&path, &json!({})).await?, &output)
            }
        }
    }
}

fn print(flow: &FlowInfo, output: &OutputArguments) -> Outcome {
    output.print(Format::Tabular, flow, || tree::describe(flow, Timestamp::now()))
}

impl OneFlow {
    /// Asks something of the flow and shows what it is like then.
    async fn ask(&self, client: &Client, verb: &str) -> Outcome {
        let id = flow_id(client, &self.flow).await?;
        let path = format!("/v1/flows/{}/{verb}", encode(&id));
        print(&client.post(&path, &json!({})).await?, &self.output)
    }

    async fn log(&self, context: &Context, client: &Client) -> Outcome {
        let id = flow_id(client, &self.flow).await?;
        let lines: Vec<FlowLogLine> = client.get(&format!("/v1/flows/{}/log", encode(&id))).await?;
        if lines.is_empty() {
            context.tell("no task of this flow has said anything");
        }
        self.output.print(Format::Tabular, &lines, || {
            let text = |one: &FlowLogLine| format!("{} {}: {}\n", one.time, one.title, one.line);
            lines.iter().map(text).collect()
        })
    }
}

impl ShowFlow {
    async fn run(self, client: &Client) -> Outcome {
        let id = flow_id(client, &self.flow).await?;
        let patience = self.wait.map_or(Duration::ZERO, |wait| wait.0);
        let flow = wait_for_flow(client, &id, patience).await?;
        self.print(client, &flow).await?;
        match self.wait {
            Some(wait) if flow.finished.is_empty() => Err(Failure::new(format!(
                "flow {id} is {} and not over after {wait}: it goes on",
                flow.state
            ))),
            _ => Ok(()),
        }
    }

    async fn print(&self, client: &Client, flow: &FlowInfo) -> Outcome {
        let Some(language) = self.graph else { return print(flow, &self.output) };
        let id = &flow.id;
        let path = |format: &str| format!("/v1/flows/{}/graph?format={format}", encode(id));
        if let Format::Json | Format::Yaml = self.output.form(Format::Tabular) {
            let graph: FlowGraph = client.get(&path("json")).await?;
            return self.output.print(Format::Json, &graph, String::new);
        }
        let language = match language {
            Language::Mermaid => "mermaid",
            Language::Dot => "dot",
        };
        let mut picture = Vec::new();
        client.get_bytes_to(&path(language), &mut picture).await?;
        self.output.write(&String::from_utf8_lossy(&picture))
    }
}

/// A flow when it is over, or the one that took its place, or as it is after `patience`.
pub(in crate::command) async fn ended(
    client: &Client,
    id: &str,
    patience: Duration,
) -> Outcome<FlowInfo> {
    let deadline = Instant::now() + patience;
    let mut id = id.to_owned();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let flow = wait_for_flow(client, &id, left).await?;
        match &flow.superseded_by {
            Some(newer) if flow.state == "superseded" => id.clone_from(newer),
            _ => return Ok(flow),
        }
    }
}

/// A flow when it is over, or after `patience`.
async fn wait_for_flow(client: &Client, id: &str, patience: Duration) -> Outcome<FlowInfo> {
    let deadline = Instant::now() + patience;
    let mut pauses = Pauses::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let flow = watch::look(client, id, left.min(Duration::from_secs(25))).await?;
        if !flow.finished.is_empty() || left.is_zero() {
            return Ok(flow);
        }
        pauses.pause().await;
    }
}
