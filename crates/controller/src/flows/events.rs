//! `GET /v1/events`: what happens, as server-sent events, from any point that is still kept.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Extract;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tutti_store::{Bell, OUTBOX, OutboxEvent};

use super::announced::Names;
use crate::http::Query;
use crate::state::{Shared, State};
use crate::{Error, models};

/// Events fetched at a time: all that a reader who does not read keeps in memory.
const PAGE: u32 = 256;

/// Silence after which a comment shows that the stream is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where to begin, and what to leave out.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct From {
    /// After this event; none: from now on.
    after: Option<i64>,
    /// Whether to go on with what happens from now on; without, all that is kept is the beginning.
    follow: Option<bool>,
    /// Only topics that begin like this.
    topic: String,
    /// Only of this model, by UUID or name.
    model: String,
}

/// Streams events in the order they were committed. A client that comes back says with
/// `Last-Event-ID` (or `after`) what it has seen; one that has seen too little is told to read the
/// state anew.
pub(super) async fn follow(
    Extract(state): Shared,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Error> {
    let place = state.waiting.enter()?;
    let wanted = Wanted { topic: from.topic, model: names(&state, from.model).await? };
    // The bell is taken before the first look, so that nothing is missed between the two.
    let bell = state.store.bell(OUTBOX);
    let (oldest, last) = state.store.outbox_kept().await?;
    let ends_at = (from.follow == Some(false)).then_some(last);
    let begin = if ends_at.is_some() { oldest } else { last };
    let after = seen(&headers)?.or(from.after).unwrap_or(begin);
    if after < oldest || after > last {
        return Err(Error::Gone(format!(
            "events after {after} are not kept: read the state anew, then follow from {last} on"
        )));
    }
    let stopping = state.stopping.clone();
    let reader = Reader { state, bell, after, ends_at, names: Names::default(), _place: place };
    let pages = stream::unfold(reader, async |mut reader| Some((reader.page().await?, reader)));
    let events = pages.flat_map(stream::iter).filter_map(move |one| {
        let event = wanted.lets_through(&one).then(|| Ok(event(one)));
        std::future::ready(event)
    });
    let events = events.take_until(stopping.cancelled_owned());
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// What a client that comes back has seen.
fn seen(headers: &HeaderMap) -> Result<Option<i64>, Error> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    let refused = |_| Error::Invalid(format!("Last-Event-ID: \"{text}\" is no event's number"));
    text.parse().map(Some).map_err(refused)
}

/// UUID and name of a model; none if none is named.
async fn names(state: &State, model: String) -> Result<Vec<String>, Error> {
    if model.is_empty() {
        return Ok(Vec::new());
    }
    let model = state.read(move |tx| models::find(tx, &model)).await?;
    Ok(vec![model.id, model.name])
}

/// A stream's place in the outbox.
struct Reader {
    state: Arc<State>,
    bell: Bell,
    after: i64,
    /// The last event, if the stream ends with it.
    ends_at: Option<i64>,
    names: Names,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    /// The next events, as soon as there are any; none when the stream must end.
    async fn page(&mut self) -> Option<Vec<OutboxEvent>> {
        loop {
            if self.ends_at.is_some_and(|last| self.after >= last) {
                return None;
            }
            let page = match self.state.store.outbox_after(self.after, PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "event stream ended");
                    return None;
                }
            };
            match (page.first(), page.last()) {
                // Numbers have no gaps: what is missing was forgotten before this reader read it.
                (Some(first), _) if first.seq != self.after + 1 => {
                    tracing::warn!(
                        after = self.after,
                        "event stream ended: its reader is too slow"
                    );
                    return None;
                }
                (_, Some(last)) => {
                    self.after = last.seq;
                    return self.published(page).await;
                }
                _ => self.bell.wait().await,
            }
        }
    }

    /// Events as others know them; none if that cannot be found out.
    async fn published(&mut self, page: Vec<OutboxEvent>) -> Option<Vec<OutboxEvent>> {
        if page.iter().any(|one| self.names.lacks(one)) {
            match self.state.read(models::names).await {
                Ok(known) => self.names.learn(known),
                Err(error) => {
                    tracing::warn!(%error, "event stream ended");
                    return None;
                }
            }
        }
        Some(page.into_iter().map(|one| self.names.publish(one)).collect())
    }
}

/// Which events a reader wants.
struct Wanted {
    topic: String,
    /// UUID and name; empty: of all and of none.
    model: Vec<String>,
}

impl Wanted {
    fn lets_through(&self, one: &OutboxEvent) -> bool {
        one.topic.starts_with(&self.topic) && (self.model.is_empty() || self.is_of_model(&one.body))
    }

    /// An event names its model by name, by UUID, or both.
    fn is_of_model(&self, body: &str) -> bool {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let mut names = ["uuid", "model"].iter().filter_map(|key| body.get(key)?.as_str());
        // The UUID tells more: another model may have had the name before.
        names.next().is_some_and(|name| self.model.iter().any(|one| one == name))
    }
}

fn event(one: OutboxEvent) -> Event {
    Event::default().id(one.seq.to_string()).event(one.topic).data(one.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_apart_by_topic_and_model() {
        let wanted = |topic: &str, model: &[&str]| Wanted {
            topic: topic.to_owned(),
            model: model.iter().map(|name| (*name).to_owned()).collect(),
        };
        let one = |body: &str| OutboxEvent {
            seq: 1,
            at: 0,
            topic: "tutti.unit".to_owned(),
            body: body.to_owned(),
        };
        let model = ["id", "m"];
        for (topic, model, body, expected) in [
            ("", &[][..], "{}", true),
            ("tutti.", &[], "{}", true),
            ("flow.", &[], "{}", false),
            ("", &model, "{}", false),
            ("", &model, "{\"model\":\"m\"}", true),
            ("", &model, "{\"model\":\"id\"}", true),
            ("", &model, "{\"model\":\"m\",\"uuid\":\"other\"}", false),
            ("", &model, "{\"model\":null}", false),
        ] {
            let found = wanted(topic, model).lets_through(&one(body));
            assert_eq!(found, expected, "{topic} {model:?} {body}");
        }
    }

    #[test]
    fn what_a_client_has_seen_is_a_number() {
        let headers = |text: &str| {
            HeaderMap::from_iter([("last-event-id".parse().unwrap(), text.parse().unwrap())])
        };
        assert_eq!(seen(&headers("12")).unwrap(), Some(12));
        assert_eq!(seen(&headers("")).unwrap(), None);
        assert_eq!(seen(&HeaderMap::new()).unwrap(), None);
        assert!(seen(&headers("x")).is_err());
    }
}
