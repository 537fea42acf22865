//! Attempts until one succeeds.

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    client::{Client, parse, shown},
    error::{Error, Reason},
    local, retry,
    transfer::{Body, Reply, Resumption},
};
use crate::{
    Incoming, Verdict,
    digest::{Digests, Expected},
};

/// What a server calls the state of something, to ask later whether it is still the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Validators {
    /// Entity tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Last modification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Where it is: mirrors are tried in this order.
    pub urls: &'a [String],
    /// What it is announced to be.
    pub expected: &'a Expected,
    /// What it was when it was asked for last.
    pub known: &'a Validators,
    /// The content type asked for.
    pub accept: Option<&'a str>,
    /// The most bytes that are read, unpacked.
    pub most: u64,
}

/// What was fetched.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Where it came from, after all redirections.
    pub url: String,
    /// What the server calls its state.
    pub validators: Validators,
    /// The digests that were computed.
    pub digests: Digests,
}

/// A document in memory.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where it came from, after all redirections: what it refers to is relative to this.
    pub url: String,
    /// What the server calls its state.
    pub validators: Validators,
    /// Its content type, as sent.
    pub content_type: String,
    /// It.
    pub bytes: Vec<u8>,
}

impl Validators {
    /// Whether the server said nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    /// What tells that two answers have the same bytes (RFC 9110: a weak tag does not).
    pub(super) fn strong(&self) -> Option<String> {
        let etag = self.etag.as_ref().filter(|etag| !etag.starts_with("W/"));
        etag.or(self.last_modified.as_ref()).cloned()
    }
}

impl<'a> Request<'a> {
    /// Something of that description.
    #[must_use]
    pub fn new(urls: &'a [String], expected: &'a Expected) -> Self {
        const NOTHING: &Validators = &Validators { etag: None, last_modified: None };
        Self { urls, expected, known: NOTHING, accept: None, most: u64::MAX }
    }
}

impl Client {
    /// Fetches into the store, verified; none if it is still what it was. It has to be [placed](Incoming::place).
    ///
    /// # Errors
    /// The last attempt's.
    pub async fn fetch(
        &self,
        request: &Request<'_>,
        incoming: &mut Incoming,
    ) -> Result<Option<Fetched>, Error> {
        let mut body = Body::Disk(incoming);
        let fetched = self.attempts(request, &mut body).await?;
        Ok(fetched.map(|(Reply { url, validators, .. }, digests)| Fetched {
            url,
            validators,
            digests,
        }))
    }

    /// Fetches a document into memory; none if it is still what it was.
    ///
    /// # Errors
    /// The last attempt's.
    pub async fn page(&self, request: &Request<'_>) -> Result<Option<Page>, Error> {
        let mut bytes = Vec::new();
        let fetched = self.attempts(request, &mut Body::Memory(&mut bytes)).await?;
        let Some((reply, _)) = fetched else { return Ok(None) };
        let bytes = unpacked(bytes, &reply.encoding, request.most).map_err(|reason| Error {
            url: reply.url.clone(),
            attempt: 1,
            reason,
        })?;
        let Reply { url, validators, content_type, .. } = reply;
        Ok(Some(Page { url, validators, content_type, bytes }))
    }

    async fn attempts(
        &self,
        request: &Request<'_>,
        body: &mut Body<'_>,
    ) -> Result<Option<(Reply, Digests)>, Error> {
        let mut urls: Vec<(usize, &String)> = request.urls.iter().enumerate().collect();
        let mut resumption = Resumption::default();
        let mut attempt = 0;
        let mut last = Error {
            url: shown(self.url().as_str()),
            attempt,
            reason: Reason::Url { url: String::new(), why: "there is none" },
        };
        for round in 0..=self.0.settings.retries {
            let mut passing = Vec::new();
            let mut retry_after = None;
            for (number, url) in urls {
                attempt += 1;
                let reason = match self.once((number, url), request, body, &mut resumption).await {
                    Ok(fetched) => return Ok(fetched),
                    Err(reason) => reason,
                };
                if reason.is_passing() {
                    passing.push((number, url));
                }
                if let Reason::Status { retry_after: wish, .. } = &reason {
                    retry_after = retry_after.max(*wish);
                }
                tracing::debug!(url = shown(url), attempt, %reason, "fetch failed");
                last = Error { url: shown(url), attempt, reason };
            }
            urls = passing;
            if urls.is_empty() {
                break;
            }
            if round < self.0.settings.retries {
                let chance = retry::chance();
                let delay = retry::delay(&self.0.settings, round, retry_after, chance);
                tokio::time::sleep(delay).await;
            }
        }
        Err(last)
    }

    async fn once(
        &self,
        (number, url): (usize, &str),
        request: &Request<'_>,
        body: &mut Body<'_>,
        resumption: &mut Resumption,
    ) -> Result<Option<(Reply, Digests)>, Reason> {
        let url: Url = parse(url)?;
        let reply = if url.scheme() == "file" {
            local::transfer(self.url(), &url, request, body).await
        } else {
            self.0.attempt((number, &url), request, body, resumption).await
        };
        if matches!(reply, Err(Reason::TooLong { .. })) {
            // Whatever these bytes are, they are no beginning of the right ones.
            body.begin_anew().await;
        }
        let reply = reply?;
        let Some(reply) = reply else { return Ok(None) };
        let Body::Disk(incoming) = body else { return Ok(Some((reply, Digests::new()))) };
        match incoming.verify(request.expected).await? {
            Verdict::Right(digests) => Ok(Some((reply, digests))),
            Verdict::Wrong { algorithm, expected, found } => {
                incoming.begin_anew().await;
                Err(Reason::Digest { algorithm, expected, found })
            }
        }
    }
}

/// A page as it was before the server packed it; a small one that unpacks to a huge one is refused.
fn unpacked(bytes: Vec<u8>, encoding: &str, most: u64) -> Result<Vec<u8>, Reason> {
    match encoding {
        "" => return Ok(bytes),
        "gzip" | "x-gzip" => {}
        other => return Err(Reason::Encoding(other.to_owned())),
    }
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut size = bytes.len().saturating_mul(8).clamp(64 * 1024, most);
    loop {
        let mut unpacked = vec![0; size];
        match libdeflater::Decompressor::new().gzip_decompress(&bytes, &mut unpacked) {
            Ok(length) => {
                unpacked.truncate(length);
                return Ok(unpacked);
            }
            Err(libdeflater::DecompressionError::InsufficientSpace) if size < most => {
                size = size.saturating_mul(4).min(most);
            }
            Err(libdeflater::DecompressionError::InsufficientSpace) => {
                return Err(Reason::TooLarge { most: most as u64 });
            }
            Err(_) => return Err(Reason::Encoding(encoding.to_owned())),
        }
    }
}
