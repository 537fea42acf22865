//! Checks of what is sent and received, by a schema compiled once.
//!
//! As in Python, `format` is not checked. Arrays of fixed items come as `items: […]` (Lightbus 1.1.2) and as
//! `prefixItems` (1.3), which draft 7 does not know: both are checked. Text of the sentences is our own, because the
//! library's repeats the values, and those may be passwords.

use std::collections::HashMap;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{Draft, ValidationError, Validator};
use serde_json::Value;

use super::ApiSchema;
use crate::codec::lenient;

/// At most this many problems are told of one value.
const PROBLEMS_MAX: usize = 5;

/// The schema of an API, ready to check with.
#[derive(Debug)]
pub struct ApiValidator {
    api: String,
    arguments: HashMap<String, Validator>,
    results: HashMap<String, Validator>,
    events: HashMap<String, Validator>,
}

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The arguments of a call: an object.
    Arguments,
    /// What a procedure returned.
    Result,
    /// The parameters of an event: an object.
    Event,
}

/// What was checked does not fit its schema. Says which API, which procedure or event, which field, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} of {api}.{name} {verb} not fit the schema: {problems}", what = what(*.subject), verb = verb(*.subject))]
pub struct Invalid {
    /// The API.
    pub api: String,
    /// The procedure or event.
    pub name: String,
    /// Whether its arguments, its result, or the parameters of the event.
    pub subject: Subject,
    /// The fields and why, separated by semicolons.
    pub problems: String,
}

/// A schema that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the schema of {name} in the API {api} is no JSON Schema: {reason}")]
pub struct SchemaError {
    api: String,
    name: String,
    reason: String,
}

impl ApiValidator {
    /// Compiles all schemas of an API.
    pub fn compile(schema: &ApiSchema) -> Result<ApiValidator, SchemaError> {
        let one = |name: &str, value: &Value| {
            compile(value).map(|validator| (name.to_owned(), validator)).map_err(|reason| {
                SchemaError { api: schema.name().to_owned(), name: name.to_owned(), reason }
            })
        };
        Ok(ApiValidator {
            api: schema.name().to_owned(),
            arguments: schema
                .rpcs()
                .map(|(name, rpc)| one(name, rpc.parameters))
                .collect::<Result<_, _>>()?,
            results: schema
                .rpcs()
                .map(|(name, rpc)| one(name, rpc.response))
                .collect::<Result<_, _>>()?,
            events: schema
                .events()
                .map(|(name, parameters)| one(name, parameters))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Checks a value that is at hand as JSON text, such as Python writes it.
    pub fn check_json(&self, subject: Subject, name: &str, json: &str) -> Result<(), Invalid> {
        match lenient::from_str(json) {
            Ok(value) => self.check(subject, name, &value),
            Err(error) => Err(self.invalid(subject, name, format!("it is not JSON ({error})"))),
        }
    }

    /// Checks a value.
    pub fn check(&self, subject: Subject, name: &str, value: &Value) -> Result<(), Invalid> {
        let (validators, kind) = match subject {
            Subject::Arguments => (&self.arguments, "procedure"),
            Subject::Result => (&self.results, "procedure"),
            Subject::Event => (&self.events, "event"),
        };
        let Some(validator) = validators.get(name) else {
            return Err(self.invalid(subject, name, format!("it has no {kind} of this name")));
        };
        if validator.is_valid(value) {
            return Ok(());
        }
        let problems: Vec<String> =
            validator.iter_errors(value).take(PROBLEMS_MAX).map(|error| sentence(&error)).collect();
        Err(self.invalid(subject, name, problems.join("; ")))
    }

    fn invalid(&self, subject: Subject, name: &str, problems: String) -> Invalid {
        Invalid { api: self.api.clone(), name: name.to_owned(), subject, problems }
    }
}

/// Which way a message goes, seen from this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Calls made, results returned, events fired.
    Outgoing,
    /// Calls served, results received, events heard.
    Incoming,
}

/// What happens to a message that does not fit its schema.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Strictness {
    /// It is refused.
    #[default]
    Strict,
    /// It passes, and the log tells of it.
    Warn,
    /// Nobody looks.
    Off,
}

/// How one API's messages are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValidationRules {
    /// For what this process sends.
    pub outgoing: Strictness,
    /// For what this process receives.
    pub incoming: Strictness,
    /// Whether an API without a known schema is an error.
    pub schema_required: bool,
}

