//! `GET /v1/models/{model}/deferred`.

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use tutti_model::api::DeferredInfo;

use crate::http::{Query, Segments};
use crate::state::{Shared, State};
use crate::{Error, models};

pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new().route("/v1/models/{model}/deferred", get(list))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DeferredQuery {
    unit: String,
}

async fn list(
    axum::extract::State(state): Shared,
    Segments(model): Segments<String>,
    Query(query): Query<DeferredQuery>,
) -> Result<Json<Vec<DeferredInfo>>, Error> {
    let list = state.read(move |tx| {
        let model = models::find(tx, &model)?;
        super::list(tx, &model.id, &query.unit)
    });
    Ok(Json(list.await?))
}
