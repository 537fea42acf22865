//! `add-model`, `destroy-model`, `models`, `show-model`, `switch`, and a model's config and
//! constraints.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tutti_client::Client;
use tutti_model::api::{Accepted, ControllerInfo, Life, ModelCreate, ModelInfo, ModelKind};

use super::answer::{Pauses, confirm};
use super::config::{ConstraintsCommand, ModelConfigCommand, SetConstraintsCommand};
use crate::arguments::{
    ConfigArgument, ControllerArgument, GoDuration, ModelArgument, OutputArguments, PromptArgument,
};
use crate::context::{Context, Model, Target, USER, flag, query};
use crate::failure::{Failure, Outcome};
use crate::model_name::ModelName;
use crate::output::table::{Cell, Table};
use crate::output::{self, Format};

/// Commands about models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Create a model
    #[command(after_help = "Example:\n  tutti add-model demo\n  tutti add-model staging local-k8s")]
    AddModel(AddModel),
    /// Remove a model with everything in it
    DestroyModel(DestroyModel),
    /// List the models of a controller
    #[command(visible_alias = "list-models")]
    Models(Models),
    /// Show a model
    ShowModel(ShowModel),
    /// Choose the current model or controller, or show it
    Switch(Switch),
    /// Show or change the settings of a model
    ModelConfig(ModelConfigCommand),
    /// Show the constraints of a model
    #[command(alias = "get-model-constraints")]
    ModelConstraints(ConstraintsCommand),
    /// Change the constraints of a model
    SetModelConstraints(SetConstraintsCommand),
}

