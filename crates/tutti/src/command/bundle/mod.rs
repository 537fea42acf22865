//! `deploy bundle.yaml`: many applications and their relations at once.
//!
//! A bundle is read with its overlays into one value ([`Bundle`]), compared with what the model
//! has, and turned into a list of [`Step`]s, which is printed for `--dry-run` and else carried
//! out. A bundle only ever adds: it creates what is missing and changes what differs, and removes
//! nothing.

mod file;
mod plan;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tutti_model::api::{
    Accepted, AddUnits, ApplicationConfig, ApplicationInfo, CharmInfo, ConfigChange, Constraints,
    Deploy, Integrate, RelationInfo, Switch,
};

use super::answer::report;
use super::deploy::{deploying, is_path, located, upload};
use super::resource::upload_all;
use crate::arguments::value;
use crate::context::{Context, Model, application_path};
use crate::failure::Outcome;
use crate::local_charm::Prepared;
use file::Bundle;
use plan::{Present, Step};

/// How a bundle is deployed.
#[derive(Debug)]
pub(super) struct Options<'a> {
    /// Files laid over the bundle, in this order.
    pub(super) overlays: &'a [PathBuf],
    /// Only print the steps.
    pub(super) dry_run: bool,
    /// Applications that ask for trust get it.
    pub(super) trust: bool,
    /// Skip the checks that may be skipped.
    pub(super) force: bool,
}

/// The file of the bundle that a path names, if it names one: a `.yaml` file, or a directory with
/// a `bundle.yaml`.
pub(super) fn file_of(path: &Path) -> Option<PathBuf> {
    let in_directory = path.join("bundle.yaml");
    if in_directory.is_file() && !path.join("charmcraft.yaml").is_file() {
        return Some(in_directory);
    }
    let extension = path.extension()?.to_str()?;
    (matches!(extension, "yaml" | "yml") && !path.is_dir()).then(|| path.to_owned())
}

/// Deploys a bundle into a model.
pub(super) async fn deploy(
    context: &Context,
    model: &Model,
    file: &Path,
    options: &Options<'_>,
) -> Outcome {
    let bundle = file::read(file, options.overlays)?;
    let present = present(model, &bundle).await?;
    let steps = plan::plan(&bundle, &present, options.trust)?;
    if options.dry_run {
        context.tell("Changes to deploy bundle:");
        let lines: String = steps.iter().map(|step| format!("- {step}\n")).collect();
        return crate::output::write(&lines);
    }
    if steps.is_empty() {
        context.tell("No changes to apply.");
        return Ok(());
    }
    let mut runner = Runner { context, model, options, charms: BTreeMap::new() };
    context.tell("Executing changes:");
    for step in &steps {
        context.tell(format!("- {step}"));
        runner.run(step).await?;
    }
    context.tell("Deploy of bundle completed.");
    Ok(())
}

/// What the model has already.
async fn present(model: &Model, bundle: &Bundle) -> Outcome<Present> {
    let applications: Vec<ApplicationInfo> = model.get("/applications").await?;
    let relations: Vec<RelationInfo> = model.get("/relations").await?;
    let mut options = BTreeMap::new();
    for ApplicationInfo { name, .. } in &applications {
        if bundle.applications.get(name).is_some_and(|wanted| !wanted.options.is_empty()) {
            let config: ApplicationConfig = model.get(&application_path(name, "/config")).await?;
            let settings = config.settings.into_iter();
            let in_force = settings
                .filter_map(|(key, setting)| Some((key, value::text(setting.value?))))
                .collect();
            options.insert(name.clone(), in_force);
        }
    }
    Ok(Present { applications, relations, options })
}

/// Carries out steps.
struct Runner<'a> {
    context: &'a Context,
    model: &'a Model,
    options: &'a Options<'a>,
    /// Uploaded charms by path, so that two applications share one.
    charms: BTreeMap<String, CharmInfo>,
}

impl Runner<'_> {
    async fn run(&mut self, step: &Step) -> Outcome {
        let model = self.model;
        let accepted: Accepted = match step {
            Step::Deploy { name, charm, request, resources } => {
                let mut request: Deploy = (**request).clone();
                request.force = self.options.force;
                request.resources = upload_all(&model.client, resources).await?;
                request.charm.clone_from(charm);
                if is_path(charm) {
                    let charm = self.upload(charm).await?;
                    deploying(self.context, name, &charm);
                    request.charm = charm.url;
                }
                model.post("/applications", &request).await?
            }
            Step::AddUnits { name, count, to } => {
                let request = AddUnits { count: *count, to: to.clone() };
                model.post(&application_path(name, "/units"), &request).await?
            }
            Step::Configure { name, options } => {
                let change = ConfigChange { set: options.clone(), reset: Vec::new() };
                model.patch(&application_path(name, "/config"), &change).await?
            }
            Step::Constrain { name, constraints } => {
                let constraints = constraints.iter();
                let constraints = constraints
                    .map(|(key, text)| (key.clone(), serde_json::Value::String(text.clone())));
                let request = Constraints(constraints.collect());
                model.put(&application_path(name, "/constraints"), &request).await?
            }
            Step::Expose { name } => {
                model.put(&application_path(name, "/exposed"), &Switch { on: true }).await?
            }
            Step::Trust { name } => {
                model.put(&application_path(name, "/trust"), &Switch { on: true }).await?
            }
            Step::Integrate { sides } => {
                model.post("/relations", &Integrate { endpoints: sides.to_vec() }).await?
            }
        };
        report(self.context, &accepted);
        Ok(())
    }

    async fn upload(&mut self, path: &str) -> Outcome<CharmInfo> {
        if let Some(charm) = self.charms.get(path) {
            return Ok(charm.clone());
        }
        let local = Prepared::from_path(Path::new(path), self.context.quiet)?;
        let charm = upload(self.model, &local).await?;
        located(self.context, &charm);
        self.charms.insert(path.to_owned(), charm.clone());
        Ok(charm)
    }
}
