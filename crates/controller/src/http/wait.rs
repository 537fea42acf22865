//! `Prefer: wait`: holding an answer until its flow has ended.
//!
//! The status tells of the request, which was accepted whatever comes of it; the body tells how far
//! the world is.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tutti_model::api::{Accepted, Settled};
use tutti_store::Tx;
use uuid::Uuid;

use super::call::Call;
use super::reply::Reply;
use super::resource::Resource;
use crate::flows::{self, Outcome};
use crate::state::{State, Vantage};
use crate::{Error, poll};

/// Collections to which something is added by posting.
const COLLECTIONS: &[&str] =
    &["applications", "machines", "operations", "relations", "storage", "units"];

/// The answer once its flow has ended, or as it is when that takes longer than `wait`, when too many
/// wait already, and when the controller stops.
pub(super) async fn finished(state: &State, call: &Call, reply: Reply, wait: Duration) -> Response {
    match last(state, call, &reply, wait).await {
        Ok(Some(last)) => {
            let mut response = last.into_response();
            let name = HeaderName::from_static("preference-applied");
            // Digits are a value.
            if let Ok(value) = HeaderValue::try_from(format!("wait={}", wait.as_secs())) {
                response.headers_mut().insert(name, value);
            }
            response
        }
        Ok(None) => reply.into_response(),
        Err(error) => {
            // What was accepted stays accepted.
            tracing::debug!(error = %super::sentence(&error), "flow not waited for");
            reply.into_response()
        }
    }
}

async fn last(
    state: &State,
    call: &Call,
    reply: &Reply,
    wait: Duration,
) -> Result<Option<Reply>, Error> {
    let Some(flow) = reply.flow.filter(|_| reply.status == StatusCode::ACCEPTED.as_u16()) else {
        return Ok(None);
    };
    let ended = poll::until(state, tutti_flow::ENDED, wait, || async {
        state.read(move |tx| flows::ended(tx, flow)).await
    })
    .await?;
    let Some(flow) = ended else { return Ok(None) };
    let (call, reply, vantage) = (call.clone(), reply.clone(), state.vantage());
    Ok(Some(state.read(move |tx| settled(tx, &call, reply, flow, vantage)).await?))
}

/// The answer as it is now that its flow has ended.
fn settled(
    tx: &mut Tx<'_>,
    call: &Call,
    reply: Reply,
    flow: Uuid,
    vantage: Vantage,
) -> Result<Reply, Error> {
    let outcome = flows::outcome(tx, flow, vantage)?;
    let status = status(&call.method, call.uri.path(), outcome.problem.is_some());
    let located = reply.location.as_deref().and_then(Resource::of_path);
    let tagged =
        if call.method == Method::POST { located.as_ref() } else { call.resource.as_ref() };
    let etag = tagged.and_then(|resource| resource.tag(tx, vantage).ok());
    let body = match status {
        StatusCode::NO_CONTENT => String::new(),
        _ => body(tx, &reply, located.as_ref(), outcome, vantage)?,
    };
    Ok(Reply { status: status.as_u16(), body, etag, ..reply })
}

fn status(method: &Method, path: &str, has_failed: bool) -> StatusCode {
    let last = path.rsplit('/').next().unwrap_or_default();
    if *method == Method::POST && COLLECTIONS.contains(&last) {
        StatusCode::CREATED
    } else if *method == Method::DELETE && !has_failed {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::OK
    }
}

/// The same body, with what became of it.
fn body(
    tx: &mut Tx<'_>,
    reply: &Reply,
    located: Option<&Resource>,
    outcome: Outcome,
    vantage: Vantage,
) -> Result<String, Error> {
    let stored = |source| Error::Stored { what: "answer", source };
    let is_accepted = |body: &Value| body.get("flow").is_some_and(Value::is_object);
    let body: Value = serde_json::from_str(&reply.body).map_err(stored)?;
    if let (false, Some(resource)) = (is_accepted(&body), located) {
        let body = resource.read(tx, vantage)?;
        return Ok(String::from_utf8_lossy(&body).into_owned());
    }
    let accepted: Accepted = serde_json::from_value(body).map_err(stored)?;
    let Outcome { flow, sync, problem } = outcome;
    let accepted = Accepted { flow: Some(flow), ..accepted };
    serde_json::to_string(&Settled { accepted, sync, problem }).map_err(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_tells_of_the_request() {
        for (method, path, has_failed, expected) in [
            (Method::POST, "/v1/models/m/applications", false, StatusCode::CREATED),
            (Method::POST, "/v1/models/m/applications", true, StatusCode::CREATED),
            (Method::POST, "/v1/models/m/units/remove", false, StatusCode::OK),
            (Method::PATCH, "/v1/models/m/applications/db/config", false, StatusCode::OK),
            (Method::DELETE, "/v1/models/m/applications/db", false, StatusCode::NO_CONTENT),
            (Method::DELETE, "/v1/models/m/applications/db", true, StatusCode::OK),
        ] {
            assert_eq!(status(&method, path, has_failed), expected, "{method} {path}");
        }
    }
}
