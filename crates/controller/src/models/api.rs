//! Routes of models.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use tutti_model::api::{Accepted, ConfigChange, ModelConfig, ModelCreate, ModelInfo};

use super::{config, create, find, infos, list, lock_alive, sql};
use crate::http::{Body, Segments, accepted, created};
use crate::state::{Shared, State};
use crate::{Error, clock};

pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/v1/models", get(all).post(add))
        .route("/v1/models/{model}", get(one))
        .route("/v1/models/{model}/config", get(settings).patch(configure))
}

async fn all(Extract(state): Shared) -> Result<Json<Vec<ModelInfo>>, Error> {
    let read = state.read(|tx| {
        let models = list(tx)?;
        infos(tx, models)
    });
    Ok(Json(read.await?))
}

async fn add(Extract(state): Shared, Body(request): Body<ModelCreate>) -> Result<Response, Error> {
    let cloud = state.options.default_cloud.clone();
    let write = state.write(move |tx| {
        let model = create(tx, &request, &cloud, clock::now())?;
        infos(tx, vec![model])
    });
    Ok(created(write.await?.pop()))
}

async fn one(
    Extract(state): Shared,
    Segments(model): Segments<String>,
) -> Result<Json<ModelInfo>, Error> {
    let read = state.read(move |tx| {
        let model = find(tx, &model)?;
        infos(tx, vec![model])
    });
    Ok(Json(read.await?.pop().unwrap_or_default()))
}

async fn settings(
    Extract(state): Shared,
    Segments(model): Segments<String>,
) -> Result<Json<ModelConfig>, Error> {
    Ok(Json(state.read(move |tx| Ok(config::shown(&find(tx, &model)?))).await?))
}

async fn configure(
    Extract(state): Shared,
    Segments(model): Segments<String>,
    Body(change): Body<ConfigChange>,
) -> Result<Response, Error> {
    let write = state.write(move |tx| {
        let model = lock_alive(tx, &model)?;
        let (after, messages) = config::changed(&model.config.0, &change)?;
        if after != model.config.0 {
            tx.exec(sql::SET_CONFIG, (&model.id, tutti_store::Json(after)))?;
        }
        Ok(Accepted { messages, ..Accepted::default() })
    });
    Ok(accepted(write.await?))
}
