//! Refusals in Pulp's shapes: a text for a field, for the whole, or a detail.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::Error;
use crate::http::sentence;

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Refusal {
    /// 400 about one field.
    pub(crate) fn field(name: &str, text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, body: json!({name: [text.into()]}) }
    }

    /// 400 about the whole.
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, body: json!([text.into()]) }
    }

    /// 400 about a query parameter that is not known, or does not fit.
    pub(crate) fn filter(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, body: json!({"errors": [text.into()]}) }
    }

    /// 404.
    pub(crate) fn not_found() -> Self {
        Self::detail(StatusCode::NOT_FOUND, "Not found.")
    }

    /// 409.
    pub(crate) fn conflict(text: impl Into<String>) -> Self {
        Self::detail(StatusCode::CONFLICT, text)
    }

    /// Anything else.
    pub(crate) fn detail(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, body: json!({"detail": text.into()}) }
    }

    /// The sentence of it.
    pub(crate) fn text(&self) -> String {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match &self.body {
            Value::Array(texts) => texts.first().map(text).unwrap_or_default(),
            Value::Object(fields) => {
                fields.iter().next().map_or_else(String::new, |(name, value)| {
                    match (name.as_str(), value) {
                        ("detail", value) => text(value),
                        (name, Value::Array(texts)) => {
                            format!("{name}: {}", texts.first().map(text).unwrap_or_default())
                        }
                        (_, value) => text(value),
                    }
                })
            }
            _ => String::new(),
        }
    }
}

impl From<tutti_content::Error> for Refusal {
    fn from(error: tutti_content::Error) -> Self {
        use tutti_content::Error as Content;
        match &error {
            Content::Taken { what: "distribution at", .. } => {
                Self::field("base_path", "This field must be unique.")
            }
            Content::Taken { .. } => Self::field("name", "This field must be unique."),
            Content::Nested { .. } => Self::field("base_path", error.to_string()),
            Content::Missing { .. } | Content::NoVersion { .. } | Content::NoRepository(_) => {
                Self::not_found()
            }
            Content::Path(_) => Self::field("relative_path", error.to_string()),
            Content::Occupied { .. } => Self::conflict(error.to_string()),
            Content::Protected { .. }
            | Content::OnlyVersion { .. }
            | Content::ContentType { .. }
            | Content::Incomplete { .. }
            | Content::TooLong { .. }
            | Content::Mismatch { .. }
            | Content::Digest(_)
            | Content::Receive { .. } => Self::invalid(sentence(&error)),
            _ => Error::from(error).into(),
        }
    }
}

impl From<tutti_store::Error> for Refusal {
    fn from(error: tutti_store::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<tutti_flow::Error> for Refusal {
    fn from(error: tutti_flow::Error) -> Self {
        match &error {
            tutti_flow::Error::NoFlow { .. } => Self::not_found(),
            tutti_flow::Error::Ended { .. } | tutti_flow::Error::NotEnded { .. } => {
                Self::conflict(error.to_string())
            }
            _ => Error::from(error).into(),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Content(error @ tutti_content::Error::Taken { .. }) => error.into(),
            error => {
                let status = error.status();
                Self::detail(status, sentence(&error))
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::error!(detail = self.text(), "request failed");
        }
        answer(self.status, &self.body)
    }
}

/// An answer in JSON. Clients compare the content type letter by letter.
pub(crate) fn answer(status: StatusCode, body: &Value) -> Response {
    let kind = HeaderValue::from_static("application/json");
    let mut response = (status, body.to_string()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
