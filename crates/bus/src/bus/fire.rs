//! Firing events.

use serde_json::Value;
use serde_json::value::RawValue;

use super::apis::Api;
use super::{Bus, Moment};
use crate::api::{Context, Event, Origin};
use crate::codec::{EventOut, Extension, keys};
use crate::schema::{Direction, Subject};
use crate::transport::streams::NewEntry;
use crate::transport::{Patience, is_passing};
use crate::{Error, Failure};

/// An event that has been fired.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventId {
    /// The id of the event.
    pub id: String,
    /// Its id in its stream: milliseconds, dash, sequence.
    pub native_id: String,
}

impl Bus {
    /// Fires an event. When this returns, the event is in its stream and every group will get it at least once.
    ///
    /// If the connection breaks the event is fired again, with the same id: listeners may then see it twice.
    pub async fn fire<E: Event>(&self, event: E) -> Result<EventId, Error> {
        let api = self.api(E::API);
        if api.own_event(E::NAME, E::schema()) {
            self.0.apis.store_schemas().await?;
        }
        let parameters = serde_json::value::to_raw_value(&event).map_err(|source| Error::Json {
            what: format!("the event {}.{}", E::API, E::NAME),
            source,
        })?;
        self.fire_raw(&api, E::NAME, E::VERSION, &parameters).await
    }

    /// Fires an event of an API that is known by name alone. Parameters left out get the defaults of the schema.
    pub async fn fire_dynamic(
        &self,
        api: &str,
        event: &str,
        mut parameters: Value,
    ) -> Result<EventId, Error> {
        let api = self.api(api);
        api.look_for_schema(&self.0.apis.schemas).await;
        fill_in_defaults(&api, event, &mut parameters);
        let parameters = serde_json::value::to_raw_value(&parameters).map_err(|source| {
            Error::Json { what: format!("the event {}.{event}", api.name), source }
        })?;
        self.fire_raw(&api, event, api.version(), &parameters).await
    }

    async fn fire_raw(
        &self,
        api: &Api,
        event: &str,
        version: u32,
        parameters: &RawValue,
    ) -> Result<EventId, Error> {
        if self.0.closed.is_cancelled() {
            return Err(Error::Closed);
        }
        let mut origin = self.event_origin(api, event, version);
        if self.is_watched() {
            let context = Context::new(origin.clone());
            let before = Moment::BeforeFire { context: &context, parameters };
            self.before(before).await.map_err(|failure: Failure| {
                Error::Invalid(format!("{}.{event} was not fired: {failure}", api.name))
            })?;
        }
        api.check(Direction::Outgoing, Subject::Event, event, parameters.get())?;
        let native_id = self.add(api, &origin, parameters).await?;
        api.counters.fired(event).add(1);
        let id = origin.id.clone();
        if self.is_watched() {
            origin.native_id = Some(native_id.clone());
            let context = Context::new(origin);
            self.after(Moment::AfterFire { context: &context, parameters }).await;
        }
        Ok(EventId { id, native_id })
    }

    /// Fires an event of which neither hooks nor counters hear.
    pub(crate) async fn fire_unseen(
        &self,
        api: &Api,
        event: &str,
        parameters: &Value,
    ) -> Result<(), Error> {
        let parameters = serde_json::value::to_raw_value(parameters).map_err(|source| {
            Error::Json { what: format!("the event {}.{event}", api.name), source }
        })?;
        api.check(Direction::Outgoing, Subject::Event, event, parameters.get())?;
        let origin = self.event_origin(api, event, 1);
        self.add(api, &origin, &parameters).await.map(|_| ())
    }

    pub(super) fn event_origin(&self, api: &Api, event: &str, version: u32) -> Origin {
        let id = self.0.ids.message();
        let parent = Context::current();
        Origin {
            id: id.to_string(),
            api: api.name.clone(),
            name: event.to_owned(),
            sender: Some(self.0.sender.clone()),
            trace: Some(self.0.ids.trace(parent.as_ref().and_then(Context::trace), id)),
            version,
            ..Origin::default()
        }
    }

    /// An event as an entry of its stream.
    pub(super) fn entry(
        api: &Api,
        origin: &Origin,
        parameters: &RawValue,
    ) -> Result<NewEntry, Error> {
        let stream = keys::stream(&api.name, &origin.name, api.settings.stream_per_event);
        let mut entry = NewEntry::new(&stream, api.settings.stream_length_max);
        let extension = Extension {
            trace: origin.trace.clone(),
            sender: origin.sender.clone(),
            ..Extension::default()
        };
        let event = EventOut {
            id: &origin.id,
            api: &api.name,
            name: &origin.name,
            version: origin.version,
            parameters,
            extension: &extension,
        };
        event.encode(|name, value| entry.field(name, value)).map_err(|source| Error::Json {
            what: format!("the event {}.{}", api.name, origin.name),
            source,
        })?;
        Ok(entry)
    }

    /// Adds the event to its stream, and tries again while connections fail and there is time.
    async fn add(
        &self,
        api: &Api,
        origin: &Origin,
        parameters: &RawValue,
    ) -> Result<String, Error> {
        let entry = Self::entry(api, origin, parameters)?;
        let what = || format!("{}.{}", api.name, origin.name);
        let link = &api.events.link;
        let mut last = None;
        let added = tokio::time::timeout(api.settings.fire_timeout, async {
            let mut patience = Patience::default();
            loop {
                match entry.add(link).await {
                    Err(error) if is_passing(&error) => {
                        last = Some(error);
                        patience.wait().await;
                    }
                    outcome => return outcome,
                }
            }
        });
        let added = added.await.unwrap_or_else(|elapsed| {
            link.reset();
            Err(last.unwrap_or_else(|| std::io::Error::from(elapsed).into()))
        });
        added.map_err(|source| Error::Transport { attempt: format!("fire {}", what()), source })
    }
}

/// Python peers need every parameter, also those with a default.
fn fill_in_defaults(api: &Api, event: &str, parameters: &mut Value) {
    let (Some(known), Some(parameters)) = (api.known(), parameters.as_object_mut()) else { return };
    let properties = known.schema.event(event).and_then(|schema| schema.get("properties"));
    for (name, property) in properties.and_then(Value::as_object).into_iter().flatten() {
        let branch = |branch: &Value| branch.get("default").cloned();
        let default =
            branch(property).or_else(|| property.get("anyOf")?.as_array()?.iter().find_map(branch));
        if let Some(default) = default.filter(|_| !parameters.contains_key(name)) {
            parameters.insert(name.clone(), default);
        }
    }
}
