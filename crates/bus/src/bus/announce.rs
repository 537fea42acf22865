//! Firing what is kept elsewhere: events that have ids already, many at a time, in their order.
//!
//! Whoever keeps events in a database of its own reads them in order, fires a batch, and notes how far it has come. A batch
//! is one transaction of the server, so that one that fails in the middle leaves nothing behind, and none of its events
//! can get ahead of another.

use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use super::Bus;
use super::apis::Api;
use crate::Error;
use crate::api::Origin;
use crate::schema::{ApiSchema, Direction, Subject};
use crate::transport::streams::NewEntry;

/// An event with an id of its sender's.
#[derive(Clone, Debug, PartialEq)]
pub struct Announcement {
    /// The id, the same each time this event is fired: by it listeners know one they have seen.
    pub id: String,
    /// The API.
    pub api: String,
    /// The event.
    pub event: String,
    /// An object with all parameters.
    pub parameters: Value,
}

impl Bus {
    /// Takes the events of APIs into this process's own: their schemas are on the bus when this returns, and stay there.
    /// Events that are fired as types ([`Bus::fire`]) need no such call.
    pub async fn own_events(&self, schemas: &[ApiSchema]) -> Result<(), Error> {
        for schema in schemas {
            let api = self.api(schema.name());
            for (event, _) in schema.events() {
                api.own_event(event, schema);
            }
        }
        self.0.apis.store_schemas().await
    }

    /// Fires events in this order, all or none, with the ids they have. When this returns, they are in their streams.
    ///
    /// After [`Error::Transport`] all may be there, or none: fire the same again before any other, and a listener sees
    /// at worst all of them twice. They are told to no [`Hook`](crate::Hook).
    pub async fn fire_in_order(&self, events: &[Announcement]) -> Result<(), Error> {
        let Some(first) = events.first() else { return Ok(()) };
        let first = self.api(&first.api);
        let mut commands = redis::pipe();
        commands.cmd("MULTI");
        for event in events {
            let api = self.api(&event.api);
            if !Arc::ptr_eq(&api.events, &first.events) {
                return Err(Error::Invalid(format!(
                    "the events of {} and {} cannot be fired in order: they are in different places",
                    first.name, api.name
                )));
            }
            commands.add_command(self.entry_of(&api, event)?.command().clone());
        }
        commands.cmd("EXEC");
        let fired = tokio::time::timeout(first.settings.fire_timeout, async {
            first.events.link.run_all(&commands).await
        });
        let fired = fired.await.unwrap_or_else(|elapsed| {
            // What is under way on this connection may still arrive, and must not come after what is fired next.
            first.events.link.reset();
            Err(std::io::Error::from(elapsed).into())
        });
        fired.map_err(|source| Error::Transport {
            attempt: format!("fire {} events from {} on", events.len(), events[0].id),
            source,
        })?;
        for event in events {
            self.api(&event.api).counters.fired(&event.event).add(1);
        }
        Ok(())
    }

    fn entry_of(&self, api: &Api, event: &Announcement) -> Result<NewEntry, Error> {
        let what = || format!("the event {}.{}", event.api, event.event);
        let parameters: Box<RawValue> = serde_json::value::to_raw_value(&event.parameters)
            .map_err(|source| Error::Json { what: what(), source })?;
        api.check(Direction::Outgoing, Subject::Event, &event.event, parameters.get())?;
        let origin =
            Origin { id: event.id.clone(), ..self.event_origin(api, &event.event, api.version()) };
        Self::entry(api, &origin, &parameters)
    }
}
