//! Parameters on the command line: `key=value`, read as the schema wants them, or one JSON object.

use std::io;

use serde_json::{Map, Value};

use super::name::instead;
use crate::arguments::value::pair;
use crate::failure::{Attempt as _, Failure, Outcome};

/// Reads parameters. `schema` is that of the object they make, `of` whose they are.
pub(super) fn read(words: &[String], schema: Option<&Value>, of: &str) -> Outcome<Value> {
    let parameters = match words {
        [word] if word == "-" => {
            json_object(&io::read_to_string(io::stdin()).attempt(|| "cannot read stdin".into())?)?
        }
        [word] if word.trim_start().starts_with('{') => json_object(word)?,
        words => from_pairs(words, schema, of)?,
    };
    if let Some(schema) = schema {
        refuse_unknown(&parameters, schema, of)?;
    }
    Ok(Value::Object(parameters))
}

fn json_object(text: &str) -> Outcome<Map<String, Value>> {
    match serde_json::from_str(text) {
        Ok(Value::Object(parameters)) => Ok(parameters),
        Ok(_) => Err(Failure::usage("the JSON is not an object of parameters by name")),
        Err(error) => Err(Failure::usage(format!("the parameters are not JSON: {error}"))),
    }
}

fn from_pairs(words: &[String], schema: Option<&Value>, of: &str) -> Outcome<Map<String, Value>> {
    let mut parameters = Map::new();
    for word in words {
        let (name, text) = pair(word).ok_or_else(|| {
            Failure::usage(format!("{word:?} is not of the form key=value, nor a JSON object"))
        })?;
        let value = match schema.and_then(|schema| property(schema, name)) {
            Some((wanted, root)) => value(text, wanted, root).map_err(|wanted| {
                Failure::new(format!("the parameter {name} of {of} must be {wanted}, not {text:?}"))
            })?,
            None => guess(text),
        };
        parameters.insert(name.to_owned(), value);
    }
    Ok(parameters)
}

/// The schema of a parameter, and the whole one it may refer into.
fn property<'a>(schema: &'a Value, name: &str) -> Option<(&'a Value, &'a Value)> {
    Some((schema.get("properties")?.get(name)?, schema))
}

/// A misspelt parameter is told what was meant; the rest is for the validator.
fn refuse_unknown(parameters: &Map<String, Value>, schema: &Value, of: &str) -> Outcome {
    if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Ok(());
    }
    let known: Vec<&str> = names(schema).collect();
    match parameters.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let otherwise = match known.is_empty() {
                true => "it takes none".to_owned(),
                false => format!("it takes {}", known.join(", ")),
            };
            let instead = instead(name, &known, &otherwise);
            Err(Failure::new(format!("{of} has no parameter {name:?}: {instead}")))
        }
    }
}

/// The names of the parameters.
pub(super) fn names(schema: &Value) -> impl Iterator<Item = &str> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().map(|(name, _)| name.as_str())
}

/// A text as what the schema wants: JSON if that is of a type allowed, else the text if texts are. The error says
/// what would be allowed.
fn value(text: &str, wanted: &Value, root: &Value) -> Result<Value, String> {
    let types = types(wanted, root);
    let allows = |kind: &str| types.is_empty() || types.iter().any(|allowed| allowed == kind);
    let is_text_only = !types.is_empty() && types.iter().all(|allowed| allowed == "string");
    if !is_text_only && let Ok(value) = serde_json::from_str::<Value>(text) {
        let is_allowed = match &value {
            Value::Null => allows("null"),
            Value::Bool(_) => allows("boolean"),
            Value::Number(number) => {
                allows("number") || allows("integer") && (number.is_i64() || number.is_u64())
            }
            Value::String(_) => allows("string"),
            Value::Array(_) => allows("array"),
            Value::Object(_) => allows("object"),
        };
        if is_allowed {
            return Ok(value);
        }
    }
    match allows("string") {
        true => Ok(Value::String(text.to_owned())),
        false => Err(types.join(" or ")),
    }
}

