//! Events as they are handed out: the engine knows models by UUID and resources with their model, people by name.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tutti_store::OutboxEvent;

use super::unscoped;

/// Names of models by UUID, as far as a reader has heard of them; also of those that are gone meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<String, String>);

impl Names {
    /// Adds what is known of models.
    pub(crate) fn learn(&mut self, known: BTreeMap<String, String>) {
        self.0.extend(known);
    }

    /// Whether an event is about a model whose name was never heard.
    pub(crate) fn lacks(&self, one: &OutboxEvent) -> bool {
        let model = key(&one.topic).zip(members(&one.body));
        let model = model.and_then(|(key, members)| Some(members.get(key)?.as_str()?.to_owned()));
        model.is_some_and(|model| !self.0.contains_key(&model))
    }

    /// The event by public names: `model` is a name and `uuid` that model, a resource is `unit/db/0`.
    pub(crate) fn publish(&mut self, mut one: OutboxEvent) -> OutboxEvent {
        if one.topic == "tutti.model" {
            self.hear(&one.body);
        }
        let Some((key, mut members)) = key(&one.topic).zip(members(&one.body)) else { return one };
        if let Some(Value::String(model)) = members.get(key).cloned() {
            let name = self.0.get(&model).cloned().unwrap_or_default();
            members.insert("model".to_owned(), Value::String(name));
            members.insert("uuid".to_owned(), Value::String(model));
        }
        if let Some(Value::String(resource)) = members.get_mut("resource") {
            *resource = unscoped(resource).to_owned();
        }
        if let Some(Value::Array(resources)) = members.get_mut("resources") {
            for resource in resources {
                let Value::String(name) = resource else { continue };
                *name = unscoped(name).to_owned();
            }
        }
        one.body = Value::Object(members).to_string();
        one
    }

    /// A model tells both its names.
    fn hear(&mut self, body: &str) {
        let Some(members) = members(body) else { return };
        let text = |key: &str| members.get(key).and_then(Value::as_str).map(str::to_owned);
        if let (Some(id), Some(name)) = (text("uuid"), text("model")) {
            self.0.insert(id, name);
        }
    }
}

/// The member that has a model's UUID, where nothing has its name.
fn key(topic: &str) -> Option<&'static str> {
    match topic {
        "operation-task" => Some("uuid"),
        _ if topic.starts_with("flow.") || topic.starts_with("task.") => Some("model"),
        _ => None,
    }
}

fn members(body: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(body).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(topic: &str, body: &Value) -> OutboxEvent {
        OutboxEvent { seq: 1, at: 0, topic: topic.to_owned(), body: body.to_string() }
    }

    #[test]
    fn engines_names_become_public_ones() {
        let mut names = Names::default();
        let failed = one("task.failed", &json!({"model": "id", "resource": "id:unit/db/0"}));
        assert!(names.lacks(&failed));
        names.publish(one("tutti.model", &json!({"model": "m", "uuid": "id"})));
        assert!(!names.lacks(&failed));
        for (topic, body, expected) in [
            (
                "task.failed",
                json!({"model": "id", "resource": "id:unit/db/0"}),
                json!({"model": "m", "uuid": "id", "resource": "unit/db/0"}),
            ),
            (
                "flow.changed",
                json!({"model": "id", "resources": ["id:unit/db/0", "id:machine/3"]}),
                json!({"model": "m", "uuid": "id", "resources": ["unit/db/0", "machine/3"]}),
            ),
            ("flow.ended", json!({"model": "gone"}), json!({"model": "", "uuid": "gone"})),
            ("flow.ended", json!({"model": null}), json!({"model": null})),
            ("operation-task", json!({"uuid": "id"}), json!({"model": "m", "uuid": "id"})),
            ("tutti.unit", json!({"model": "m"}), json!({"model": "m"})),
            ("flow.ended", json!("odd"), json!("odd")),
        ] {
            let published = names.publish(one(topic, &body)).body;
            assert_eq!(serde_json::from_str::<Value>(&published).unwrap(), expected);
        }
    }
}
