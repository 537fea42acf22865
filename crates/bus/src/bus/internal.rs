//! The events that a process announces about itself, on the APIs `internal.state` and `internal.metrics`.
//!
//! Python Lightbus fires the same, with parameters that its own schemas forbid or miss, the text `event_id` in place
//! of an event's id, and a time that is off by the time zone; a Python listener that validates ends at the first of
//! its state events. Ours keep to those schemas. They run no hooks and are not counted, so none are made of them.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::{Bus, Moment};
use crate::Failure;
use crate::schema::{ApiSchema, DRAFT_7};

const STATE: &str = "internal.state";
const METRICS: &str = "internal.metrics";

/// Metrics events that are under way at a time.
pub(super) const ANNOUNCING_MAX: usize = 1_000;

/// Which events a process announces about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announcements {
    /// That it started, is there (so often, if ever), and stopped.
    pub state: Option<StateEvents>,
    /// Every call and event it sends or receives.
    pub metrics: bool,
}

/// How a process announces that it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateEvents {
    /// How often; never if nothing.
    pub ping_interval: Option<Duration>,
}

/// An API of events alone: each a name and its parameters, none of which has a type.
fn schema_of(api: &str, events: &[(&str, &[&str])]) -> ApiSchema {
    let events: Map<String, Value> = events
        .iter()
        .map(|(event, parameters)| {
            let properties: Map<String, Value> =
                parameters.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
            let schema = json!({
                "$schema": DRAFT_7, "title": format!("Event {api}.{event} parameters"),
                "type": "object", "additionalProperties": false,
                "properties": properties, "required": parameters,
            });
            ((*event).to_owned(), json!({ "parameters": schema }))
        })
        .collect();
    ApiSchema::new(api, 1, json!({ "events": events, "rpcs": {} }))
}

fn state_schema() -> &'static ApiSchema {
    static SCHEMA: OnceLock<ApiSchema> = OnceLock::new();
    let worker = &[
        "service_name",
        "process_name",
        "metrics_enabled",
        "api_names",
        "listening_for",
        "timestamp",
        "ping_interval",
    ];
    SCHEMA.get_or_init(|| {
        schema_of(
            STATE,
            &[
                ("worker_started", worker),
                ("worker_ping", worker),
                ("worker_stopped", &["process_name", "timestamp"]),
            ],
        )
    })
}

fn metrics_schema() -> &'static ApiSchema {
    static SCHEMA: OnceLock<ApiSchema> = OnceLock::new();
    let event = &[
        "service_name",
        "process_name",
        "event_id",
        "api_name",
        "event_name",
        "kwargs",
        "timestamp",
    ];
    let call = ["service_name", "process_name", "id", "api_name", "procedure_name", "timestamp"];
    let with = |more| [&call[..], &[more]].concat();
    SCHEMA.get_or_init(|| {
        schema_of(
            METRICS,
            &[
                ("rpc_call_sent", &with("kwargs")),
                ("rpc_call_received", &call),
                ("rpc_response_sent", &with("result")),
                ("rpc_response_received", &call),
                ("event_fired", event),
                ("event_received", event),
                ("event_processed", event),
            ],
        )
    })
}

/// Seconds since 1970, in UTC.
fn timestamp() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64())
}

impl Bus {
    /// True if anybody is told of moments.
    pub(crate) fn is_watched(&self) -> bool {
        self.0.settings.announcements.metrics || !self.0.hooks.is_empty()
    }

    /// Tells of a moment that hooks may refuse.
    pub(crate) async fn before(&self, moment: Moment<'_>) -> Result<(), Failure> {
        self.announce(&moment);
        self.0.hooks.before(moment).await
    }

    /// Tells of a moment.
    pub(crate) async fn after(&self, moment: Moment<'_>) {
        self.announce(&moment);
        self.0.hooks.after(moment).await;
    }

