//! Routes of charms.

use std::sync::Arc;

use axum::body::Body as Bytes;
use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use tutti_charm::charm::Charm;
use tutti_content::Artifact;
use tutti_model::api::CharmInfo;

use super::{candidate, info, known, list, publish, read, remember};
use crate::artifacts;
use crate::http::{Mutation, Query, Reply, Segments, drain};
use crate::state::{Shared, State};
use crate::{Error, clock, models};

pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/v1/models/{model}/charms", get(all).post(add))
        .route("/v1/catalogue", get(catalogue).post(add_to_catalogue))
}

async fn all(
    Extract(state): Shared,
    Segments(model): Segments<String>,
) -> Result<Json<Vec<CharmInfo>>, Error> {
    let read = state.read(move |tx| {
        let model = models::find(tx, &model)?;
        Ok(list(tx, Some(&model))?.iter().map(info).collect())
    });
    Ok(Json(read.await?))
}

async fn catalogue(Extract(state): Shared) -> Result<Json<Vec<CharmInfo>>, Error> {
    let read = state.read(move |tx| Ok(list(tx, None)?.iter().map(info).collect()));
    Ok(Json(read.await?))
}

/// How a charm is uploaded.
#[derive(Default, Deserialize)]
#[serde(default)]
struct UploadQuery {
    dry_run: bool,
    /// SHA-256 of an archive that is here already, instead of its bytes.
    digest: Option<String>,
}

async fn add(
    mutation: Mutation,
    Segments(name): Segments<String>,
    Query(query): Query<UploadQuery>,
    body: Bytes,
) -> Result<Response, Error> {
    let state = Arc::clone(&mutation.state);
    // Before anything is stored: there must be a model to hold it.
    let model = name.clone();
    if let Err(error) = state.read(move |tx| models::find(tx, &model)).await {
        drain(body.into_data_stream()).await;
        return Err(error);
    }
    let (artifact, charm) = match &query.digest {
        Some(digest) => stored(&state, digest).await?,
        None => receive(&state, body).await?,
    };
    if query.dry_run {
        let read = state.read(move |tx| {
            let model = models::find(tx, &name)?;
            candidate(tx, &model, &artifact, &charm)
        });
        return Ok(Json(info(&read.await?)).into_response());
    }
    let added = mutation.body(&artifact.digest.clone()).run(move |tx| {
        let model = models::lock_alive(tx, &name)?;
        Reply::created(&info(&publish(tx, Some(&model), &artifact, &charm, clock::now())?))
    });
    added.await
}

async fn add_to_catalogue(mutation: Mutation, body: Bytes) -> Result<Response, Error> {
    let (artifact, charm) = receive(&mutation.state, body).await?;
    let added = mutation
        .body(&artifact.digest.clone())
        .run(move |tx| Reply::created(&info(&publish(tx, None, &artifact, &charm, clock::now())?)));
    added.await
}

/// Stores an upload and reads it as a charm.
async fn receive(state: &State, body: Bytes) -> Result<(Artifact, Arc<Charm>), Error> {
    let artifact = artifacts::receive(&state.artifacts, body).await?;
    let charm = charm_of(state, &artifact).await?;
    Ok((artifact, charm))
}

/// A charm that was uploaded before, by its digest.
pub(crate) async fn stored(state: &State, digest: &str) -> Result<(Artifact, Arc<Charm>), Error> {
    let artifact = artifacts::stored(&state.artifacts, digest).await?;
    let charm = charm_of(state, &artifact).await?;
    Ok((artifact, charm))
}

async fn charm_of(state: &State, artifact: &Artifact) -> Result<Arc<Charm>, Error> {
    if let Some(charm) = known(&artifact.digest) {
        return Ok(charm);
    }
    let path = state.artifacts.path(&artifact.digest);
    let read = tokio::task::spawn_blocking(move || read(&path));
    let charm = read.await.map_err(|_| Error::Panicked)??;
    Ok(remember(&artifact.digest, charm))
}
