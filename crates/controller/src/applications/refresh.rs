//! Refreshing an application: to another revision of its charm, to another charm, or only to other
//! resources, settings and trust in the same change.
//!
//! What it means and whether it may be is decided by [`tutti_model::refresh`]; here are the facts it
//! decides from, and what is written when it may.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tutti_charm::archive::{Archive, Kind};
use tutti_charm::charm::Charm;
use tutti_charm::config::{parse_value, retain};
use tutti_charm::digest::Digest;
use tutti_charm::manifest::host_architecture;
use tutti_content::{Artifact, Artifacts};
use tutti_model::agent::Journal;
use tutti_model::api::{Accepted, Life, Refresh, RefreshPlan};
use tutti_model::refresh::{self as rules, Charmed, Current, Target, UnitState};
use tutti_store::{Json, Tx};

use super::resources::{self, Uploads};
use super::{Application, changed, deploy, find, settings, sql, touch_all};
use crate::bus::listeners;
use crate::charms::{self, CharmUrl, Origin, Published};
use crate::flows::Tasks;
use crate::models::{self, Model};
use crate::relations::{self, Touched};
use crate::units::{self, Unit};
use crate::{Error, storage};

/// Digests by path of a charm's files.
pub(super) type Files = BTreeMap<String, String>;

/// Files of the present charm and of the one to come.
pub(super) type FilesOfBoth = (Files, Files);

/// What a dry run is asked about: an application, a request, and perhaps a charm that is not
/// published.
#[derive(Clone)]
pub(super) struct Trial {
    /// The model's name.
    pub(super) model: String,
    /// The application's.
    pub(super) application: String,
    /// What was asked for.
    pub(super) request: Refresh,
    /// The charm to go to, instead of the request's.
    pub(super) candidate: Option<(Artifact, Arc<Charm>)>,
}

impl Trial {
    fn find(&self, tx: &mut Tx<'_>) -> Result<(Model, Application, Published), Error> {
        let model = models::find(tx, &self.model)?;
        let application = find(tx, &model, &self.application)?;
        let target = match &self.candidate {
            Some((artifact, charm)) => charms::candidate(tx, &model, artifact, charm)?,
            None => target(tx, &model, &application, &self.request)?,
        };
        Ok((model, application, target))
    }
}

/// Digests of the archives of the present charm and of the one to come.
pub(super) fn archives(tx: &mut Tx<'_>, trial: &Trial) -> Result<(String, String), Error> {
    let (_, application, target) = trial.find(tx)?;
    Ok((application.charm_digest, target.digest))
}

/// Reads the files of both archives.
pub(super) async fn files(
    artifacts: &Artifacts,
    (old, new): (String, String),
) -> Result<FilesOfBoth, Error> {
    let (old, new) = (artifacts.path(&old), artifacts.path(&new));
    let read = tokio::task::spawn_blocking(move || Ok((listed(&old)?, listed(&new)?)));
    read.await.map_err(|_| Error::Panicked)?
}

/// The most of one file that is read to compare it; larger ones differ by their size alone.
const COMPARED: u64 = 64 * 1024 * 1024;

fn listed(archive: &std::path::Path) -> Result<Files, Error> {
    let mut archive = Archive::open(archive)?;
    let mut files = Files::new();
    for entry in archive.entries().to_vec() {
        let digest = match entry.kind {
            Kind::Directory => continue,
            Kind::Link { target } => format!("link to {target}"),
            Kind::File { size } if size > COMPARED => format!("{size} bytes"),
            Kind::File { .. } => {
                let bytes = archive.read(&entry.path, COMPARED)?.unwrap_or_default();
                Digest::of(&bytes).to_string()
            }
        };
        files.insert(entry.path, format!("{digest} {:o}", entry.mode));
    }
    Ok(files)
}

/// What a refresh would do, and every reason against it.
pub(super) fn plan(
    tx: &mut Tx<'_>,
    trial: &Trial,
    uploads: &Uploads,
    files: &FilesOfBoth,
) -> Result<RefreshPlan, Error> {
    let (model, application, target) = trial.find(tx)?;
    planned(tx, &model, &application, &target, &trial.request, uploads, Some(files))
}

fn planned(
    tx: &mut Tx<'_>,
    model: &Model,
    application: &Application,
    target: &Published,
    request: &Refresh,
    uploads: &Uploads,
    files: Option<&FilesOfBoth>,
) -> Result<RefreshPlan, Error> {
    let present = charms::published_of(tx, application)?;
    let attached = super::resources(tx, &application.id)?;
    let attached = attached.into_iter().map(|one| (one.name, one.digest)).collect();
    let storage: Vec<(String, u32)> = tx.all(sql::COUNT_STORAGE, (&application.id,))?;
    let states =
        tx.all::<(String, Json<Life>, Json<Journal>)>(sql::JOURNALS, (&application.id,))?;
    let units: Vec<UnitState> = states
        .into_iter()
        .map(|(name, life, journal)| UnitState::new(&name, life.0, false, &journal.0))
        .collect();
    let current = Current {
        application: &application.name,
        life: application.life.0,
        kind: model.kind.0,
        charm: charmed(&present, files.map(|(old, _)| old)),
        base: &application.base,
        settings: &application.config.0,
        trust: application.trust,
        relations: &relations::existing(tx, model)?.1,
        storage: &storage.into_iter().collect(),
        resources: &attached,
        units: &units,
    };
    // Images given by name have a digest by now, so that the same image is no change.
    let request = &resources::with_digests(request, uploads);
    let charm = charmed(target, files.map(|(_, new)| new));
    Ok(rules::plan(&current, &Target { charm, architecture: host_architecture(), request }))
}

