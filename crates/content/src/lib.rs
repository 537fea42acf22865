#![doc = include_str!("../README.md")]
//!
//! # Where things are
//!
//! - [`Artifacts`]: bytes on disk, addressed by SHA-256;
//! - [`unit`]: what repositories hold, each unit once;
//! - [`repository`]: named sets of units, their [versions](repository::version), and the
//!   [draft](repository::draft) of the next one;
//! - [`charm`]: the content type `charm`: revisions that only grow;
//! - [`orphan`]: what nothing holds any more.

mod artifact;
pub mod charm;
mod error;
mod number;
pub mod orphan;
pub mod repository;
pub mod unit;

pub use artifact::{Artifact, Artifacts, record as record_artifact};
pub use error::Error;
pub use unit::Unit;

use tutti_store::Migration;

/// The migrations of this crate's tables, in order.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        owner: "content",
        number: 1,
        name: "content",
        sql: include_str!("schema/0001-content.sql"),
    },
    Migration {
        owner: "content",
        number: 2,
        name: "catalogue",
        sql: include_str!("schema/0002-catalogue.sql"),
    },
];

/// Every statement of this crate by name, for a test that prepares them on both engines.
pub const STATEMENTS: &[&[(&str, &str)]] = &[
    artifact::STATEMENTS,
    charm::STATEMENTS,
    number::STATEMENTS,
    orphan::STATEMENTS,
    repository::STATEMENTS,
    repository::draft::STATEMENTS,
    repository::version::STATEMENTS,
    unit::STATEMENTS,
];
