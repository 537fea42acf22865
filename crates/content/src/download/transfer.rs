//! One attempt: bytes are counted while they come, and go on where an earlier attempt broke off.

use std::time::Duration;

use reqwest::{
    Response, StatusCode,
    header::{
        ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG,
        HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
        LAST_MODIFIED, RANGE,
    },
};
use url::Url;

use super::{
    client::{Inner, retry_after},
    error::Reason,
    fetch::{Request, Validators},
};
use crate::Incoming;

/// Where the bytes go.
pub(super) enum Body<'a> {
    /// Into the store of artifacts.
    Disk(&'a mut Incoming),
    /// A page, which may come packed.
    Memory(&'a mut Vec<u8>),
}

/// What a complete answer says beside its bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    pub(super) url: String,
    pub(super) validators: Validators,
    pub(super) content_type: String,
    pub(super) encoding: String,
}

/// What an attempt that broke off leaves to the next.
#[derive(Debug, Default)]
pub(super) struct Resumption {
    /// Which of the urls its bytes are from.
    pub(super) from: usize,
    /// What the server called them: if it is still the same, it goes on.
    pub(super) validator: Option<String>,
}

impl Body<'_> {
    fn received(&self) -> u64 {
        match self {
            Self::Disk(incoming) => incoming.received(),
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    async fn write(&mut self, chunk: &[u8]) -> Result<(), Reason> {
        match self {
            Self::Disk(incoming) => incoming.write(chunk).await?,
            Self::Memory(bytes) => bytes.extend_from_slice(chunk),
        }
        Ok(())
    }

    pub(super) async fn begin_anew(&mut self) {
        match self {
            Self::Disk(incoming) => incoming.begin_anew().await,
            Self::Memory(bytes) => bytes.clear(),
        }
    }

    /// Takes a piece in unless it is one too many.
    pub(super) async fn take(&mut self, request: &Request<'_>, chunk: &[u8]) -> Result<(), Reason> {
        let received = self.received() + chunk.len() as u64;
        if let Some(expected) = request.expected.size.filter(|expected| received > *expected) {
            return Err(Reason::TooLong { expected });
        }
        if received > request.most {
            return Err(Reason::TooLarge { most: request.most });
        }
        self.write(chunk).await
    }

    /// That nothing is missing.
    pub(super) fn ended(&self, request: &Request<'_>) -> Result<(), Reason> {
        let received = self.received();
        match request.expected.size {
            Some(expected) if received < expected => Err(Reason::TooShort { expected, received }),
            _ => Ok(()),
        }
    }
}

impl Inner {
    /// Asks once; none if nothing has changed.
    pub(super) async fn attempt(
        &self,
        (number, url): (usize, &Url),
        request: &Request<'_>,
        body: &mut Body<'_>,
        resumption: &mut Resumption,
    ) -> Result<Option<Reply>, Reason> {
        let _turn = self.turn().await;
        let timeout = self.settings.total_timeout_ms.map_or(Duration::MAX, Duration::from_millis);
        let attempt = self.transfer((number, url), request, body, resumption);
        match tokio::time::timeout(timeout, attempt).await {
            Ok(done) => done,
            Err(_) => Err(Reason::Timeout { received: body.received() }),
        }
    }

    async fn transfer(
        &self,
        (number, url): (usize, &Url),
        request: &Request<'_>,
        body: &mut Body<'_>,
        resumption: &mut Resumption,
    ) -> Result<Option<Reply>, Reason> {
        let is_known = !request.expected.digests.is_empty();
        let is_same = resumption.from == number && resumption.validator.is_some();
        if body.received() > 0 && !is_known && !is_same {
            body.begin_anew().await;
        }
        let headers = headers(request, body, resumption.validator.as_deref().filter(|_| is_same));
        let mut response = self.get(url, &headers).await?;
        if response.status() == StatusCode::NOT_MODIFIED && !request.known.is_empty() {
            return Ok(None);
        }
        accept(&response, body).await?;
        let reply = reply(&response);
        *resumption = Resumption { from: number, validator: reply.validators.strong() };
        // Bytes for the store are kept as they come; without a digest nobody would notice that they are packed.
        let is_page = matches!(body, Body::Memory(_));
        if !is_page && !is_known && !reply.encoding.is_empty() {
            return Err(Reason::Encoding(reply.encoding));
        }
        let is_packed = is_page && !reply.encoding.is_empty();
        if let Some(length) = response.content_length().filter(|_| !is_packed) {
            announced(request, body.received() + length)?;
        }
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => body.take(request, &chunk).await?,
                Ok(None) => break,
                Err(error) => return Err(Reason::of(error, body.received())),
            }
        }
        if !is_packed {
            body.ended(request)?;
        }
        Ok(Some(reply))
    }
}

/// What the server announces is judged before it is read.
fn announced(request: &Request<'_>, length: u64) -> Result<(), Reason> {
    match request.expected.size {
        Some(expected) if length > expected => Err(Reason::TooLong { expected }),
        Some(expected) if length < expected => Err(Reason::TooShort { expected, received: length }),
        _ if length > request.most => Err(Reason::TooLarge { most: request.most }),
        _ => Ok(()),
    }
}

/// Whether the answer brings the bytes that come next.
async fn accept(response: &Response, body: &mut Body<'_>) -> Result<(), Reason> {
    let wanted = body.received();
    match response.status() {
        StatusCode::PARTIAL_CONTENT if wanted > 0 && range_start(response) == Some(wanted) => {
            Ok(())
        }
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if wanted > 0 => {
            body.begin_anew().await;
            Err(Reason::Resumption { wanted })
        }
        StatusCode::OK => {
            body.begin_anew().await;
            Ok(())
        }
        status => Err(Reason::Status { status, retry_after: retry_after(response) }),
    }
}

/// From `bytes 10-19/20`.
fn range_start(response: &Response) -> Option<u64> {
    let text = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    text.trim().strip_prefix("bytes")?.trim().split_once('-')?.0.parse().ok()
}

fn headers(request: &Request<'_>, body: &Body<'_>, validator: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut put = |name: HeaderName, value: &str| {
        // What no header can hold, no server has said.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    match body {
        Body::Disk(_) => put(ACCEPT_ENCODING, "identity"),
        Body::Memory(_) => put(ACCEPT_ENCODING, "gzip"),
    }
    if let Some(accept) = request.accept {
        put(ACCEPT, accept);
    }
    if let Some(etag) = &request.known.etag {
        put(IF_NONE_MATCH, etag);
    } else if let Some(modified) = &request.known.last_modified {
        put(IF_MODIFIED_SINCE, modified);
    }
    if body.received() > 0 {
        put(RANGE, &format!("bytes={}-", body.received()));
        if let Some(validator) = validator {
            put(IF_RANGE, validator);
        }
    }
    headers
}

fn reply(response: &Response) -> Reply {
    let text = |name: HeaderName| {
        let value = response.headers().get(name)?;
        Some(value.to_str().ok()?.to_owned())
    };
    // What was modified in the second it was sent in may be modified once more in that second (RFC 9110, 8.8.2.2).
    let last_modified =
        text(LAST_MODIFIED).filter(|modified| Some(modified) != text(DATE).as_ref());
    let encoding = text(CONTENT_ENCODING).unwrap_or_default().to_ascii_lowercase();
    Reply {
        url: response.url().to_string(),
        validators: Validators { etag: text(ETAG), last_modified },
        content_type: text(CONTENT_TYPE).unwrap_or_default(),
        encoding: if encoding == "identity" { String::new() } else { encoding },
    }
}
