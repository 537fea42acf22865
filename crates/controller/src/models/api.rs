//! Routes of models.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Extract;
use axum::response::Response;
use axum::routing::get;
use axum::{Json as Answer, Router};
use serde::Deserialize;
use tutti_model::api::{
    Accepted, ConfigChange, Constraints, FlowInfo, ModelConfig, ModelCreate, ModelInfo,
};
use tutti_model::model_config;
use tutti_store::{Json, Tx};

use super::{Model, config_shown, create, destroy, find, info, infos, list, lock_alive, sql};
use crate::flows::{self, Change, Tasks};
use crate::http::{Body, Kind, Mutation, Query, Reply, Resource, Segments};
use crate::state::{Shared, State};
use crate::units::Removal;
use crate::{Error, clock, constraints, sequence};

pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/v1/models", get(all).post(add))
        .route("/v1/models/{model}", get(one).delete(destroyed))
        .route("/v1/models/{model}/config", get(settings).patch(configure))
        .route("/v1/models/{model}/constraints", get(constrained).put(constrain))
}

async fn all(Extract(state): Shared) -> Result<Answer<Vec<ModelInfo>>, Error> {
    let vantage = state.vantage();
    let read = state.read(move |tx| {
        let models = list(tx)?;
        infos(tx, models, vantage)
    });
    Ok(Answer(read.await?))
}

async fn add(mutation: Mutation, Body(request): Body<ModelCreate>) -> Result<Response, Error> {
    let vantage = mutation.state.vantage();
    let cloud = mutation.state.options.default_cloud.clone();
    let added = mutation.run(move |tx| {
        let model = create(tx, &request, &cloud, clock::now())?;
        let resource = Resource::new(&model.name, Kind::Model, "");
        Ok(Reply::created(&info(tx, model, vantage)?)?.at(resource))
    });
    added.await
}

async fn one(
    Extract(state): Shared,
    Segments(model): Segments<String>,
) -> Result<Answer<ModelInfo>, Error> {
    let vantage = state.vantage();
    let read = state.read(move |tx| {
        let model = find(tx, &model)?;
        info(tx, model, vantage)
    });
    Ok(Answer(read.await?))
}

async fn settings(
    Extract(state): Shared,
    Segments(model): Segments<String>,
) -> Result<Answer<ModelConfig>, Error> {
    Ok(Answer(state.read(move |tx| Ok(config_shown(&find(tx, &model)?))).await?))
}

async fn configure(
    mutation: Mutation,
    Segments(model): Segments<String>,
    Body(change): Body<ConfigChange>,
) -> Result<Response, Error> {
    let configured = mutation.accept(move |tx| {
        let model = lock_alive(tx, &model)?;
        let after = model_config::changed(&model.config.0, &change)?;
        let misspelt = |key| format!("key \"{key}\" is not known: possible misspelling");
        let messages = model_config::unknown(&change).map(misspelt).collect();
        if after == model.config.0 {
            return Ok(Accepted { messages, ..Accepted::default() });
        }
        tx.exec(sql::SET_CONFIG, (&model.id, Json(after)))?;
        // Agents of every unit read some of it, e.g. how often to run update-status.
        let generation = sequence::next(tx, "generation", 1)?;
        tx.exec(sql::TOUCH_UNITS, (&model.id, generation))?;
        tx.ring(sequence::UNITS_BELL);
        let title = format!("Configure model {}", model.name);
        let flow = submit(tx, &model, "configure-model", title)?;
        Ok(Accepted { flow: Some(flow), messages, ..Accepted::default() })
    });
    configured.await
}

/// Submits the flow of a change that is in force at once.
fn submit(
    tx: &mut Tx<'_>,
    model: &Model,
    kind: &'static str,
    title: String,
) -> Result<FlowInfo, Error> {
    let change = Change {
        kind,
        title,
        resources: vec![format!("model/{}", model.name)],
        generation: Some(model.generation + 1),
        tasks: Tasks::new(),
    };
    flows::submit(tx, model, change, clock::now())
}

async fn constrained(
    Extract(state): Shared,
    Segments(model): Segments<String>,
) -> Result<Answer<Constraints>, Error> {
    let read = state.read(move |tx| Ok(Constraints(find(tx, &model)?.constraints.0)));
    Ok(Answer(read.await?))
}

async fn constrain(
    mutation: Mutation,
    Segments(model): Segments<String>,
    Body(wanted): Body<Constraints>,
) -> Result<Response, Error> {
    let wanted = constraints::check(&wanted)?.0;
    let constrained = mutation.accept(move |tx| {
        let model = lock_alive(tx, &model)?;
        if wanted == model.constraints.0 {
            return Ok(Accepted::default());
        }
        tx.exec(sql::SET_CONSTRAINTS, (&model.id, Json(wanted.clone())))?;
        let title = format!("Constrain model {}", model.name);
        let flow = submit(tx, &model, "constrain-model", title)?;
        Ok(Accepted { flow: Some(flow), ..Accepted::default() })
    });
    constrained.await
}

/// How a model's end is asked for. Storage never outlives its model here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct DestroyQuery {
    force: bool,
    no_wait: bool,
    /// With force: how long agents are waited for, instead of the controller's default.
    timeout_ms: Option<u64>,
}

async fn destroyed(
    mutation: Mutation,
    Segments(model): Segments<String>,
    Query(query): Query<DestroyQuery>,
) -> Result<Response, Error> {
    let wait = query.timeout_ms.map_or(mutation.state.options.force_wait, Duration::from_millis);
    let destroyed = mutation.with_deadline().accept(move |tx| {
        let removal = Removal::new(query.force, query.no_wait, wait, clock::now());
        destroy::destroy(tx, &model, removal)
    });
    destroyed.await
}
