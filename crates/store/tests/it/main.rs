//! The store through its outer door, on SQLite and, where `TUTTI_TEST_POSTGRES` holds a URL, on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod basics;
mod batches;
mod bells;
mod commit;
mod engine;
mod later;
mod migrations;
mod parity;
mod sqlite;
