#![doc = include_str!("../README.md")]
//!
//! # Where things are
//!
//! - [`Artifacts`]: bytes on disk, addressed by SHA-256;
//! - [`repository`]: named sets of content units with immutable versions;
//! - [`charm`]: the content type `charm`: revisions that only grow.

mod artifact;
pub mod charm;
mod error;
pub mod repository;

pub use artifact::{Artifact, Artifacts, forget_orphans, record as record_artifact};
pub use error::Error;

use tutti_store::Migration;

/// The migrations of this crate's tables, in order.
pub const MIGRATIONS: &[Migration] = &[Migration {
    owner: "content",
    number: 1,
    name: "content",
    sql: include_str!("schema/0001-content.sql"),
}];

/// Every statement of this crate by name, for a test that prepares them on both engines.
pub const STATEMENTS: &[&[(&str, &str)]] =
    &[artifact::STATEMENTS, charm::STATEMENTS, repository::STATEMENTS];
