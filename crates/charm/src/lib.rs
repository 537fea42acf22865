//! What an operator author sees: metadata, config and action formats, archives and packing, events, the hook-tool protocol.

mod error;

pub mod action;
pub mod archive;
pub mod assumes;
pub mod charm;
pub mod checks;
pub mod config;
pub mod deploy_files;
pub mod digest;
pub mod hook_tool;
pub mod manifest;
pub mod metadata;
pub mod name;
pub mod python;
pub mod version;
pub mod yaml;

pub use error::{Error, Result};
