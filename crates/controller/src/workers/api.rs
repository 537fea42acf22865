//! Routes of workers and their claims.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use tutti_flow::{Failure, claim};
use tutti_model::api::{
    ClaimBeat, ClaimInfo, ClaimRequest, ClaimResult, ClaimStanding, WorkerInfo,
};
use uuid::Uuid;

use super::{claimant, lease, left, show, show_worker};
use crate::http::{Body, Mutation, Reply, Segments};
use crate::state::{Shared, State};
use crate::{Error, poll};

/// Lines of one sign of life.
const LINES: usize = 100;

pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/v1/workers", get(list))
        .route("/v1/workers/{name}/claims", post(take))
        .route("/v1/claims/{id}", post(beat).delete(give_back))
        .route("/v1/claims/{id}/result", post(finish))
}

async fn list(axum::extract::State(state): Shared) -> Result<Json<Vec<WorkerInfo>>, Error> {
    let workers = state.read(|tx| Ok(claim::workers(tx)?)).await?;
    Ok(Json(workers.into_iter().map(show_worker).collect()))
}

/// A long poll. What was claimed for somebody who has gone is offered again when its lease ends.
async fn take(
    axum::extract::State(state): Shared,
    Segments(name): Segments<String>,
    Body(request): Body<ClaimRequest>,
) -> Result<Json<Vec<ClaimInfo>>, Error> {
    let worker = claimant(name, &request)?;
    let (wait, lease) = (Duration::from_millis(request.wait_ms), lease(request.lease_ms));
    let here = worker.clone();
    let lasts = wait.min(poll::LONGEST) + lease;
    state.write(move |tx| Ok(claim::advertise(tx, &here, lasts)?)).await?;
    let max = request.max;
    let found = poll::until(&state, tutti_flow::OFFERS, wait, || async {
        let looking = worker.clone();
        if !state.read(move |tx| Ok(claim::any(tx, &looking)?)).await? {
            return Ok(None);
        }
        let taking = worker.clone();
        let take = state.write(move |tx| {
            let claims = claim::claim(tx, &taking, max, lease)?;
            let now = tx.now()?;
            Ok(claims.into_iter().map(|claim| show(claim, now)).collect::<Vec<_>>())
        });
        Ok(Some(take.await?).filter(|claims| !claims.is_empty()))
    })
    .await?;
    Ok(Json(found.unwrap_or_default()))
}

async fn beat(
    axum::extract::State(state): Shared,
    Segments(id): Segments<Uuid>,
    Body(news): Body<ClaimBeat>,
) -> Result<Json<ClaimStanding>, Error> {
    if news.log.len() > LINES {
        return Err(Error::Invalid(format!("at most {LINES} lines at a time")));
    }
    let standing = state.write(move |tx| {
        let lease = lease(news.lease_ms.unwrap_or_else(|| ClaimRequest::default().lease_ms));
        let standing = claim::beat(tx, id, lease)?;
        if let Some(fraction) = news.progress {
            claim::progress(tx, id, fraction)?;
        }
        news.log.iter().try_for_each(|line| claim::log(tx, id, line))?;
        let (lease_ms, cancelled) = (left(standing.lease_until, tx.now()?), standing.cancelled);
        Ok(ClaimStanding { lease_ms, cancelled })
    });
    Ok(Json(standing.await?))
}

async fn give_back(
    axum::extract::State(state): Shared,
    Segments(id): Segments<Uuid>,
) -> Result<StatusCode, Error> {
    state.write(move |tx| Ok(claim::give_back(tx, id)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn finish(
    mutation: Mutation,
    Segments(id): Segments<Uuid>,
    Body(result): Body<ClaimResult>,
) -> Result<Response, Error> {
    let finished = mutation.run(move |tx| {
        let result = match result.error.clone() {
            None => Ok(result.output.clone()),
            Some(error) if result.retryable => Err(Failure::Retryable(error)),
            Some(error) => Err(Failure::Terminal(error)),
        };
        claim::finish(tx, id, result)?;
        Ok(Reply::nothing())
    });
    finished.await
}
