//! Charms: uploaded archives, kept as revisions in the model's repository of local charms.
//!
//! An upload is stored by its digest, read and checked whole, and published under the next
//! revision of its name. A charm is named by its URL, `local:NAME-REVISION` ([`CharmUrl`]).

mod api;
mod url;

use std::path::Path;

use tutti_charm::checks::{self, Refusal};
use tutti_charm::manifest::host_architecture;
use tutti_charm::{Charm, checks::Reason};
use tutti_content::charm::{self as content, CharmUnit};
use tutti_content::{Artifact, repository};
use tutti_model::api::CharmInfo;
use tutti_store::Tx;

use crate::Error;
use crate::applications::Application;
use crate::models::Model;

pub(crate) use api::routes;
pub(crate) use url::CharmUrl;

/// A published charm: where its bytes are and what it says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// `local:NAME-REVISION`.
    pub(crate) url: String,
    /// Revision.
    pub(crate) revision: i64,
    /// SHA-256 of the archive.
    pub(crate) digest: String,
    /// Bytes of the archive.
    pub(crate) size: u64,
    /// Everything known of it without running it.
    pub(crate) charm: Charm,
}

/// The repository of a model's local charms.
pub(crate) fn repository(model: &str) -> String {
    format!("charms/{model}")
}

/// Reads and checks an archive. Blocks: call it on a thread that may.
pub(crate) fn read(archive: &Path) -> Result<Charm, Error> {
    let refused = |reasons: Vec<String>| Error::Refused {
        summary: match reasons.as_slice() {
            [reason] => format!("the charm cannot be used: {reason}"),
            _ => format!("the charm cannot be used, for {} reasons", reasons.len()),
        },
        reasons,
    };
    let charm = Charm::from_archive(archive).map_err(|error| match error {
        tutti_charm::Error::Invalid { file, problems } => {
            refused(problems.iter().map(|problem| format!("{file}: {problem}")).collect())
        }
        error => refused(vec![why(&error)]),
    })?;
    let refusals = checks::can_run_here(&charm, host_architecture());
    let certain = |refusal: &Refusal| refusal.reason != Reason::Assumption;
    let reasons: Vec<_> =
        refusals.into_iter().filter(certain).map(|refusal| refusal.message).collect();
    if reasons.is_empty() { Ok(charm) } else { Err(refused(reasons)) }
}

/// What is wrong with an archive, without the path it was stored at.
fn why(error: &tutti_charm::Error) -> String {
    let archived = matches!(error, tutti_charm::Error::Archive { .. });
    let mut texts = Vec::new();
    if !archived {
        texts.push(match error {
            tutti_charm::Error::NotACharm { .. } => {
                "it has neither metadata.yaml nor charmcraft.yaml".to_owned()
            }
            error => error.to_string(),
        });
    }
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts.join(": ")
}

/// Publishes an archive that was read under the next revision of its name.
pub(crate) fn publish(
    tx: &mut Tx<'_>,
    model: &Model,
    artifact: &Artifact,
    charm: &Charm,
    now: i64,
) -> Result<Published, Error> {
    let repository = repository(&model.id);
    repository::ensure(tx, &repository, content::CONTENT_TYPE, now)?;
    let metadata = serde_json::to_string(charm)
        .map_err(|source| Error::Stored { what: "a charm's metadata", source })?;
    let at_least = charm.revision.map_or(0, i64::from);
    let unit =
        content::publish(tx, &repository, charm.name(), at_least, artifact, &metadata, now)?;
    published(unit)
}

/// The charm with this URL.
pub(crate) fn find(tx: &mut Tx<'_>, model: &Model, url: &CharmUrl) -> Result<Published, Error> {
    content::find(tx, &repository(&model.id), &url.name, url.revision)?
        .map(published)
        .unwrap_or_else(|| Err(Error::NotFound(format!("charm \"{url}\" not found"))))
}

/// The charm an application runs.
pub(crate) fn of_application(
    tx: &mut Tx<'_>,
    application: &Application,
) -> Result<Charm, Error> {
    let Application { model, charm_name, charm_revision, charm, .. } = application;
    let unit = content::find(tx, &repository(model), charm_name, *charm_revision)?
        .ok_or_else(|| Error::NotFound(format!("charm \"{charm}\" not found")))?;
    Ok(published(unit)?.charm)
}

/// Every charm of a model.
pub(crate) fn list(tx: &mut Tx<'_>, model: &Model) -> Result<Vec<Published>, Error> {
    content::list(tx, &repository(&model.id))?.into_iter().map(published).collect()
}

/// A charm as the API shows it.
pub(crate) fn info(published: &Published) -> CharmInfo {
    let charm = &published.charm;
    let mut warnings = charm.warnings.clone();
    warnings.extend(checks::hints(charm));
    CharmInfo {
        url: published.url.clone(),
        name: charm.name().to_owned(),
        revision: published.revision,
        digest: published.digest.clone(),
        size: published.size,
        base: charm.manifest.bases.first().map(ToString::to_string).unwrap_or_default(),
        warnings,
    }
}

fn published(unit: CharmUnit) -> Result<Published, Error> {
    let charm = serde_json::from_str(&unit.metadata)
        .map_err(|source| Error::Stored { what: "a charm's metadata", source })?;
    Ok(Published {
        url: CharmUrl { name: unit.name, revision: unit.revision }.to_string(),
        revision: unit.revision,
        digest: unit.digest,
        size: unit.size,
        charm,
    })
}
