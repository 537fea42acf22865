//! `GET /v1/models/{model}/status`.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::routing::get;
use axum::{Json, Router};
use tutti_model::api::Status;

use crate::http::Segments;
use crate::state::{Shared, State};
use crate::{Error, clock};

pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new().route("/v1/models/{model}/status", get(status))
}

async fn status(
    Extract(state): Shared,
    Segments(model): Segments<String>,
) -> Result<Json<Status>, Error> {
    let (around, vantage) = (state.around.clone(), state.vantage());
    let read = state.read(move |tx| super::status(tx, &model, &around, vantage, clock::now()));
    Ok(Json(read.await?))
}
