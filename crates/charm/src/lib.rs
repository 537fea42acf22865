//! What an operator author sees: metadata, config and action formats, archives and packing, events, the hook-tool protocol.

mod error;

pub mod digest;
pub mod name;
pub mod yaml;

pub use error::{Error, Result};
