//! Routes of machines.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use tutti_model::api::{Accepted, AddMachines, MachineInfo};
use tutti_model::application::parse_constraints;
use tutti_store::Tx;

use super::{NewMachine, create, dying, find, info, infos, sql};
use crate::flows::{self, Change, Tasks};
use crate::http::{Body, Mutation, Query, Segments};
use crate::models::{self, Model};
use crate::relations::Touched;
use crate::state::{Shared, State};
use crate::units::{self, Removal};
use crate::{Error, clock, sequence};

pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/v1/models/{model}/machines", get(all).post(add))
        .route("/v1/models/{model}/machines/{number}", get(one).delete(removed))
}

async fn all(
    Extract(state): Shared,
    Segments(model): Segments<String>,
) -> Result<Json<Vec<MachineInfo>>, Error> {
    let vantage = state.vantage();
    let read = state.read(move |tx| {
        let model = models::find(tx, &model)?;
        infos(tx, &model, vantage)
    });
    Ok(Json(read.await?))
}

async fn one(
    Extract(state): Shared,
    Segments((model, number)): Segments<(String, String)>,
) -> Result<Json<MachineInfo>, Error> {
    let vantage = state.vantage();
    let read = state.read(move |tx| {
        let model = models::find(tx, &model)?;
        info(tx, &model, &number, vantage)
    });
    Ok(Json(read.await?))
}

/// The most machines one request may add.
const ADD: u32 = 1000;

async fn add(
    mutation: Mutation,
    Segments(model): Segments<String>,
    Body(request): Body<AddMachines>,
) -> Result<Response, Error> {
    let count = request.count.max(1);
    if count > ADD {
        return Err(Error::Invalid(format!("{count} machines at once are too many")));
    }
    let constraints = parse_constraints(&request.constraints)?.0;
    let machine = NewMachine { base: request.base, constraints, manual: true };
    let added = mutation.accept(move |tx| {
        let (model, now) = (models::lock_alive(tx, &model)?, clock::now());
        let mut numbers = Vec::new();
        for _ in 0..count {
            numbers.push(create(tx, &model, &machine, now)?.to_string());
        }
        let change = Change {
            kind: "add-machines",
            title: format!("Add machine {}", numbers.join(", ")),
            resources: numbers.iter().map(|number| format!("machine/{number}")).collect(),
            generation: None,
            tasks: Tasks::new(),
        };
        let flow = Some(flows::submit(tx, &model, change, now)?);
        let messages = numbers.iter().map(|number| format!("created machine {number}")).collect();
        Ok(Accepted { flow, resource: json!({ "machines": numbers }), messages })
    });
    added.await
}

/// How a machine's removal is asked for.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RemovalQuery {
    force: bool,
    no_wait: bool,
}

async fn removed(
    mutation: Mutation,
    Segments((model, number)): Segments<(String, String)>,
    Query(query): Query<RemovalQuery>,
) -> Result<Response, Error> {
    let wait = mutation.state.options.force_wait;
    let removed = mutation.with_deadline().accept(move |tx| {
        let model = models::lock(tx, &model)?;
        let removal = Removal::new(query.force, query.no_wait, wait, clock::now());
        remove(tx, &model, &number, query.force, removal)
    });
    removed.await
}

/// A machine with units goes only with force, and takes them with it.
fn remove(
    tx: &mut Tx<'_>,
    model: &Model,
    number: &str,
    force: bool,
    removal: Removal,
) -> Result<Accepted, Error> {
    let machine = find(tx, model, number)?;
    let ids: Vec<String> = tx.all(sql::UNITS_OF, (&model.id, machine.number))?;
    let mut hosted = Vec::new();
    for id in ids {
        hosted.extend(units::by_id(tx, &id)?);
    }
    if !hosted.is_empty() && !force {
        let names: Vec<_> = hosted.iter().map(|unit| unit.name.as_str()).collect();
        let hosted = names.join("\", \"");
        return Err(Error::Conflict(format!("machine {number} has unit \"{hosted}\" assigned")));
    }
    let mut tasks = Tasks::new();
    let mut touched = Touched::new();
    let mut messages = vec![format!("will remove machine {number}")];
    for unit in &hosted {
        tasks = tasks.gone("unit", &unit.id, &unit.name);
        messages.push(format!("- will remove unit {}", unit.name));
    }
    for unit in &hosted {
        // A subordinate may have gone with its principal.
        if units::by_id(tx, &unit.id)?.is_some() {
            units::remove(tx, model, unit, removal, &mut touched)?;
        }
    }
    dying(tx, model, machine.number)?;
    let change = Change {
        kind: "remove-machine",
        title: format!("Remove machine {number}"),
        resources: vec![format!("machine/{number}")],
        generation: None,
        tasks,
    };
    let flow = Some(flows::submit(tx, model, change, removal.now)?);
    sequence::touch(tx, touched.iter().map(String::as_str))?;
    Ok(Accepted { flow, resource: json!({ "machine": number }), messages })
}
