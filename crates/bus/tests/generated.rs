//! From a schema to Rust source, and from that back to the schema.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tutti_bus::schema::{ApiSchema, rust_source};

/// What is written for `my.shop`, as it is compiled.
pub mod shop {
    include!("generated/shop.rs");
}

const SOURCE: &str = include_str!("generated/shop.rs");
const ENCODERS: &str = include_str!("vectors/encoders.json");

fn vector() -> Value {
    let vectors: Value = serde_json::from_str(ENCODERS).unwrap();
    vectors["schema_of_api"].clone()
}

/// With the names in `required` sorted: their order means nothing.
fn normal(schema: &Value) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| match (key.as_str(), value.as_array()) {
                ("required", Some(names)) => {
                    let names: BTreeSet<&str> = names.iter().filter_map(Value::as_str).collect();
                    (key.clone(), json!(names))
                }
                _ => (key.clone(), normal(value)),
            })
            .collect(),
        other => other.clone(),
    }
}

#[test]
fn the_source_is_what_is_compiled_here() {
    let source = rust_source(&ApiSchema::new("my.shop", 1, vector()), "Shop");
    if std::env::var_os("TUTTI_WRITE_GENERATED").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/generated/shop.rs"), &source)
            .unwrap();
    }
    assert_eq!(source, SOURCE);
}

#[test]
fn the_schema_of_the_source_is_the_schema_it_was_made_of() {
    let mut vector = vector();
    vector["rpcs"].as_object_mut().unwrap().remove("untyped");
    assert_eq!(normal(shop::shop_schema().document()), normal(&vector));
}

#[test]
fn what_rust_cannot_write_is_left_out_with_a_reason() {
    let parameters = json!({ "type": "object", "properties": { "a-b": {} } });
    let document = json!({
        "rpcs": { "p": { "parameters": parameters, "response": {} } },
        "events": { "self": { "parameters": { "properties": {} } } },
    });
    let source = rust_source(&ApiSchema::new("odd", 1, document), "Odd");
    assert_eq!(
        source,
        "#[tutti_bus::api(name = \"odd\", version = 1)]\n\
         pub trait Odd {\n    // p has a name, or an argument, that Rust cannot write.\n\n    \
         // self has a name, or a parameter, that Rust cannot write.\n}\n"
    );
}

#[test]
fn names_and_enums_are_written_as_rust_wants_them() {
    let colour = json!({ "type": "string", "enum": ["red", "dark-blue"], "title": "Colour" });
    let parameters = json!({
        "type": "object",
        "description": "Paints.",
        "properties": { "type": { "type": "string", "default": "x\"y" }, "in": colour },
        "required": ["in"],
    });
    let document = json!({
        "rpcs": { "paint": { "parameters": parameters, "response": { "type": "array", "items": colour } } },
        "events": {},
    });
    let source = rust_source(&ApiSchema::new("odd", 1, document), "Odd");
    assert!(source.contains(
        "    /// Paints.\n    async fn paint(&self, r#in: Colour, #[default(\"x\\\"y\")] r#type: String) \
         -> tutti_bus::Result<Vec<Colour>>;\n"
    ), "{source}");
    assert!(source.contains("    #[serde(rename = \"dark-blue\")]\n    DarkBlue,\n"), "{source}");
    assert_eq!(source.matches("pub enum Colour").count(), 1);
}
