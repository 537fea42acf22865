//! `add-machine`, `remove-machine`, `machines`, `show-machine`.

use clap::{Args, Subcommand};
use serde_json::json;
use tutti_model::api::{Accepted, AddMachines, Status};

use super::answer::{confirm, names, report, report_removal};
use crate::arguments::{ConstraintsArgument, ModelArgument, OutputArguments, PromptArgument};
use crate::context::{Context, flag, query};
use crate::failure::{Failure, Outcome};
use crate::output::Format;
use crate::status::tabular;

/// Commands about machines.
#[derive(Debug, Subcommand)]
pub(crate) enum MachineCommand {
    /// Add machines to a model
    AddMachine(AddMachine),
    /// Remove machines
    RemoveMachine(RemoveMachine),
    /// List the machines of a model
    #[command(visible_alias = "list-machines")]
    Machines(Machines),
    /// Show machines
    ShowMachine(ShowMachine),
}

impl MachineCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::AddMachine(command) => command.run(context).await,
            Self::RemoveMachine(command) => command.run(context).await,
            Self::Machines(command) => {
                show(context, &command.model, &command.output, &[], Format::Tabular).await
            }
            Self::ShowMachine(command) => {
                let machines = &command.machines;
                show(context, &command.model, &command.output, machines, Format::Yaml).await
            }
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct AddMachine {
    #[command(flatten)]
    model: ModelArgument,
    /// Placement (ssh:user@host, zone=…, lxd:1); every machine is a record on this host so far
    #[arg(value_name = "PLACEMENT")]
    placement: Option<String>,
    /// ubuntu@24.04
    #[arg(long, value_name = "BASE", default_value = "", hide_default_value = true)]
    base: String,
    #[command(flatten)]
    constraints: ConstraintsArgument,
    /// Accepted; the host's disks are used
    #[arg(hide = true, long, value_name = "DISKS")]
    disks: Vec<String>,
    /// How many
    #[arg(short, value_name = "NUMBER", default_value_t = 1)]
    number: u32,
    /// Accepted, for ssh: placements
    #[arg(hide = true, long, value_name = "FILE")]
    private_key: Option<String>,
    /// Accepted, for ssh: placements
    #[arg(hide = true, long, value_name = "FILE")]
    public_key: Option<String>,
}

impl AddMachine {
    async fn run(self, context: &Context) -> Outcome {
        if let Some(placement) = self.placement.filter(|it| it.starts_with("ssh:")) {
            return Err(Failure::new(format!(
                "cannot add {placement:?}: other hosts cannot join a controller yet"
            )));
        }
        let model = context.model(&self.model).await?;
        let request = AddMachines {
            count: self.number,
            base: self.base,
            constraints: self.constraints.read()?,
        };
        let accepted: Accepted = model.post("/machines", &request).await?;
        if accepted.messages.is_empty() {
            for number in names(&accepted.resource) {
                context.tell(format!("created machine {number}"));
            }
        }
        report(context, &accepted);
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(crate) struct RemoveMachine {
    #[command(flatten)]
    model: ModelArgument,
    /// The machines
    #[arg(value_name = "MACHINE", required = true)]
    machines: Vec<String>,
    #[command(flatten)]
    prompt: PromptArgument,
    /// Remove it with the units on it
    #[arg(long)]
    force: bool,
    /// Accepted; the host itself is never touched
    #[arg(hide = true, long)]
    keep_instance: bool,
    /// With --force: do not wait at all
    #[arg(long)]
    no_wait: bool,
}

impl RemoveMachine {
    async fn run(self, context: &Context) -> Outcome {
        let lines: String =
            self.machines.iter().map(|number| format!("\nwill remove machine {number}")).collect();
        confirm(
            self.prompt.no_prompt,
            &format!("This command will perform the following actions:{lines}"),
        )?;
        let model = context.model(&self.model).await?;
        let query = query([("force", flag(self.force))]);
        for number in &self.machines {
            let path = format!("/machines/{}{query}", tutti_client::encode(number));
            let mut accepted: Accepted = model.delete(&path).await?;
            if accepted.messages.is_empty() {
                accepted.messages = vec![format!("will remove machine {number}")];
            }
            report_removal(&accepted)?;
        }
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(crate) struct Machines {
    #[command(flatten)]
    model: ModelArgument,
    /// Times in UTC
    #[arg(long)]
    utc: bool,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Args, Debug)]
pub(crate) struct ShowMachine {
    #[command(flatten)]
    model: ModelArgument,
    /// Machines; all if none is named
    #[arg(value_name = "MACHINE")]
    machines: Vec<String>,
    #[command(flatten)]
    output: OutputArguments,
}

/// Machines as `status` shows them.
async fn show(
    context: &Context,
    model: &ModelArgument,
    output: &OutputArguments,
    wanted: &[String],
    form: Format,
) -> Outcome {
    let model = context.model(model).await?;
    let mut status: Status = model.get("/status").await?;
    if let Some(missing) = wanted.iter().find(|name| !status.machines.contains_key(*name)) {
        return Err(Failure::new(format!("machine {missing} not found")));
    }
    if !wanted.is_empty() {
        status.machines.retain(|number, _| wanted.contains(number));
    }
    let value = json!({"model": status.model.name, "machines": status.machines});
    output.print(form, &value, || tabular::machines(&status).render())
}
