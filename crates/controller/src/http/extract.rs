//! Path, query and body of a request, with refusals as problem documents.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::BodyDataStream;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::body_note::BodyNote;
use crate::Error;

/// The most a JSON request may hold, bytes. Uploads are streams and have limits of their own.
const BODY: usize = 32 * 1024 * 1024;

/// The most that is read of a request that is refused, bytes: of nearly every charm the whole.
const DRAINED: usize = 256 * 1024 * 1024;

/// How long a request that is refused is read.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// The JSON body; an empty one reads as `{}`.
pub(crate) struct Body<T>(pub(crate) T);

/// The query.
pub(crate) struct Query<T>(pub(crate) T);

/// The variable segments of the path.
pub(crate) struct Segments<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        let note = request.extensions().get::<BodyNote>().cloned();
        let bytes = read(request.into_body()).await?;
        let bytes = match &note {
            Some(note) => note.read(&bytes)?,
            None => Cow::Borrowed(bytes.as_slice()),
        };
        let json: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(json)
            .map(Self)
            .map_err(|error| Error::Invalid(format!("the request's body does not fit: {error}")))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        axum::extract::Query::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|refused| unfit("query", &refused.body_text()))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        Path::from_request_parts(parts, state)
            .await
            .map(|Path(value)| Self(value))
            .map_err(|refused| unfit("path", &refused.body_text()))
    }
}

/// What axum says of a part of the request, without how it calls reading it.
fn unfit(part: &str, text: &str) -> Error {
    let beginnings = ["Failed to deserialize query string: ", "Invalid URL: "];
    let text = beginnings.iter().find_map(|one| text.strip_prefix(one)).unwrap_or(text);
    Error::Invalid(format!("the request's {part} does not fit: {text}"))
}

/// Reads a body that may hold [`BODY`] bytes.
async fn read(body: axum::body::Body) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Error::Invalid(error.to_string()))?;
        if bytes.len() + chunk.len() > BODY {
            drain(chunks).await;
            return Err(Error::TooLarge(format!("a request holds at most {BODY} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Reads what a client is still sending before it is refused: many would not see the refusal while
/// they cannot go on writing. Whoever sends more than [`DRAINED`] or for longer than [`DRAIN_TIME`]
/// finds the connection closed behind the refusal.
pub(crate) async fn drain(mut chunks: BodyDataStream) {
    let mut read = 0;
    let drained = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            read += chunk.len();
            if read > DRAINED {
                break;
            }
        }
    };
    // Over in time or not: the refusal follows.
    let _ = tokio::time::timeout(DRAIN_TIME, drained).await;
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body::{Body, Bytes};
    use futures_util::stream;

    use super::{DRAIN_TIME, DRAINED, drain};

    #[tokio::test]
    async fn an_endless_request_is_read_no_further_than_the_bound() {
        const CHUNK: usize = 1024 * 1024;
        let chunk = Bytes::from(vec![0; CHUNK]);
        let read = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&read);
        let endless = stream::repeat_with(move || {
            counted.fetch_add(CHUNK, Ordering::Relaxed);
            Ok::<_, Infallible>(chunk.clone())
        });
        drain(Body::from_stream(endless).into_data_stream()).await;
        assert_eq!(read.load(Ordering::Relaxed), DRAINED + CHUNK);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_stands_still_is_given_up() {
        let begun = tokio::time::Instant::now();
        let silent = stream::pending::<Result<Bytes, Infallible>>();
        drain(Body::from_stream(silent).into_data_stream()).await;
        assert_eq!(begun.elapsed(), DRAIN_TIME);
    }
}
