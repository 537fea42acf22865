//! References to definitions, replaced by what they refer to.
//!
//! Python writes every type in full where it is used, with the name of the class as its title. So do we; only a type
//! that contains itself stays a definition, which Python's validators follow too.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

const DEFINITIONS: &str = "#/definitions/";

/// Puts `definitions` into `root` wherever it refers to them. Types that contain themselves end up in
/// `root["definitions"]`.
pub(super) fn inline(root: Value, definitions: Map<String, Value>) -> Value {
    let definitions = with_titles(definitions);
    let recursive: BTreeSet<&String> =
        definitions.keys().filter(|name| contains_itself(name, &definitions)).collect();
    let inliner = Inliner { definitions: &definitions, recursive: &recursive };

    // Beside a `$ref` draft 7 reads nothing, and the root has a title: one level is always written out.
    let mut root = match reference(&root).and_then(|name| definitions.get(name)) {
        Some(definition) => inliner.expand(definition.clone()),
        None => inliner.expand(root),
    };
    let used: BTreeSet<String> = reachable(&root, &definitions);
    let kept: Map<String, Value> = recursive
        .iter()
        .filter(|name| used.contains(**name))
        .map(|name| ((*name).clone(), inliner.expand(definitions[*name].clone())))
        .collect();
    if let (Some(root), false) = (root.as_object_mut(), kept.is_empty()) {
        root.insert("definitions".to_owned(), Value::Object(kept));
    }
    root
}

struct Inliner<'a> {
    definitions: &'a Map<String, Value>,
    recursive: &'a BTreeSet<&'a String>,
}

impl Inliner<'_> {
    fn expand(&self, value: Value) -> Value {
        match value {
            Value::Array(items) => items.into_iter().map(|item| self.expand(item)).collect(),
            Value::Object(object) => self.expand_object(object),
            other => other,
        }
    }

    fn expand_object(&self, object: Map<String, Value>) -> Value {
        let target = object.get("$ref").and_then(Value::as_str).and_then(definition_name);
        let inlined = target
            .filter(|name| !self.recursive.iter().any(|recursive| recursive == name))
            .and_then(|name| self.definitions.get(name))
            .map(|definition| self.expand(definition.clone()));
        let mut siblings: Map<String, Value> =
            object.into_iter().map(|(key, value)| (key, self.expand(value))).collect();
        match inlined {
            Some(Value::Object(mut base)) => {
                siblings.remove("$ref");
                merge(&mut base, siblings);
                Value::Object(base)
            }
            Some(other) if siblings.len() == 1 => other,
            _ => Value::Object(siblings),
        }
    }
}

/// What stands beside a reference wins; properties and required names of both count.
fn merge(base: &mut Map<String, Value>, siblings: Map<String, Value>) {
    for (key, value) in siblings {
        match (base.get_mut(&key), value) {
            (Some(Value::Object(mine)), Value::Object(theirs)) if key == "properties" => {
                mine.extend(theirs);
            }
            (Some(Value::Array(mine)), Value::Array(theirs)) if key == "required" => {
                for name in theirs {
                    if !mine.contains(&name) {
                        mine.push(name);
                    }
                }
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn with_titles(mut definitions: Map<String, Value>) -> Map<String, Value> {
    for (name, definition) in &mut definitions {
        let Some(schema) = definition.as_object_mut() else { continue };
        if schema.get("type").is_some_and(|kind| kind == "object") {
            schema.entry("title").or_insert_with(|| Value::String(name.clone()));
        }
    }
    definitions
}

fn contains_itself(name: &str, definitions: &Map<String, Value>) -> bool {
    definitions
        .get(name)
        .is_some_and(|definition| reachable(definition, definitions).contains(name))
}

/// The names of all definitions that `value` refers to, directly or through others.
fn reachable(value: &Value, definitions: &Map<String, Value>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Array(items) => waiting.extend(items),
            Value::Object(object) => {
                waiting.extend(object.values());
                if let Some(name) = reference(value)
                    && seen.insert(name.to_owned())
                {
                    waiting.extend(definitions.get(name));
                }
            }
            _ => {}
        }
    }
    seen
}

fn reference(value: &Value) -> Option<&str> {
    definition_name(value.get("$ref")?.as_str()?)
}

fn definition_name(reference: &str) -> Option<&str> {
    reference.strip_prefix(DEFINITIONS)
}
