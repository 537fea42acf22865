//! Routes of flows and tasks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Extract;
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tutti_flow::query;
use tutti_model::api::{FlowInfo, FlowLogLine, TaskInfo};
use uuid::Uuid;

use super::graph::{self, Language, Picture};
use super::verb::{self, Verb};
use super::whole::whole;
use super::{events, list, show};
use crate::http::{Kind, Mutation, Query, Reply, Resource, Segments};
use crate::state::{Shared, State};
use crate::{Error, models, poll};

pub(crate) fn routes() -> Router<Arc<State>> {
    list::routes()
        .route("/v1/flows/{id}", get(one).post(told))
        .route("/v1/flows/{id}/cancel", tell(Verb::Cancel))
        .route("/v1/flows/{id}/suspend", tell(Verb::Suspend))
        .route("/v1/flows/{id}/resume", tell(Verb::Resume))
        .route("/v1/flows/{id}/retry", tell(Verb::Retry))
        .route("/v1/flows/{id}/revert", tell(Verb::Revert))
        .route("/v1/flows/{id}/abandon", tell(Verb::Abandon))
        .route("/v1/flows/{id}/graph", get(picture))
        .route("/v1/flows/{id}/log", get(lines))
        .route("/v1/tasks/{id}", get(one_task).post(task_told))
        .route("/v1/tasks/{id}/skip", post(skip))
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

/// A verb behind a slash.
fn tell(verb: Verb) -> MethodRouter<Arc<State>> {
    post(move |mutation: Mutation, Segments(id): Segments<Uuid>| change(mutation, id, verb))
}

/// A verb behind a colon.
async fn told(mutation: Mutation, Segments(text): Segments<String>) -> Result<Response, Error> {
    let (id, word) = text.split_once(':').unwrap_or((&text, ""));
    let verb = Verb::read(word)?;
    change(mutation, read_id(id)?, verb).await
}

async fn change(mutation: Mutation, id: Uuid, verb: Verb) -> Result<Response, Error> {
    let changed = mutation.run(move |tx| {
        verb.apply(tx, id)?;
        Reply::changed(&whole(tx, id)?)
    });
    changed.await
}

async fn skip(mutation: Mutation, Segments(id): Segments<Uuid>) -> Result<Response, Error> {
    let skipped = mutation.run(move |tx| {
        let flow = verb::skip(tx, id)?;
        let whole = whole(tx, flow)?;
        Ok(Reply::changed(&whole)?.at(Resource::new("", Kind::Flow, flow.to_string())))
    });
    skipped.await
}

/// `:skip` behind the id of a task.
async fn task_told(
    mutation: Mutation,
    Segments(text): Segments<String>,
) -> Result<Response, Error> {
    match text.split_once(':') {
        Some((id, "skip")) => skip(mutation, Segments(read_id(id)?)).await,
        _ => Err(Error::Invalid(format!("a task's verb is \":skip\", \"{text}\" has none"))),
    }
}

fn read_id(text: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(text).map_err(|_| Error::Invalid(format!("\"{text}\" is no id")))
}

/// In which language.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Form {
    format: String,
}

async fn picture(
    Extract(state): Shared,
    Segments(id): Segments<Uuid>,
    Query(form): Query<Form>,
) -> Result<Picture, Error> {
    let language = Language::read(&form.format)?;
    state.read(move |tx| graph::picture(tx, id, language)).await
}

async fn lines(
    Extract(state): Shared,
    Segments(id): Segments<Uuid>,
) -> Result<Json<Vec<FlowLogLine>>, Error> {
    Ok(Json(state.read(move |tx| super::whole::log(tx, id)).await?))
}

async fn one_task(
    Extract(state): Shared,
    Segments(id): Segments<Uuid>,
) -> Result<Json<TaskInfo>, Error> {
    let read = state.read(move |tx| {
        let row = query::task(tx, id)?.ok_or(tutti_flow::Error::NoTask { id })?;
        let names = models::names(tx)?;
        let failures = query::failures(tx, &row)?.into_iter().map(show::failure).collect();
        Ok(TaskInfo { failures, ..show::task(row, name(&names)) })
    });
    Ok(Json(read.await?))
}
