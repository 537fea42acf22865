//! What an operator author sees: metadata, config and action formats, archives and packing, the hook-tool protocol.
//!
//! Everything here works on values and directories; nothing talks to a network, a controller or a clock. A charm comes
//! in as a directory or a `.charm` file ([`charm`], [`archive`]), is described by a few YAML files ([`metadata`],
//! [`config`], [`action`], [`manifest`], [`assumes`]), is judged before it is deployed ([`checks`]), made ready to run
//! if it is a Python source tree ([`python`]), and placed on a machine by its digest ([`deploy_files`]). While it
//! runs, it calls hook tools ([`hook_tool`]). The README has a complete example.

mod error;

pub mod action;
pub mod assumes;
pub mod charm;
pub mod checks;
pub mod config;
pub mod manifest;
pub mod metadata;

pub mod archive;
pub mod deploy_files;
pub mod python;

pub mod hook_tool;

pub mod digest;
pub mod duration;
pub mod name;
pub mod version;
pub mod yaml;

pub use error::{Error, Result};

/// The examples of the README are compiled and run with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