impl ValidationRules {
    /// What happens to messages of this direction.
    pub fn strictness(&self, direction: Direction) -> Strictness {
        match direction {
            Direction::Outgoing => self.outgoing,
            Direction::Incoming => self.incoming,
        }
    }

    /// Runs `check` if messages of this direction are looked at, and returns its verdict if it counts.
    pub fn enforce(
        &self,
        direction: Direction,
        check: impl FnOnce() -> Result<(), Invalid>,
    ) -> Result<(), Invalid> {
        let strictness = self.strictness(direction);
        if strictness == Strictness::Off {
            return Ok(());
        }
        check().or_else(|invalid| match strictness {
            Strictness::Strict => Err(invalid),
            Strictness::Warn | Strictness::Off => {
                tracing::warn!(api = invalid.api, name = invalid.name, "{invalid}");
                Ok(())
            }
        })
    }
}

fn compile(schema: &Value) -> Result<Validator, String> {
    let mut schema = schema.clone();
    prefix_items_to_draft_7(&mut schema);
    jsonschema::options()
        .with_draft(Draft::Draft7)
        .should_validate_formats(false)
        .build(&schema)
        .map_err(|error| error.to_string())
}

/// `prefixItems` becomes `items`, and what was `items` becomes `additionalItems`.
fn prefix_items_to_draft_7(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(fixed) = object.remove("prefixItems")
        && let Some(rest) = object.insert("items".to_owned(), fixed)
    {
        object.insert("additionalItems".to_owned(), rest);
    }
    for (keyword, value) in object {
        match (keyword.as_str(), value) {
            ("properties" | "patternProperties" | "definitions", Value::Object(children)) => {
                children.values_mut().for_each(prefix_items_to_draft_7);
            }
            ("anyOf" | "oneOf" | "allOf" | "items", Value::Array(children)) => {
                children.iter_mut().for_each(prefix_items_to_draft_7);
            }
            ("items" | "additionalItems" | "additionalProperties" | "not", child) => {
                prefix_items_to_draft_7(child);
            }
            _ => {}
        }
    }
}

/// One problem: the field and why.
pub(crate) fn sentence(error: &ValidationError<'_>) -> String {
    let field = field(error.instance_path().as_str());
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            format!("{} is missing", inside(&field, property.as_str().unwrap_or_default()))
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let names: Vec<String> = unexpected.iter().map(|name| inside(&field, name)).collect();
            format!("{} is unknown", names.join(", "))
        }
        ValidationErrorKind::Type { kind } => {
            let wanted = match kind {
                TypeKind::Single(kind) => with_article(&kind.to_string()),
                TypeKind::Multiple(kinds) => {
                    let kinds: Vec<String> =
                        kinds.iter().map(|kind| with_article(&kind.to_string())).collect();
                    kinds.join(" or ")
                }
            };
            format!(
                "{} must be {wanted}, not {}",
                whole(&field),
                with_article(kind_of(error.instance()))
            )
        }
        ValidationErrorKind::Enum { options } => {
            format!("{} must be one of {options}", whole(&field))
        }
        ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. } => {
            let kind = with_article(kind_of(error.instance()));
            format!("{} ({kind}) fits none of the types allowed", whole(&field))
        }
        _ => format!("{}: {}", whole(&field), error.masked()),
    }
}

/// `/members/0/name` as `members[0].name`.
pub(crate) fn field(pointer: &str) -> String {
    let mut field = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            field.extend(["[", &part, "]"]);
        } else {
            field = inside(&field, &part);
        }
    }
    field
}

fn inside(field: &str, name: &str) -> String {
    if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") }
}

fn whole(field: &str) -> &str {
    if field.is_empty() { "the value" } else { field }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn with_article(kind: &str) -> String {
    match kind {
        "null" => kind.to_owned(),
        "array" | "integer" | "object" => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

fn what(subject: Subject) -> &'static str {
    match subject {
        Subject::Arguments => "the arguments",
        Subject::Result => "the result",
        Subject::Event => "the parameters",
    }
}

fn verb(subject: Subject) -> &'static str {
    match subject {
        Subject::Result => "does",
        Subject::Arguments | Subject::Event => "do",
    }
}
