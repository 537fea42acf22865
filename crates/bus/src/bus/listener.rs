//! Listeners: what a program wants to hear, and how it wants to be told.

use std::future::{Future, IntoFuture};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::counters::ListenerCounters;
use super::delivery::{Delivery, Listener, Policy};
use super::{ApiSettings, Bus, bounds};
use crate::api::{Context, Event};
use crate::codec::{keys, lenient};
use crate::transport::Start;
use crate::transport::streams::Group;
use crate::{Backoff, Error, Failure};

/// Why a handler did not handle an event.
pub(crate) enum Refusal {
    /// It cannot be read as what the handler takes; that will not change.
    Unreadable(serde_json::Error),
    /// The handler failed.
    Failed(Failure),
}

/// A handler, whatever it takes.
pub(crate) type Handle =
    dyn Fn(&RawValue, Context) -> BoxFuture<'static, Result<(), Refusal>> + Send + Sync;

/// A listener to be. Await it to begin; it listens until the bus is shut down.
#[must_use = "a listener begins when it is awaited"]
pub struct Listen {
    bus: Bus,
    name: String,
    wanted: Vec<(String, String)>,
    handle: Arc<Handle>,
    policy: Policy,
    start: Start,
    batch_size: Option<usize>,
}

impl Bus {
    /// Listens for an event. The name, with that of the service, is the listener's group: each group gets every
    /// event, and each of its processes a part of them.
    ///
    /// The handler is run at least once for each event fired after the group was made. One that fails is run
    /// again, at most five times unless [`Listen::retry`] says otherwise; then the event is a dead letter.
    pub fn listen<E, H, F>(&self, name: &str, handler: H) -> Listen
    where
        E: Event,
        H: Fn(E, Context) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        self.listen_for(name, vec![(E::API.to_owned(), E::NAME.to_owned())], handler)
    }

    /// Listens for an event, or with `*` for all events, of an API that is known by name alone. The handler gets
    /// the parameters; the context has the name.
    pub fn listen_dynamic<H, F>(&self, name: &str, api: &str, event: &str, handler: H) -> Listen
    where
        H: Fn(Value, Context) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        self.listen_for(name, vec![(api.to_owned(), event.to_owned())], handler)
    }

    /// Listens for several events, each an API and a name or `*`, that can be read as one type.
    pub fn listen_for<T, H, F>(
        &self,
        name: &str,
        wanted: Vec<(String, String)>,
        handler: H,
    ) -> Listen
    where
        T: DeserializeOwned,
        H: Fn(T, Context) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let handle = move |parameters: &RawValue, context: Context| match lenient::from_str(
            parameters.get(),
        ) {
            Ok(event) => {
                let handling = handler(event, context);
                Box::pin(async move { handling.await.map_err(Refusal::Failed) })
                    as BoxFuture<'static, _>
            }
            Err(error) => Box::pin(std::future::ready(Err(Refusal::Unreadable(error)))),
        };
        Listen {
            bus: self.clone(),
            name: name.to_owned(),
            wanted,
            handle: Arc::new(handle),
            policy: Policy::default(),
            start: Start::New,
            batch_size: None,
        }
    }
}

impl Listen {
    /// Gives an event up after this many deliveries, with these pauses between them.
    pub fn retry(mut self, deliveries_max: u32, backoff: Backoff) -> Listen {
        self.policy.deliveries_max = deliveries_max.max(1);
        self.policy.backoff = backoff;
        self
    }

    /// Where to begin, if the group is new.
    pub fn from(mut self, start: Start) -> Listen {
        self.start = start;
        self
    }

    /// Handles up to so many events at a time. Otherwise it is one after another, in order.
    pub fn concurrency(mut self, handlers_max: usize) -> Listen {
        self.policy.concurrency = handlers_max.max(1);
        self
    }

    /// Keeps events in order that have the same value in this parameter, when several are handled at a time.
    pub fn ordered_by(mut self, parameter: &str) -> Listen {
        self.policy.ordered_by = Some(format!(":{parameter}").into_bytes());
        self
    }

    /// Skips an event whose id this group has handled already, for as long as that is remembered.
    pub fn deduplicate(mut self, remembered: Duration) -> Listen {
        self.policy.deduplicate = Some(remembered.min(bounds::DURATION_MAX));
        self
    }

    /// Reads up to so many events at a time.
    pub fn batch_size(mut self, events_max: usize) -> Listen {
        self.batch_size = Some(events_max.max(1));
        self
    }

    async fn start(self) -> Result<(), Error> {
        let Some((first, _)) = self.wanted.first() else { return Ok(()) };
        let batch_size = self.batch_size.unwrap_or(1);
        let counts = [("concurrency", self.policy.concurrency), ("batch_size", batch_size)];
        if let Some((name, problem)) =
            counts.iter().find_map(|(name, value)| bounds::count(name, *value))
        {
            return Err(Error::Invalid(format!("{name} of the listener {} {problem}", self.name)));
        }
        if self.bus.0.closing.is_cancelled() {
            return Err(Error::Closed);
        }
        let api = self.bus.api(first);
        let settings = &api.settings;
        for (other, _) in &self.wanted {
            let other = self.bus.api(other);
            other.look_for_schema(&self.bus.0.apis.schemas).await;
            if !Arc::ptr_eq(&other.events, &api.events) {
                return Err(Error::Invalid(format!(
                    "one listener cannot hear {first} and {}: their events are in different places",
                    other.name
                )));
            }
        }
        let name = keys::group(&self.bus.0.settings.service_name, &self.name);
        let mut streams = self.streams();
        streams.push(keys::replay(&name));
        let consumer = self.bus.0.settings.process_name.clone();
        let group =
            Group::new(api.events.link.clone(), name, consumer, streams, self.start.clone());
        group.create().await.map_err(|source| Error::Transport {
            attempt: format!("listen to {first} as {}", group.name),
            source,
        })?;
        let settings = ApiSettings {
            batch_size: self.batch_size.unwrap_or(settings.batch_size).max(1),
            ..settings.clone()
        };
        let listener = Listener {
            name: self.name,
            wanted: self.wanted,
            counters: ListenerCounters::default(),
        };
        let listener = Arc::new(listener);
        Delivery::begin(self.bus, listener, self.handle, self.policy, group, settings);
        Ok(())
    }

    fn streams(&self) -> Vec<String> {
        let mut streams = Vec::new();
        for (name, event) in &self.wanted {
            let api = self.bus.api(name);
            let per_event = api.settings.stream_per_event;
            let known = api.known();
            let events = match known.as_ref().filter(|_| per_event && event == "*") {
                // Nobody writes the stream of all events then.
                Some(known) => known.schema.events().map(|(event, _)| event).collect(),
                None => vec![event.as_str()],
            };
            for event in events {
                let stream = keys::stream(name, event, per_event);
                if !streams.contains(&stream) {
                    streams.push(stream);
                }
            }
        }
        streams
    }
}

impl IntoFuture for Listen {
    type Output = Result<(), Error>;
    type IntoFuture = BoxFuture<'static, Result<(), Error>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}
