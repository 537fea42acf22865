//! `deploy`: a charm from a directory, from a file or by name; or a bundle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use tutti_charm::digest::Digest;
use tutti_model::api::{Accepted, CharmInfo, Deploy as DeployRequest};

use super::answer::report;
use super::bundle;
use super::resource::upload_all;
use super::unit::refuse_attached;
use crate::arguments::{
    ConfigArgument, ConstraintsArgument, ModelArgument, PlacementArgument, ResourceArgument,
    StorageArgument, value,
};
use crate::context::{Context, Model};
use crate::failure::{Failure, Outcome};
use crate::local_charm::Prepared;
use crate::output::progress;

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  tutti deploy ./my-charm\n  \
                        tutti deploy ./db_amd64.charm db -n 3 --config size=10\n  \
                        tutti deploy ./bundle.yaml")]
pub(crate) struct Deploy {
    #[command(flatten)]
    model: ModelArgument,
    /// A charm's directory or file, a bundle's file, or a name in the catalogue
    #[arg(value_name = "CHARM|BUNDLE")]
    charm: String,
    /// What to call it; the charm's name if left out
    #[arg(value_name = "APPLICATION_NAME")]
    application: Option<String>,
    /// How many units
    #[arg(short, long, value_name = "NUMBER")]
    num_units: Option<u32>,
    #[command(flatten)]
    config: ConfigArgument,
    #[command(flatten)]
    constraints: ConstraintsArgument,
    #[command(flatten)]
    resources: ResourceArgument,
    #[command(flatten)]
    storage: StorageArgument,
    #[command(flatten)]
    placement: PlacementArgument,
    /// Existing storage to attach
    #[arg(long, value_name = "STORAGE,…")]
    attach_storage: Vec<String>,
    /// ubuntu@24.04
    #[arg(long, value_name = "BASE", default_value = "", hide_default_value = true)]
    base: String,
    /// Endpoints and spaces: 'db=space other-space'
    #[arg(long, value_name = "ENDPOINT=SPACE", default_value = "", hide_default_value = true)]
    bind: String,
    /// Channel in the catalogue
    #[arg(long, value_name = "CHANNEL", default_value = "", hide_default_value = true)]
    channel: String,
    /// Revision in the catalogue
    #[arg(long, value_name = "NUMBER")]
    revision: Option<i64>,
    /// Trust it with the cloud's credential
    #[arg(long)]
    trust: bool,
    /// Skip checks that may be skipped
    #[arg(long)]
    force: bool,
    /// Bundle to lay over the bundle; may be repeated
    #[arg(long, value_name = "FILE")]
    overlay: Vec<PathBuf>,
    /// Only say what a bundle would change
    #[arg(long)]
    dry_run: bool,
    /// Accepted
    #[arg(hide = true, long, value_name = "DEVICE")]
    device: Vec<String>,
    /// Accepted
    #[arg(hide = true, long, value_name = "MAP")]
    map_machines: Option<String>,
}

impl Deploy {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        refuse_attached(&self.attach_storage)?;
        let path = Path::new(&self.charm);
        if let Some(file) = bundle::file_of(path) {
            let options = bundle::Options {
                overlays: &self.overlay,
                dry_run: self.dry_run,
                trust: self.trust,
                force: self.force,
            };
            let model = context.model(&self.model).await?;
            return bundle::deploy(context, &model, &file, &options).await;
        }
        if !self.overlay.is_empty() {
            return Err(Failure::usage(
                "flags provided but not supported when deploying a charm: --overlay.",
            ));
        }
        let local = is_path(&self.charm).then(|| Prepared::from_path(path, context.quiet));
        let local = local.transpose()?;
        let model = context.model(&self.model).await?;
        let name = match (&self.application, &local) {
            (Some(name), _) => name.clone(),
            (None, Some(local)) => local.charm.name().to_owned(),
            (None, None) => self.charm.clone(),
        };
        let mut request = DeployRequest {
            application: name.clone(),
            units: self.num_units,
            config: self.config.read(&name)?,
            constraints: self.constraints.read()?,
            resources: upload_all(&model.client, &self.resources.resources).await?,
            storage: self.storage.read()?,
            to: self.placement.to,
            bindings: bindings(&self.bind),
            base: self.base,
            channel: self.channel,
            revision: self.revision,
            trust: self.trust,
            force: self.force,
            charm: self.charm,
        };
        if let Some(local) = &local {
            let charm = upload(&model, local).await?;
            located(context, &charm);
            deploying(context, &name, &charm);
            request.charm = charm.url;
        }
        let accepted: Accepted = model.post("/applications", &request).await?;
        report(context, &accepted);
        Ok(())
    }
}

/// `Located local charm "testdb", revision 0`.
pub(super) fn located(context: &Context, charm: &CharmInfo) {
    for warning in &charm.warnings {
        context.tell(format!("WARNING {warning}"));
    }
    context.tell(format!("Located local charm {:?}, revision {}", charm.name, charm.revision));
}

/// `Deploying "testdb" from local charm "testdb", revision 0 on ubuntu@24.04/stable`.
pub(super) fn deploying(context: &Context, application: &str, charm: &CharmInfo) {
    let base = match charm.base.as_str() {
        "" => String::new(),
        base if base.contains('/') => format!(" on {base}"),
        base => format!(" on {base}/stable"),
    };
    context.tell(format!(
        "Deploying {application:?} from local charm {:?}, revision {}{base}",
        charm.name, charm.revision
    ));
}

/// Uploads a charm to a model, where it gets its revision.
pub(super) async fn upload(model: &Model, charm: &Prepared) -> Outcome<CharmInfo> {
    send(model, "/charms", charm).await
}

/// Uploads a charm to a model without publishing it: it is checked, and answered with the revision
/// it would get.
pub(super) async fn upload_candidate(model: &Model, charm: &Prepared) -> Outcome<CharmInfo> {
    send(model, "/charms?dry_run=true", charm).await
}

/// Names the charm by its digest first: bytes the controller has are not sent again.
async fn send(model: &Model, path: &str, charm: &Prepared) -> Outcome<CharmInfo> {
    let digest = Digest::of_file(&charm.archive)?;
    let known = format!("{path}{}digest={digest}", if path.contains('?') { '&' } else { '?' });
    match model.post(&known, &()).await {
        Err(failure) if failure.is_not_found() => {}
        answer => return answer,
    }
    let bytes = std::fs::metadata(&charm.archive).map_or(0, |metadata| metadata.len());
    let progress = progress::transfer(charm.charm.name(), bytes);
    let path = model.path(path);
    Ok(model.client.post_file(&path, &charm.archive, progress).await?)
}

/// Whether the word names a file or directory rather than something in a catalogue.
pub(super) fn is_path(word: &str) -> bool {
    word.contains('/') && !word.starts_with("ch:")
        || word == "."
        || word == ".."
        || word.ends_with(".charm")
}

/// `db=internal public`: a space alone is the default for all endpoints.
fn bindings(text: &str) -> BTreeMap<String, String> {
    text.split_whitespace()
        .map(|word| {
            let (endpoint, space) = value::pair(word).unwrap_or(("", word));
            (endpoint.to_owned(), space.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_names() {
        for word in ["./x.charm", "/a/b", "x.charm", ".", "a/b"] {
            assert!(is_path(word), "{word}");
        }
        for word in ["postgresql", "ch:amd64/noble/x-1", "my-charm"] {
            assert!(!is_path(word), "{word}");
        }
    }

    #[test]
    fn bindings_have_a_default() {
        let expected = [("", "public"), ("db", "internal")];
        let expected = expected.map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(bindings("db=internal public"), expected.into());
    }
}
