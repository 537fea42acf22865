//! The controller through its outer door: started on a data directory, driven by the client, with a
//! simple agent where one is needed. On SQLite and, where `TUTTI_TEST_POSTGRES` holds a URL, on
//! PostgreSQL.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod agent;
mod charm;
mod world;

mod artifacts;
mod config;
mod controller;
mod deploy;
mod flows;
mod models;
mod refresh;
mod removal;
mod scale;
mod status;
