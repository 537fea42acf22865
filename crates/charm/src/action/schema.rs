//! The subset of JSON Schema that action parameters are described with.
//!
//! `type` (one or several), `properties`, `required`, `additionalProperties`, `items`, `enum`, `default`, and the
//! bounds on numbers, lengths and counts. `$ref` and `$schema` are refused, as Juju does; any other keyword has no
//! effect and is reported as a warning when the charm is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A schema. Its JSON is JSON Schema.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Schema {
    /// The types allowed; any type if empty.
    #[serde(rename = "type", with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<Type>,
    /// A short name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What the value is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The value if none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The only values allowed, if not empty.
    #[serde(rename = "enum", skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Value>,
    /// Bounds of numbers, texts and lists.
    #[serde(flatten)]
    pub bounds: Bounds,
    /// What every item of a list has to fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Box<Schema>>,
    /// What the members of an object have to fit.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, Schema>,
    /// Members that must be there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
    /// Whether an object may have members beside `properties`. Juju before 4: yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_properties: Option<bool>,
}

/// Inclusive bounds; `exclusive` ones leave the bound itself out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Bounds {
    /// Smallest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// Largest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    /// Numbers are above this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclusive_minimum: Option<f64>,
    /// Numbers are below this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclusive_maximum: Option<f64>,
    /// Fewest characters of a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u64>,
    /// Most characters of a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u64>,
    /// Fewest items of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_items: Option<u64>,
    /// Most items of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_items: Option<u64>,
}

/// A type of JSON values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// A mapping.
    Object,
    /// A list.
    Array,
    /// Nothing.
    Null,
}

impl Type {
    const ALL: [Type; 7] = [
        Type::String,
        Type::Integer,
        Type::Number,
        Type::Boolean,
        Type::Object,
        Type::Array,
        Type::Null,
    ];

    /// The word for it in a schema.
    pub fn word(self) -> &'static str {
        match self {
            Type::String => "string",
            Type::Integer => "integer",
            Type::Number => "number",
            Type::Boolean => "boolean",
            Type::Object => "object",
            Type::Array => "array",
            Type::Null => "null",
        }
    }

    fn admits(self, value: &Value) -> bool {
        match self {
            Type::String => value.is_string(),
            Type::Integer => {
                value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
            }
            Type::Number => value.is_number(),
            Type::Boolean => value.is_boolean(),
            Type::Object => value.is_object(),
            Type::Array => value.is_array(),
            Type::Null => value.is_null(),
        }
    }
}

impl Schema {
    /// Puts in defaults of members that are missing, at every depth.
    pub(super) fn fill(&self, object: &mut Map<String, Value>) {
        for (name, schema) in &self.properties {
            match object.get_mut(name) {
                Some(Value::Object(inner)) => schema.fill(inner),
                Some(_) => {}
                None => {
                    let mut value = schema.default.clone();
                    if value.is_none() {
                        let mut inner = Map::new();
                        schema.fill(&mut inner);
                        value = (!inner.is_empty()).then_some(Value::Object(inner));
                    }
                    if let Some(value) = value {
                        object.insert(name.clone(), value);
                    }
                }
            }
        }
    }

    /// Adds a line for everything about an object that does not fit; `at` is its dotted path, empty at the top.
    pub(super) fn check_object(
        &self,
        at: &str,
        object: &Map<String, Value>,
        problems: &mut Vec<String>,
    ) {
        let path = |name: &str| match at {
            "" => name.to_owned(),
            at => format!("{at}.{name}"),
        };
        for name in self.required.iter().filter(|name| !object.contains_key(*name)) {
            problems.push(format!("parameter {:?} is required", path(name)));
        }
        for (name, value) in object {
            match self.properties.get(name) {
                Some(schema) => schema.check(&path(name), value, problems),
                None if self.additional_properties == Some(false) => {
                    let known: Vec<&str> = self.properties.keys().map(String::as_str).collect();
                    let known = if known.is_empty() { "none is".into() } else { known.join(", ") };
                    problems
                        .push(format!("parameter {:?} is not known (known: {known})", path(name)));
                }
                None => {}
            }
        }
    }

    fn check(&self, at: &str, value: &Value, problems: &mut Vec<String>) {
        if !self.types.is_empty() && !self.types.iter().any(|kind| kind.admits(value)) {
            let words: Vec<&str> = self.types.iter().map(|kind| kind.word()).collect();
            problems.push(format!("parameter {at:?} expected {}, got {value}", words.join(" or ")));
            return;
        }
        if !self.choices.is_empty() && !self.choices.contains(value) {
            let choices: Vec<String> = self.choices.iter().map(Value::to_string).collect();
            problems.push(format!(
                "parameter {at:?} expected one of {}, got {value}",
                choices.join(", ")
            ));
        }
        if let Some(bound) = self.bounds.broken_by(value) {
            problems.push(format!("parameter {at:?} expected {bound}, got {value}"));
        }
        match value {
            Value::Object(object) => self.check_object(at, object, problems),
            Value::Array(items) => {
                for (schema, (position, item)) in self
                    .items
                    .iter()
                    .flat_map(|schema| items.iter().enumerate().map(move |at| (schema, at)))
                {
                    schema.check(&format!("{at}[{position}]"), item, problems);
                }
            }
            _ => {}
        }
    }
}

