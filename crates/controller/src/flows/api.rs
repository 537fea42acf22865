//! Routes of flows and tasks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Extract;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tutti_flow::TaskFilter;
use tutti_flow::query;
use tutti_model::api::{FlowInfo, TaskInfo};
use tutti_store::Tx;
use uuid::Uuid;

use super::{events, list, show};
use crate::http::{Mutation, Query, Reply, Segments};
use crate::state::{Shared, State};
use crate::{Error, models, poll};

pub(crate) fn routes() -> Router<Arc<State>> {
    list::routes()
        .route("/v1/flows/{id}", get(one))
        .route("/v1/flows/{id}/cancel", post(cancel))
        .route("/v1/flows/{id}/retry", post(retry))
        .route("/v1/tasks/{id}", get(one_task))
        .route("/v1/events", get(events::follow))
}

/// A model's short name; empty once it is gone.
fn name(names: &BTreeMap<String, String>) -> impl Fn(&str) -> String {
    |model| names.get(model).cloned().unwrap_or_default()
}

/// How long to wait for the end of a flow.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Wait {
    wait_ms: u64,
}

async fn one(
    Extract(state): Shared,
    Segments(id): Segments<Uuid>,
    Query(wait): Query<Wait>,
) -> Result<Json<FlowInfo>, Error> {
    if wait.wait_ms > 0 {
        let wait = Duration::from_millis(wait.wait_ms);
        poll::until(&state, tutti_flow::ENDED, wait, || async {
            let found: Option<tutti_flow::FlowRow> =
                state.read(move |tx| Ok(query::flow(tx, id)?)).await?;
            let flow = found.ok_or(tutti_flow::Error::NoFlow { id })?;
            Ok(flow.state.is_ended().then_some(()))
        })
        .await?;
    }
    Ok(Json(state.read(move |tx| whole(tx, id)).await?))
}

/// A flow with its tasks.
pub(crate) fn whole(tx: &mut Tx<'_>, id: Uuid) -> Result<FlowInfo, Error> {
    let row = query::flow(tx, id)?.ok_or(tutti_flow::Error::NoFlow { id })?;
    let filter = TaskFilter { flow: Some(id), limit: Some(1000), ..TaskFilter::default() };
    let tasks = query::tasks(tx, &filter)?;
    let names = models::names(tx)?;
    let mut flow = show::flow(row, name(&names));
    flow.tasks = tasks.into_iter().map(|row| show::task(row, name(&names))).collect();
    Ok(flow)
}

async fn cancel(mutation: Mutation, Segments(id): Segments<Uuid>) -> Result<Response, Error> {
    let cancelled = mutation.run(move |tx| {
        tutti_flow::cancel(tx, id)?;
        Reply::changed(&whole(tx, id)?)
    });
    cancelled.await
}

async fn retry(mutation: Mutation, Segments(id): Segments<Uuid>) -> Result<Response, Error> {
    let retried = mutation.run(move |tx| {
        tutti_flow::retry(tx, id)?;
        Reply::changed(&whole(tx, id)?)
    });
    retried.await
}

async fn one_task(
    Extract(state): Shared,
    Segments(id): Segments<Uuid>,
) -> Result<Json<TaskInfo>, Error> {
    let read = state.read(move |tx| {
        let row = query::task(tx, id)?.ok_or(tutti_flow::Error::NoTask { id })?;
        let names = models::names(tx)?;
        Ok(show::task(row, name(&names)))
    });
    Ok(Json(read.await?))
}
