//! `deploy`, `refresh`, `config`, `trust`, `expose` and what else changes an application.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tutti_model::api::{Accepted, ApplicationInfo, LeaderChoice, Switch};

use super::answer::{confirm, report, report_removal};
use super::config::{
    ApplicationConstraintsCommand, ConfigCommand, SetApplicationConstraintsCommand,
};
use super::deploy::Deploy;
use super::model::life;
use super::refresh::Refresh;
use super::unit::ScaleApplication;
use crate::arguments::{ModelArgument, OutputArguments, PromptArgument};
use crate::context::{Context, application_path, flag, query};
use crate::failure::{Failure, Outcome};
use crate::output::Format;

/// Commands about applications.
#[derive(Debug, Subcommand)]
pub(crate) enum ApplicationCommand {
    /// Deploy a charm or a bundle
    Deploy(Box<Deploy>),
    /// Move an application to another revision of its charm
    #[command(alias = "upgrade-charm")]
    Refresh(Box<Refresh>),
    /// Show or change the settings of an application
    Config(ConfigCommand),
    /// Give an application the cloud's credential, or take it back
    Trust(Trust),
    /// Make an application's open ports reachable from outside
    Expose(Expose),
    /// Make an application's open ports unreachable from outside
    Unexpose(Unexpose),
    /// Show the constraints of an application
    Constraints(ApplicationConstraintsCommand),
    /// Change the constraints of an application
    SetConstraints(SetApplicationConstraintsCommand),
    /// Set how many units an application has
    ScaleApplication(ScaleApplication),
    /// Remove applications with their units
    RemoveApplication(RemoveApplication),
    /// Show applications
    ShowApplication(ShowApplication),
    /// Make a unit the leader of its application
    #[command(after_help = "Example:\n  tutti leader db/1")]
    Leader(Leader),
    /// Bring events that a charm put off back early, or only with the next event
    #[command(after_help = "Example:\n  tutti defer-retries db off")]
    DeferRetries(DeferRetries),
}

