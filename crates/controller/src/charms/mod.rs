//! Charms: uploaded archives, kept as revisions in repositories.
//!
//! An upload is stored by its digest, read and checked whole, and published under the next
//! revision of its name: in its model's repository of local charms, or in the catalogue, from
//! which every model deploys by name. A revision is named by its [`CharmUrl`].

mod api;
mod known;
mod url;

use std::path::Path;

use tutti_charm::charm::Charm;
use tutti_charm::checks::{self, Reason, Refusal};
use tutti_charm::manifest::host_architecture;
use tutti_content::charm::{self as content, CharmUnit};
use tutti_content::{Artifact, repository};
use tutti_model::api::CharmInfo;
use tutti_store::Tx;

use crate::Error;
use crate::applications::Application;
use crate::models::Model;

pub(crate) use api::{routes, stored};
pub(crate) use known::{known, remember};
pub(crate) use url::{CharmUrl, Origin};

/// The repository of charms that every model deploys by name.
const CATALOGUE: &str = "catalogue";

/// A published charm: where its bytes are and what it says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// Its [`CharmUrl`].
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
    let refused = |reasons| Error::refused("the charm cannot be used", reasons);
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

/// Publishes an archive that was read under the next revision of its name: in a model, or in the
/// catalogue.
pub(crate) fn publish(
    tx: &mut Tx<'_>,
    model: Option<&Model>,
    artifact: &Artifact,
    charm: &Charm,
    now: i64,
) -> Result<Published, Error> {
    let (repository, origin) = match model {
        Some(model) => (repository(&model.id), Origin::Local),
        None => (CATALOGUE.to_owned(), Origin::Catalogue),
    };
    repository::ensure(tx, &repository, content::CONTENT_TYPE, now)?;
    let metadata = serde_json::to_string(charm)
        .map_err(|source| Error::Stored { what: "a charm's metadata", source })?;
    let at_least = charm.revision.map_or(0, i64::from);
    let unit = content::publish(tx, &repository, charm.name(), at_least, artifact, &metadata, now)?;
    published(unit, origin)
}

/// The local charm that an archive would become if it were published now.
pub(crate) fn candidate(
    tx: &mut Tx<'_>,
    model: &Model,
    artifact: &Artifact,
    charm: &Charm,
) -> Result<Published, Error> {
    let at_least = charm.revision.map_or(0, i64::from);
    let name = charm.name().to_owned();
    let revision = content::next(tx, &repository(&model.id), &name, at_least)?;
    Ok(Published {
        url: CharmUrl { origin: Origin::Local, name, revision }.to_string(),
        revision,
        digest: artifact.digest.clone(),
        size: artifact.size,
        charm: charm.clone(),
    })
}

/// The charm that is meant: a URL, or a name in the catalogue, whose newest revision it is unless
/// one is given.
pub(crate) fn resolve(
    tx: &mut Tx<'_>,
    model: &Model,
    text: &str,
    revision: Option<i64>,
) -> Result<Published, Error> {
    let not_found = || Error::NotFound(format!("charm \"{text}\" not found"));
    if text.contains(':') {
        return by_url(tx, &model.id, &text.parse()?)?.ok_or_else(not_found);
    }
    let found = match revision {
        Some(revision) => content::find(tx, CATALOGUE, text, revision)?,
        None => content::latest(tx, CATALOGUE, text)?,
    };
    let reason = || {
        Error::NotFound(format!(
            "charm \"{text}\" not found in the catalogue: publish it there with 'tutti publish', or \
             give the path of its directory or file"
        ))
    };
    published(found.ok_or_else(reason)?, Origin::Catalogue)
}

/// The charm an application runs.
pub(crate) fn of_application(tx: &mut Tx<'_>, application: &Application) -> Result<Charm, Error> {
    Ok(published_of(tx, application)?.charm)
}

/// As [`of_application`], with where it is.
pub(crate) fn published_of(tx: &mut Tx<'_>, application: &Application) -> Result<Published, Error> {
    let url = &application.charm;
    by_url(tx, &application.model, &url.parse()?)?
        .ok_or_else(|| Error::NotFound(format!("charm \"{url}\" not found")))
}

fn by_url(tx: &mut Tx<'_>, model: &str, url: &CharmUrl) -> Result<Option<Published>, Error> {
    let repository = match url.origin {
        Origin::Local => repository(model),
        Origin::Catalogue => CATALOGUE.to_owned(),
    };
    let unit = content::find(tx, &repository, &url.name, url.revision)?;
    unit.map(|unit| published(unit, url.origin)).transpose()
}

/// Every charm of a model, or of the catalogue.
pub(crate) fn list(tx: &mut Tx<'_>, model: Option<&Model>) -> Result<Vec<Published>, Error> {
    let (repository, origin) = match model {
        Some(model) => (repository(&model.id), Origin::Local),
        None => (CATALOGUE.to_owned(), Origin::Catalogue),
    };
    let units = content::list(tx, &repository)?;
    units.into_iter().map(|unit| published(unit, origin)).collect()
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

fn published(unit: CharmUnit, origin: Origin) -> Result<Published, Error> {
    let charm = serde_json::from_str(&unit.metadata)
        .map_err(|source| Error::Stored { what: "a charm's metadata", source })?;
    Ok(Published {
        url: CharmUrl { origin, name: unit.name, revision: unit.revision }.to_string(),
        revision: unit.revision,
        digest: unit.digest,
        size: unit.size,
        charm,
    })
}
