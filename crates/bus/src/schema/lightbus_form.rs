//! What `schemars` writes, in the words Python Lightbus uses for the same type.
//!
//! The differences are listed in the crate's README; `encoders.json` of the vectors is the proof.

use serde_json::{Map, Value, json};

/// Formats Rust adds that say nothing to Python: the width of numbers, and names of Rust types.
const FORMATS_DROPPED: [&str; 4] = ["float", "double", "uuid", "zoned-date-time"];

/// Rewrites `schema` and everything in it.
pub(super) fn rewrite(schema: &mut Value) {
    rewrite_schema(schema, Closing::Allowed);
}

/// Whether an object may be closed with `additionalProperties: false`. Alternatives that only add to an object
/// around them must stay open.
#[derive(Clone, Copy, PartialEq)]
enum Closing {
    Allowed,
    Forbidden,
}

fn rewrite_schema(schema: &mut Value, closing: Closing) {
    if *schema == Value::Bool(true) {
        *schema = json!({});
    }
    let Some(object) = schema.as_object_mut() else { return };
    rewrite_children(object, closing);
    drop_python_unknown(object);
    join_constants(object);
    if closing == Closing::Allowed {
        close(object);
    }
    null_as_alternative(object);
    flatten_alternatives(object);
}

fn rewrite_children(object: &mut Map<String, Value>, closing: Closing) {
    let adds_to_parent = object.contains_key("properties");
    for (key, value) in object.iter_mut() {
        match (key.as_str(), value) {
            ("properties" | "definitions", Value::Object(children)) => {
                children.values_mut().for_each(|child| rewrite_schema(child, Closing::Allowed));
            }
            ("anyOf" | "oneOf" | "allOf", Value::Array(children)) => {
                let inherited = if adds_to_parent { Closing::Forbidden } else { closing };
                let inherited = if key == "allOf" { Closing::Forbidden } else { inherited };
                children.iter_mut().for_each(|child| rewrite_schema(child, inherited));
            }
            ("items", Value::Array(children)) => {
                children.iter_mut().for_each(|child| rewrite_schema(child, Closing::Allowed));
            }
            ("items", child @ Value::Object(_)) => rewrite_schema(child, Closing::Allowed),
            ("additionalProperties", child @ Value::Object(_)) => {
                rewrite_schema(child, Closing::Allowed);
            }
            _ => {}
        }
    }
}

fn drop_python_unknown(object: &mut Map<String, Value>) {
    let format = object.get("format").and_then(Value::as_str).unwrap_or_default().to_owned();
    if is_integer_format(&format) {
        object.remove("format");
        for bound in ["minimum", "maximum"] {
            if object.get(bound).is_some_and(|value| is_bound_of(&format, bound, value)) {
                object.remove(bound);
            }
        }
    } else if FORMATS_DROPPED.contains(&format.as_str()) {
        object.remove("format");
    } else if let Some(zoneless) = format.strip_prefix("partial-") {
        object.insert("format".to_owned(), json!(zoneless));
    }
    object.remove("uniqueItems");
    if object.get("items") == Some(&Value::Bool(true)) {
        object.remove("items");
    }
    let is_map = !object.contains_key("properties");
    if is_map && object.get("additionalProperties") == Some(&Value::Bool(true)) {
        object.insert("additionalProperties".to_owned(), json!({}));
    }
    // A map whose keys are numbers or the like: Python says only that it is an object.
    if is_map && object.remove("patternProperties").is_some() {
        object.remove("additionalProperties");
    }
}

fn is_integer_format(format: &str) -> bool {
    let width = format.strip_prefix('u').unwrap_or(format).strip_prefix("int");
    width.is_some_and(|bits| bits.is_empty() || bits.parse::<u16>().is_ok())
}

