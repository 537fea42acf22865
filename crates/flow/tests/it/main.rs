//! The engine through its outer door, on SQLite and, where `TUTTI_TEST_POSTGRES` holds a URL, on PostgreSQL.

mod flows;
mod queues;
mod signals;
mod world;
