//! Deploying a charm: check everything, then write everything, in one transaction.

use std::collections::BTreeMap;

use serde_json::json;
use tutti_charm::assumes::Offer;
use tutti_charm::config::{Settings, parse_value};
use tutti_charm::metadata::Metadata;
use tutti_charm::{checks, name};
use tutti_model::api::{Accepted, Deploy, Life, ModelKind};
use tutti_store::{Json, Tx};
use uuid::Uuid;

use super::resources::{self, Uploads};
use super::{Application, sql};
use crate::charms::{self, Published};
use crate::constraints::{self, Constraints};
use crate::flows::{self, Change};
use crate::machines::DEFAULT_BASE;
use crate::models::{self, Model};
use crate::relations::{self, Touched};
use crate::units::{self, Placement};
use crate::{Error, events, machines, sequence, storage};

/// What a checked request comes to.
struct Plan {
    name: String,
    config: Settings,
    constraints: Constraints,
    bindings: BTreeMap<String, String>,
    base: String,
    units: u32,
    machines: Vec<i64>,
}

/// Deploys: the application and its units are there when this commits.
pub(super) fn deploy(
    tx: &mut Tx<'_>,
    model: &Model,
    request: &Deploy,
    uploads: &Uploads,
    now: i64,
) -> Result<Accepted, Error> {
    let published = charms::resolve(tx, model, &request.charm, request.revision)?;
    let plan = check(tx, model, request, &published, uploads)?;
    let application = record(model, request, &published, &plan, now);
    sql::insert(tx, &application)?;
    let metadata = &published.charm.metadata;
    resources::attach(tx, &application, metadata, uploads, now)?;
    relations::create_peers(tx, &model.id, &application.id, &application.name, metadata, now)?;
    events::application(tx, model, &application.name, "created")?;
    let mut units = Vec::new();
    for nth in 0..plan.units as usize {
        let placement = placement(model, plan.machines.get(nth));
        units.push(units::create(tx, model, &application, placement, now)?);
    }
    let touched: Touched = units.iter().map(|unit| unit.id.clone()).collect();
    let generation = sequence::touch(tx, touched.iter().map(String::as_str))?;
    let change = Change {
        kind: "deploy",
        title: format!("Deploy {} as {}", application.charm, application.name),
        resources: vec![format!("application/{}", application.name)],
        generation: Some(application.generation),
        tasks: flows::Tasks::new()
            .check_charm(&application)
            .units(units.iter().map(|unit| (&unit.id, &unit.name)), generation),
    };
    let names: Vec<_> = units.iter().map(|unit| unit.name.as_str()).collect();
    let resource = json!({
        "application": application.name,
        "charm": application.charm,
        "base": application.base,
        "units": names,
    });
    Ok(Accepted { flow: Some(flows::submit(tx, model, change, now)?), resource, messages: vec![] })
}

/// Where the next unit goes, by the model's kind and what was asked for.
pub(super) fn placement(model: &Model, machine: Option<&i64>) -> Placement<'static> {
    match (model.kind.0, machine) {
        (ModelKind::Caas, _) => Placement::Nowhere,
        (ModelKind::Iaas, Some(machine)) => Placement::Machine(*machine),
        (ModelKind::Iaas, None) => Placement::NewMachine,
    }
}

/// Every reason against the request at once.
fn check(
    tx: &mut Tx<'_>,
    model: &Model,
    request: &Deploy,
    published: &Published,
    uploads: &Uploads,
) -> Result<Plan, Error> {
    let charm = &published.charm;
    let name = if request.application.is_empty() { charm.name() } else { &request.application };
    name::application(name).map_err(|error| Error::Invalid(error.to_string()))?;
    if tx.maybe::<Application>(sql::BY_NAME, (&model.id, name))?.is_some() {
        return Err(Error::Conflict(format!(
            "cannot add application \"{name}\": application already exists"
        )));
    }
    let mut reasons = Vec::new();
    let offer = Offer::of_model(model.kind.0 == ModelKind::Caas);
    if !request.force {
        reasons.extend(checks::assumptions(charm, &offer).into_iter().map(|one| one.message));
    }
    let config = settings(charm, &request.config, &mut reasons);
    let constraints = constraints::parse(&request.constraints).unwrap_or_else(|problems| {
        reasons.extend(problems);
        Constraints::new()
    });
    reasons.extend(resources::unknown(&charm.metadata, uploads));
    reasons.extend(storage::refusals(&charm.metadata, &request.storage));
    let bindings = bindings(&charm.metadata, &request.bindings, &mut reasons);
    let base = base(model, request, published, &mut reasons);
    let subordinate = charm.metadata.subordinate;
    if subordinate && request.units.is_some_and(|units| units > 0) {
        reasons.push("a subordinate application has no units of its own".to_owned());
    }
    let units = if subordinate { 0 } else { request.units.unwrap_or(1) };
    let machines = machines(tx, model, &request.to, units, &mut reasons)?;
    if reasons.is_empty() {
        let name = name.to_owned();
        return Ok(Plan { name, config, constraints, bindings, base, units, machines });
    }
    Err(Error::refused(&format!("cannot deploy \"{name}\""), reasons))
}

