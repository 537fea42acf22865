//! Resources: attach, list, and what a charm declares.

use std::collections::BTreeMap;
use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tutti_charm::charm::Charm;
use tutti_charm::metadata::ResourceKind;
use tutti_client::{Client, encode};
use tutti_model::api::{Accepted, ArtifactInfo, ResourceInfo, ResourceUpload};

use super::answer::report;
use crate::arguments::{ModelArgument, OutputArguments, value};
use crate::context::{Context, application_path};
use crate::failure::{Attempt as _, Failure, Outcome};
use crate::output::table::Table;
use crate::output::{Format, progress};

/// Commands about resources.
#[derive(Debug, Subcommand)]
pub(crate) enum ResourceCommand {
    /// Give an application another file or image as resource
    #[command(alias = "attach")]
    AttachResource(AttachResource),
    /// List the resources of an application or unit
    #[command(visible_alias = "list-resources")]
    Resources(Resources),
    /// List the resources a charm declares
    #[command(visible_alias = "list-charm-resources")]
    CharmResources(CharmResources),
}

impl ResourceCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::AttachResource(command) => command.run(context).await,
            Self::Resources(command) => command.run(context).await,
            Self::CharmResources(command) => command.run(),
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct AttachResource {
    #[command(flatten)]
    model: ModelArgument,
    /// The application
    #[arg(value_name = "APPLICATION_NAME")]
    application: String,
    /// The resource and its new content: a file, or an image
    #[arg(value_name = "NAME=FILE")]
    resource: String,
}

impl AttachResource {
    async fn run(self, context: &Context) -> Outcome {
        let Some((name, source)) = value::pair(&self.resource) else {
            let resource = &self.resource;
            return Err(Failure::usage(format!(
                "resource {resource:?} is not of the form name=file"
            )));
        };
        let model = context.model(&self.model).await?;
        let upload = upload(&model.client, name, source).await?;
        let path = format!("/resources/{}", encode(name));
        let path = application_path(&self.application, &path);
        let accepted: Accepted = model.put(&path, &upload).await?;
        report(context, &accepted);
        Ok(())
    }
}

/// Uploads the resources given as `name=file`; `name=image` stays text.
pub(super) async fn upload_all(
    client: &Client,
    words: &[String],
) -> Outcome<BTreeMap<String, ResourceUpload>> {
    let sources = value::pairs(words.iter().map(String::as_str), "resource")?;
    let mut uploads = BTreeMap::new();
    for (name, source) in sources {
        let upload = upload(client, &name, &source).await?;
        uploads.insert(name, upload);
    }
    Ok(uploads)
}

/// A resource from a file, or an image's name.
async fn upload(client: &Client, name: &str, source: &str) -> Outcome<ResourceUpload> {
    let path = Path::new(source);
    if !path.is_file() {
        let is_path = source.starts_with(['.', '/', '~']) || path.exists();
        if is_path {
            return Err(Failure::new(format!("resource {name:?}: {source} is not a file")));
        }
        return Ok(ResourceUpload { text: source.into(), ..ResourceUpload::default() });
    }
    let artifact = upload_file(client, path, name).await?;
    let filename = path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(ResourceUpload {
        digest: artifact.digest,
        filename: filename.unwrap_or_default(),
        text: String::new(),
    })
}

async fn upload_file(client: &Client, path: &Path, name: &str) -> Outcome<ArtifactInfo> {
    let bytes = std::fs::metadata(path).attempt(|| format!("cannot read {}", path.display()))?;
    let progress = progress::transfer(name, bytes.len());
    Ok(client.post_file("/v1/artifacts", path, progress).await?)
}

#[derive(Args, Debug)]
pub(crate) struct Resources {
    #[command(flatten)]
    model: ModelArgument,
    /// The application or unit
    #[arg(value_name = "APPLICATION_NAME|UNIT")]
    name: String,
    /// Accepted; everything is shown
    #[arg(hide = true, long)]
    details: bool,
    #[command(flatten)]
    output: OutputArguments,
}

impl Resources {
    async fn run(self, context: &Context) -> Outcome {
        let application = self.name.split('/').next().unwrap_or_default();
        let model = context.model(&self.model).await?;
        let path = application_path(application, "/resources");
        let resources: Vec<ResourceInfo> = model.get(&path).await?;
        let entry = |one: &ResourceInfo| {
            json!({
                "resourceid": format!("{application}/{}", one.name),
                "applicationid": application,
                "name": one.name, "type": one.kind, "description": one.description,
                "revision": one.revision.to_string(), "fingerprint": one.digest, "size": one.size,
                "origin": one.origin, "used": one.revision > 0, "timestamp": one.created,
            })
        };
        let value = json!({"resources": resources.iter().map(entry).collect::<Vec<Value>>()});
        if resources.is_empty() && self.output.form(Format::Tabular) == Format::Tabular {
            context.tell("No resources to display.");
            return Ok(());
        }
        self.output.print(Format::Tabular, &value, || {
            let mut table =
                Table::new(["Resource", "Type", "Supplied by", "Revision", "Size"]).right(4);
            for one in &resources {
                table.row([
                    one.name.as_str().into(),
                    one.kind.as_str().into(),
                    one.origin.as_str().into(),
                    if one.revision == 0 { "-".into() } else { one.revision.to_string().into() },
                    one.size.to_string().into(),
                ]);
            }
            table.render()
        })
    }
}

#[derive(Args, Debug)]
pub(crate) struct CharmResources {
    /// A charm's directory or file
    #[arg(value_name = "CHARM")]
    charm: String,
    /// Accepted
    #[arg(hide = true, long, value_name = "CHANNEL")]
    channel: Option<String>,
    #[command(flatten)]
    output: OutputArguments,
}

impl CharmResources {
    fn run(self) -> Outcome {
        let path = Path::new(&self.charm);
        let charm = match () {
            () if path.is_dir() => Charm::from_directory(path)?,
            () if path.is_file() => Charm::from_archive(path)?,
            () => {
                return Err(Failure::new(format!(
                    "{} is neither a charm's directory nor a file: only local charms can be read",
                    self.charm
                )));
            }
        };
        let resources = &charm.metadata.resources;
        let kind = |kind| match kind {
            ResourceKind::File => "file",
            ResourceKind::OciImage => "oci-image",
        };
        let entries = resources.iter().map(|(name, one)| {
            json!({
                "name": name, "type": kind(one.kind), "path": one.filename,
                "description": one.description, "origin": "upload",
            })
        });
        let value: Vec<Value> = entries.collect();
        self.output.print(Format::Tabular, &value, || {
            let mut table = Table::new(["Resource", "Type", "Description"]);
            for (name, one) in resources {
                let description = one.description.as_str();
                table.row([name.as_str().into(), kind(one.kind).into(), description.into()]);
            }
            table.render()
        })
    }
}
