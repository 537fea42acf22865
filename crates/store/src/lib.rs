//! One SQL on SQLite and PostgreSQL: connections, transactions, group commit, migrations, outbox, wake-ups.
//!
//! Transactions are short synchronous closures; calling them is async. A [`Store`] is a few threads, each owning one
//! connection, and a handle that sends them closures. So nothing slow can be awaited inside a transaction, every write
//! waiting joins one commit, and the same code runs on both engines.
//!
//! - [`Store`] opens, reads, writes; [`Tx`] is what a closure gets.
//! - [`Batcher`] makes one call of many callers' small writes.
//! - [`Migration`]s make the schema; [`sql!`] and [`row!`] declare statements and rows.
//! - [`Value`], [`ToValue`], [`FromValue`], [`Json`]: what columns hold.
//! - [`Bell`] wakes those who wait for news; the outbox keeps the news.

mod address;
mod batch;
mod bell;
mod connection;
mod error;
mod job;
mod lock;
mod macros;
mod migrate;
mod notify;
mod outbox;
mod postgres;
mod postgres_later;
mod postgres_value;
mod row;
mod sqlite;
mod statement;
mod store;
mod tx;
mod value;
mod writer;

pub use batch::Batcher;
pub use bell::Bell;
pub use connection::Backend;
pub use error::{Cause, Constraint, Error, Result};
pub use migrate::Migration;
pub use outbox::OutboxEvent;
pub use row::{FromRow, Params, Row};
pub use store::Store;
pub use tx::Tx;
pub use value::{FromValue, Json, ToValue, Value};

/// The topic that rings when events were added to the outbox.
pub const OUTBOX: &str = "outbox";

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
