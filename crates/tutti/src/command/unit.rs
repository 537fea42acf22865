//! `add-unit`, `remove-unit`, `scale-application`, `show-unit`, `resolved`, `show-status-log`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tutti_charm::name::split_unit;
use tutti_model::api::{
    Accepted, AddUnits, ApplicationInfo, RemoveUnits, Resolve, StatusLogEntry, UnitInfo,
};

use super::answer::{confirm, report, report_removal};
use crate::arguments::{ModelArgument, OutputArguments, PlacementArgument, PromptArgument};
use crate::context::{Context, Model, application_path, unit_path};
use crate::failure::{Failure, Outcome};
use crate::output::Format;
use crate::output::table::{Cell, Table};
use crate::status::time;

/// Commands about units.
#[derive(Debug, Subcommand)]
pub(crate) enum UnitCommand {
    /// Add units to an application
    AddUnit(AddUnit),
    /// Remove units
    #[command(after_help = "Examples:\n  tutti remove-unit db/1 db/2\n  \
                            tutti remove-unit db --num-units 2")]
    RemoveUnit(RemoveUnit),
    /// Show units with their relation data
    ShowUnit(ShowUnit),
    /// Run the failed hook of a unit again, or take it as done
    #[command(visible_alias = "resolve")]
    Resolved(Resolved),
    /// Show the past statuses of a unit
    #[command(alias = "status-history")]
    ShowStatusLog(ShowStatusLog),
}

impl UnitCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::AddUnit(command) => command.run(context).await,
            Self::RemoveUnit(command) => command.run(context).await,
            Self::ShowUnit(command) => command.run(context).await,
            Self::Resolved(command) => command.run(context).await,
            Self::ShowStatusLog(command) => command.run(context).await,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct AddUnit {
    #[command(flatten)]
    model: ModelArgument,
    /// The application
    #[arg(value_name = "APPLICATION_NAME")]
    application: String,
    /// How many
    #[arg(short, long, value_name = "NUMBER", default_value_t = 1)]
    num_units: u32,
    #[command(flatten)]
    placement: PlacementArgument,
    /// Existing storage to attach
    #[arg(long, value_name = "STORAGE,…")]
    attach_storage: Vec<String>,
}

impl AddUnit {
    async fn run(self, context: &Context) -> Outcome {
        refuse_attached(&self.attach_storage)?;
        let model = context.model(&self.model).await?;
        let request = AddUnits { count: self.num_units, to: self.placement.to };
        let path = application_path(&self.application, "/units");
        let accepted: Accepted = model.post(&path, &request).await?;
        report(context, &accepted);
        Ok(())
    }
}

/// Existing storage cannot be moved yet; ignoring the wish would lose somebody's data.
pub(super) fn refuse_attached(storage: &[String]) -> Outcome {
    if storage.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "cannot attach existing storage ({}): detached storage is not supported yet",
        storage.join(", ")
    )))
}

#[derive(Args, Debug)]
pub(crate) struct RemoveUnit {
    #[command(flatten)]
    model: ModelArgument,
    /// Units, or one application with --num-units
    #[arg(value_name = "UNIT|APPLICATION_NAME", required = true)]
    names: Vec<String>,
    /// How many units of the application, the newest first
    #[arg(short, long, value_name = "NUMBER")]
    num_units: Option<u32>,
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

impl RemoveUnit {
    async fn run(self, context: &Context) -> Outcome {
        let mut request = RemoveUnits {
            force: self.force,
            no_wait: self.no_wait,
            destroy_storage: self.destroy_storage,
            ..RemoveUnits::default()
        };
        let what = if self.names.iter().all(|name| split_unit(name).is_some()) {
            if self.num_units.is_some() {
                return Err(Failure::usage("--num-units goes with an application, not with units"));
            }
            let lines = self.names.iter().map(|unit| format!("\nwill remove unit {unit}"));
            let lines = lines.collect::<String>();
            request.units.clone_from(&self.names);
            lines
        } else {
            let [application] = &self.names[..] else {
                let bad = self.names.iter().find(|name| split_unit(name).is_none());
                let bad = bad.map(String::as_str).unwrap_or_default();
                return Err(Failure::usage(format!("invalid unit name {bad:?}")));
            };
            let Some(count) = self.num_units.filter(|&count| count > 0) else {
                return Err(Failure::usage(format!(
                    "name the units of {application:?}, or how many with --num-units"
                )));
            };
            request.application.clone_from(application);
            request.count = count;
            format!("\nwill remove {count} unit(s) of {application}")
        };
        confirm(
            self.prompt.no_prompt,
            &format!("This command will perform the following actions:{what}"),
        )?;
        let model = context.model(&self.model).await?;
        let mut accepted: Accepted = model.post("/units/remove", &request).await?;
        if accepted.messages.is_empty() {
            accepted.messages =
                request.units.iter().map(|unit| format!("will remove unit {unit}")).collect();
        }
        report_removal(&accepted)
    }
}

#[derive(Args, Debug)]
pub(crate) struct ScaleApplication {
    #[command(flatten)]
    model: ModelArgument,
    /// The application
    #[arg(value_name = "APPLICATION_NAME")]
    application: String,
    /// How many units it is to have
    #[arg(value_name = "NUMBER")]
    scale: u32,
}

impl ScaleApplication {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let model = context.model(&self.model).await?;
        let info: ApplicationInfo = model.get(&application_path(&self.application, "")).await?;
        let accepted = scale(&model, &info, self.scale).await?;
        context.tell(format!("{} scaled to {} units", self.application, self.scale));
        if let Some(accepted) = accepted {
            report(context, &accepted);
        }
        Ok(())
    }
}

