//! Routes below `/v1/models/{model}/relations`.

use std::sync::Arc;

use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use tutti_model::api::{Integrate, RelationInfo, RemoveRelation};

use super::integrate;
use crate::http::{Body, Segments, accepted};
use crate::state::{Shared, State};
use crate::units::Removal;
use crate::{Error, clock, models};

pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/v1/models/{model}/relations", get(list).post(create))
        .route("/v1/models/{model}/relations/remove", post(remove))
}

async fn list(
    axum::extract::State(state): Shared,
    Segments(model): Segments<String>,
) -> Result<Json<Vec<RelationInfo>>, Error> {
    let list = state.read(move |tx| {
        let model = models::find(tx, &model)?;
        super::infos(tx, &model.id)
    });
    Ok(Json(list.await?))
}

async fn create(
    axum::extract::State(state): Shared,
    Segments(model): Segments<String>,
    Body(request): Body<Integrate>,
) -> Result<Response, Error> {
    let answer = state.write(move |tx| {
        let model = models::lock_alive(tx, &model)?;
        integrate::integrate(tx, &model, &request, clock::now())
    });
    Ok(accepted(answer.await?))
}

async fn remove(
    axum::extract::State(state): Shared,
    Segments(model): Segments<String>,
    Body(request): Body<RemoveRelation>,
) -> Result<Response, Error> {
    let wait = state.options.force_wait;
    let write = state.write(move |tx| {
        let model = models::lock(tx, &model)?;
        let now = clock::now();
        let removal = Removal::new(request.force, false, wait, now);
        integrate::remove(tx, &model, &request, removal.force_at, now)
    });
    let answer = write.await?;
    state.deadlines.notify_one();
    Ok(accepted(answer))
}
