//! The configuration of a process on the bus: Lightbus's file, as it is.
//!
//! A `lightbus.yaml` (or JSON) that Python reads is read here too: the same keys, the same defaults, the same
//! placeholders ([`Config`]). It may be a file or an http URL, and counts more than the environment; what a program
//! sets itself counts more than both ([`Sources`]). Unknown keys are errors, with the key that was probably meant.
//! Settings that Lightbus has no keys for are in a second file beside it ([`OwnConfig`]).

mod fetch;
mod own;
mod placeholders;
mod problems;
mod settings;
mod sources;
mod structure;
mod without_effect;

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::schema::{DRAFT_7, schema_of};
use problems::problems;

pub use own::{OwnApiConfig, OwnConfig};
pub use placeholders::{Placeholders, UnknownPlaceholder};
pub use sources::{Configuration, Environment, Sources};
pub use structure::*;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be had.
    #[error("cannot read the configuration {location}: {reason}")]
    NotFound {
        /// The path or URL.
        location: String,
        /// Why.
        reason: String,
    },
    /// It is not YAML or JSON.
    #[error("the configuration {location} cannot be understood: {reason}")]
    Syntax {
        /// The path or URL.
        location: String,
        /// Why, and where.
        reason: String,
    },
    /// Keys or values that do not exist.
    #[error("the configuration {location} is wrong: {}", problems.join("; "))]
    Wrong {
        /// The path or URL.
        location: String,
        /// Each with the path of the key.
        problems: Vec<String>,
    },
    /// A name with a placeholder that does not exist.
    #[error(transparent)]
    Placeholder(#[from] UnknownPlaceholder),
}

/// How a configuration is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML, as everywhere but in files that end in `.json`.
    Yaml,
    /// JSON.
    Json,
}

impl Format {
    /// As Python decides: by the ending.
    pub fn of(location: &str) -> Format {
        if location.ends_with(".json") { Format::Json } else { Format::Yaml }
    }
}

impl Config {
    /// Reads a configuration; `location` is for the errors.
    pub fn parse(location: &str, text: &str, format: Format) -> Result<Config, ConfigError> {
        parse(location, text, format, &Config::json_schema())
    }

    /// Reads a file, YAML or JSON by its ending.
    pub fn read_file(path: &Path) -> Result<Config, ConfigError> {
        let location = path.display().to_string();
        Config::parse(&location, &read_file(path)?, Format::of(&location))
    }

    /// The JSON Schema of the file, as `lightbus dumpconfigschema` prints it.
    pub fn json_schema() -> Value {
        let mut schema = schema_of::<Config>();
        schema["$schema"] = json!(DRAFT_7);
        schema
    }

    /// The settings of an API: its own, or else those of `default`. Transports it does not set are those of `default`.
    pub fn api(&self, name: &str) -> ApiConfig {
        let default = self.apis.get("default").cloned().unwrap_or_default();
        let Some(mut api) = self.apis.get(name).cloned() else { return default };
        api.event_transport = api.event_transport.or(default.event_transport);
        api.rpc_transport = api.rpc_transport.or(default.rpc_transport);
        api.result_transport = api.result_transport.or(default.result_transport);
        api
    }
}

impl OwnConfig {
    /// Reads the settings beside Lightbus's; `location` is for the errors.
    pub fn parse(location: &str, text: &str, format: Format) -> Result<OwnConfig, ConfigError> {
        parse(location, text, format, &OwnConfig::json_schema())
    }

    /// Reads a file, YAML or JSON by its ending.
    pub fn read_file(path: &Path) -> Result<OwnConfig, ConfigError> {
        let location = path.display().to_string();
        OwnConfig::parse(&location, &read_file(path)?, Format::of(&location))
    }

    /// The JSON Schema of these settings.
    pub fn json_schema() -> Value {
        schema_of::<OwnConfig>()
    }
}

fn read_file(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| ConfigError::NotFound {
        location: path.display().to_string(),
        reason: error.to_string(),
    })
}

fn parse<T: DeserializeOwned>(
    location: &str,
    text: &str,
    format: Format,
    schema: &Value,
) -> Result<T, ConfigError> {
    let syntax = |reason| ConfigError::Syntax { location: location.to_owned(), reason };
    let value: Value = match format {
        Format::Json => serde_json::from_str(text).map_err(|error| syntax(error.to_string()))?,
        Format::Yaml => {
            let mut options = serde_saphyr::Options::default();
            options.with_snippet = false;
            serde_saphyr::from_str_with_options(text, options)
                .map_err(|error| syntax(error.without_snippet().to_string()))?
        }
    };
    if !value.is_object() {
        return Err(syntax("it is not a list of keys and values".to_owned()));
    }
    let problems = problems(&value, schema);
    if !problems.is_empty() {
        return Err(ConfigError::Wrong { location: location.to_owned(), problems });
    }
    T::deserialize(value).map_err(|error| ConfigError::Wrong {
        location: location.to_owned(),
        problems: vec![error.to_string()],
    })
}

#[cfg(test)]
mod tests;