    /// Fires the metrics event of a moment, if there is one, without waiting for it. It is left out if as many as may
    /// are under way.
    fn announce(&self, moment: &Moment<'_>) {
        if !self.0.settings.announcements.metrics {
            return;
        }
        let (event, mut parameters) = match moment {
            Moment::BeforeCall { context, arguments } => (
                "rpc_call_sent",
                json!({ "id": context.id(), "procedure_name": context.name(), "kwargs": arguments }),
            ),
            Moment::AfterCall { context, outcome: Ok(_), .. } => (
                "rpc_response_received",
                json!({ "id": context.id(), "procedure_name": context.name() }),
            ),
            Moment::BeforeExecution { context, .. } => (
                "rpc_call_received",
                json!({ "id": context.id(), "procedure_name": context.name() }),
            ),
            Moment::AfterExecution { context, outcome: Ok(result), .. } => (
                "rpc_response_sent",
                json!({ "id": context.id(), "procedure_name": context.name(), "result": result }),
            ),
            Moment::AfterFire { context, parameters } => (
                "event_fired",
                json!({ "event_id": context.id(), "event_name": context.name(), "kwargs": parameters }),
            ),
            Moment::BeforeHandling { context, parameters } => (
                "event_received",
                json!({ "event_id": context.id(), "event_name": context.name(), "kwargs": parameters }),
            ),
            Moment::AfterHandling { context, parameters, .. } => (
                "event_processed",
                json!({ "event_id": context.id(), "event_name": context.name(), "kwargs": parameters }),
            ),
            _ => return,
        };
        if let Some(api) = moment.context().map(|context| context.api()) {
            parameters["api_name"] = api.into();
        }
        parameters["service_name"] = self.0.settings.service_name.as_str().into();
        let Ok(permit) = self.0.announcing.clone().try_acquire_owned() else {
            return tracing::debug!(
                event,
                "an event about this process is left out: too many wait"
            );
        };
        let bus = self.clone();
        self.spawn(async move {
            bus.fire_internal(metrics_schema(), event, parameters).await;
            drop(permit);
        });
    }

    /// Announces that this process is there, until it stops.
    pub(crate) async fn announce_state(self, events: StateEvents) {
        self.fire_internal(state_schema(), "worker_started", self.state(events)).await;
        loop {
            let next = async {
                match events.ping_interval {
                    Some(interval) => tokio::time::sleep(interval).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.0.closing.cancelled() => break,
                () = next => self.fire_internal(state_schema(), "worker_ping", self.state(events)).await,
            }
        }
        self.fire_internal(state_schema(), "worker_stopped", json!({})).await;
    }

    fn state(&self, events: StateEvents) -> Value {
        let apis = self.0.apis.served();
        let mut names: Vec<&str> =
            apis.iter().flat_map(|(_, names)| names).map(String::as_str).collect();
        names.sort_unstable();
        json!({
            "service_name": self.0.settings.service_name,
            "metrics_enabled": self.0.settings.announcements.metrics,
            "api_names": names,
            "listening_for": self.listening_for(),
            "ping_interval": events.ping_interval.map_or(0, |interval| interval.as_secs()),
        })
    }

    async fn fire_internal(&self, schema: &ApiSchema, event: &str, mut parameters: Value) {
        parameters["process_name"] = self.0.settings.process_name.as_str().into();
        parameters["timestamp"] = timestamp().into();
        let api = self.api(schema.name());
        let fired = async {
            if api.own_event(event, schema) {
                self.0.apis.store_schemas().await?;
            }
            self.fire_unseen(&api, event, &parameters).await
        };
        if let Err(error) = fired.await {
            tracing::warn!(%error, "an event about this process was not fired");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The schemas that Python stores for its own events, in `tests/vectors/schema_save.json`.
    fn pythons(api: &str) -> Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/schema_save.json");
        let session: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let frames = session["frames"].as_array().unwrap();
        let stored = frames
            .iter()
            .find(|frame| frame["cmd"][0] == "SET" && frame["cmd"][1] == format!("schema:{api}"));
        serde_json::from_str(stored.unwrap()["cmd"][2].as_str().unwrap()).unwrap()
    }

    /// The names in `required` have no order.
    fn sorted(mut schema: Value) -> Value {
        for event in schema["events"].as_object_mut().unwrap().values_mut() {
            let required = event["parameters"]["required"].as_array_mut().unwrap();
            required.sort_by_key(|name| name.to_string());
        }
        schema
    }

    #[test]
    fn the_schemas_are_those_of_python() {
        for schema in [state_schema(), metrics_schema()] {
            assert_eq!(sorted(schema.document().clone()), sorted(pythons(schema.name())));
        }
    }
}
