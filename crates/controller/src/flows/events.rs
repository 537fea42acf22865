//! `GET /v1/events`: what happens, as server-sent events, from any point that is still kept.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State as Extract;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use tutti_store::{OUTBOX, OutboxEvent};

use crate::Error;
use crate::http::Query;
use crate::state::Shared;

/// Events fetched at a time.
const PAGE: u32 = 256;

/// Silence after which a comment shows that the stream is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where to begin.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct From {
    /// After this event; none: from now on.
    after: Option<i64>,
}

/// Streams events in the order they were committed. A client that comes back says with
/// `Last-Event-ID` (or `after`) what it has seen.
pub(super) async fn follow(
    Extract(state): Shared,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Error> {
    let seen = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let after = match seen.and_then(|text| text.parse().ok()).or(from.after) {
        Some(after) => after,
        None => state.store.outbox_last().await?,
    };
    let place = state.waiting.enter()?;
    // The bell is taken before the first look, so that nothing is missed between the two.
    let bell = state.store.bell(OUTBOX);
    let stopping = state.stopping.clone();
    let begin = (state, bell, after, place);
    let pages = stream::unfold(begin, |(state, mut bell, after, place)| async move {
        loop {
            let page = match state.store.outbox_after(after, PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "event stream ended");
                    return None;
                }
            };
            if let Some(last) = page.last() {
                let after = last.seq;
                return Some((page, (state, bell, after, place)));
            }
            bell.wait().await;
        }
    });
    let events = pages.flat_map(|page| stream::iter(page.into_iter().map(|one| Ok(event(one)))));
    let events = events.take_until(stopping.cancelled_owned());
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn event(one: OutboxEvent) -> Event {
    Event::default().id(one.seq.to_string()).event(one.topic).data(one.body)
}
