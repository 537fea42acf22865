//! What Lightbus has no keys for, in a file of its own.
//!
//! Python refuses a configuration that has a key it does not know. So these settings are beside it: for
//! `lightbus.yaml` in `lightbus.tutti.yaml`, which Python never opens.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::Strictness;

/// The settings beside Lightbus's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OwnConfig {
    /// Calls that a process runs at a time.
    pub calls_max: u64,
    /// Seconds that a shutdown waits for what runs.
    pub drain_timeout: f64,
    /// By API; `default` is for those that are not listed.
    pub apis: BTreeMap<String, OwnApiConfig>,
}

impl Default for OwnConfig {
    fn default() -> Self {
        Self { calls_max: 64, drain_timeout: 30.0, apis: BTreeMap::new() }
    }
}

/// The settings of one API beside Lightbus's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OwnApiConfig {
    /// What happens to messages sent that do not fit the schema, in place of Lightbus's yes or no.
    pub validate_outgoing: Option<Strictness>,
    /// What happens to messages received that do not fit the schema, in place of Lightbus's yes or no.
    pub validate_incoming: Option<Strictness>,
}

impl OwnConfig {
    /// The settings of an API.
    pub fn api(&self, name: &str) -> OwnApiConfig {
        self.apis.get(name).or_else(|| self.apis.get("default")).cloned().unwrap_or_default()
    }

    /// Where these settings are for a Lightbus configuration at `path`.
    pub fn beside(path: &Path) -> PathBuf {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("yaml");
        path.with_extension(format!("tutti.{extension}"))
    }
}
