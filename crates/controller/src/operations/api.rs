//! Routes of operations and their tasks.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tutti_model::api::{OperationInfo, OperationTask, RunOperation};

use super::{BELL, info, progress, start};
use crate::http::{Body, Query, Segments};
use crate::relations::Touched;
use crate::state::{Shared, State};
use crate::{Error, clock, models, poll, sequence};

pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/v1/models/{model}/operations", get(list).post(run))
        .route("/v1/models/{model}/operations/{number}", get(show))
        .route("/v1/models/{model}/operation-tasks/{number}", get(task))
        .route("/v1/models/{model}/operation-tasks/{number}/cancel", post(cancel))
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    limit: u32,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct WaitQuery {
    wait_ms: u64,
}

async fn run(
    axum::extract::State(state): Shared,
    Segments(model): Segments<String>,
    Body(request): Body<RunOperation>,
) -> Result<Response, Error> {
    let info = state.write(move |tx| {
        let model = models::lock(tx, &model)?;
        let mut touched = Touched::new();
        let number = start::start(tx, &model, &request, clock::now(), &mut touched)?;
        let info = info::operation(tx, &model, number)?;
        if !touched.is_empty() {
            sequence::touch(tx, touched.iter().map(String::as_str))?;
        }
        Ok(info)
    });
    Ok((StatusCode::ACCEPTED, Json(info.await?)).into_response())
}

async fn list(
    axum::extract::State(state): Shared,
    Segments(model): Segments<String>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Vec<OperationInfo>>, Error> {
    let list = state.read(move |tx| {
        let model = models::find(tx, &model)?;
        info::list(tx, &model, query.limit)
    });
    Ok(Json(list.await?))
}

async fn show(
    axum::extract::State(state): Shared,
    Segments((model, number)): Segments<(String, i64)>,
) -> Result<Json<OperationInfo>, Error> {
    let info = state.read(move |tx| {
        let model = models::find(tx, &model)?;
        info::operation(tx, &model, number)
    });
    Ok(Json(info.await?))
}

/// A task; with `wait_ms` waits so long for it to end.
async fn task(
    axum::extract::State(state): Shared,
    Segments((model, number)): Segments<(String, i64)>,
    Query(query): Query<WaitQuery>,
) -> Result<Json<OperationTask>, Error> {
    let wait = Duration::from_millis(query.wait_ms);
    let ended = poll::until(&state, BELL, wait, || async {
        let task = read(&state, &model, number).await?;
        Ok(progress::is_final(&task.status).then_some(task))
    })
    .await?;
    match ended {
        Some(task) => Ok(Json(task)),
        None => Ok(Json(read(&state, &model, number).await?)),
    }
}

async fn read(state: &State, model: &str, number: i64) -> Result<OperationTask, Error> {
    let model = model.to_owned();
    state
        .read(move |tx| {
            let model = models::find(tx, &model)?;
            info::task(tx, &model, number)
        })
        .await
}

async fn cancel(
    axum::extract::State(state): Shared,
    Segments((model, number)): Segments<(String, i64)>,
) -> Result<Json<OperationTask>, Error> {
    let task = state.write(move |tx| {
        let model = models::lock(tx, &model)?;
        let task = info::find(tx, &model, number)?;
        let react = progress::cancel(tx, &task, clock::now())?;
        if let Some(unit) = task.unit.as_deref().filter(|_| react) {
            sequence::touch(tx, [unit])?;
        }
        info::task(tx, &model, number)
    });
    Ok(Json(task.await?))
}
