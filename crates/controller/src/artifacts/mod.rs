//! Uploaded bytes: charms and resources, addressed by their SHA-256.

use std::sync::Arc;

use axum::body::Body as Bytes;
use axum::extract::State as Extract;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{StreamExt, stream};
use tokio::io::AsyncReadExt;
use tutti_content::{Artifact, Artifacts, orphan, record_artifact};
use tutti_model::api::ArtifactInfo;

use crate::http::Segments;
use crate::state::{Shared, State};
use crate::{Error, applications, clock};

/// The most an upload may hold, bytes.
const UPLOAD: usize = 4 * 1024 * 1024 * 1024;

/// Bytes read from disk at a time.
const CHUNK: usize = 64 * 1024;

pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new().route("/v1/artifacts", post(add)).route("/v1/artifacts/{digest}", get(bytes))
}

/// Streams a request's body to the artifacts. It has no row yet: what refers to it makes one.
pub(crate) async fn receive(artifacts: &Artifacts, body: Bytes) -> Result<Artifact, Error> {
    let mut received = 0;
    let limited = body.into_data_stream().map(move |chunk| {
        let chunk = chunk.map_err(std::io::Error::other)?;
        received += chunk.len();
        match received <= UPLOAD {
            true => Ok(chunk),
            false => Err(std::io::Error::other(format!("more than {UPLOAD} bytes"))),
        }
    });
    Ok(artifacts.put(limited).await?)
}

/// An artifact that is there.
pub(crate) async fn stored(artifacts: &Artifacts, digest: &str) -> Result<Artifact, Error> {
    let stored = artifacts.keep(digest).await?;
    stored.ok_or_else(|| Error::NotFound(format!("artifact {digest} not found")))
}

/// Units that nothing holds are forgotten when nobody looked for them for so long, microseconds.
const UNITS_KEPT: i64 = 24 * 3600 * 1_000_000;

/// Units forgotten in one transaction.
const UNITS_AT_ONCE: u32 = 1_000;

/// Removes what uploads that were refused, and charms and resources that are gone, left behind.
pub(crate) async fn remove_orphans(state: &State) -> Result<(), Error> {
    let before = clock::now() - UNITS_KEPT;
    while state.write(move |tx| Ok(orphan::forget_units(tx, before, UNITS_AT_ONCE)?)).await? > 0 {}
    let artifacts = state.artifacts.clone();
    let old = tokio::task::spawn_blocking(move || artifacts.old());
    let old = old.await.map_err(|_| Error::Panicked)??;
    let orphans = state.write(move |tx| {
        let referred_to = applications::artifacts(tx)?;
        Ok(orphan::forget_artifacts(tx, &old, &referred_to)?)
    });
    for digest in orphans.await? {
        if state.artifacts.remove_old(&digest).await? {
            tracing::info!(digest, "removed an artifact that nothing refers to");
        }
    }
    Ok(())
}

async fn add(Extract(state): Shared, body: Bytes) -> Result<Response, Error> {
    let artifact = receive(&state.artifacts, body).await?;
    let info = ArtifactInfo { digest: artifact.digest.clone(), size: artifact.size };
    state.write(move |tx| Ok(record_artifact(tx, &artifact, clock::now())?)).await?;
    Ok((StatusCode::CREATED, Json(info)).into_response())
}

async fn bytes(
    Extract(state): Shared,
    Segments(digest): Segments<String>,
) -> Result<Response, Error> {
    let not_found = || Error::NotFound(format!("artifact {digest} not found"));
    if !state.artifacts.contains(&digest) {
        return Err(not_found());
    }
    let path = state.artifacts.path(&digest);
    let file = tokio::fs::File::open(path).await.map_err(|_| not_found())?;
    let length = file.metadata().await.map_err(|_| not_found())?.len();
    let chunks = stream::unfold(file, |mut file| async {
        let mut chunk = Vec::with_capacity(CHUNK);
        let limit = CHUNK as u64;
        match (&mut file).take(limit).read_to_end(&mut chunk).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(chunk), file)),
            Err(error) => Some((Err(error), file)),
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::ETAG, format!("\"{digest}\"")),
    ];
    Ok((headers, Bytes::from_stream(chunks)).into_response())
}