/// Adds or removes units until there are `wanted`.
async fn scale(model: &Model, info: &ApplicationInfo, wanted: u32) -> Outcome<Option<Accepted>> {
    if wanted > info.scale {
        let request = AddUnits { count: wanted - info.scale, to: Vec::new() };
        let path = application_path(&info.name, "/units");
        return Ok(Some(model.post(&path, &request).await?));
    }
    if wanted < info.scale {
        let request = RemoveUnits {
            application: info.name.clone(),
            count: info.scale - wanted,
            ..RemoveUnits::default()
        };
        return Ok(Some(model.post("/units/remove", &request).await?));
    }
    Ok(None)
}

#[derive(Args, Debug)]
pub(crate) struct ShowUnit {
    #[command(flatten)]
    model: ModelArgument,
    /// The units
    #[arg(value_name = "UNIT", required = true)]
    units: Vec<String>,
    /// Only the relations of this endpoint
    #[arg(long, value_name = "ENDPOINT")]
    endpoint: Option<String>,
    /// Only the data of this related unit
    #[arg(long, value_name = "UNIT")]
    related_unit: Option<String>,
    /// Only the application's data
    #[arg(long)]
    app: bool,
    #[command(flatten)]
    output: OutputArguments,
}

impl ShowUnit {
    async fn run(self, context: &Context) -> Outcome {
        let model = context.model(&self.model).await?;
        let mut value = json!({});
        for unit in &self.units {
            let mut info: UnitInfo = model.get(&unit_path(unit, "")?).await?;
            if let Some(endpoint) = &self.endpoint {
                info.relation_info.retain(|relation| &relation.endpoint == endpoint);
            }
            if let Some(related) = &self.related_unit {
                for relation in &mut info.relation_info {
                    relation.related_units.retain(|name, _| name == related);
                }
            }
            if self.app {
                info.relation_info.iter_mut().for_each(|relation| relation.related_units.clear());
            }
            value[unit] = serde_json::to_value(&info)?;
        }
        let yaml = || tutti_charm::yaml::to_string(&value).unwrap_or_default();
        self.output.print(Format::Yaml, &value, yaml)
    }
}

#[derive(Args, Debug)]
pub(crate) struct Resolved {
    #[command(flatten)]
    model: ModelArgument,
    /// The units in error
    #[arg(value_name = "UNIT")]
    units: Vec<String>,
    /// All units in error
    #[arg(long, conflicts_with = "units")]
    all: bool,
    /// Take the failed hook as done instead of running it again
    #[arg(long)]
    no_retry: bool,
}

impl Resolved {
    async fn run(self, context: &Context) -> Outcome {
        if self.units.is_empty() && !self.all {
            return Err(Failure::usage("no unit specified"));
        }
        let model = context.model(&self.model).await?;
        let units = if self.all { units_in_error(&model).await? } else { self.units };
        for unit in &units {
            let path = unit_path(unit, "/resolved")?;
            let accepted: Accepted = model.post(&path, &Resolve { skip: self.no_retry }).await?;
            report(context, &accepted);
        }
        Ok(())
    }
}

async fn units_in_error(model: &Model) -> Outcome<Vec<String>> {
    let status: tutti_model::api::Status = model.get("/status").await?;
    let units = crate::status::units(&status);
    let failed = units.filter(|(_, unit)| unit.workload_status.current == "error");
    Ok(failed.map(|(name, _)| name.to_owned()).collect())
}

#[derive(Args, Debug)]
pub(crate) struct ShowStatusLog {
    #[command(flatten)]
    model: ModelArgument,
    /// The unit
    #[arg(value_name = "UNIT")]
    unit: String,
    /// How many entries
    #[arg(short = 'n', value_name = "NUMBER", default_value_t = 20)]
    number: u32,
    /// unit, workload or juju-unit
    #[arg(long = "type", value_name = "TYPE", default_value = "unit")]
    kind: String,
    /// Times in UTC
    #[arg(long)]
    utc: bool,
    #[command(flatten)]
    output: OutputArguments,
}

impl ShowStatusLog {
    async fn run(self, context: &Context) -> Outcome {
        let kinds: &[&str] = match self.kind.as_str() {
            "unit" => &["workload", "juju-unit"],
            "workload" => &["workload"],
            "juju-unit" => &["juju-unit"],
            other => return Err(Failure::usage(format!("unexpected status type {other:?}"))),
        };
        let model = context.model(&self.model).await?;
        let path = unit_path(&self.unit, &format!("/status-log?limit={}", self.number))?;
        let mut entries: Vec<StatusLogEntry> = model.get(&path).await?;
        entries.retain(|entry| kinds.contains(&entry.kind.as_str()));
        entries.sort_by_key(|entry| entry.since);
        let when = |entry: &StatusLogEntry| time::of_microseconds(entry.since, self.utc);
        let value: Vec<Value> = entries
            .iter()
            .map(|entry| {
                json!({
                    "type": entry.kind, "status": entry.status, "message": entry.message,
                    "since": when(entry),
                })
            })
            .collect();
        self.output.print(Format::Tabular, &value, || {
            let mut table = Table::new(["Time", "Type", "Status", "Message"]);
            for entry in &entries {
                table.row([
                    when(entry).into(),
                    entry.kind.as_str().into(),
                    Cell::status(&entry.status),
                    entry.message.as_str().into(),
                ]);
            }
            table.render()
        })
    }
}
