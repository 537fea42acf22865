//! Flows, their tasks, and what charms have deferred: what Tutti is doing and why it waits.

use std::fmt::Write as _;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use tutti_client::{Client, encode};
use tutti_model::api::{DeferredInfo, FlowInfo, FlowPage, TaskInfo, TaskPage};

use super::answer::Pauses;
use super::events::Events;
use crate::arguments::{GoDuration, ModelArgument, OutputArguments};
use crate::context::{Context, query};
use crate::failure::{Failure, Outcome};
use crate::output::table::{Cell, Table};
use crate::output::{Format, style};

/// Commands about flows.
#[derive(Debug, Subcommand)]
pub(crate) enum FlowCommand {
    /// List tasks of flows: what is being done, what failed, what waits
    #[command(after_help = "Examples:\n  tutti tasks --state failed\n  \
                            tutti tasks --resource unit/db/0")]
    Tasks(Tasks),
    /// List flows
    Flows(Flows),
    /// Show, cancel or retry a flow
    Flow(Flow),
    /// Show what has happened, and with --follow what happens
    #[command(after_help = "Examples:\n  tutti events --topic flow.ended\n  \
                            tutti events --follow --format json")]
    Events(Events),
    /// List what charms have deferred, and when it comes back
    Deferred(Deferred),
}

impl FlowCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Tasks(command) => command.run(context).await,
            Self::Flows(command) => command.run(context).await,
            Self::Flow(command) => command.run(context).await,
            Self::Events(command) => command.run(context).await,
            Self::Deferred(command) => command.run(context).await,
        }
    }
}

/// Which flows or tasks.
#[derive(Args, Debug)]
struct Selection {
    #[command(flatten)]
    model: ModelArgument,
    /// Of all models
    #[arg(long)]
    all_models: bool,
    /// Working on this resource: application/db, unit/db/0
    #[arg(short, long, value_name = "RESOURCE", default_value = "", hide_default_value = true)]
    resource: String,
    /// In one of these states: running,waiting,failed,…
    #[arg(short, long, value_name = "STATE", default_value = "", hide_default_value = true)]
    state: String,
    /// Not older than this: 10m, 24h, 2026-08-11T10:00:00Z
    #[arg(long, value_name = "TIME", default_value = "", hide_default_value = true)]
    since: String,
    /// How many, at most 1000
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    output: OutputArguments,
}

impl Selection {
    /// The controller and the query; of all models when none is chosen.
    async fn open<const N: usize>(
        &self,
        context: &Context,
        more: [(&str, String); N],
    ) -> Outcome<(Client, String)> {
        let (client, model) = open(context, &self.model, self.all_models).await?;
        let pairs = [
            ("model", model),
            ("resource", self.resource.clone()),
            ("state", self.state.clone()),
            ("since", self.since.clone()),
            ("limit", self.limit.to_string()),
        ];
        Ok((client, query(pairs.into_iter().chain(more))))
    }
}

/// The controller and the chosen model's name; empty for all models, also when none is chosen.
pub(super) async fn open(
    context: &Context,
    model: &ModelArgument,
    all_models: bool,
) -> Outcome<(Client, String)> {
    let chosen = model.model.is_some()
        || crate::directories::variable("JUJU_MODEL").is_some()
        || context.has_current_model()?;
    if all_models || !chosen {
        return Ok((context.client(&context.target(None)?).await?, String::new()));
    }
    let model = context.model(model).await?;
    Ok((model.client, model.name))
}

#[derive(Args, Debug)]
pub(crate) struct Tasks {
    /// Of this flow
    #[arg(long, value_name = "FLOW", default_value = "", hide_default_value = true)]
    flow: String,
    /// With this name: unit.converge, …
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    name: String,
    #[command(flatten)]
    selection: Selection,
}

impl Tasks {
    async fn run(self, context: &Context) -> Outcome {
        let more = [("flow", self.flow), ("name", self.name)];
        let (client, query) = self.selection.open(context, more).await?;
        let TaskPage { tasks, .. } = client.get(&format!("/v1/tasks{query}")).await?;
        self.selection.output.print(Format::Tabular, &tasks, || task_table(&tasks).render())
    }
}

fn task_table(tasks: &[TaskInfo]) -> Table {
    let mut table =
        Table::new(["Task", "Model", "Resource", "Name", "State", "Attempts", "Message"]).right(5);
    for task in tasks {
        table.row([
            task.id.as_str().into(),
            task.model.as_str().into(),
            task.resource.as_str().into(),
            task.name.as_str().into(),
            Cell::status(&task.state),
            task.attempts.to_string().into(),
            task.message.as_str().into(),
        ]);
    }
    table
}

#[derive(Args, Debug)]
pub(crate) struct Flows {
    /// Of this kind: deploy, refresh, …
    #[arg(long, value_name = "KIND", default_value = "", hide_default_value = true)]
    kind: String,
    #[command(flatten)]
    selection: Selection,
}

