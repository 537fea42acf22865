//! Uploads in parts: `/pulp/api/v3/uploads/`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, Request, State as Extract};
use axum::http::header::CONTENT_RANGE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::TryStreamExt;
use serde_json::{Value, json};
use tutti_content::upload::{self, Part, Upload};
use tutti_content::{listing, record_artifact};
use tutti_flow::Access;

use super::fields::{Fields, broken, multipart, short_text};
use super::hrefs;
use super::query::Query;
use super::refusal::{Refusal, answer};
use super::time;
use super::work::{self, Done, Effort, Start, Work};
use crate::clock;
use crate::state::{Shared, State};

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/pulp/api/v3/uploads/", get(list).post(create))
        .route("/pulp/api/v3/uploads/{id}/", get(show).put(put).delete(remove))
        .route("/pulp/api/v3/uploads/{id}/commit/", post(begin_commit))
}

/// An upload as it is shown, with its parts if it is shown alone.
fn shown(one: &Upload, is_alone: bool) -> Value {
    let mut shown = json!({
        "pulp_href": hrefs::upload(one.id),
        "prn": format!("prn:core.upload:{}", hrefs::uuid(one.id)),
        "pulp_created": time(one.created),
        "pulp_last_updated": time(one.updated),
        "size": one.size,
        "completed": null,
    });
    if is_alone {
        shown["chunks"] = json!(one.parts.0);
    }
    shown
}

fn id_of(text: &str) -> Result<i64, Refusal> {
    hrefs::id(text).ok_or_else(Refusal::not_found)
}

async fn list(
    Extract(state): Shared,
    RawQuery(asked): RawQuery,
    query: Query,
) -> Result<Response, Refusal> {
    query.finish()?;
    let window = query.window();
    let page = state.store.read(move |tx| upload::list(tx, window)).await?;
    let rows = page.rows.iter().map(|one| shown(one, false)).collect();
    Ok(answer(StatusCode::OK, &query.page(&asked.unwrap_or_default(), page.count, rows)))
}

async fn create(Extract(state): Shared, fields: Fields) -> Result<Response, Refusal> {
    let size = fields.number("size")?;
    let size = size.ok_or_else(|| Refusal::field("size", "This field is required."))?;
    let made = state.store.write(move |tx| upload::create(tx, size, clock::now())).await?;
    Ok(answer(StatusCode::CREATED, &shown(&made, false)))
}

async fn show(
    Extract(state): Shared,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response, Refusal> {
    let id = id_of(&id)?;
    let found = state.store.read(move |tx| upload::required(tx, id)).await?;
    let mut row = shown(&found, true);
    query.trim(&mut row);
    Ok(answer(StatusCode::OK, &row))
}

/// Takes a part: `Content-Range: bytes 0-9/100` says where it is.
async fn put(
    Extract(state): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refusal> {
    let id = id_of(&id)?;
    let found = state.store.read(move |tx| upload::required(tx, id)).await?;
    let (offset, size) = range(&headers, found.size)?;
    let mut parts = multipart(request).await?;
    let (mut written, mut expected) = (None, None);
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        match part.name() {
            Some("file") => {
                let bytes = part.map_err(std::io::Error::other);
                written = Some(state.uploads.write(id, offset, size, bytes).await?);
            }
            Some("sha256") => expected = Some(short_text(part).await?),
            _ => {}
        }
    }
    let written = written.ok_or_else(|| Refusal::field("file", "No file was submitted."))?;
    if written.size != size {
        return Err(Refusal::invalid(format!("The part has {} bytes, not {size}.", written.size)));
    }
    if expected.is_some_and(|expected| expected != written.digest) {
        return Err(Refusal::invalid("Checksum does not match chunk upload."));
    }
    let part = Part { offset, size };
    let changed = state.store.write(move |tx| upload::add_part(tx, id, part, clock::now())).await?;
    Ok(answer(StatusCode::OK, &shown(&changed, false)))
}

/// Where a part begins, and its bytes.
fn range(headers: &HeaderMap, total: u64) -> Result<(u64, u64), Refusal> {
    let refused = || Refusal::invalid("Invalid or missing content range header.");
    let text =
        headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok()).ok_or_else(refused)?;
    let (bounds, size) =
        text.strip_prefix("bytes ").and_then(|rest| rest.split_once('/')).ok_or_else(refused)?;
    let (first, last) = bounds.split_once('-').ok_or_else(refused)?;
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| refused());
    let (first, last) = (number(first)?, number(last)?);
    if size != "*" && number(size)? != total || last < first || last >= total {
        return Err(Refusal::invalid("The content range is not within the size of the upload."));
    }
    Ok((first, last - first + 1))
}

async fn remove(Extract(state): Shared, Path(id): Path<String>) -> Result<Response, Refusal> {
    let id = id_of(&id)?;
    let dropped = state.store.write(move |tx| {
        upload::required(tx, id)?;
        upload::drop(tx, id)
    });
    dropped.await?;
    state.uploads.remove(id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn begin_commit(
    Extract(state): Shared,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Refusal> {
    let id = id_of(&id)?;
    let digest = fields.required("sha256")?;
    work::start(&state, move |tx| {
        let found = upload::required(tx, id)?;
        if let Some(offset) = found.missing() {
            return Err(Refusal::invalid(format!("Nothing has come at {offset} yet.")));
        }
        Ok(Start {
            title: "Commit an upload".to_owned(),
            resources: vec![(format!("upload/{id}"), Access::Exclusive)],
            work: Work::Commit { upload: id, digest: digest.clone() },
        })
    })
    .await
}

/// Makes an artifact of an upload.
pub(super) async fn commit(effort: &Effort, id: i64, digest: &str) -> Result<Done, Refusal> {
    let found = effort.store.read(move |tx| upload::required(tx, id)).await?;
    let artifact = effort.uploads.finish(&effort.artifacts, &found, Some(digest)).await?;
    let recorded = effort.store.write(move |tx| {
        record_artifact(tx, &artifact, clock::now())?;
        upload::drop(tx, id)?;
        let found = listing::artifact_like(tx, &artifact.digest)?;
        let found = found.ok_or(tutti_content::Error::Missing { what: "upload", id })?;
        // pulp-glue looks for the artifact among what was created, which a result would hide from it.
        Ok::<_, tutti_content::Error>(Done::created(hrefs::artifact(&found.digest), None))
    });
    let done = recorded.await?;
    effort.uploads.remove(id).await?;
    Ok(done)
}
