//! Problems: how what went wrong is answered (RFC 9457).

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tutti_model::api::Problem;

use crate::Error;

/// When who was refused because too much is queued may try again.
const RETRY_SECONDS: u32 = 5;

impl Error {
    /// Status and machine word of the problem document.
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not-found"),
            Self::UnitNotFound(_) => (StatusCode::NOT_FOUND, "unit-not-found"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            Self::Deleting(_) => (StatusCode::CONFLICT, "resource-deleting"),
            Self::QueueFull { .. } => (StatusCode::TOO_MANY_REQUESTS, "queue-full"),
            Self::ModelFull { .. } => (StatusCode::TOO_MANY_REQUESTS, "model-full"),
            Self::Refused { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "refused"),
            Self::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "key-reused"),
            Self::Precondition { .. } => (StatusCode::PRECONDITION_FAILED, "precondition"),
            Self::Gone(_) => (StatusCode::GONE, "gone"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
            Self::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Self::StaleSession(_) => (StatusCode::CONFLICT, "stale-session"),
            Self::StaleJournal { .. } => (StatusCode::CONFLICT, "stale-journal"),
            Self::Store(tutti_store::Error::DiskFull) => {
                (StatusCode::INSUFFICIENT_STORAGE, "disk-full")
            }
            // Text no column can hold, such as NUL.
            Self::Store(tutti_store::Error::Value { .. }) => (StatusCode::BAD_REQUEST, "invalid"),
            Self::Content(error) if error.is_disk_full() => {
                (StatusCode::INSUFFICIENT_STORAGE, "disk-full")
            }
            Self::Content(tutti_content::Error::Receive { .. }) => {
                (StatusCode::BAD_REQUEST, "invalid")
            }
            Self::Flow(tutti_flow::Error::NoFlow { .. } | tutti_flow::Error::NoTask { .. }) => {
                (StatusCode::NOT_FOUND, "not-found")
            }
            Self::Flow(
                tutti_flow::Error::Ended { .. }
                | tutti_flow::Error::Reverting { .. }
                | tutti_flow::Error::NotRetryable { .. }
                | tutti_flow::Error::NotFailed { .. }
                | tutti_flow::Error::NotWaiting { .. },
            ) => (StatusCode::CONFLICT, "conflict"),
            Self::Flow(tutti_flow::Error::ClaimLost { .. }) => (StatusCode::CONFLICT, "claim-lost"),
            Self::Store(tutti_store::Error::Closed) => {
                (StatusCode::SERVICE_UNAVAILABLE, "stopping")
            }
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    /// The status it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        self.kind().0
    }

    fn problem(&self) -> (StatusCode, Problem) {
        let (status, code) = self.kind();
        let reasons = match self {
            // A single reason is part of the sentence.
            Self::Refused { reasons, .. } if reasons.len() > 1 => reasons.clone(),
            _ => Vec::new(),
        };
        let detail = sentence(self);
        (status, Problem { code: code.into(), status: status.as_u16(), detail, reasons })
    }
}

/// The error and its causes, one sentence.
pub(crate) fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, problem) = self.problem();
        if status.is_server_error() {
            tracing::error!(detail = problem.detail, "request failed");
        }
        let kind: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, kind, Json(problem)).into_response();
        if let Self::Precondition { etag, .. } = &self
            && let Ok(etag) = HeaderValue::try_from(etag)
        {
            response.headers_mut().insert(header::ETAG, etag);
        }
        if let Self::QueueFull { .. } | Self::ModelFull { .. } = &self {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
        }
        response
    }
}
