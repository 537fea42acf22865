//! Routes below `/v1/models/{model}/relations`.

use std::sync::Arc;

use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use tutti_model::api::{Integrate, RelationInfo, RemoveRelation};

use super::integrate;
use crate::http::{Body, Mutation, Segments};
use crate::state::{Shared, State};
use crate::units::Removal;
use crate::{Error, clock, models};

pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/v1/models/{model}/relations", get(list).post(create))
        .route("/v1/models/{model}/relations/remove", post(remove))
        .route("/v1/models/{model}/relations/{number}", get(one))
}

async fn list(
    axum::extract::State(state): Shared,
    Segments(model): Segments<String>,
) -> Result<Json<Vec<RelationInfo>>, Error> {
    let vantage = state.vantage();
    let list = state.read(move |tx| {
        let model = models::find(tx, &model)?;
        super::infos(tx, &model, vantage)
    });
    Ok(Json(list.await?))
}

async fn one(
    axum::extract::State(state): Shared,
    Segments((model, number)): Segments<(String, i64)>,
) -> Result<Json<RelationInfo>, Error> {
    let vantage = state.vantage();
    let one = state.read(move |tx| {
        let model = models::find(tx, &model)?;
        super::one(tx, &model, number, vantage)
    });
    Ok(Json(one.await?))
}

async fn create(
    mutation: Mutation,
    Segments(model): Segments<String>,
    Body(request): Body<Integrate>,
) -> Result<Response, Error> {
    let created = mutation.accept(move |tx| {
        let model = models::lock_alive(tx, &model)?;
        integrate::integrate(tx, &model, &request, clock::now())
    });
    created.await
}

async fn remove(
    mutation: Mutation,
    Segments(model): Segments<String>,
    Body(request): Body<RemoveRelation>,
) -> Result<Response, Error> {
    let wait = mutation.state.options.force_wait;
    let removed = mutation.with_deadline().accept(move |tx| {
        let model = models::lock(tx, &model)?;
        let now = clock::now();
        let removal = Removal::new(request.force, false, wait, now);
        integrate::remove(tx, &model, &request, removal.force_at, now)
    });
    removed.await
}
