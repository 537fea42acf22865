//! Schemas: what an API's calls and events look like, for every peer on the bus.
//!
//! A service stores the [`ApiSchema`] of each API it serves in Redis, in the form Python Lightbus writes
//! (JSON Schema draft 7). Every peer validates with it what it sends and what it gets. The parts:
//!
//! - [`ApiSchemaBuilder`] and [`Parameters`] make a schema of Rust types (the macros use them),
//! - [`ApiValidator`] is a schema compiled once, which checks arguments, results and events,
//! - [`read_schemas`] and [`write_schemas`] are the files of `dumpschema` and `load_local`,
//! - [`rust_source`] writes the trait of an API that is known by its schema only,
//! - [`compare`] says what changes between two versions of an API would break, and whom.

mod build;
mod compare;
mod files;
mod inline;
mod lightbus_form;
mod rust_source;
mod validate;
mod values;

use serde_json::{Map, Value, json};

pub use build::{ApiSchemaBuilder, Parameters, schema_of};
pub use compare::{Change, Effect, compare};
pub use files::{SchemaFileError, read_schemas, write_schemas};
pub use rust_source::rust_source;
pub use validate::{
    ApiValidator, Direction, Invalid, SchemaError, Strictness, Subject, ValidationRules,
};
pub(crate) use validate::{field, sentence};

/// The value of `$schema` in every schema on the bus.
pub const DRAFT_7: &str = "http://json-schema.org/draft-07/schema#";

/// The name and version of an API, and the JSON Schemas of its procedures and events.
///
/// Compare schemas as values: Python writes the names in `required` in a different order each time.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiSchema {
    name: String,
    version: u32,
    document: Value,
}

/// The schema of one remote procedure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RpcSchema<'a> {
    /// An object schema, one property for each argument.
    pub parameters: &'a Value,
    /// The schema of what the procedure returns.
    pub response: &'a Value,
}

impl ApiSchema {
    /// From the document as it is stored in `schema:{api}`: `{"rpcs": {…}, "events": {…}}`.
    ///
    /// The document is taken as it is; what cannot be understood of it has no effect.
    pub fn new(name: impl Into<String>, version: u32, document: Value) -> ApiSchema {
        ApiSchema { name: name.into(), version, document }
    }

    /// Starts a schema made of Rust types.
    pub fn builder(name: &str, version: u32) -> ApiSchemaBuilder {
        ApiSchemaBuilder::new(name, version)
    }

    /// The name of the API.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of the API.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The document as it is stored.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// The schema of the procedure `name`.
    pub fn rpc(&self, name: &str) -> Option<RpcSchema<'_>> {
        rpc_schema(self.document.get("rpcs")?.get(name)?)
    }

    /// The schema of the parameters of the event `name`.
    pub fn event(&self, name: &str) -> Option<&Value> {
        self.document.get("events")?.get(name)?.get("parameters")
    }

    /// All procedures, by name.
    pub fn rpcs(&self) -> impl Iterator<Item = (&str, RpcSchema<'_>)> {
        self.members("rpcs").filter_map(|(name, schema)| Some((name, rpc_schema(schema)?)))
    }

    /// All events, by name, with the schema of their parameters.
    pub fn events(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.members("events").filter_map(|(name, schema)| Some((name, schema.get("parameters")?)))
    }

    fn members(&self, kind: &str) -> impl Iterator<Item = (&str, &Value)> {
        let members = self.document.get(kind).and_then(Value::as_object).into_iter().flatten();
        members.map(|(name, schema)| (name.as_str(), schema))
    }
}

fn rpc_schema(schema: &Value) -> Option<RpcSchema<'_>> {
    Some(RpcSchema { parameters: schema.get("parameters")?, response: schema.get("response")? })
}

/// An API's document with nothing in it.
fn empty_document() -> Value {
    json!({ "events": Map::new(), "rpcs": Map::new() })
}

#[cfg(test)]
mod tests;
