//! Entity tags of what is read, and `If-None-Match`: a reader that has it already gets 304.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::call::{Tags, text};
use super::resource::tag;
use crate::Error;

/// Gives every JSON answer to a `GET` its entity tag. Agents' calls never ask the same twice.
pub(super) async fn tagged(request: Request, next: Next) -> Response {
    let is_agents = request.uri().path().starts_with("/v1/agents/");
    if request.method() != Method::GET || is_agents {
        return next.run(request).await;
    }
    let seen = text(request.headers(), &header::IF_NONE_MATCH);
    let seen = match seen.and_then(|seen| seen.map(Tags::read).transpose()) {
        Ok(seen) => seen,
        Err(error) => return error.into_response(),
    };
    let response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE);
    if response.status() != StatusCode::OK || kind.is_none_or(|kind| kind != "application/json") {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // It is in memory already.
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return Error::Panicked.into_response();
    };
    let etag = tag(&bytes);
    let is_known = seen.is_some_and(|seen| seen.match_weakly(&etag));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        parts.headers.insert(header::ETAG, etag);
    }
    if is_known {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}
