//! Routes of flows and tasks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Extract;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tutti_flow::query;
use tutti_flow::{FlowFilter, FlowState, TaskFilter};
use tutti_model::api::{FlowInfo, TaskInfo};
use tutti_store::Tx;
use uuid::Uuid;

use super::{events, scoped, show};
use crate::http::{Query, Segments};
use crate::state::{Shared, State};
use crate::{Error, models, poll};

pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/v1/flows", get(all))
        .route("/v1/flows/{id}", get(one))
        .route("/v1/flows/{id}/cancel", post(cancel))
        .route("/v1/flows/{id}/retry", post(retry))
        .route("/v1/tasks", get(all_tasks))
        .route("/v1/tasks/{id}", get(one_task))
        .route("/v1/events", get(events::follow))
}

/// Which flows or tasks.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Filter {
    model: String,
    resource: String,
    state: String,
    kind: String,
    flow: Option<Uuid>,
    name: String,
    limit: Option<u32>,
    after: Option<Uuid>,
}

/// A text that says nothing when empty.
fn said(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

impl Filter {
    /// UUIDs of the models to look in; none: everywhere.
    fn models(&self, tx: &mut Tx<'_>) -> Result<Vec<Option<String>>, Error> {
        if let Some(model) = said(&self.model) {
            return Ok(vec![Some(models::find(tx, &model)?.id)]);
        }
        if self.resource.is_empty() {
            return Ok(vec![None]);
        }
        // A resource's name is one model's: look in each.
        Ok(models::list(tx)?.into_iter().map(|model| Some(model.id)).collect())
    }

    fn resource(&self, model: Option<&String>) -> Option<String> {
        let resource = said(&self.resource)?;
        model.map(|model| scoped(model, &resource))
    }

    fn flow_states(&self) -> Result<Vec<FlowState>, Error> {
        let words = self.state.split(',').filter(|word| !word.is_empty());
        let read = |word: &str| {
            let word = word.trim().to_lowercase();
            word.parse().map_err(|_| Error::Invalid(format!("there is no flow state \"{word}\"")))
        };
        words.map(read).collect()
    }
}

async fn all(
    Extract(state): Shared,
    Query(filter): Query<Filter>,
) -> Result<Json<Vec<FlowInfo>>, Error> {
    Ok(Json(state.read(move |tx| flows(tx, &filter)).await?))
}

fn flows(tx: &mut Tx<'_>, filter: &Filter) -> Result<Vec<FlowInfo>, Error> {
    let states = filter.flow_states()?;
    let mut found = Vec::new();
    for model in filter.models(tx)? {
        let filter = FlowFilter {
            resource: filter.resource(model.as_ref()),
            model,
            state: states.clone(),
            kind: said(&filter.kind),
            since: None,
            limit: filter.limit,
            after: filter.after,
        };
        found.extend(query::flows(tx, &filter)?);
    }
    found.sort_by_key(|flow| std::cmp::Reverse(flow.ticket));
    found.truncate(filter.limit.unwrap_or(100) as usize);
    let names = models::names(tx)?;
    Ok(found.into_iter().map(|row| show::flow(row, name(&names))).collect())
}

async fn all_tasks(
    Extract(state): Shared,
    Query(filter): Query<Filter>,
) -> Result<Json<Vec<TaskInfo>>, Error> {
    Ok(Json(state.read(move |tx| tasks(tx, &filter)).await?))
}

fn tasks(tx: &mut Tx<'_>, filter: &Filter) -> Result<Vec<TaskInfo>, Error> {
    let states = show::task_states(&filter.state)
        .map_err(|word| Error::Invalid(format!("there is no task state \"{word}\"")))?;
    let mut found = Vec::new();
    for model in filter.models(tx)? {
        let filter = TaskFilter {
            resource: filter.resource(model.as_ref()),
            model,
            state: states.clone(),
            flow: filter.flow,
            name: said(&filter.name),
            limit: filter.limit,
            after: filter.after,
        };
        found.extend(query::tasks(tx, &filter)?);
    }
    if filter.flow.is_none() {
        found.sort_by_key(|task| std::cmp::Reverse(task.id));
    }
    found.truncate(filter.limit.unwrap_or(100) as usize);
    let names = models::names(tx)?;
    Ok(found.into_iter().map(|row| show::task(row, name(&names))).collect())
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
fn whole(tx: &mut Tx<'_>, id: Uuid) -> Result<FlowInfo, Error> {
    let row = query::flow(tx, id)?.ok_or(tutti_flow::Error::NoFlow { id })?;
    let filter = TaskFilter { flow: Some(id), limit: Some(1000), ..TaskFilter::default() };
    let tasks = query::tasks(tx, &filter)?;
    let names = models::names(tx)?;
    let mut flow = show::flow(row, name(&names));
    flow.tasks = tasks.into_iter().map(|row| show::task(row, name(&names))).collect();
    Ok(flow)
}

async fn cancel(
    Extract(state): Shared,
    Segments(id): Segments<Uuid>,
) -> Result<Json<FlowInfo>, Error> {
    let write = state.write(move |tx| {
        tutti_flow::cancel(tx, id)?;
        whole(tx, id)
    });
    Ok(Json(write.await?))
}

async fn retry(
    Extract(state): Shared,
    Segments(id): Segments<Uuid>,
) -> Result<Json<FlowInfo>, Error> {
    let write = state.write(move |tx| {
        tutti_flow::retry(tx, id)?;
        whole(tx, id)
    });
    Ok(Json(write.await?))
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