impl ModelCommand {
    pub(super) async fn run(self, context: &mut Context) -> Outcome {
        match self {
            Self::AddModel(command) => command.run(context).await,
            Self::DestroyModel(command) => command.run(context).await,
            Self::Models(command) => command.run(context).await,
            Self::ShowModel(command) => command.run(context).await,
            Self::Switch(command) => command.run(context).await,
            Self::ModelConfig(command) => command.run(context).await,
            Self::ModelConstraints(command) => command.run_model(context).await,
            Self::SetModelConstraints(command) => command.run_model(context).await,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct AddModel {
    /// Name of the new model
    #[arg(value_name = "MODEL_NAME")]
    name: String,
    /// localhost (units on machines) or local-k8s (units as on Kubernetes), and a region
    #[arg(value_name = "CLOUD[/REGION]")]
    cloud: Option<String>,
    #[command(flatten)]
    controller: ControllerArgument,
    #[command(flatten)]
    config: ConfigArgument,
    /// Accepted; there are no cloud credentials yet
    #[arg(hide = true, long, value_name = "CREDENTIAL")]
    credential: Option<String>,
    /// Owner of the model
    #[arg(long, value_name = "USER", default_value = USER)]
    owner: String,
    /// Leave the current model as it is
    #[arg(long)]
    no_switch: bool,
}

impl AddModel {
    async fn run(self, context: &mut Context) -> Outcome {
        let target = context.target(self.controller.controller.as_deref())?;
        let (cloud, region) = match self.cloud.as_deref() {
            Some(text) => text.split_once('/').unwrap_or((text, "")),
            None => ("", ""),
        };
        let request = ModelCreate {
            name: self.name,
            cloud: cloud.into(),
            region: region.into(),
            owner: self.owner,
            config: self.config.read("")?,
        };
        let client = context.client(&target).await?;
        let model: ModelInfo = client.post("/v1/models", &request).await?;
        if !self.no_switch {
            context.set_current_model(&target, Some(&model.name))?;
        }
        let (name, place, owner) = (&model.name, place(&model), &model.owner);
        let credential = self.credential.as_deref().unwrap_or(&model.cloud);
        context.tell(format!(
            "Added '{name}' model on {place} with credential '{credential}' for user '{owner}'"
        ));
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(crate) struct DestroyModel {
    /// The model: [controller:][user/]model or a UUID
    #[arg(value_name = "MODEL_NAME")]
    model: String,
    #[command(flatten)]
    prompt: PromptArgument,
    /// Destroy its storage too
    #[arg(long)]
    destroy_storage: bool,
    /// Release its storage
    #[arg(long, conflicts_with = "destroy_storage")]
    release_storage: bool,
    /// Do not wait for agents that do not answer
    #[arg(long)]
    force: bool,
    /// With --force: do not wait at all
    #[arg(long)]
    no_wait: bool,
    /// Give up waiting after this time
    #[arg(short, long, value_name = "DURATION")]
    timeout: Option<GoDuration>,
}

impl DestroyModel {
    async fn run(self, context: &mut Context) -> Outcome {
        let named = ModelName::parse(&self.model)?;
        let target = context.target(named.controller.as_deref())?;
        let mut model = context.model_named(Some(&self.model)).await?;
        let info: ModelInfo = model.get("").await?;
        let (applications, units) = (info.applications, info.units);
        confirm(
            self.prompt.no_prompt,
            &format!(
                "This command will destroy the {:?} model with {applications} application(s) and \
                 {units} unit(s), and all their data.",
                info.name
            ),
        )?;
        context.tell("Destroying model");
        model.name.clone_from(&info.uuid);
        let timeout = self.timeout.map_or(0, GoDuration::milliseconds);
        let storage = flag(self.destroy_storage);
        let timeout_ms = if timeout > 0 { timeout.to_string() } else { String::new() };
        let query = query([
            ("force", flag(self.force)),
            ("no_wait", flag(self.no_wait)),
            ("destroy_storage", storage),
            ("timeout_ms", timeout_ms),
        ]);
        let _: Accepted = model.delete(&query).await?;
        self.wait(context, &model, &info.name).await?;
        forget(context, &target, &info.name)?;
        context.tell("Model destroyed.");
        Ok(())
    }

    /// Waits until the model is gone.
    async fn wait(&self, context: &Context, model: &Model, name: &str) -> Outcome {
        let started = Instant::now();
        let mut pauses = Pauses::new();
        let (mut said, mut said_at) = ((0, 0, 0), started);
        loop {
            let info: ModelInfo = match model.get("").await {
                Ok(info) => info,
                Err(failure) if failure.is_not_found() => return Ok(()),
                Err(failure) => return Err(failure),
            };
            let machines = u32::try_from(info.machines.len()).unwrap_or(u32::MAX);
            let left = (machines, info.applications, info.units);
            if left != said && said_at.elapsed() > Duration::from_secs(1) {
                (said, said_at) = (left, Instant::now());
                context.tell(format!(
                    "Waiting for model to be removed, {} machine(s), {} application(s), {} unit(s)...",
                    left.0, left.1, left.2
                ));
            }
            if self.timeout.is_some_and(|timeout| started.elapsed() >= timeout.0) {
                let timeout = self.timeout.map(|timeout| timeout.to_string()).unwrap_or_default();
                return Err(Failure::new(format!(
                    "timed out after {timeout} waiting for model {name:?} to be removed: \
                     {} application(s) and {} unit(s) are left; it goes on being destroyed, \
                     --force does not wait for agents that do not answer",
                    left.1, left.2
                )));
            }
            pauses.pause().await;
        }
    }
}

/// A destroyed model is nobody's current model.
fn forget(context: &mut Context, target: &Target, name: &str) -> Outcome {
    if context.current_model(target) == Some(name) {
        context.set_current_model(target, None)?;
    }
    Ok(())
}

#[derive(Args, Debug)]
pub(crate) struct Models {
    #[command(flatten)]
    controller: ControllerArgument,
    /// Models of all users
    #[arg(short, long)]
    all: bool,
    /// Show UUIDs
    #[arg(long)]
    uuid: bool,
    /// Accepted; times are always exact
    #[arg(hide = true, long)]
    exact_time: bool,
    /// Models of this user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    #[command(flatten)]
    output: OutputArguments,
}

impl Models {
    async fn run(self, context: &mut Context) -> Outcome {
        let target = context.target(self.controller.controller.as_deref())?;
        let client = context.client(&target).await?;
        let controller: ControllerInfo = client.get("/v1").await?;
        let mut models: Vec<ModelInfo> = client.get("/v1/models").await?;
        if let Some(user) = &self.user {
            models.retain(|model| &model.owner == user);
        }
        let current = context.current_model(&target).unwrap_or("");
        let entries: Vec<Value> = models
            .iter()
            .map(|model| {
                let mut entry = document(model, &controller, &target.name);
                entry["access"] = json!("admin");
                entry["last-connection"] = json!("");
                entry["unit-count"] = json!(model.units);
                entry
            })
            .collect();
        let mut value = json!({"models": entries});
        if !current.is_empty() {
            value["current-model"] = json!(current);
        }
        self.output.print(Format::Tabular, &value, || {
            let mut headings = vec!["Model"];
            if self.uuid {
                headings.push("UUID");
            }
            headings.extend(["Cloud/Region", "Type", "Status", "Machines", "Units", "Access"]);
            let machines = headings.len() - 3;
            let mut table = Table::with(headings).right(machines).right(machines + 1);
            for model in &models {
                let star = if model.name == current { "*" } else { "" };
                let mut row: Vec<Cell> = vec![format!("{}{star}", model.name).into()];
                if self.uuid {
                    row.push(model.uuid.clone().into());
                }
                row.extend([
                    place(model).into(),
                    provider(model).into(),
                    Cell::status(&model.status.current),
                    model.machines.len().to_string().into(),
                    model.units.to_string().into(),
                    "admin".into(),
                ]);
                table.row(row);
            }
            format!("Controller: {}\n\n{}", target.name, table.render())
        })
    }
}

#[derive(Args, Debug)]
pub(crate) struct ShowModel {
    /// Models; the current one if none is named
    #[arg(value_name = "MODEL_NAME")]
    models: Vec<String>,
    #[command(flatten)]
    model: ModelArgument,
    #[command(flatten)]
    output: OutputArguments,
}

impl ShowModel {
    async fn run(self, context: &mut Context) -> Outcome {
        let names = match self.models.is_empty() {
            true => vec![self.model.model.clone()],
            false => self.models.iter().cloned().map(Some).collect(),
        };
        let mut value = json!({});
        for name in names {
            let model = context.model_named(name.as_deref()).await?;
            let info: ModelInfo = model.get("").await?;
            let controller: ControllerInfo = model.client.get("/v1").await?;
            let machines = info.machines.iter();
            let machines =
                machines.map(|(number, cores)| (number.clone(), json!({"cores": cores})));
            let mut entry = document(&info, &controller, &model.controller);
            entry["users"] = json!({
                &info.owner: {
                    "display-name": info.owner, "access": "admin", "last-connection": "never connected"
                }
            });
            entry["machines"] = Value::Object(machines.collect());
            value[&info.name] = entry;
        }
        let yaml = || tutti_charm::yaml::to_string(&value).unwrap_or_default();
        self.output.print(Format::Yaml, &value, yaml)
    }
}

/// A model as `models` and `show-model` print it.
fn document(model: &ModelInfo, controller: &ControllerInfo, name: &str) -> Value {
    let kind = match model.kind {
        ModelKind::Iaas => "iaas",
        ModelKind::Caas => "caas",
    };
    let mut value = json!({
        "name": format!("{}/{}", model.owner, model.name),
        "short-name": model.name,
        "model-uuid": model.uuid,
        "model-type": kind,
        "controller-uuid": controller.uuid,
        "controller-name": name,
        "is-controller": false,
        "owner": model.owner,
        "cloud": model.cloud,
        "type": provider(model),
        "life": life(model.life),
        "status": model.status,
        "sync": model.sync.state,
        "conditions": model.conditions,
        "agent-version": model.agent_version,
        "credential": {"name": model.cloud, "owner": model.owner, "cloud": model.cloud},
    });
    if !model.region.is_empty() {
        value["region"] = json!(model.region);
    }
    value
}

/// `alive`, `dying`, `dead`.
pub(super) fn life(life: Life) -> &'static str {
    match life {
        Life::Alive => "alive",
        Life::Dying => "dying",
        Life::Dead => "dead",
    }
}

fn place(model: &ModelInfo) -> String {
    if model.region.is_empty() {
        model.cloud.clone()
    } else {
        format!("{}/{}", model.cloud, model.region)
    }
}

/// What Juju calls the provider of such a model.
fn provider(model: &ModelInfo) -> &'static str {
    match model.kind {
        ModelKind::Iaas => "local",
        ModelKind::Caas => "kubernetes",
    }
}

#[derive(Args, Debug)]
pub(crate) struct Switch {
    /// A model, `controller:model`, or a controller; shows the current ones if left out
    #[arg(value_name = "CONTROLLER|MODEL")]
    name: Option<String>,
}

impl Switch {
    async fn run(self, context: &mut Context) -> Outcome {
        let before = current(context)?;
        let Some(name) = self.name else {
            return output::write(&format!("{before}\n"));
        };
        let named = ModelName::parse(&name)?;
        let is_controller = named.controller.is_none()
            && named.owner.is_none()
            && context.store.known.controllers.contains_key(&named.model);
        if is_controller || named.model.is_empty() {
            let name = named.controller.unwrap_or(named.model);
            let target = context.target(Some(&name))?;
            context.client(&target).await?;
            context.store.known.current_controller.clone_from(&target.name);
            let entry = context.store.known.controllers.entry(target.name).or_default();
            entry.address = target.address.to_string();
            context.store.write()?;
        } else {
            let model = context.model_named(Some(&name)).await?;
            let info: ModelInfo = model.get("").await?;
            let target = context.target(named.controller.as_deref())?;
            context.set_current_model(&target, Some(&info.name))?;
            if named.controller.is_some() {
                context.store.known.current_controller = target.name;
                context.store.write()?;
            }
        }
        let after = current(context)?;
        if before == after {
            context.tell(format!("{after} (no change)"));
        } else {
            context.tell(format!("{before} -> {after}"));
        }
        Ok(())
    }
}

/// `controller:user/model`, or `controller` while no model is chosen.
fn current(context: &Context) -> Outcome<String> {
    let target = context.target(None)?;
    Ok(match context.current_model(&target) {
        Some(model) => format!("{}:{USER}/{model}", target.name),
        None => target.name,
    })
}

/// Destroys a model and waits until it is gone.
pub(super) async fn destroy(client: &Client, model: &ModelInfo, query: &str) -> Outcome {
    let path = format!("/v1/models/{}", model.uuid);
    let _: Accepted = client.delete(&format!("{path}{query}")).await?;
    let mut pauses = Pauses::new();
    loop {
        match client.get::<ModelInfo>(&path).await {
            Ok(_) => pauses.pause().await,
            Err(error) if error.problem().is_some_and(|problem| problem.status == 404) => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
}