impl Flows {
    async fn run(self, context: &Context) -> Outcome {
        let (client, query) = self.selection.open(context, [("kind", self.kind)]).await?;
        let FlowPage { flows, .. } = client.get(&format!("/v1/flows{query}")).await?;
        self.selection.output.print(Format::Tabular, &flows, || {
            let mut table = Table::new(["Flow", "Model", "State", "Title", "Created", "Message"]);
            for flow in &flows {
                table.row([
                    flow.id.as_str().into(),
                    flow.model.as_str().into(),
                    Cell::status(&flow.state),
                    flow.title.as_str().into(),
                    flow.created.as_str().into(),
                    flow.message.as_str().into(),
                ]);
            }
            table.render()
        })
    }
}

#[derive(Args, Debug)]
pub(crate) struct Flow {
    #[command(subcommand)]
    what: FlowVerb,
}

/// What to do with a flow.
#[derive(Debug, Subcommand)]
enum FlowVerb {
    /// Show a flow with its tasks
    Show(ShowFlow),
    /// Cancel a flow; what it began is reverted or ends where it is safe
    Cancel(ChangeFlow),
    /// Run the failed tasks of a flow again
    Retry(ChangeFlow),
}

#[derive(Args, Debug)]
struct ShowFlow {
    /// The flow's id
    #[arg(value_name = "FLOW")]
    flow: String,
    /// Wait until it is over, at most so long
    #[arg(long, value_name = "DURATION")]
    wait: Option<GoDuration>,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Args, Debug)]
struct ChangeFlow {
    /// The flow's id
    #[arg(value_name = "FLOW")]
    flow: String,
    #[command(flatten)]
    output: OutputArguments,
}

impl Flow {
    async fn run(self, context: &Context) -> Outcome {
        let client = context.client(&context.target(None)?).await?;
        let (flow, output) = match self.what {
            FlowVerb::Show(show) => {
                let patience = show.wait.map_or(Duration::ZERO, |wait| wait.0);
                (wait_for_flow(&client, &show.flow, patience).await?, show.output)
            }
            FlowVerb::Cancel(change) => {
                let path = format!("/v1/flows/{}/cancel", encode(&change.flow));
                (client.post(&path, &json!({})).await?, change.output)
            }
            FlowVerb::Retry(change) => {
                let path = format!("/v1/flows/{}/retry", encode(&change.flow));
                (client.post(&path, &json!({})).await?, change.output)
            }
        };
        output.print(Format::Tabular, &flow, || describe(&flow))
    }
}

/// A flow when it is over, or after `patience`.
async fn wait_for_flow(client: &Client, id: &str, patience: Duration) -> Outcome<FlowInfo> {
    let deadline = std::time::Instant::now() + patience;
    let mut pauses = Pauses::new();
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        let wait = GoDuration(left.min(Duration::from_secs(25))).milliseconds();
        let flow: FlowInfo =
            client.get(&format!("/v1/flows/{}?wait_ms={wait}", encode(id))).await?;
        if !flow.finished.is_empty() || left.is_zero() {
            return Ok(flow);
        }
        pauses.pause().await;
    }
}

/// A flow for a person: what it is, how it stands, what holds it up, its tasks.
fn describe(flow: &FlowInfo) -> String {
    let state = style::of_status(&flow.state);
    let mut text = format!("{}\n\n", flow.title);
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<10} {value}");
        }
    };
    line("Flow", &flow.id);
    line("State", &format!("{state}{}{state:#}", flow.state));
    line("Message", &flow.message);
    line("Model", &flow.model);
    line("Resources", &flow.resources.join(", "));
    for ahead in &flow.waiting_for {
        line("Waits for", &format!("{} (held by flow {})", ahead.resource, ahead.flow));
    }
    line("Created", &flow.created);
    line("Started", &flow.started);
    line("Finished", &flow.finished);
    if !flow.tasks.is_empty() {
        text.push('\n');
        text.push_str(&task_table(&flow.tasks).render());
    }
    text
}

#[derive(Args, Debug)]
pub(crate) struct Deferred {
    #[command(flatten)]
    model: ModelArgument,
    /// Only of this unit
    #[arg(value_name = "UNIT")]
    unit: Option<String>,
    #[command(flatten)]
    output: OutputArguments,
}

impl Deferred {
    async fn run(self, context: &Context) -> Outcome {
        if let Some(unit) = &self.unit
            && tutti_charm::name::split_unit(unit).is_none()
        {
            return Err(Failure::usage(format!("{unit:?} is not a valid unit name")));
        }
        let model = context.model(&self.model).await?;
        let query = query([("unit", self.unit.unwrap_or_default())]);
        let deferred: Vec<DeferredInfo> = model.get(&format!("/deferred{query}")).await?;
        if deferred.is_empty() && self.output.form(Format::Tabular) == Format::Tabular {
            context.tell("Nothing is deferred.");
            return Ok(());
        }
        self.output.print(Format::Tabular, &deferred, || {
            let mut table =
                Table::new(["Unit", "Event", "Handler", "Attempts", "Since", "Next"]).right(3);
            for one in &deferred {
                table.row([
                    one.unit.as_str().into(),
                    one.event.as_str().into(),
                    one.handler.as_str().into(),
                    one.attempts.to_string().into(),
                    one.since.as_str().into(),
                    one.next.as_str().into(),
                ]);
            }
            table.render()
        })
    }
}
