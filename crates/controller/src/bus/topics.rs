//! What the outbox has as the bus has it: an API for each topic, with typed parameters and schemas.
//!
//! An entry becomes an event in three steps: its topic gives the API, a member of it the event's name, and the rest is
//! read as the type below whose fields are the parameters. So nothing is fired that does not fit its schema.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tutti_bus::schema::{ApiSchema, Parameters};
use tutti_bus::value::DateTime;
use tutti_bus::{Announcement, schemars};
use tutti_store::OutboxEvent;

use super::listeners::NOTICE;

/// The version of all APIs.
const VERSION: u32 = 1;

/// Names of events, each with what it says.
type Events = &'static [(&'static str, &'static str)];

const MODEL: Events = &[
    ("created", "A model was created."),
    ("dying", "A model is being removed."),
    ("removed", "A model is gone."),
];

const APPLICATION: Events = &[
    ("created", "An application was deployed."),
    ("changed", "What is wished of an application was changed."),
    ("status", "The leader set the application's status."),
    ("leader", "An operator named the leader."),
    ("removed", "An application is gone."),
];

const UNIT: Events = &[
    ("created", "A unit was added."),
    ("status", "The status of a unit's workload or agent changed."),
    ("drifted", "A unit was found to have other than its application wishes."),
    ("repaired", "A unit has again what its application wishes."),
    ("dying", "A unit is being removed."),
    ("removed", "A unit is gone."),
];

const MACHINE: Events = &[("created", "A machine was added."), ("removed", "A machine is gone.")];

const RELATION: Events =
    &[("created", "Applications were integrated."), ("removed", "A relation is gone.")];

const FLOW: Events = &[
    ("changed", "A flow is being undone, was suspended or resumed, or begins again."),
    ("ended", "A flow has ended, or is set aside until somebody acts."),
];

const TASK: Events = &[("failed", "A task of a flow failed for good, or could not be undone.")];

const OPERATION: Events =
    &[("task_ended", "A task of an operation (an action or a command) ended.")];

/// What a workload raises: a notice for its own unit.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is made of it")]
struct Notice {
    /// Name or UUID.
    model: String,
    /// As in `db/0`.
    unit: String,
    /// What it is about, in the charm's words.
    key: String,
}

#[derive(Deserialize, JsonSchema, Serialize)]
struct Model {
    model: String,
    uuid: String,
}

#[derive(Deserialize, JsonSchema, Serialize)]
struct Application {
    model: String,
    application: String,
}

#[derive(Deserialize, JsonSchema, Serialize)]
struct Unit {
    model: String,
    /// As in `db/0`.
    unit: String,
}

#[derive(Deserialize, JsonSchema, Serialize)]
struct Machine {
    model: String,
    machine: i64,
}

#[derive(Deserialize, JsonSchema, Serialize)]
struct Relation {
    model: String,
    relation: i64,
    /// Its endpoints: `app:database db:clients`.
    key: String,
}

#[derive(Deserialize, JsonSchema, Serialize)]
struct Flow {
    /// Nothing if it belongs to none.
    model: Option<String>,
    /// Of the model.
    #[serde(default)]
    uuid: Option<String>,
    flow: String,
    kind: String,
    /// One sentence.
    title: String,
    /// As in `unit/db/0`.
    resources: Vec<String>,
    /// The state before.
    from: String,
    /// The state now.
    to: String,
    error: Option<String>,
    /// The flow that does its work, if its state is `superseded`.
    #[serde(default)]
    superseded_by: Option<String>,
}

#[derive(Deserialize, JsonSchema, Serialize)]
struct Task {
    model: Option<String>,
    /// Of the model.
    #[serde(default)]
    uuid: Option<String>,
    task: String,
    flow: String,
    name: String,
    resource: Option<String>,
    state: String,
    /// What kind of failure.
    class: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize, JsonSchema, Serialize)]
struct OperationTask {
    model: String,
    uuid: String,
    operation: i64,
    task: i64,
    /// The unit or machine.
    receiver: String,
    /// How it ended: `completed`, `failed`, …
    status: String,
}

/// The schemas of all APIs that are published, and of the one by which notices are raised.
pub(super) fn schemas() -> Vec<ApiSchema> {
    let raised = Parameters::of::<Notice>().optional::<Map<String, Value>>("data", json!({}));
    let text = "A workload has something to tell its unit's charm.";
    vec![
        ApiSchema::builder(NOTICE, VERSION).event("raised", text, raised).build(),
        schema::<Model>("tutti.model", MODEL),
        schema::<Application>("tutti.application", APPLICATION),
        schema::<Unit>("tutti.unit", UNIT),
        schema::<Machine>("tutti.machine", MACHINE),
        schema::<Relation>("tutti.relation", RELATION),
        schema::<Flow>("tutti.flow", FLOW),
        schema::<Task>("tutti.task", TASK),
        schema::<OperationTask>("tutti.operation", OPERATION),
    ]
}

fn schema<T: JsonSchema>(api: &str, events: Events) -> ApiSchema {
    let mut builder = ApiSchema::builder(api, VERSION);
    for (name, description) in events {
        let parameters = Parameters::of::<T>()
            .required::<i64>("seq")
            .describe("seq", "The event's number among all of this controller's: they grow.")
            .required::<DateTime>("at")
            .describe("at", "When it happened.");
        builder = builder.event(name, description, parameters);
    }
    builder.build()
}

