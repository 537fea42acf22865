//! The schema of an API, made of Rust types.

use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::{ReplacePrefixItems, ReplaceUnevaluatedProperties};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::inline::inline;
use super::lightbus_form::{default_into_alternatives, rewrite};
use super::{ApiSchema, DRAFT_7, empty_document};

/// The named parameters of a procedure or an event, in the making.
///
/// ```
/// use tutti_bus::schema::{ApiSchema, Parameters};
///
/// let parameters = Parameters::new().required::<String>("username").optional::<u32>("days", 7);
/// let schema = ApiSchema::builder("my_company.auth", 1)
///     .rpc::<bool>("came_in", "Whether the user came in lately.", parameters)
///     .build();
/// assert_eq!(schema.rpc("came_in").unwrap().parameters["properties"]["days"]["default"], 7);
/// ```
#[derive(Debug)]
pub struct Parameters {
    generator: SchemaGenerator,
    properties: Map<String, Value>,
    required: Vec<Value>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { generator: generator(), properties: Map::new(), required: Vec::new() }
    }
}

impl Parameters {
    /// No parameters yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The fields of a struct.
    pub fn of<T: JsonSchema>() -> Self {
        let mut generator = generator();
        let mut schema = T::json_schema(&mut generator).to_value();
        let properties = match schema["properties"].take() {
            Value::Object(properties) => properties,
            _ => Map::new(),
        };
        let required = match schema["required"].take() {
            Value::Array(required) => required,
            _ => Vec::new(),
        };
        Self { generator, properties, required }
    }

    /// Adds a parameter that must be given.
    #[must_use]
    pub fn required<T: JsonSchema>(mut self, name: &str) -> Self {
        self.required.push(json!(name));
        self.add::<T>(name, None, "")
    }

    /// Adds a parameter that may be left out and is then `default`.
    ///
    /// A default that JSON cannot express (a map with keys that are no strings, say) is written as null.
    #[must_use]
    pub fn optional<T: JsonSchema>(self, name: &str, default: impl Serialize) -> Self {
        let default = serde_json::to_value(default).unwrap_or(Value::Null);
        self.add::<T>(name, Some(default), "")
    }

    /// Describes the parameter `name`, which was added before.
    #[must_use]
    pub fn describe(mut self, name: &str, description: &str) -> Self {
        if let (Some(Value::Object(property)), false) =
            (self.properties.get_mut(name), description.is_empty())
        {
            property.insert("description".to_owned(), json!(description));
        }
        self
    }

    fn add<T: JsonSchema>(mut self, name: &str, default: Option<Value>, description: &str) -> Self {
        let mut property = self.generator.subschema_for::<T>().to_value();
        if property == Value::Bool(true) {
            property = json!({});
        }
        if let (Some(default), Some(property)) = (default, property.as_object_mut()) {
            property.insert("default".to_owned(), default);
        }
        self.properties.insert(name.to_owned(), property);
        self.describe(name, description)
    }

    fn finish(self, title: &str, description: &str) -> Value {
        let mut root = json!({
            "type": "object",
            "additionalProperties": false,
            "properties": self.properties,
        });
        if !self.required.is_empty() {
            root["required"] = Value::Array(self.required);
        }
        let mut schema = finish(self.generator, root, title, description);
        let properties = schema["properties"].as_object_mut().into_iter().flatten();
        properties
            .filter_map(|(_, property)| property.as_object_mut())
            .for_each(default_into_alternatives);
        schema
    }
}

/// An API's schema in the making.
#[derive(Debug)]
pub struct ApiSchemaBuilder {
    name: String,
    version: u32,
    document: Value,
}

impl ApiSchemaBuilder {
    pub(super) fn new(name: &str, version: u32) -> Self {
        Self { name: name.to_owned(), version, document: empty_document() }
    }

    /// Adds the procedure `name`, which takes `parameters` and returns an `R`.
    #[must_use]
    pub fn rpc<R: JsonSchema>(
        mut self,
        name: &str,
        description: &str,
        parameters: Parameters,
    ) -> Self {
        let title = format!("RPC {}.{name}()", self.name);
        let parameters = parameters.finish(&format!("{title} parameters"), description);
        let mut generator = generator();
        let response = generator.subschema_for::<R>().to_value();
        let response = finish(generator, response, &format!("{title} response"), "");
        self.document["rpcs"][name] = json!({ "parameters": parameters, "response": response });
        self
    }

    /// Adds the event `name`, which carries `parameters`.
    #[must_use]
    pub fn event(mut self, name: &str, description: &str, parameters: Parameters) -> Self {
        let title = format!("Event {}.{name} parameters", self.name);
        let parameters = parameters.finish(&title, description);
        self.document["events"][name] = json!({ "parameters": parameters });
        self
    }

    /// The schema.
    pub fn build(self) -> ApiSchema {
        ApiSchema::new(self.name, self.version, self.document)
    }
}

/// The schema of one type as it appears inside an API's schema.
pub fn schema_of<T: JsonSchema>() -> Value {
    let mut generator = generator();
    let schema = generator.subschema_for::<T>().to_value();
    in_lightbus_form(generator, schema)
}

fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.meta_schema = None;
        settings.transforms = vec![
            Box::new(ReplaceUnevaluatedProperties::default()),
            Box::new(ReplacePrefixItems::default()),
        ];
    });
    settings.into_generator()
}

fn finish(generator: SchemaGenerator, root: Value, title: &str, description: &str) -> Value {
    let mut schema = in_lightbus_form(generator, root);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$schema".to_owned(), json!(DRAFT_7));
        schema.insert("title".to_owned(), json!(title));
        if !description.is_empty() {
            schema.insert("description".to_owned(), json!(description));
        }
    }
    schema
}

fn in_lightbus_form(mut generator: SchemaGenerator, root: Value) -> Value {
    let mut root = schemars::Schema::try_from(root).unwrap_or_default();
    for transform in generator.transforms_mut() {
        transform.transform(&mut root);
    }
    let mut schema = inline(root.to_value(), generator.take_definitions(true));
    rewrite(&mut schema);
    schema
}
