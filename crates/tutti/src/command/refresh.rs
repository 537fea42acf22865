//! `refresh`: another revision of an application's charm.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;
use tutti_model::api::{Accepted, ApplicationInfo, Refresh as RefreshRequest, RefreshPlan};

use super::answer::report;
use super::deploy::{upload, upload_candidate};
use super::resource::upload_all;
use crate::arguments::{
    ConfigArgument, ModelArgument, OutputArguments, ResourceArgument, StorageArgument,
};
use crate::context::{Context, Model, application_path};
use crate::failure::{Failure, Outcome};
use crate::local_charm::Prepared;
use crate::output::Format;

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  tutti refresh db --path ./db\n  \
                        tutti refresh db --path ./db --dry-run")]
pub(crate) struct Refresh {
    #[command(flatten)]
    model: ModelArgument,
    /// The application
    #[arg(value_name = "APPLICATION_NAME")]
    application: String,
    /// The charm's directory or file
    #[arg(long, value_name = "PATH", conflicts_with = "switch")]
    path: Option<PathBuf>,
    /// Another charm instead: its directory, its file, or its URL
    #[arg(long, value_name = "CHARM")]
    switch: Option<String>,
    /// Only show the plan: what changes, what every unit will do, why it may be refused
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    config: ConfigArgument,
    #[command(flatten)]
    resources: ResourceArgument,
    #[command(flatten)]
    storage: StorageArgument,
    /// ubuntu@24.04
    #[arg(long, value_name = "BASE", default_value = "", hide_default_value = true)]
    base: String,
    /// Channel in the catalogue
    #[arg(long, value_name = "CHANNEL", default_value = "", hide_default_value = true)]
    channel: String,
    /// Revision in the catalogue
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["path", "switch"])]
    revision: Option<i64>,
    /// Trust it with the cloud's credential, or no longer (--trust=false)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = clap::builder::BoolishValueParser::new())]
    trust: Option<bool>,
    /// Skip the checks that may be skipped
    #[arg(long)]
    force: bool,
    /// Refresh even if the base does not fit
    #[arg(long, alias = "force-series")]
    force_base: bool,
    /// Refresh units in error too
    #[arg(long)]
    force_units: bool,
    /// Accepted; there is one network
    #[arg(hide = true, long, value_name = "ENDPOINT=SPACE")]
    bind: Option<String>,
    #[command(flatten)]
    output: OutputArguments,
}

impl Refresh {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let name = &self.application;
        let switch = self.switch.as_ref();
        let path = self.path.clone();
        let path = path.or_else(|| switch.filter(|it| super::deploy::is_path(it)).map(Into::into));
        let local = match &path {
            Some(path) => Some(Prepared::from_path(path, context.quiet)?),
            None => None,
        };
        let model = context.model(&self.model).await?;
        let info: ApplicationInfo = model.get(&application_path(name, "")).await?;
        let is_local = info.charm.starts_with("local:");
        if is_local && local.is_none() && switch.is_none() {
            return Err(Failure::new(
                "refreshing a local charm requires either --path or --switch",
            ));
        }
        if !self.channel.is_empty() || self.revision.is_some() {
            context.tell(
                "WARNING --channel and --revision have no effect: the catalogue has neither yet",
            );
        }
        let mut request = RefreshRequest {
            charm: switch.cloned().unwrap_or_default(),
            candidate: String::new(),
            switch: self.switch.is_some(),
            dry_run: self.dry_run,
            force_units: self.force_units,
            force_base: self.force_base,
            force: self.force,
            config: self.config.read(name)?,
            resources: upload_all(&model.client, &self.resources.resources).await?,
            storage: self.storage.read()?,
            trust: self.trust,
            base: self.base.clone(),
        };
        if let Some(local) = &local {
            self.offer(context, &model, &info, local, &mut request).await?;
        }
        let answer: Value = model.post(&application_path(name, "/refresh"), &request).await?;
        if self.dry_run {
            let plan: RefreshPlan = serde_json::from_value(answer)?;
            self.output.print(Format::Tabular, &plan, || describe(&plan))?;
            // Everything is said by the plan.
            return if plan.refusals.is_empty() { Ok(()) } else { Err(Failure::Exit(1)) };
        }
        if answer["up_to_date"] == Value::Bool(true) {
            context.tell(format!("charm {:?}: already up-to-date", info.charm_name));
            return Ok(());
        }
        let accepted: Accepted = serde_json::from_value(answer)?;
        report(context, &accepted);
        if accepted.flow.is_none() && accepted.messages.is_empty() {
            context.tell(format!("charm {:?}: already up-to-date", info.charm_name));
        }
        Ok(())
    }

    /// Uploads the charm of a path and makes it the one to go to; for a dry run it is only a
    /// candidate.
    async fn offer(
        &self,
        context: &Context,
        model: &Model,
        info: &ApplicationInfo,
        local: &Prepared,
        request: &mut RefreshRequest,
    ) -> Outcome {
        let (from, to) = (&info.charm_name, local.charm.name());
        if from != to && self.switch.is_none() {
            return Err(Failure::new(format!("cannot refresh {from:?} to {to:?}")));
        }
        let charm = match self.dry_run {
            true => upload_candidate(model, local).await?,
            false => upload(model, local).await?,
        };
        for warning in &charm.warnings {
            context.tell(format!("WARNING {warning}"));
        }
        if self.dry_run {
            request.candidate = charm.digest;
        } else {
            let (name, revision) = (&charm.name, charm.revision);
            context.tell(format!("Added local charm {name:?}, revision {revision}, to the model"));
            request.charm = charm.url;
        }
        Ok(())
    }
}

/// A plan for a person.
fn describe(plan: &RefreshPlan) -> String {
    let mut text = format!("{}: {} -> {}\n", plan.application, plan.from, plan.to);
    let mut section = |heading: &str, lines: &[String]| {
        if !lines.is_empty() {
            text.push_str(&format_section(heading, lines));
        }
    };
    section("Refused, because", &plan.refusals);
    section("Config that appears", &plan.config_added);
    section("Config that is dropped", &plan.config_dropped);
    section("Endpoints that appear", &plan.endpoints_added);
    section("Endpoints that disappear", &plan.endpoints_removed);
    section("Storage that appears", &plan.storage_added);
    section("Resources that change", &plan.resources_changed);
    section("Files added", &plan.files_added);
    section("Files changed", &plan.files_changed);
    section("Files removed", &plan.files_removed);
    let units: Vec<String> =
        plan.units.iter().map(|(unit, what)| format!("{unit}: {what}")).collect();
    section("Units", &units);
    if plan.up_to_date {
        text.push_str("Nothing to do.\n");
    }
    text
}

fn format_section(heading: &str, lines: &[String]) -> String {
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("\n{heading}:\n{lines}")
}
