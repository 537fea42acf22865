//! The engine through its outer door, on SQLite and, where `TUTTI_TEST_POSTGRES` holds a URL, on PostgreSQL.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod again;
mod counters;
mod crash;
mod deaf;
mod definition;
mod failed;
mod flows;
mod followed;
mod ledger;
mod limits;
mod patterns;
mod query;
mod queues;
mod random;
mod recovery;
mod retention;
mod said;
mod signals;
mod strain;
mod submissions;
mod sync;
mod traced;
mod tx_tasks;
mod upgrade;
mod workers;
mod world;