fn charmed<'a>(published: &'a Published, files: Option<&'a Files>) -> Charmed<'a> {
    Charmed {
        url: &published.url,
        revision: published.revision,
        digest: &published.digest,
        charm: &published.charm,
        files,
    }
}

/// The charm to go to: the one named, else the newest of the catalogue, else the present one.
fn target(
    tx: &mut Tx<'_>,
    model: &Model,
    application: &Application,
    request: &Refresh,
) -> Result<Published, Error> {
    if !request.charm.is_empty() {
        return charms::resolve(tx, model, &request.charm, None);
    }
    let url: CharmUrl = application.charm.parse()?;
    match url.origin {
        Origin::Catalogue => charms::resolve(tx, model, &url.name, None),
        Origin::Local => charms::published_of(tx, application),
    }
}

/// Refreshes.
pub(super) fn refresh(
    tx: &mut Tx<'_>,
    model: &Model,
    name: &str,
    request: &Refresh,
    uploads: &Uploads,
    now: i64,
) -> Result<Accepted, Error> {
    if !request.candidate.is_empty() {
        return Err(Error::Invalid("a candidate is for a dry run: upload the charm".into()));
    }
    let mut application = find(tx, model, name)?;
    let target = target(tx, model, &application, request)?;
    let plan = planned(tx, model, &application, &target, request, uploads, None)?;
    if let Some(summary) = rules::refused(&plan) {
        let (from, to) = (&plan.application, &plan.to);
        return Err(match plan.refusals.len() {
            1 => Error::Refused { summary, reasons: plan.refusals },
            _ => {
                let what = format!("cannot upgrade application \"{from}\" to charm \"{to}\"");
                Error::refused(&what, plan.refusals)
            }
        });
    }
    if plan.up_to_date {
        if application.charm.starts_with("local:") && request.charm.is_empty() {
            let text = "refreshing a local charm requires either --path or --switch";
            return Err(Error::Invalid(text.into()));
        }
        let messages = vec![format!("charm \"{}\": already up-to-date", application.charm_name)];
        return Ok(Accepted { messages, ..settings::unchanged(name) });
    }
    let mut messages = Vec::new();
    let metadata = &target.charm.metadata;
    let attached = resources::attach(tx, &application, metadata, uploads, now)?;
    let charm_changes = application.charm != target.url;
    if charm_changes || !attached.is_empty() {
        application.charm_modified += 1;
    }
    write(&mut application, &target, &plan, request, &mut messages)?;
    listeners::set(tx, &application.id, &target.charm.metadata.bus_events, now)?;
    changed(tx, model, &mut application)?;
    let mut touched = Touched::new();
    relations::sync_peers(tx, &model.id, (&application.id, name), metadata, now, &mut touched)?;
    for one in super::resources(tx, &application.id)? {
        if !metadata.resources.contains_key(&one.name) {
            tx.exec(sql::DELETE_RESOURCE, (&application.id, &one.name))?;
        }
    }
    let units = units::of_application(tx, &application.id)?;
    add_storage(tx, model, &application, &target, &plan, &units, now)?;
    let generation = touch_all(tx, [application.id.as_str()])?;
    let tasks = Tasks::new()
        .check_charm(&application)
        .units(units.iter().map(|unit| (&unit.id, &unit.name)), generation);
    let title = match charm_changes {
        true => format!("Refresh {name} from {} to {}", plan.from, plan.to),
        false => format!("Refresh {name}"),
    };
    let accepted = settings::submitted(tx, model, &application, "refresh", title, tasks, now)?;
    let resource = json!({ "application": name, "from": plan.from, "to": plan.to });
    Ok(Accepted { resource, messages, ..accepted })
}

/// The application as it is to be.
fn write(
    application: &mut Application,
    target: &Published,
    plan: &RefreshPlan,
    request: &Refresh,
    messages: &mut Vec<String>,
) -> Result<(), Error> {
    let charm = &target.charm;
    let (mut kept, dropped) = retain(&charm.config, &application.config.0);
    messages.extend(
        dropped.iter().map(|one| format!("setting {} is dropped: {}", one.key, one.reason)),
    );
    for (key, text) in &request.config {
        let value = parse_value(&charm.config, key, text)
            .map_err(|error| Error::Invalid(error.to_string()))?;
        kept.insert(key.clone(), value);
    }
    application.config = Json(kept);
    application.charm = target.url.clone();
    application.charm_name = charm.name().to_owned();
    application.charm_revision = target.revision;
    application.charm_digest = target.digest.clone();
    application.charm_version = charm.version.clone().unwrap_or_default();
    application.force_upgrade = request.force_units;
    application.bindings = Json(deploy::bindings(&charm.metadata));
    application.storage.0.retain(|name, _| charm.metadata.storage.contains_key(name));
    application.storage.0.extend(request.storage.clone());
    application.trust = request.trust.unwrap_or(application.trust);
    application.base.clone_from(&plan.base);
    Ok(())
}

/// Units that exist get the storage the new charm asks for.
fn add_storage(
    tx: &mut Tx<'_>,
    model: &Model,
    application: &Application,
    target: &Published,
    plan: &RefreshPlan,
    units: &[Unit],
    now: i64,
) -> Result<(), Error> {
    let metadata = &target.charm.metadata;
    for name in &plan.storage_added {
        let given = application.storage.0.get(name).map_or("", String::as_str);
        let wanted = metadata.storage.get(name).is_some_and(|storage| storage.multiple.min > 0);
        if !wanted && given.is_empty() {
            continue;
        }
        for unit in units.iter().filter(|unit| unit.life.0 == Life::Alive) {
            storage::add(tx, &model.id, &unit.id, metadata, name, given, now)?;
        }
    }
    Ok(())
}
