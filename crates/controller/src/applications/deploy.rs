//! Deploying a charm: check everything, then write everything, in one transaction. Whether it may
//! be is decided by [`tutti_model::application`].

use std::collections::BTreeMap;

use serde_json::json;
use tutti_charm::manifest::host_architecture;
use tutti_charm::metadata::Metadata;
use tutti_model::api::{Accepted, Deploy, Life, ModelKind};
use tutti_model::application::{self as rules, DeployPlan, Deployment};
use tutti_store::{Json, Tx};
use uuid::Uuid;

use super::resources::{self, Uploads};
use super::{Application, scale, sql};
use crate::bus::listeners;
use crate::charms::{self, Published};
use crate::flows::{self, Change};
use crate::models::{self, Model};
use crate::relations::{self, Touched};
use crate::units::{self, Placement};
use crate::{Error, events, machines, sequence};

/// Deploys: the application and its units are there when this commits.
pub(super) fn deploy(
    tx: &mut Tx<'_>,
    model: &Model,
    request: &Deploy,
    uploads: &Uploads,
    now: i64,
) -> Result<Accepted, Error> {
    let published = charms::resolve(tx, model, &request.charm, request.revision)?;
    let (plan, machines) = check(tx, model, request, &published)?;
    let application = record(model, request, &published, &plan, now);
    sql::insert(tx, &application)?;
    let metadata = &published.charm.metadata;
    listeners::set(tx, &application.id, &metadata.bus_events, now)?;
    resources::attach(tx, &application, metadata, uploads, now)?;
    relations::create_peers(tx, &model.id, &application.id, &application.name, metadata, now)?;
    events::application(tx, model, &application.name, "created")?;
    let mut units = Vec::new();
    for nth in 0..plan.units as usize {
        let placement = placement(model, machines.get(nth));
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
pub(super) fn placement(model: &Model, wanted: Option<&rules::Placement>) -> Placement<'static> {
    match (model.kind.0, wanted) {
        (ModelKind::Caas, _) => Placement::Nowhere,
        (ModelKind::Iaas, Some(rules::Placement::Machine(number))) => {
            Placement::Machine(i64::from(*number))
        }
        (ModelKind::Iaas, _) => Placement::NewMachine,
    }
}

/// Every reason against the request at once, or what comes of it.
fn check(
    tx: &mut Tx<'_>,
    model: &Model,
    request: &Deploy,
    published: &Published,
) -> Result<(DeployPlan, Vec<rules::Placement>), Error> {
    let charm = &published.charm;
    let name = if request.application.is_empty() { charm.name() } else { &request.application };
    // `trust` is a setting of the application, not of its charm.
    let mut of_charm = request.clone();
    of_charm.config.remove(super::config::TRUST);
    let deployment = Deployment {
        request: &of_charm,
        charm,
        kind: model.kind.0,
        architecture: host_architecture(),
        default_base: models::config::text(model, "default-base"),
        taken: tx.maybe::<Application>(sql::BY_NAME, (&model.id, name))?.is_some(),
    };
    let plan = rules::check_deploy(&deployment);
    let units = plan.as_ref().map_or_else(|_| request.units.unwrap_or(1), |plan| plan.units);
    let (placements, mut reasons) = placements(tx, model, &request.to, units)?;
    reasons.extend(scale::too_many(units));
    match plan {
        Ok(plan) if reasons.is_empty() => Ok((plan, placements)),
        Ok(_) => Err(Error::refused(&format!("cannot deploy \"{name}\""), reasons)),
        Err(mut all) => {
            reasons.retain(|reason| !all.contains(reason));
            all.extend(reasons);
            Err(Error::refused(&format!("cannot deploy \"{name}\""), all))
        }
    }
}

/// What is asked for by `--to`, and every reason against it.
pub(super) fn placements(
    tx: &mut Tx<'_>,
    model: &Model,
    to: &[String],
    units: u32,
) -> Result<(Vec<rules::Placement>, Vec<String>), Error> {
    let (mut placements, mut reasons) = (Vec::new(), Vec::new());
    if to.len() > units as usize {
        reasons.push(format!("{} placements for {units} units", to.len()));
    }
    for text in to {
        let placement = match rules::Placement::parse(text, model.kind.0) {
            Ok(placement) => placement,
            Err(error) => {
                reasons.push(error.to_string());
                continue;
            }
        };
        if let rules::Placement::Machine(_) = placement {
            match machines::find(tx, model, text) {
                Ok(machine) if machine.life.0 == Life::Alive => {}
                Ok(_) => reasons.push(format!("machine {text} is being removed")),
                Err(Error::NotFound(text)) => reasons.push(text),
                Err(error) => return Err(error),
            }
        }
        placements.push(placement);
    }
    Ok((placements, reasons))
}

/// The space of every name that can be bound: there is one space, `alpha`.
pub(super) fn bindings(metadata: &Metadata) -> BTreeMap<String, String> {
    let endpoints = metadata.endpoints().map(|(name, _)| name);
    let names = endpoints.chain(metadata.extra_bindings.iter().map(String::as_str)).chain([""]);
    names.map(|name| (name.to_owned(), "alpha".to_owned())).collect()
}

fn record(
    model: &Model,
    request: &Deploy,
    published: &Published,
    plan: &DeployPlan,
    now: i64,
) -> Application {
    let charm = &published.charm;
    let trust = request.config.get(super::config::TRUST).is_some_and(|text| text == "true");
    Application {
        id: Uuid::now_v7().to_string(),
        model: model.id.clone(),
        name: plan.application.clone(),
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
        constraints: Json(plan.constraints.0.clone()),
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
