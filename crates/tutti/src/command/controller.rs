//! `bootstrap`, `controllers`, `whoami`, `destroy-controller`, `version` and the like.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tutti_client::Client;
use tutti_model::api::{ControllerInfo, ModelInfo};

use super::answer::confirm;
use super::serve::stop_controller;
use crate::arguments::{ControllerArgument, OutputArguments, PromptArgument};
use crate::client_store::KnownController;
use crate::context::{Context, USER};
use crate::controller_process;
use crate::failure::{Failure, Outcome};
use crate::output::Format;
use crate::output::table::{Cell, Table};

/// The version of Juju whose behaviour is spoken.
pub(crate) const JUJU_VERSION: &str = "3.6.9";

/// Commands about controllers.
#[derive(Debug, Subcommand)]
pub(crate) enum ControllerCommand {
    /// Start this machine's controller, or adopt the running one under a name
    Bootstrap(Box<Bootstrap>),
    /// List the known controllers
    #[command(visible_alias = "list-controllers")]
    Controllers(Controllers),
    /// Show a controller
    ShowController(ShowController),
    /// Stop a controller and forget its name; its data stays
    DestroyController(DestroyController),
    /// Stop a controller without waiting for its models
    KillController(DestroyController),
    /// Show the controller, model and user in use
    Whoami(Whoami),
    /// List users
    #[command(visible_alias = "list-users")]
    Users(Users),
    /// Print the version
    Version(Version),
}

