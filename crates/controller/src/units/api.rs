//! Routes of units.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use tutti_model::agent::Resolved;
use tutti_model::api::{Accepted, RemoveUnits, Resolve, StatusLogEntry, UnitInfo};
use tutti_store::{Json as Column, Tx};

use super::sql::{self, PastStatus};
use super::{Removal, find, resync, show};
use crate::flows::{self, Change, Tasks};
use crate::http::{Body, Mutation, Query, Segments};
use crate::models::{self, Model};
use crate::state::{Shared, State};
use crate::{Error, applications, clock, sequence};

pub(crate) fn routes() -> Router<Arc<State>> {
    let one = "/v1/models/{model}/units/{application}/{number}";
    Router::new()
        .route("/v1/models/{model}/units/remove", post(remove))
        .route(one, get(shown).post(told))
        .route(&format!("{one}/sync"), post(synced))
        .route(&format!("{one}/status-log"), get(history))
        .route(&format!("{one}/resolved"), post(resolved))
}

/// Model, application and number of a path.
type Names = Segments<(String, String, String)>;

async fn remove(
    mutation: Mutation,
    Segments(model): Segments<String>,
    Body(request): Body<RemoveUnits>,
) -> Result<Response, Error> {
    let wait = mutation.state.options.force_wait;
    let removed = mutation.with_deadline().accept(move |tx| {
        let model = models::lock(tx, &model)?;
        let removal = Removal::new(request.force, request.no_wait, wait, clock::now());
        applications::remove_units(tx, &model, &request, removal)
    });
    removed.await
}

async fn shown(
    Extract(state): Shared,
    Segments((model, application, number)): Names,
) -> Result<Json<UnitInfo>, Error> {
    let vantage = state.vantage();
    let read = state.read(move |tx| {
        let model = models::find(tx, &model)?;
        show::info(tx, &model, &format!("{application}/{number}"), vantage)
    });
    Ok(Json(read.await?))
}

/// How much of a history is wanted.
#[derive(Deserialize)]
#[serde(default)]
struct HistoryQuery {
    limit: u32,
}

impl Default for HistoryQuery {
    fn default() -> Self {
        Self { limit: 20 }
    }
}

async fn history(
    Extract(state): Shared,
    Segments((model, application, number)): Names,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Vec<StatusLogEntry>>, Error> {
    let read = state.read(move |tx| {
        let model = models::find(tx, &model)?;
        let unit = find(tx, &model, &format!("{application}/{number}"))?;
        let mut past: Vec<PastStatus> = tx.all(sql::HISTORY, (&unit.id, query.limit))?;
        past.reverse();
        let entry = |past: PastStatus| StatusLogEntry {
            kind: past.kind,
            status: past.status,
            message: past.message,
            since: past.since,
        };
        Ok(past.into_iter().map(entry).collect())
    });
    Ok(Json(read.await?))
}

async fn resolved(
    mutation: Mutation,
    Segments((model, application, number)): Names,
    Body(word): Body<Resolve>,
) -> Result<Response, Error> {
    let resolved = mutation.accept(move |tx| {
        let model = models::lock(tx, &model)?;
        resolve(tx, &model, &format!("{application}/{number}"), word, clock::now())
    });
    resolved.await
}

async fn synced(
    mutation: Mutation,
    Segments((model, application, number)): Names,
) -> Result<Response, Error> {
    let vantage = mutation.state.vantage();
    let synced = mutation.accept(move |tx| {
        let model = models::lock_alive(tx, &model)?;
        let unit = format!("{application}/{number}");
        resync::request(tx, &model, &unit, vantage, clock::now())
    });
    synced.await
}

/// `:sync` behind the name of a unit.
async fn told(
    mutation: Mutation,
    Segments((model, application, text)): Names,
) -> Result<Response, Error> {
    match text.split_once(':') {
        Some((number, "sync")) => {
            synced(mutation, Segments((model, application, number.to_owned()))).await
        }
        _ => Err(Error::Invalid(format!("a unit's verb is \":sync\", \"{text}\" has none"))),
    }
}

/// Writes the operator's word on a failed hook.
fn resolve(
    tx: &mut Tx<'_>,
    model: &Model,
    name: &str,
    word: Resolve,
    now: i64,
) -> Result<Accepted, Error> {
    let unit = find(tx, model, name)?;
    if unit.trouble.is_empty() {
        return Err(Error::Conflict(format!("unit \"{name}\" is not in an error state")));
    }
    let word = if word.skip { Resolved::Skip } else { Resolved::Retry };
    let resource = json!({ "unit": name });
    if unit.resolved.0 == word {
        return Ok(Accepted { resource, ..Accepted::default() });
    }
    tx.exec(sql::SET_RESOLVED, (&unit.id, Column(word)))?;
    let generation = sequence::touch(tx, [unit.id.as_str()])?;
    let change = Change {
        kind: "resolve",
        title: format!("Resolve {name}"),
        resources: vec![format!("unit/{name}")],
        generation: None,
        tasks: Tasks::new().units([(&unit.id, &unit.name)], generation),
    };
    let flow = Some(flows::submit(tx, model, change, now)?);
    Ok(Accepted { flow, resource, messages: Vec::new() })
}
