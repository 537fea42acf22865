//! What a mutation answers, in a form that can be kept and sent again.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tutti_model::api::Accepted;
use uuid::Uuid;

use super::resource::Resource;
use crate::Error;

/// What a mutation answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub(super) status: u16,
    /// JSON, or empty.
    pub(super) body: String,
    /// The flow that makes it so.
    pub(super) flow: Option<Uuid>,
    /// Address of what was created or changed.
    pub(super) location: Option<String>,
    /// Its entity tag when the mutation was committed.
    pub(super) etag: Option<String>,
    /// What the entity tag is still to be read of, once the transaction is over.
    #[serde(skip)]
    pub(super) untagged: Option<Untagged>,
    /// What `location` names, as long as the transaction lasts.
    #[serde(skip)]
    pub(super) resource: Option<Resource>,
}

/// A resource whose entity tag takes long to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Untagged {
    pub(super) resource: Resource,
    /// Its generation when the mutation was committed.
    pub(super) generation: Option<i64>,
}

impl Reply {
    /// 202 with the flow, or 200 when nothing had to change.
    pub(crate) fn accepted(accepted: &Accepted) -> Result<Self, Error> {
        match &accepted.flow {
            None => Self::new(StatusCode::OK, accepted),
            Some(flow) => Ok(Self::new(StatusCode::ACCEPTED, accepted)?.by(&flow.id)),
        }
    }

    /// 202 with a resource that is not finished.
    pub(crate) fn begun(value: &impl Serialize) -> Result<Self, Error> {
        Self::new(StatusCode::ACCEPTED, value)
    }

    /// 201 with the new resource.
    pub(crate) fn created(value: &impl Serialize) -> Result<Self, Error> {
        Self::new(StatusCode::CREATED, value)
    }

    /// 200 with the changed resource.
    pub(crate) fn changed(value: &impl Serialize) -> Result<Self, Error> {
        Self::new(StatusCode::OK, value)
    }

    /// 204.
    pub(crate) fn nothing() -> Self {
        Self { status: StatusCode::NO_CONTENT.as_u16(), ..Self::default() }
    }

    /// With the resource it is about.
    pub(crate) fn at(self, resource: Resource) -> Self {
        Self { resource: Some(resource), ..self }
    }

    /// With the flow that finishes it.
    pub(crate) fn by(self, flow: &str) -> Self {
        Self { flow: Uuid::try_parse(flow).ok(), ..self }
    }

    fn new(status: StatusCode, value: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_string(value)
            .map_err(|source| Error::Stored { what: "answer", source })?;
        Ok(Self { status: status.as_u16(), body, ..Self::default() })
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let mut response = (status, self.body).into_response();
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_TYPE);
        if status != StatusCode::NO_CONTENT {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let link = self.flow.map(|flow| format!("</v1/flows/{flow}>; rel=\"status\""));
        let is_new = matches!(status, StatusCode::CREATED | StatusCode::ACCEPTED);
        let lines = [
            (header::LOCATION, self.location.filter(|_| is_new)),
            (header::LINK, link),
            (header::ETAG, self.etag),
        ];
        for (name, value) in lines {
            // Names are encoded, so every value is one.
            if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
                headers.insert(name, value);
            }
        }
        response
    }
}