/// An entry of the outbox as an event of the bus; nothing for a topic that is not published. `controller` is its UUID.
///
/// # Errors
/// Says what of the entry cannot be understood.
pub(super) fn announcement(
    controller: &str,
    entry: &OutboxEvent,
) -> Result<Option<Announcement>, String> {
    let named = |key: &str| {
        let body: Value = serde_json::from_str(&entry.body).unwrap_or_default();
        body[key].as_str().unwrap_or_default().to_owned()
    };
    let (api, events, name, parameters) = match entry.topic.as_str() {
        "tutti.model" => ("tutti.model", MODEL, named("event"), read::<Model>(entry)?),
        "tutti.application" => {
            ("tutti.application", APPLICATION, named("event"), read::<Application>(entry)?)
        }
        "tutti.unit" => ("tutti.unit", UNIT, named("event"), read::<Unit>(entry)?),
        "tutti.machine" => ("tutti.machine", MACHINE, named("event"), read::<Machine>(entry)?),
        "relation" => ("tutti.relation", RELATION, named("event"), read::<Relation>(entry)?),
        "flow.changed" => ("tutti.flow", FLOW, "changed".to_owned(), read::<Flow>(entry)?),
        "flow.ended" => ("tutti.flow", FLOW, "ended".to_owned(), read::<Flow>(entry)?),
        "task.failed" => ("tutti.task", TASK, "failed".to_owned(), read::<Task>(entry)?),
        "operation-task" => {
            let event = "task_ended".to_owned();
            ("tutti.operation", OPERATION, event, read::<OperationTask>(entry)?)
        }
        _ => return Ok(None),
    };
    if !events.iter().any(|(known, _)| *known == name) {
        return Err(format!("{api} has no event {name:?}"));
    }
    let id = format!("{controller}:{}", entry.seq);
    Ok(Some(Announcement { id, api: api.to_owned(), event: name, parameters }))
}

/// The parameters of an entry.
fn read<T: DeserializeOwned + Serialize>(entry: &OutboxEvent) -> Result<Value, String> {
    let read = |body: &str| serde_json::to_value(serde_json::from_str::<T>(body)?);
    let mut parameters = read(&entry.body).map_err(|error| error.to_string())?;
    let at = jiff::Timestamp::from_microsecond(entry.at).unwrap_or_default();
    parameters["seq"] = json!(entry.seq);
    parameters["at"] = json!(DateTime(at));
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use tutti_bus::schema::{ApiValidator, Subject};

    use super::*;

    fn entry(topic: &str, body: &Value) -> OutboxEvent {
        OutboxEvent { seq: 7, at: 1_500_000, topic: topic.to_owned(), body: body.to_string() }
    }

    #[test]
    fn an_entry_is_an_event_that_fits_its_schema() {
        let flow = json!({"flow": "f", "kind": "deploy", "title": "Deploy db", "model": "m", "uuid": "u",
            "resources": ["application/db"], "from": "running", "to": "failed", "state": "failed", "error": "no"});
        let task = json!({"task": "t", "flow": "f", "model": null, "name": "x", "resource": "unit/db/0",
            "state": "failed", "class": null, "error": "no"});
        let operation = json!({"model": "m", "uuid": "u", "operation": 1, "task": 2, "receiver": "db/0",
            "status": "completed"});
        for (topic, body, api, event) in [
            (
                "tutti.model",
                json!({"model": "m", "uuid": "u", "event": "dying"}),
                "tutti.model",
                "dying",
            ),
            (
                "tutti.application",
                json!({"model": "m", "application": "db", "event": "leader"}),
                "tutti.application",
                "leader",
            ),
            (
                "tutti.unit",
                json!({"model": "m", "unit": "db/0", "event": "status"}),
                "tutti.unit",
                "status",
            ),
            (
                "tutti.machine",
                json!({"model": "m", "machine": 0, "event": "created"}),
                "tutti.machine",
                "created",
            ),
            (
                "relation",
                json!({"model": "m", "relation": 1, "key": "a:x b:x", "event": "removed"}),
                "tutti.relation",
                "removed",
            ),
            ("flow.changed", flow.clone(), "tutti.flow", "changed"),
            ("flow.ended", flow, "tutti.flow", "ended"),
            ("task.failed", task, "tutti.task", "failed"),
            ("operation-task", operation, "tutti.operation", "task_ended"),
        ] {
            let found = announcement("c", &entry(topic, &body)).unwrap().unwrap();
            assert_eq!(
                (found.id.as_str(), found.api.as_str(), found.event.as_str()),
                ("c:7", api, event)
            );
            assert_eq!(found.parameters["seq"], 7);
            assert_eq!(found.parameters["at"], "1970-01-01T00:00:01.500000+00:00");
            let schema = schemas().into_iter().find(|schema| schema.name() == api).unwrap();
            let validator = ApiValidator::compile(&schema).unwrap();
            validator.check(Subject::Event, event, &found.parameters).unwrap();
        }
    }

    #[test]
    fn what_is_not_published_is_told_from_what_cannot_be_read() {
        assert_eq!(announcement("c", &entry("other", &json!({}))), Ok(None));
        for body in [
            json!({"model": "m", "unit": "a/0", "event": "odd"}),
            json!({"event": "status"}),
            json!(1),
        ] {
            assert!(announcement("c", &entry("tutti.unit", &body)).is_err(), "{body}");
        }
    }
}
