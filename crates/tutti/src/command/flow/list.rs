//! `flows` and `tasks`: what is being done, what failed, what waits.

use clap::Args;
use tutti_client::Client;
use tutti_model::api::{FlowInfo, FlowPage, TaskInfo, TaskPage};

use super::id::{flow_id, short};
use super::tree::waits;
use crate::arguments::{ModelArgument, OutputArguments};
use crate::context::{Context, query};
use crate::failure::Outcome;
use crate::output::Format;
use crate::output::table::{Cell, Table};

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
    /// Submitted by a task of this flow: its id, or six or more characters of its beginning or end
    #[arg(long, value_name = "FLOW")]
    parent: Option<String>,
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
    /// The controller and the chosen model; empty for all.
    async fn open(&self, context: &Context) -> Outcome<(Client, String)> {
        open(context, &self.model, self.all_models).await
    }

    /// The query.
    async fn query<const N: usize>(
        &self,
        client: &Client,
        model: String,
        more: [(&str, String); N],
    ) -> Outcome<String> {
        let (model, parent) = match &self.parent {
            // A flow is in one model, whichever is chosen.
            Some(part) => (String::new(), flow_id(client, part).await?),
            None => (model, String::new()),
        };
        let pairs = [
            ("model", model),
            ("parent", parent),
            ("resource", self.resource.clone()),
            ("state", self.state.clone()),
            ("since", self.since.clone()),
            ("limit", self.limit.to_string()),
        ];
        Ok(query(pairs.into_iter().chain(more)))
    }
}

/// The controller and the chosen model's name; empty for all models, also when none is chosen.
pub(crate) async fn open(
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
    /// Of this flow: its id, or six or more characters of its beginning or end
    #[arg(long, value_name = "FLOW")]
    flow: Option<String>,
    /// With this name: unit.converge, …
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    name: String,
    /// That failed so: retryable,terminal,timeout,bug,lost,cancelled,refused
    #[arg(long, value_name = "CLASS", default_value = "", hide_default_value = true)]
    class: String,
    #[command(flatten)]
    selection: Selection,
}

impl Tasks {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let (client, model) = self.selection.open(context).await?;
        let (model, flow) = match self.flow {
            // As with a parent.
            Some(part) => (String::new(), flow_id(&client, &part).await?),
            None => (model, String::new()),
        };
        let more = [("flow", flow), ("name", self.name), ("class", self.class)];
        let query = self.selection.query(&client, model, more).await?;
        let TaskPage { tasks, next } = client.get(&format!("/v1/tasks{query}")).await?;
        tell_of_more(context, next.as_deref());
        self.selection.output.print(Format::Tabular, &tasks, || task_table(&tasks).render())
    }
}

/// A list that ends early says so.
fn tell_of_more(context: &Context, next: Option<&str>) {
    if next.is_some() {
        context.tell("there may be older ones: --limit shows more");
    }
}

fn task_table(tasks: &[TaskInfo]) -> Table {
    let mut table =
        Table::new(["Task", "Model", "Resource", "Name", "State", "Attempts", "Message"]).right(5);
    for task in tasks {
        table.row([
            short(&task.id).into(),
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
    /// Of this kind, or with this in its title
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    name: String,
    #[command(flatten)]
    selection: Selection,
}

impl Flows {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let (client, model) = self.selection.open(context).await?;
        let more = [("kind", self.kind), ("name", self.name)];
        let query = self.selection.query(&client, model, more).await?;
        let FlowPage { flows, next } = client.get(&format!("/v1/flows{query}")).await?;
        tell_of_more(context, next.as_deref());
        self.selection.output.print(Format::Tabular, &flows, || {
            let mut table = Table::new(["Flow", "Model", "State", "Title", "Created", "Message"]);
            for flow in &flows {
                table.row([
                    short(&flow.id).into(),
                    flow.model.as_str().into(),
                    Cell::status(&flow.state),
                    flow.title.as_str().into(),
                    flow.created.as_str().into(),
                    message(flow).into(),
                ]);
            }
            table.render()
        })
    }
}

/// Why a flow failed, or what holds it up.
fn message(flow: &FlowInfo) -> String {
    match waits(flow).join(", ") {
        ahead if flow.message.is_empty() && !ahead.is_empty() => format!("waiting for {ahead}"),
        _ => flow.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use tutti_model::api::WaitingFor;

    use super::*;

    #[test]
    fn a_blocked_flow_says_what_it_waits_for() {
        let ahead = WaitingFor {
            resource: "application/db".into(),
            flow: "1-2-abc".into(),
            position: Some(2),
        };
        let mut flow = FlowInfo { waiting_for: vec![ahead], ..FlowInfo::default() };
        assert_eq!(message(&flow), "waiting for flow abc of application/db, 2nd in the queue");
        flow.message = "it failed".into();
        assert_eq!(message(&flow), "it failed");
        assert_eq!(message(&FlowInfo::default()), "");
    }
}