impl ApplicationCommand {
    pub(super) async fn run(self, context: &mut Context) -> Outcome {
        match self {
            Self::Deploy(command) => Box::pin(command.run(context)).await,
            Self::Refresh(command) => Box::pin(command.run(context)).await,
            Self::Config(command) => command.run(context).await,
            Self::Trust(command) => command.run(context).await,
            Self::Expose(command) => command.run(context).await,
            Self::Unexpose(command) => command.run(context).await,
            Self::Constraints(command) => command.run(context).await,
            Self::SetConstraints(command) => command.run(context).await,
            Self::ScaleApplication(command) => command.run(context).await,
            Self::RemoveApplication(command) => command.run(context).await,
            Self::ShowApplication(command) => command.run(context).await,
            Self::Leader(command) => command.run(context).await,
            Self::DeferRetries(command) => command.run(context).await,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct Trust {
    #[command(flatten)]
    model: ModelArgument,
    /// The application
    #[arg(value_name = "APPLICATION_NAME")]
    application: String,
    /// Take the trust back
    #[arg(long)]
    remove: bool,
    /// `cluster`, for models as on Kubernetes
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,
}

impl Trust {
    async fn run(self, context: &Context) -> Outcome {
        if let Some(scope) = self.scope.filter(|scope| scope != "cluster") {
            return Err(Failure::new(format!("scope {scope:?} not valid: only \"cluster\" is")));
        }
        let model = context.model(&self.model).await?;
        let path = application_path(&self.application, "/trust");
        let accepted: Accepted = model.put(&path, &Switch { on: !self.remove }).await?;
        report(context, &accepted);
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(crate) struct Expose {
    #[command(flatten)]
    model: ModelArgument,
    /// The application
    #[arg(value_name = "APPLICATION_NAME")]
    application: String,
    /// Accepted; all endpoints are exposed
    #[arg(hide = true, long, value_name = "ENDPOINT,…")]
    endpoints: Option<String>,
    /// Accepted
    #[arg(hide = true, long, value_name = "SPACE,…")]
    to_spaces: Option<String>,
    /// Accepted
    #[arg(hide = true, long, value_name = "CIDR,…")]
    to_cidrs: Option<String>,
}

impl Expose {
    async fn run(self, context: &Context) -> Outcome {
        set_exposed(context, &self.model, &self.application, true).await
    }
}

#[derive(Args, Debug)]
pub(crate) struct Unexpose {
    #[command(flatten)]
    model: ModelArgument,
    /// The application
    #[arg(value_name = "APPLICATION_NAME")]
    application: String,
    /// Accepted; all endpoints are unexposed
    #[arg(hide = true, long, value_name = "ENDPOINT,…")]
    endpoints: Option<String>,
}

impl Unexpose {
    async fn run(self, context: &Context) -> Outcome {
        set_exposed(context, &self.model, &self.application, false).await
    }
}

async fn set_exposed(
    context: &Context,
    model: &ModelArgument,
    application: &str,
    on: bool,
) -> Outcome {
    let model = context.model(model).await?;
    let path = application_path(application, "/exposed");
    let accepted: Accepted = model.put(&path, &Switch { on }).await?;
    report(context, &accepted);
    Ok(())
}

#[derive(Args, Debug)]
pub(crate) struct RemoveApplication {
    #[command(flatten)]
    model: ModelArgument,
    /// The applications
    #[arg(value_name = "APPLICATION_NAME", required = true)]
    applications: Vec<String>,
    #[command(flatten)]
    prompt: PromptArgument,
    /// Destroy their storage too
    #[arg(long)]
    destroy_storage: bool,
    /// Do not wait for agents that do not answer
    #[arg(long)]
    force: bool,
    /// With --force: do not wait at all
    #[arg(long)]
    no_wait: bool,
}

impl RemoveApplication {
    async fn run(self, context: &Context) -> Outcome {
        let model = context.model(&self.model).await?;
        let lines: String = self
            .applications
            .iter()
            .map(|application| format!("\nwill remove application {application} and its units"))
            .collect();
        confirm(
            self.prompt.no_prompt,
            &format!("This command will perform the following actions:{lines}"),
        )?;
        let query = query([
            ("force", flag(self.force)),
            ("no_wait", flag(self.no_wait)),
            ("destroy_storage", flag(self.destroy_storage)),
        ]);
        let mut failure = None;
        for application in &self.applications {
            match model.delete::<Accepted>(&application_path(application, &query)).await {
                Ok(accepted) if accepted.messages.is_empty() => {
                    let line = format!("will remove application {application}");
                    report_removal(&Accepted { messages: vec![line], ..Accepted::default() })?;
                }
                Ok(accepted) => report_removal(&accepted)?,
                Err(refused) => {
                    // The others are removed nevertheless; the first refusal is the outcome.
                    failure.get_or_insert(refused);
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

#[derive(Args, Debug)]
pub(crate) struct ShowApplication {
    #[command(flatten)]
    model: ModelArgument,
    /// The applications
    #[arg(value_name = "APPLICATION_NAME", required = true)]
    applications: Vec<String>,
    #[command(flatten)]
    output: OutputArguments,
}

impl ShowApplication {
    async fn run(self, context: &Context) -> Outcome {
        let model = context.model(&self.model).await?;
        let mut value = json!({});
        for application in &self.applications {
            let info: ApplicationInfo = model.get(&application_path(application, "")).await?;
            value[application] = document(&info);
        }
        let yaml = || tutti_charm::yaml::to_string(&value).unwrap_or_default();
        self.output.print(Format::Yaml, &value, yaml)
    }
}

/// An application as `show-application` prints it.
fn document(info: &ApplicationInfo) -> Value {
    let (name, channel) = info.base.split_once('@').unwrap_or((&info.base, ""));
    json!({
        "charm": info.charm_name,
        "charm-url": info.charm,
        "charm-rev": info.charm_revision,
        "base": {"name": name, "channel": channel},
        "constraints": info.constraints,
        "principal": !info.subordinate,
        "exposed": info.exposed,
        "trust": info.trust,
        "remote": false,
        "scale": info.scale,
        "life": life(info.life),
        "endpoint-bindings": info.bindings,
        "units": info.units.keys().collect::<Vec<_>>(),
        "status": info.status,
        "sync": info.sync.state,
        "conditions": info.conditions,
    })
}

#[derive(Args, Debug)]
pub(crate) struct Leader {
    #[command(flatten)]
    model: ModelArgument,
    /// The unit that is to lead
    #[arg(value_name = "UNIT")]
    unit: String,
}

impl Leader {
    async fn run(self, context: &Context) -> Outcome {
        let Some((application, _)) = tutti_charm::name::split_unit(&self.unit) else {
            return Err(Failure::new(format!("{:?} is not a valid unit name", self.unit)));
        };
        let model = context.model(&self.model).await?;
        let path = application_path(application, "/leader");
        let choice = LeaderChoice { unit: self.unit.clone() };
        let accepted: Accepted = model.put(&path, &choice).await?;
        report(context, &accepted);
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(crate) struct DeferRetries {
    #[command(flatten)]
    model: ModelArgument,
    /// The application
    #[arg(value_name = "APPLICATION_NAME")]
    application: String,
    /// on: they come back on their own; off: only with the next hook, as with Juju
    #[arg(value_name = "on|off", value_parser = ["on", "off"])]
    state: String,
}

impl DeferRetries {
    async fn run(self, context: &Context) -> Outcome {
        let model = context.model(&self.model).await?;
        let path = application_path(&self.application, "/deferral");
        let accepted: Accepted = model.put(&path, &Switch { on: self.state == "on" }).await?;
        report(context, &accepted);
        Ok(())
    }
}
