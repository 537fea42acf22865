//! What Rust peers tell each other where Python does not look: in a key of its own beside `metadata` and `kwargs`,
//! or in the event field with the empty name.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::FailureKind;

/// Additions to a message; each may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Extension {
    /// W3C `traceparent` of the sender's span.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<String>,
    /// `service/process`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sender: Option<String>,
    /// Version of the API by which the message was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u32>,
    /// When the caller stops waiting, by its clock, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deadline_ms: Option<u64>,
    /// How long it waits altogether; holds where clocks differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeout_ms: Option<u64>,
    /// The kind of failure of an error result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<FailureKind>,
}

impl Extension {
    /// What can be read of it; anything else that stands there is somebody else's.
    pub(crate) fn read(raw: Option<&RawValue>) -> Extension {
        raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// True if there is nothing to say.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Extension::default()
    }
}