/// Whether this bound is the one the Rust type has by itself, not one that its author set.
fn is_bound_of(format: &str, bound: &str, value: &Value) -> bool {
    let (Some(value), unsigned) = (value.as_f64(), format.starts_with('u')) else { return false };
    let bits: i32 = format.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(64);
    let limit = match (bound, unsigned) {
        ("minimum", true) => 0.0,
        ("minimum", false) => -(2f64.powi(bits - 1)),
        (_, true) => 2f64.powi(bits) - 1.0,
        (_, false) => 2f64.powi(bits - 1) - 1.0,
    };
    (value - limit).abs() < 0.5
}

/// An enum whose variants are documented comes as one alternative each; Python knows `enum` only.
fn join_constants(object: &mut Map<String, Value>) {
    let Some(Value::Array(alternatives)) = object.get("oneOf") else { return };
    let mut constants = Vec::new();
    for alternative in alternatives {
        match (alternative.get("const"), alternative.get("enum")) {
            (Some(constant @ Value::String(_)), None) => constants.push(constant.clone()),
            (None, Some(Value::Array(several))) => constants.extend(several.iter().cloned()),
            _ => return,
        }
    }
    object.remove("oneOf");
    object.insert("type".to_owned(), json!("string"));
    object.insert("enum".to_owned(), Value::Array(constants));
}

fn close(object: &mut Map<String, Value>) {
    if object.get("additionalProperties") == Some(&Value::Bool(false)) {
        object.entry("properties").or_insert_with(|| json!({}));
    }
    let open_by_design =
        ["additionalProperties", "unevaluatedProperties", "oneOf", "anyOf", "allOf", "$ref"];
    if object.contains_key("properties")
        && !open_by_design.iter().any(|key| object.contains_key(*key))
    {
        object.insert("additionalProperties".to_owned(), json!(false));
    }
}

/// `type: [x, null]` becomes `anyOf` of the two, as Python writes `Optional[x]`.
fn null_as_alternative(object: &mut Map<String, Value>) {
    let Some(Value::Array(kinds)) = object.get("type") else { return };
    let kinds = kinds.clone();
    let mut outer = Map::new();
    for annotation in ["default", "description", "title", "examples", "deprecated"] {
        if let Some(value) = object.remove(annotation) {
            outer.insert(annotation.to_owned(), value);
        }
    }
    let alternatives = kinds.iter().map(|kind| {
        let mut alternative = if kind == "null" { Map::new() } else { object.clone() };
        alternative.insert("type".to_owned(), kind.clone());
        Value::Object(alternative)
    });
    outer.insert("anyOf".to_owned(), alternatives.collect());
    *object = outer;
}

/// Alternatives of which one is nothing but alternatives itself are one list in Python.
fn flatten_alternatives(object: &mut Map<String, Value>) {
    let Some(Value::Array(alternatives)) = object.get_mut("anyOf") else { return };
    let is_list = |inner: &Map<String, Value>| {
        inner.keys().all(|key| ["anyOf", "title", "description"].contains(&key.as_str()))
    };
    let flat = std::mem::take(alternatives).into_iter().flat_map(|alternative| {
        let inner = alternative.as_object().filter(|inner| is_list(inner));
        match inner.and_then(|inner| inner.get("anyOf")) {
            Some(Value::Array(inner)) => inner.clone(),
            _ => vec![alternative],
        }
    });
    *alternatives = flat.collect();
}

/// For a parameter, Python repeats the default in every alternative and leaves it out around them.
pub(super) fn default_into_alternatives(object: &mut Map<String, Value>) {
    let has_alternatives = object.get("anyOf").is_some_and(Value::is_array);
    let Some(default) = has_alternatives.then(|| object.remove("default")).flatten() else {
        return;
    };
    if let Some(Value::Array(alternatives)) = object.get_mut("anyOf") {
        for alternative in alternatives.iter_mut().filter_map(Value::as_object_mut) {
            alternative.insert("default".to_owned(), default.clone());
        }
    }
}