/// Without a schema: JSON if it is any, else text.
fn guess(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// The JSON types a schema allows; none if it does not say.
pub(super) fn types(schema: &Value, root: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect_types(schema, root, &mut found, 0);
    found
}

/// References may go in circles; nobody nests unions deeper than this.
const DEPTH_MAX: usize = 8;

fn collect_types(schema: &Value, root: &Value, found: &mut Vec<String>, depth: usize) {
    if depth > DEPTH_MAX {
        return;
    }
    if let Some(to) = schema.get("$ref").and_then(Value::as_str) {
        if let Some(target) = to.strip_prefix('#').and_then(|pointer| root.pointer(pointer)) {
            collect_types(target, root, found, depth + 1);
        }
        return;
    }
    let mut add = |kind: &str| {
        if !found.iter().any(|known| known == kind) {
            found.push(kind.to_owned());
        }
    };
    match schema.get("type") {
        Some(Value::String(kind)) => add(kind),
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).for_each(add),
        _ => {}
    }
    for union in ["anyOf", "oneOf"] {
        for branch in schema.get(union).and_then(Value::as_array).into_iter().flatten() {
            collect_types(branch, root, found, depth + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "name": {"type": "string"},
                "age": {"type": "integer"},
                "share": {"type": "number"},
                "admin": {"type": "boolean", "default": false},
                "tags": {"type": "array", "items": {"type": "string"}},
                "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
                "colour": {"$ref": "#/definitions/Colour"},
                "any": {},
            },
            "definitions": {"Colour": {"type": "string", "enum": ["red"]}},
        })
    }

    fn one(word: &str) -> Value {
        let read = read(&[word.to_owned()], Some(&schema()), "a.b").unwrap();
        read.as_object().unwrap().values().next().unwrap().clone()
    }

    #[test]
    fn a_value_is_what_the_schema_wants() {
        assert_eq!(one("name=12"), json!("12"));
        assert_eq!(one("name=\"x\""), json!("\"x\""));
        assert_eq!(one("name="), json!(""));
        assert_eq!(one("name=a=b"), json!("a=b"));
        assert_eq!(one("age=12"), json!(12));
        assert_eq!(one("share=1"), json!(1));
        assert_eq!(one("admin=true"), json!(true));
        assert_eq!(one("tags=[\"a\"]"), json!(["a"]));
        assert_eq!(one("note=null"), Value::Null);
        assert_eq!(one("note=hello"), json!("hello"));
        assert_eq!(one("note=12"), json!("12"));
        assert_eq!(one("either=12"), json!(12));
        assert_eq!(one("either=twelve"), json!("twelve"));
        assert_eq!(one("colour=1"), json!("1"));
        assert_eq!(one("any={\"x\":1}"), json!({"x": 1}));
        assert_eq!(one("any=text"), json!("text"));
    }

    #[test]
    fn refusals_name_the_parameter() {
        let refusal = |word: &str| {
            read(&[word.to_owned()], Some(&schema()), "a.b").unwrap_err().message().unwrap()
        };
        assert_eq!(refusal("age=old"), "the parameter age of a.b must be integer, not \"old\"");
        assert_eq!(refusal("age=1.5"), "the parameter age of a.b must be integer, not \"1.5\"");
        assert_eq!(refusal("nmae=x"), "a.b has no parameter \"nmae\": did you mean \"name\"?");
        assert!(refusal("{\"nmae\": 1}").contains("did you mean \"name\"?"));
        assert!(refusal("zzz=1").contains("it takes "));
        assert!(refusal("word").contains("key=value"));
        assert!(refusal("{").contains("not JSON"));
    }

    #[test]
    fn json_and_schemaless_values_stay_as_they_are() {
        let words =
            |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let json = read(&words(&["{\"age\": \"x\"}"]), Some(&schema()), "a.b").unwrap();
        assert_eq!(json, json!({"age": "x"}));
        let guessed = read(&words(&["a=1", "b=x", "c=[1]"]), None, "a.b").unwrap();
        assert_eq!(guessed, json!({"a": 1, "b": "x", "c": [1]}));
        assert_eq!(read(&[], None, "a.b").unwrap(), json!({}));
    }
}
