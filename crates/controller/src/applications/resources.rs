//! Resources: files and images delivered apart from the charm.
//!
//! Their bytes are artifacts. An image given by name becomes the small document that charms find
//! when they ask for it. Attaching one counts as a change of the charm: units run `upgrade-charm`.

use std::collections::BTreeMap;

use futures_util::stream;
use tutti_charm::metadata::{Metadata, ResourceKind};
use tutti_content::{Artifact, Artifacts, record_artifact};
use tutti_model::api::{Refresh, ResourceInfo, ResourceUpload};
use tutti_store::Tx;

use super::{Application, Resource, resources, sql};
use crate::Error;
use crate::artifacts::stored;
use crate::time::rfc3339;

/// An upload whose bytes are there.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    artifact: Artifact,
    filename: String,
}

/// Uploads by resource name.
pub(super) type Uploads = BTreeMap<String, Upload>;

/// Makes sure of the bytes behind uploads, before the transaction that attaches them.
pub(super) async fn prepare(
    artifacts: &Artifacts,
    given: &BTreeMap<String, ResourceUpload>,
) -> Result<Uploads, Error> {
    let mut uploads = Uploads::new();
    for (name, upload) in given {
        let artifact = if upload.digest.is_empty() {
            image(artifacts, &upload.text).await?
        } else {
            stored(artifacts, &upload.digest).await?
        };
        uploads.insert(name.clone(), Upload { artifact, filename: upload.filename.clone() });
    }
    Ok(uploads)
}

/// What `resource-get` answers for an image: where it is, and how to get at it.
async fn image(artifacts: &Artifacts, name: &str) -> Result<Artifact, Error> {
    let path = serde_json::Value::from(name);
    let document = format!("registrypath: {path}\nusername: \"\"\npassword: \"\"\n");
    let chunks = stream::iter([Ok::<_, std::io::Error>(document)]);
    Ok(artifacts.put(chunks).await?)
}

/// The request with the digest of every upload filled in.
pub(super) fn with_digests(request: &Refresh, uploads: &Uploads) -> Refresh {
    let filled = uploads.iter().map(|(name, upload)| {
        let digest = upload.artifact.digest.clone();
        let filename = upload.filename.clone();
        (name.clone(), ResourceUpload { digest, filename, text: String::new() })
    });
    Refresh { resources: filled.collect(), ..request.clone() }
}

/// Every upload the charm does not declare.
pub(super) fn unknown(metadata: &Metadata, uploads: &Uploads) -> impl Iterator<Item = String> {
    let unknown = uploads.keys().filter(|name| !metadata.resources.contains_key(*name));
    unknown.map(|name| format!("unrecognized resource \"{name}\""))
}

/// Attaches uploads to an application; answers the names of those that differ from before.
pub(super) fn attach(
    tx: &mut Tx<'_>,
    application: &Application,
    metadata: &Metadata,
    uploads: &Uploads,
    now: i64,
) -> Result<Vec<String>, Error> {
    let before = resources(tx, &application.id)?;
    let mut changed = Vec::new();
    for (name, upload) in uploads {
        let old = before.iter().find(|resource| resource.name == *name);
        if old.is_some_and(|resource| resource.digest == upload.artifact.digest) {
            continue;
        }
        let Some(declared) = metadata.resources.get(name) else { continue };
        record_artifact(tx, &upload.artifact, now)?;
        let resource = Resource {
            name: name.clone(),
            kind: kind_word(declared.kind).to_owned(),
            revision: old.map_or(1, |resource| resource.revision + 1),
            digest: upload.artifact.digest.clone(),
            size: upload.artifact.size,
            filename: declared.filename.clone().unwrap_or_else(|| upload.filename.clone()),
            created: now,
        };
        sql::set_resource(tx, &application.id, &resource)?;
        changed.push(name.clone());
    }
    Ok(changed)
}

/// Resources as the API shows them: all that the charm declares.
pub(super) fn infos(metadata: &Metadata, attached: &[Resource]) -> Vec<ResourceInfo> {
    let info = |(name, declared): (&String, &tutti_charm::metadata::Resource)| {
        let found = attached.iter().find(|resource| resource.name == *name);
        ResourceInfo {
            name: name.clone(),
            kind: kind_word(declared.kind).to_owned(),
            description: declared.description.clone(),
            revision: found.map_or(0, |resource| resource.revision),
            digest: found.map(|resource| resource.digest.clone()).unwrap_or_default(),
            size: found.map_or(0, |resource| resource.size),
            origin: if found.is_some() { "upload" } else { "" }.to_owned(),
            created: found.map(|resource| rfc3339(resource.created)).unwrap_or_default(),
        }
    };
    metadata.resources.iter().map(info).collect()
}

fn kind_word(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::File => "file",
        ResourceKind::OciImage => "oci-image",
    }
}
