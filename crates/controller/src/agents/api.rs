//! Routes below `/v1/agents/{machine}`.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tutti_model::agent::{Report, Session, SessionRequest, Snapshot, Step, UnitChanges};
use tutti_store::Tx;

use super::context::Surroundings;
use super::session::{self, Agent};
use super::{report, step, unit};
use crate::http::{Body, Query, Segments};
use crate::relations::Touched;
use crate::sequence::{self, UNITS_BELL};
use crate::state::{Shared, State};
use crate::{Error, clock, models, poll};

pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/v1/agents/{machine}/sessions", post(open))
        .route("/v1/agents/{machine}/changes", get(changes))
        .route("/v1/agents/{machine}/units/{unit}", get(show))
        .route("/v1/agents/{machine}/units/{unit}/steps", post(take_step))
        .route("/v1/agents/{machine}/units/{unit}/reports", post(reports))
}

/// The session every call but the first names.
#[derive(Clone, Copy, Deserialize)]
struct SessionQuery {
    session: i64,
}

#[derive(Clone, Copy, Deserialize)]
struct ChangesQuery {
    session: i64,
    #[serde(default)]
    after: i64,
    #[serde(default)]
    wait_ms: u64,
}

async fn open(
    axum::extract::State(state): Shared,
    Segments(machine): Segments<String>,
    Body(request): Body<SessionRequest>,
) -> Result<Json<Session>, Error> {
    let lease = state.vantage().lease;
    let session = state.write(move |tx| session::open(tx, &machine, &request, lease)).await?;
    Ok(Json(Session { controller: state.uuid.clone(), ..session }))
}

async fn changes(
    axum::extract::State(state): Shared,
    Segments(machine): Segments<String>,
    Query(query): Query<ChangesQuery>,
) -> Result<Json<UnitChanges>, Error> {
    let agent = Agent { machine, session: query.session };
    let (alive, lease) = (agent.clone(), state.vantage().lease);
    if state.read(move |tx| session::is_due(tx, &alive, lease)).await? {
        let alive = agent.clone();
        state.write(move |tx| session::seen(tx, &alive, query.after, lease)).await?;
    }
    // Who waits gives no sign of life.
    let wait = Duration::from_millis(query.wait_ms).min(state.options.agent_lease / 4);
    let found = poll::until(&state, UNITS_BELL, wait, || {
        let agent = agent.clone();
        state.read(move |tx| session::changes(tx, &agent, query.after))
    })
    .await?;
    Ok(Json(found.unwrap_or(UnitChanges { units: Vec::new(), after: query.after })))
}

async fn show(
    axum::extract::State(state): Shared,
    Segments((machine, id)): Segments<(String, String)>,
    Query(query): Query<SessionQuery>,
) -> Result<Json<Snapshot>, Error> {
    let agent = Agent { machine, session: query.session };
    let snapshot = state.read(move |tx| {
        unit::served(tx, &agent, &id)?;
        step::current(tx, &id, clock::now())
    });
    Ok(Json(snapshot.await?))
}

async fn take_step(
    axum::extract::State(state): Shared,
    Segments((machine, id)): Segments<(String, String)>,
    Query(query): Query<SessionQuery>,
    Body(request): Body<Step>,
) -> Result<Response, Error> {
    let agent = Agent { machine, session: query.session };
    let api_addresses = state.address.iter().map(ToString::to_string).collect();
    let bus = state.options.bus.as_ref().map(|bus| bus.url.clone()).unwrap_or_default();
    let surroundings = Surroundings { api_addresses, bus };
    let (unit, request) = (id.clone(), Arc::new(request));
    let taken = Arc::clone(&request);
    let applied = state.write(move |tx| step::step(tx, &agent, &unit, &taken, clock::now())).await;
    match applied {
        Ok(followed) => {
            let answer = move |tx: &mut Tx<'_>| {
                let now = clock::now();
                step::answer(tx, &id, &request, followed.clone(), &surroundings, now)
            };
            Ok(Json(state.read(answer).await?).into_response())
        }
        Err(stale @ Error::StaleJournal { .. }) => {
            let snapshot = state.read(move |tx| step::current(tx, &id, clock::now())).await?;
            Ok(stale_journal(&stale, snapshot))
        }
        Err(error) => Err(error),
    }
}

async fn reports(
    axum::extract::State(state): Shared,
    Segments((machine, id)): Segments<(String, String)>,
    Query(query): Query<SessionQuery>,
    Body(reports): Body<Vec<Report>>,
) -> Result<StatusCode, Error> {
    let agent = Agent { machine, session: query.session };
    state
        .write(move |tx| {
            let unit = unit::lock(tx, &agent, &id)?;
            let model = models::find(tx, &unit.model)?;
            let mut touched = Touched::new();
            report::apply(tx, &model, &unit, &reports, clock::now(), &mut touched)?;
            if !touched.is_empty() {
                sequence::touch(tx, touched.iter().map(String::as_str))?;
            }
            Ok(())
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A problem document that says where the unit stands.
#[derive(Serialize)]
struct StaleJournal {
    code: &'static str,
    status: u16,
    detail: String,
    #[serde(flatten)]
    snapshot: Snapshot,
}

fn stale_journal(error: &Error, snapshot: Snapshot) -> Response {
    let status = StatusCode::CONFLICT;
    let detail = error.to_string();
    let body = StaleJournal { code: "stale-journal", status: status.as_u16(), detail, snapshot };
    (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(body)).into_response()
}
