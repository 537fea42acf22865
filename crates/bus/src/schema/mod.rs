//! The schema of an API.

use serde_json::Value;

/// The name and version of an API, and the JSON Schemas of its procedures and events.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiSchema {
    name: String,
    version: u32,
    document: Value,
}

impl ApiSchema {
    /// From the document as it is stored in `schema:{api}`: `{"rpcs": {…}, "events": {…}}`.
    pub fn new(name: impl Into<String>, version: u32, document: Value) -> ApiSchema {
        ApiSchema { name: name.into(), version, document }
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
}
