//! Messages to bytes and back: pure functions without I/O.
//!
//! What is written keeps to what every peer survives: exactly the metadata that Python Lightbus knows, and ours
//! ([`Extension`]) where it looks nowhere. What is read may be anything: Python's JSON is no JSON, unknown
//! metadata is ignored, and what cannot be read says to whom that can be answered.

#[cfg(test)]
mod arbitrary;
mod event;
mod extension;
pub(crate) mod keys;
pub(crate) mod lenient;
#[cfg(test)]
#[path = "../../tests/mutate/mod.rs"]
mod mutate;
#[cfg(test)]
mod mutations;
mod rpc;
#[cfg(test)]
mod vectors;

pub(crate) use event::{EventIn, EventOut};
pub(crate) use extension::Extension;
pub(crate) use rpc::{CallIn, CallOut, ResultIn, ResultOut};

/// Why a message cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("the message is not JSON that can be read")]
    Json(#[source] serde_json::Error),
    #[error("the message has no {0}")]
    Missing(&'static str),
    #[error("the parameter {name} is not JSON")]
    Parameter {
        name: String,
        #[source]
        source: serde_json::Error,
    },
}
