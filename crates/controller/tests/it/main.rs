//! The controller through its outer door: started on a data directory, driven by the client, with a
//! simple agent where one is needed. On SQLite and, where `TUTTI_TEST_POSTGRES` holds a URL, on
//! PostgreSQL.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod agent;
mod charm;
mod player;
mod world;

mod agents;
mod artifacts;
mod bus;
mod config;
mod controller;
mod convergence;
mod deploy;
mod events;
mod flows;
mod http;
mod killed;
mod leadership;
mod logs;
mod metrics;
mod models;
mod notices;
mod operations;
mod pulp;
mod refresh;
mod relations;
mod removal;
mod scale;
mod secrets;
mod status;
mod storage;
mod sync;
mod wishes;
mod workers;