impl ControllerCommand {
    pub(super) async fn run(self, context: &mut Context) -> Outcome {
        match self {
            Self::Bootstrap(command) => command.run(context).await,
            Self::Controllers(command) => command.run(context).await,
            Self::ShowController(command) => command.run(context).await,
            Self::DestroyController(command) | Self::KillController(command) => {
                command.run(context).await
            }
            Self::Whoami(command) => command.run(context),
            Self::Users(command) => command.run(context),
            Self::Version(command) => command.run(),
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct Bootstrap {
    /// localhost or local-k8s: the cloud new models get
    #[arg(value_name = "CLOUD[/REGION]", default_value = "localhost")]
    cloud: String,
    /// What to call the controller here
    #[arg(value_name = "CONTROLLER_NAME")]
    name: Option<String>,
    /// Leave the current controller as it is
    #[arg(long)]
    no_switch: bool,
    /// Create this model too
    #[arg(long, value_name = "MODEL")]
    add_model: Option<String>,
    #[command(flatten)]
    ignored: BootstrapIgnored,
}

/// What Juju needs to create a machine for the controller; ours runs on this one.
#[derive(Args, Debug)]
struct BootstrapIgnored {
    /// Accepted
    #[arg(hide = true, long, value_name = "BASE")]
    bootstrap_base: Option<String>,
    /// Accepted
    #[arg(hide = true, long, value_name = "KEY=VALUE")]
    bootstrap_constraints: Vec<String>,
    /// Accepted
    #[arg(hide = true, long, value_name = "KEY=VALUE")]
    config: Vec<String>,
    /// Accepted
    #[arg(hide = true, long, value_name = "KEY=VALUE")]
    constraints: Vec<String>,
    /// Accepted
    #[arg(hide = true, long, value_name = "CREDENTIAL")]
    credential: Option<String>,
    /// Accepted
    #[arg(hide = true, long)]
    force: bool,
    /// Accepted
    #[arg(hide = true, long, value_name = "KEY=VALUE")]
    model_default: Vec<String>,
    /// Accepted
    #[arg(hide = true, long, value_name = "KEY=VALUE")]
    storage_pool: Vec<String>,
    /// Accepted
    #[arg(hide = true, long, value_name = "MACHINE")]
    to: Vec<String>,
    /// Accepted
    #[arg(hide = true, long, value_name = "PATH")]
    metadata_source: Option<String>,
    /// Accepted
    #[arg(hide = true, long, value_name = "VERSION")]
    agent_version: Option<String>,
}

impl Bootstrap {
    async fn run(self, context: &mut Context) -> Outcome {
        let cloud = self.cloud.split('/').next().unwrap_or_default();
        let name = self.name.unwrap_or_else(|| crate::client_store::DEFAULT_NAME.into());
        let mut target = context.target(None)?;
        let known = context.store.known.controllers.get(&name);
        let client = match context.running(&target).await? {
            Some(client) => {
                context.tell(format!("Adopting the controller at {} as {name:?}", target.address));
                client
            }
            None if known.is_some_and(|known| known.address != target.address.to_string()) => {
                return Err(Failure::new(format!("controller {name:?} already exists")));
            }
            None if target.startable => {
                context.tell(format!("Creating Tutti controller {name:?} on {}", self.cloud));
                let options = ["--default-cloud".to_owned(), cloud.to_owned()];
                let started = controller_process::start(&name, &options).await?;
                context.tell(started.to_string());
                started.client
            }
            None => context.client(&target).await?,
        };
        let address = target.address.to_string();
        let current_model = context.current_model(&target).map(ToOwned::to_owned);
        target.name.clone_from(&name);
        let entry = KnownController { address: address.clone(), current_model };
        context.store.known.controllers.insert(name.clone(), entry);
        if !self.no_switch {
            context.store.known.current_controller.clone_from(&name);
        }
        context.store.write()?;
        if let Some(model) = self.add_model {
            let request = tutti_model::api::ModelCreate { name: model, ..Default::default() };
            let model: ModelInfo = client.post("/v1/models", &request).await?;
            context.set_current_model(&target, Some(&model.name))?;
        }
        context.tell("Bootstrap complete, controller is available.");
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(crate) struct Controllers {
    /// Accepted; controllers on this machine always answer
    #[arg(hide = true, long)]
    refresh: bool,
    #[command(flatten)]
    output: OutputArguments,
}

impl Controllers {
    async fn run(self, context: &mut Context) -> Outcome {
        let current = context.target(None)?;
        let mut known = context.store.known.controllers.clone();
        let entry = known.entry(current.name.clone()).or_default();
        entry.address = current.address.to_string();
        let mut entries = json!({});
        let mut table = Table::new([
            "Controller",
            "Model",
            "User",
            "Access",
            "Cloud/Region",
            "Models",
            "Version",
        ])
        .right(5);
        for (name, entry) in &known {
            let target = context.target(Some(name))?;
            let client = context.running(&target).await?;
            let (info, models) = match &client {
                Some(client) => about(client).await?,
                None => (ControllerInfo::default(), Vec::new()),
            };
            let model = entry.current_model.clone().unwrap_or_default();
            entries[name] = document(&target.address.to_string(), &model, &info, &models);
            let star = if *name == current.name { "*" } else { "" };
            let version = if client.is_some() {
                Cell::from(&info.agent_version)
            } else {
                "not running".into()
            };
            table.row([
                format!("{name}{star}").into(),
                if model.is_empty() { "-".into() } else { model.into() },
                USER.into(),
                "superuser".into(),
                if client.is_some() {
                    format!("{}/localhost", info.default_cloud).into()
                } else {
                    "-".into()
                },
                models.len().to_string().into(),
                version,
            ]);
        }
        let value = json!({"controllers": entries, "current-controller": current.name});
        self.output.print(Format::Tabular, &value, || table.render())
    }
}

/// The controller and its models.
async fn about(client: &Client) -> Outcome<(ControllerInfo, Vec<ModelInfo>)> {
    Ok((client.get("/v1").await?, client.get("/v1/models").await?))
}

/// A controller as `controllers` prints it.
fn document(address: &str, model: &str, info: &ControllerInfo, models: &[ModelInfo]) -> Value {
    let machines: usize = models.iter().map(|model| model.machines.len()).sum();
    let endpoint = if info.address.is_empty() { address } else { &info.address };
    let mut value = json!({
        "user": USER,
        "access": "superuser",
        "recent-server": endpoint,
        "uuid": info.uuid,
        "api-endpoints": [endpoint],
        "ca-cert": "",
        "cloud": info.default_cloud,
        "region": "localhost",
        "agent-version": info.agent_version,
        "model-count": models.len(),
        "machine-count": machines,
    });
    if !model.is_empty() {
        value["current-model"] = json!(format!("{USER}/{model}"));
    }
    value
}

#[derive(Args, Debug)]
pub(crate) struct ShowController {
    /// Controllers; the one in use if none is named
    #[arg(value_name = "CONTROLLER_NAME")]
    names: Vec<String>,
    /// Accepted; there are no passwords
    #[arg(hide = true, long)]
    show_password: bool,
    #[command(flatten)]
    output: OutputArguments,
}

impl ShowController {
    async fn run(self, context: &mut Context) -> Outcome {
        let names = match self.names.is_empty() {
            true => vec![context.target(None)?.name],
            false => self.names,
        };
        let mut value = json!({});
        for name in &names {
            let target = context.target(Some(name))?;
            let client = context.client(&target).await?;
            let (info, models) = about(&client).await?;
            let entries = models.iter().map(|model| {
                let entry = json!({"model-uuid": model.uuid, "unit-count": model.units});
                (format!("{}/{}", model.owner, model.name), entry)
            });
            value[name] = json!({
                "details": {
                    "controller-uuid": info.uuid,
                    "api-endpoints": [if info.address.is_empty() { &info.socket } else { &info.address }],
                    "cloud": info.default_cloud,
                    "region": "localhost",
                    "agent-version": info.agent_version,
                    "tutti-version": info.version,
                    "database": info.database,
                    "data": info.data,
                    "pid": info.pid,
                },
                "models": entries.collect::<serde_json::Map<_, _>>(),
                "current-model": context.current_model(&target),
                "account": {"user": USER, "access": "superuser"},
            });
        }
        let yaml = || tutti_charm::yaml::to_string(&value).unwrap_or_default();
        self.output.print(Format::Yaml, &value, yaml)
    }
}

#[derive(Args, Debug)]
pub(crate) struct DestroyController {
    /// The controller
    #[arg(value_name = "CONTROLLER_NAME")]
    name: String,
    #[command(flatten)]
    prompt: PromptArgument,
    /// Destroy its models first
    #[arg(long)]
    destroy_all_models: bool,
    /// Destroy storage too
    #[arg(long)]
    destroy_storage: bool,
    /// Accepted
    #[arg(hide = true, long)]
    release_storage: bool,
    /// Do not wait for agents that do not answer
    #[arg(long)]
    force: bool,
    /// With --force: do not wait at all
    #[arg(long)]
    no_wait: bool,
    /// Accepted
    #[arg(hide = true, short, long, value_name = "DURATION")]
    timeout: Option<crate::arguments::GoDuration>,
}

impl DestroyController {
    async fn run(self, context: &mut Context) -> Outcome {
        let target = context.target(Some(&self.name))?;
        let client = context.running(&target).await?;
        if target.unknown && client.is_none() {
            return Err(Failure::new(format!("controller {:?} not found", self.name)));
        }
        confirm(
            self.prompt.no_prompt,
            &format!("This command will stop the {:?} controller and forget its name.", self.name),
        )?;
        if let Some(client) = client {
            if target.unknown {
                // Checks that the controller answers to the name.
                context.client(&target).await?;
            }
            let (info, models) = about(&client).await?;
            if self.destroy_all_models {
                let force = if self.force { "?force=true" } else { "" };
                for model in &models {
                    context.tell(format!("Destroying model {:?}", model.name));
                    super::model::destroy(&client, model, force).await?;
                }
            } else if !models.is_empty() {
                context.tell(format!(
                    "{} model(s) stay in {}; they are back when it is started again",
                    models.len(),
                    info.data
                ));
            }
            stop_controller(&client).await?;
        }
        context.store.known.controllers.remove(&self.name);
        if context.store.known.current_controller == self.name {
            context.store.known.current_controller.clear();
        }
        context.store.write()?;
        context.tell(format!("Controller {:?} stopped.", self.name));
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(crate) struct Whoami {
    #[command(flatten)]
    output: OutputArguments,
}

impl Whoami {
    fn run(self, context: &Context) -> Outcome {
        let target = context.target(None)?;
        let model = context.current_model(&target);
        let mut value = json!({"controller": target.name, "user": USER});
        if let Some(model) = model {
            value["model"] = json!(model);
        }
        let shown = model.unwrap_or("<no-current-model>").to_owned();
        self.output.print(Format::Tabular, &value, || {
            format!("Controller:  {}\nModel:       {shown}\nUser:        {USER}\n", target.name)
        })
    }
}

#[derive(Args, Debug)]
pub(crate) struct Users {
    /// A model, to list who may use it
    #[arg(value_name = "MODEL_NAME")]
    model: Option<String>,
    #[command(flatten)]
    controller: ControllerArgument,
    /// Accepted
    #[arg(hide = true, long)]
    all: bool,
    #[command(flatten)]
    output: OutputArguments,
}

impl Users {
    fn run(self, context: &Context) -> Outcome {
        let target = context.target(self.controller.controller.as_deref())?;
        if let Some(model) = &self.model {
            let access = json!({"access": "admin", "display-name": USER});
            let value = json!({USER: access});
            return self.output.print(Format::Tabular, &value, || {
                let mut table = Table::new(["Name", "Access", "Model"]);
                table.row([USER.into(), "admin".into(), model.as_str().into()]);
                table.render()
            });
        }
        let value = json!([{"user-name": USER, "display-name": "", "access": "superuser"}]);
        self.output.print(Format::Tabular, &value, || {
            let mut table = Table::new(["Name", "Display name", "Access"]);
            table.row([format!("{USER}*").into(), "".into(), "superuser".into()]);
            format!("Controller: {}\n\n{}", target.name, table.render())
        })
    }
}

#[derive(Args, Debug)]
pub(crate) struct Version {
    /// Print everything there is to say
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: OutputArguments,
}

impl Version {
    fn run(self) -> Outcome {
        let version = version();
        if !self.all {
            return self.output.print(Format::Tabular, &version, || format!("{version}\n"));
        }
        let value = json!({
            "version": version,
            "git-commit": "",
            "tutti": env!("CARGO_PKG_VERSION"),
        });
        let yaml = || tutti_charm::yaml::to_string(&value).unwrap_or_default();
        self.output.print(Format::Tabular, &value, yaml)
    }
}

/// `3.6.9-linux-amd64`: the version of Juju spoken, the system, the architecture.
fn version() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{JUJU_VERSION}-{}-{architecture}", system(&os_release()))
}

fn os_release() -> String {
    std::fs::read_to_string("/etc/os-release").unwrap_or_default()
}

/// `ubuntu` on Ubuntu, else what Juju calls every other Linux.
fn system(release: &str) -> &'static str {
    if release.lines().any(|line| line == "ID=ubuntu") { "ubuntu" } else { "genericlinux" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_three_parts() {
        let version = version();
        assert_eq!(version.split('-').count(), 3, "{version}");
        assert!(version.starts_with("3.6."));
        assert_eq!(system("NAME=x\nID=ubuntu\n"), "ubuntu");
        assert_eq!(system("ID=debian\nID_LIKE=ubuntu\n"), "genericlinux");
    }
}