/// Config given as text, of the types the charm declares.
pub(super) fn settings(
    charm: &tutti_charm::charm::Charm,
    given: &BTreeMap<String, String>,
    reasons: &mut Vec<String>,
) -> Settings {
    let mut settings = Settings::new();
    for (key, text) in given.iter().filter(|(key, _)| *key != super::config::TRUST) {
        match parse_value(&charm.config, key, text) {
            Ok(value) => drop(settings.insert(key.clone(), value)),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    settings
}

/// The space of every endpoint. There is one space, `alpha`.
pub(super) fn bindings(
    metadata: &Metadata,
    given: &BTreeMap<String, String>,
    reasons: &mut Vec<String>,
) -> BTreeMap<String, String> {
    const SPACE: &str = "alpha";
    let endpoints = metadata.endpoints().map(|(name, _)| name);
    let names = endpoints.chain(metadata.extra_bindings.iter().map(String::as_str)).chain([""]);
    let bindings: BTreeMap<_, _> = names.map(|name| (name.to_owned(), SPACE.to_owned())).collect();
    for (endpoint, space) in given {
        if !bindings.contains_key(endpoint) {
            reasons.push(format!("cannot bind \"{endpoint}\": the charm has no such endpoint"));
        }
        if space != SPACE {
            reasons.push(format!("space \"{space}\" not found"));
        }
    }
    bindings
}

/// The base to run on: asked for, the charm's first, the model's default.
fn base(
    model: &Model,
    request: &Deploy,
    published: &Published,
    reasons: &mut Vec<String>,
) -> String {
    let supported: Vec<_> =
        published.charm.manifest.bases.iter().map(ToString::to_string).collect();
    let wanted = request.base.trim_end_matches("/stable");
    if !wanted.is_empty() {
        if !request.force && !supported.is_empty() && !supported.iter().any(|base| base == wanted) {
            let supported = supported.join(", ");
            reasons.push(format!(
                "base \"{wanted}\" is not supported by the charm, supported: {supported}"
            ));
        }
        return wanted.to_owned();
    }
    let default = Some(models::config::text(model, "default-base").to_owned());
    let default = default.filter(|base| !base.is_empty() && supported.is_empty());
    let base = default.or_else(|| supported.first().cloned());
    base.unwrap_or_else(|| DEFAULT_BASE.to_owned())
}

/// The machines asked for by `--to`.
pub(super) fn machines(
    tx: &mut Tx<'_>,
    model: &Model,
    to: &[String],
    units: u32,
    reasons: &mut Vec<String>,
) -> Result<Vec<i64>, Error> {
    if !to.is_empty() && model.kind.0 == ModelKind::Caas {
        reasons.push("placement is not possible on a Kubernetes-like model".to_owned());
        return Ok(Vec::new());
    }
    if to.len() > units as usize {
        reasons.push(format!("{} placements for {units} units", to.len()));
    }
    let mut machines = Vec::new();
    for placement in to {
        if placement.parse::<u32>().is_err() {
            reasons.push(format!("placement \"{placement}\" is not a machine number"));
            continue;
        }
        match machines::find(tx, model, placement) {
            Ok(machine) if machine.life.0 == Life::Alive => machines.push(machine.number),
            Ok(machine) => reasons.push(format!("machine {} is being removed", machine.number)),
            Err(Error::NotFound(text)) => reasons.push(text),
            Err(error) => return Err(error),
        }
    }
    Ok(machines)
}

fn record(
    model: &Model,
    request: &Deploy,
    published: &Published,
    plan: &Plan,
    now: i64,
) -> Application {
    let charm = &published.charm;
    let trust = request.config.get(super::config::TRUST).is_some_and(|text| text == "true");
    Application {
        id: Uuid::now_v7().to_string(),
        model: model.id.clone(),
        name: plan.name.clone(),
        life: Json(Life::Alive),
        charm: published.url.clone(),
        charm_name: charm.name().to_owned(),
        charm_revision: published.revision,
        charm_digest: published.digest.clone(),
        charm_modified: 1,
        force_upgrade: false,
        base: plan.base.clone(),
        subordinate: charm.metadata.subordinate,
        config: Json(plan.config.clone()),
        trust: request.trust || trust,
        constraints: Json(plan.constraints.clone()),
        bindings: Json(plan.bindings.clone()),
        storage: Json(request.storage.clone()),
        exposed: false,
        deferral_retries: true,
        scale: i64::from(plan.units),
        leader: None,
        leader_settings: Json(BTreeMap::new()),
        leader_settings_version: 0,
        status_set: false,
        status: String::new(),
        status_message: String::new(),
        status_since: now,
        workload_version: String::new(),
        generation: 1,
        force_at: None,
        created: now,
        charm_version: charm.version.clone().unwrap_or_default(),
    }
}
