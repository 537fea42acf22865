#![doc = include_str!("../README.md")]
//!
//! # Where things are
//!
//! - [`Artifacts`]: bytes on disk, addressed by SHA-256;
//! - [`unit`](mod@unit): what repositories hold, each unit once;
//! - [`repository`]: named sets of units, their [versions](repository::version), and the
//!   [draft](repository::draft) of the next one;
//! - [`modify`]: changing what a repository holds by hand;
//! - [`remote`]: where repositories are synced from; [`upload`]: files that come in parts;
//! - [`publication`] and [`distribution`]: what is served; [`serve`]: what a path leads to;
//! - [`listing`]: lists of content and artifacts;
//! - [`download`]: fetching from elsewhere;
//! - [`pipeline`]: from what a source declares to the next version: stages, and how they are called;
//! - [`sync`](mod@sync): a run of it from beginning to end;
//! - [`fetch`]: files that are fetched when somebody asks;
//! - [`file`](mod@file): the content type `file`, a list of files with their digests;
//! - [`python`]: the content type `python`, distributions of an index as PyPI's;
//! - [`charm`]: the content type `charm`: revisions that only grow;
//! - [`orphan`]: what nothing holds any more; [`repair`]: what is not as it should be on disk.

mod artifact;
pub mod charm;
pub mod digest;
pub mod distribution;
pub mod download;
mod error;
pub mod fetch;
pub mod file;
pub mod listing;
pub mod modify;
mod number;
pub mod orphan;
mod page;
pub mod path;
pub mod pipeline;
pub mod publication;
pub mod python;
pub mod remote;
pub mod repair;
pub mod repository;
pub mod serve;
pub mod sync;
pub mod unit;
pub mod upload;

pub use artifact::{
    Artifact, Artifacts, Incoming, Verdict, record as record_artifact,
    record_many as record_artifacts,
};
pub use error::Error;
pub use page::{Named, Order, Page, Window};
pub use sync::{SyncOutcome, SyncRequest, sync};
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
    distribution::STATEMENTS,
    fetch::STATEMENTS,
    listing::STATEMENTS,
    modify::STATEMENTS,
    number::STATEMENTS,
    orphan::STATEMENTS,
    pipeline::stock::STATEMENTS[0],
    pipeline::stock::STATEMENTS[1],
    pipeline::stock::STATEMENTS[2],
    publication::STATEMENTS,
    remote::STATEMENTS,
    repair::STATEMENTS,
    repository::STATEMENTS,
    repository::difference::STATEMENTS,
    repository::draft::STATEMENTS,
    repository::removal::STATEMENTS,
    repository::version::STATEMENTS,
    serve::STATEMENTS,
    sync::STATEMENTS,
    unit::STATEMENTS,
    upload::STATEMENTS,
];
