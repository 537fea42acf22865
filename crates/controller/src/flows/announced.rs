//! Events as they are handed out: the engine knows models by UUID and resources with their model, people by name.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tutti_store::OutboxEvent;

use super::unscoped;

/// Names of models by UUID, as far as a reader has heard of them; also of those that are gone meanwhile.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, String>);

impl Names {
    /// Adds what is known of models.
    pub(super) fn learn(&mut self, known: BTreeMap<String, String>) {
        self.0.extend(known);
    }

    /// Whether an event is about a model whose name was never heard.
    pub(super) fn lacks(&self, one: &OutboxEvent) -> bool {
        let model = is_of_engine(&one.topic).then(|| members(&one.body)).flatten();
        let model = model.and_then(|members| Some(members.get("model")?.as_str()?.to_owned()));
        model.is_some_and(|model| !self.0.contains_key(&model))
    }

    /// The event by public names: `model` is a name and `uuid` that model, a resource is `unit/db/0`.
    pub(super) fn publish(&mut self, mut one: OutboxEvent) -> OutboxEvent {
        if one.topic == "tutti.model" {
            self.hear(&one.body);
        }
        if !is_of_engine(&one.topic) {
            return one;
        }
        let Some(mut members) = members(&one.body) else { return one };
        if let Some(Value::String(model)) = members.get("model").cloned() {
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

fn is_of_engine(topic: &str) -> bool {
    topic.starts_with("flow.") || topic.starts_with("task.")
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
            ("tutti.unit", json!({"model": "m"}), json!({"model": "m"})),
            ("flow.ended", json!("odd"), json!("odd")),
        ] {
            let published = names.publish(one(topic, &body)).body;
            assert_eq!(serde_json::from_str::<Value>(&published).unwrap(), expected);
        }
    }
}
