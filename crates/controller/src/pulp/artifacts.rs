//! Artifacts: `/pulp/api/v3/artifacts/`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, Request, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tutti_content::listing::{self, StoredArtifact};
use tutti_content::{orphan, record_artifact};
use tutti_store::Tx;

use super::fields::Form;
use super::hrefs::{self, Address, V3};
use super::query::Query;
use super::refusal::{Refusal, answer};
use super::time;
use crate::state::{Shared, State};
use crate::{applications, clock};

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/pulp/api/v3/artifacts/", get(list).post(create))
        .route("/pulp/api/v3/artifacts/{id}/", get(show).delete(remove))
}

/// An artifact as it is shown. Only the digest it is stored by is known.
pub(super) fn shown(one: &StoredArtifact) -> Value {
    let (shelf, _) = one.digest.split_at_checked(2).unwrap_or_default();
    json!({
        "pulp_href": hrefs::artifact(&one.digest),
        "prn": format!("prn:core.artifact:{}", hrefs::artifact_uuid(&one.digest)),
        "pulp_created": time(one.created),
        "pulp_last_updated": time(one.created),
        "file": format!("artifacts/{shelf}/{}", one.digest),
        "size": one.size,
        "sha256": one.digest,
        "md5": null, "sha1": null, "sha224": null, "sha384": null, "sha512": null,
    })
}

fn required(tx: &mut Tx<'_>, id: &str) -> Result<StoredArtifact, Refusal> {
    let Some(Address::Artifact(beginning)) = Address::parse(&format!("{V3}artifacts/{id}/")) else {
        return Err(Refusal::not_found());
    };
    listing::artifact_like(tx, &beginning)?.ok_or_else(Refusal::not_found)
}

async fn list(
    Extract(state): Shared,
    RawQuery(asked): RawQuery,
    mut query: Query,
) -> Result<Response, Refusal> {
    let digest = query.take("sha256");
    for other in ["md5", "sha1", "sha224", "sha384", "sha512"] {
        if query.take(other).is_some() {
            let text = format!("{other}: artifacts are found by their SHA-256 here");
            return Err(Refusal::filter(text));
        }
    }
    query.ascending(&["pulp_created"])?;
    query.finish()?;
    let window = query.window();
    let page =
        state.store.read(move |tx| listing::artifacts(tx, digest.as_deref(), window)).await?;
    let rows = page.rows.iter().map(shown).collect();
    Ok(answer(StatusCode::OK, &query.page(&asked.unwrap_or_default(), page.count, rows)))
}

async fn create(Extract(state): Shared, request: Request) -> Result<Response, Refusal> {
    let form = Form::read(&state.artifacts, request).await?;
    let (artifact, _) =
        form.file.ok_or_else(|| Refusal::field("file", "No file was submitted."))?;
    if let Some(expected) = form.fields.text("sha256")?
        && expected != artifact.digest
    {
        return Err(Refusal::invalid("The sha256 checksum did not match."));
    }
    if form.fields.number("size")?.is_some_and(|size| size != artifact.size) {
        return Err(Refusal::invalid("The size did not match actual size of file."));
    }
    let made = state.store.write(move |tx| {
        record_artifact(tx, &artifact, clock::now())?;
        let found = listing::artifact_like(tx, &artifact.digest)?;
        Ok::<_, Refusal>(shown(&found.ok_or_else(Refusal::not_found)?))
    });
    Ok(answer(StatusCode::CREATED, &made.await?))
}

async fn show(
    Extract(state): Shared,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response, Refusal> {
    let read = state.store.read(move |tx| Ok::<_, Refusal>(shown(&required(tx, &id)?)));
    let mut row = read.await?;
    query.trim(&mut row);
    Ok(answer(StatusCode::OK, &row))
}

async fn remove(Extract(state): Shared, Path(id): Path<String>) -> Result<Response, Refusal> {
    let dropped = state.store.write(move |tx| {
        let found = required(tx, &id)?;
        let kept = applications::artifacts(tx)?;
        let old = [found.digest.clone()].into();
        match orphan::forget_artifacts(tx, &old, &kept)?.is_empty() {
            true => Err(Refusal::conflict("The artifact is in use.")),
            false => Ok(found.digest),
        }
    });
    // What was stored again meanwhile stays, as does what is too young: a later clean-up looks again.
    state.artifacts.remove_old(&dropped.await?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