impl Bounds {
    /// The bound that a value breaks, in words.
    fn broken_by(&self, value: &Value) -> Option<String> {
        match value {
            Value::Number(number) => {
                let number = number.as_f64()?;
                let broken = |bound: Option<f64>, holds: fn(&f64, &f64) -> bool, word: &str| {
                    bound
                        .filter(|bound| !holds(&number, bound))
                        .map(|bound| format!("{word} {bound}"))
                };
                broken(self.minimum, f64::ge, "at least")
                    .or_else(|| broken(self.maximum, f64::le, "at most"))
                    .or_else(|| broken(self.exclusive_minimum, f64::gt, "more than"))
                    .or_else(|| broken(self.exclusive_maximum, f64::lt, "less than"))
            }
            Value::String(text) => {
                counted(text.chars().count(), self.min_length, self.max_length, "characters")
            }
            Value::Array(items) => counted(items.len(), self.min_items, self.max_items, "items"),
            _ => None,
        }
    }
}

fn counted(count: usize, min: Option<u64>, max: Option<u64>, of: &str) -> Option<String> {
    let count = count as u64;
    if let Some(min) = min.filter(|min| count < *min) {
        return Some(format!("at least {min} {of}"));
    }
    max.filter(|max| count > *max).map(|max| format!("at most {max} {of}"))
}

/// What was noticed while reading schemas.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) problems: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Schema {
    /// Reads a schema as an author writes it; `at` says where it stands.
    pub(super) fn read(at: &str, written: &Value, notes: &mut Notes) -> Schema {
        let mut schema = Schema::default();
        let Value::Object(keywords) = written else {
            notes.problems.push(format!("{at}: expected a schema (a mapping), got {written}"));
            return schema;
        };
        for (keyword, value) in keywords.iter().filter(|(_, value)| !value.is_null()) {
            let fits = schema.set(at, keyword, value, notes);
            if !fits {
                notes.problems.push(format!("{at}: {keyword} cannot be {value}"));
            }
        }
        for (exclusive, inclusive, bound) in [
            ("exclusiveMinimum", &mut schema.bounds.minimum, &mut schema.bounds.exclusive_minimum),
            ("exclusiveMaximum", &mut schema.bounds.maximum, &mut schema.bounds.exclusive_maximum),
        ] {
            if keywords.get(exclusive) == Some(&Value::Bool(true)) {
                *bound = inclusive.take();
            }
        }
        schema
    }

    /// Takes one keyword; false if its value is not of the right kind.
    fn set(&mut self, at: &str, keyword: &str, value: &Value, notes: &mut Notes) -> bool {
        let bounds = &mut self.bounds;
        match keyword {
            "type" => return self.set_types(value),
            "title" => self.title = value.as_str().map(str::to_owned),
            "description" => self.description = value.as_str().map(str::to_owned),
            "default" => self.default = Some(value.clone()),
            "enum" => self.choices = value.as_array().cloned().unwrap_or_default(),
            "minimum" => bounds.minimum = value.as_f64(),
            "maximum" => bounds.maximum = value.as_f64(),
            "exclusiveMinimum" => bounds.exclusive_minimum = value.as_f64(),
            "exclusiveMaximum" => bounds.exclusive_maximum = value.as_f64(),
            "minLength" => bounds.min_length = value.as_u64(),
            "maxLength" => bounds.max_length = value.as_u64(),
            "minItems" => bounds.min_items = value.as_u64(),
            "maxItems" => bounds.max_items = value.as_u64(),
            "items" => {
                self.items = Some(Box::new(Schema::read(&format!("{at} items"), value, notes)))
            }
            "properties" => return self.set_properties(at, value, notes),
            "required" => match value {
                Value::Array(names) => {
                    self.required =
                        names.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                    return self.required.len() == names.len();
                }
                _ => notes
                    .warnings
                    .push(format!("{at}: required has to be a list, and has no effect")),
            },
            "additionalProperties" => {
                self.additional_properties = Some(value != &Value::Bool(false))
            }
            "$ref" | "$schema" => {
                notes.problems.push(format!("{at}: schema key {keyword:?} is not supported"));
            }
            _ => notes
                .warnings
                .push(format!("{at}: schema key {keyword:?} is not known and has no effect")),
        }
        match keyword {
            "title" | "description" => value.is_string(),
            "enum" => value.is_array(),
            "minimum" | "maximum" => value.is_number(),
            "exclusiveMinimum" | "exclusiveMaximum" => value.is_number() || value.is_boolean(),
            "minLength" | "maxLength" | "minItems" | "maxItems" => value.is_u64(),
            _ => true,
        }
    }

    fn set_types(&mut self, value: &Value) -> bool {
        let words = match value {
            Value::Array(words) => words.as_slice(),
            one => std::slice::from_ref(one),
        };
        for word in words {
            match Type::ALL.into_iter().find(|kind| word == kind.word()) {
                Some(kind) => self.types.push(kind),
                None => return false,
            }
        }
        true
    }

    fn set_properties(&mut self, at: &str, value: &Value, notes: &mut Notes) -> bool {
        let Value::Object(properties) = value else { return false };
        for (name, property) in properties {
            let schema = Schema::read(&format!("{at} parameter {name:?}"), property, notes);
            self.properties.insert(name.clone(), schema);
        }
        true
    }
}

/// `"type": "string"` or `"type": ["string", "null"]`.
mod one_or_many {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
    use serde_json::Value;

    use super::Type;

    pub(super) fn serialize<S: Serializer>(
        types: &[Type],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match types {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Type>, D::Error> {
        let value = match Value::deserialize(deserializer)? {
            Value::Array(many) => Value::Array(many),
            one => Value::Array(vec![one]),
        };
        serde_json::from_value(value).map_err(de::Error::custom)
    }
}
