//! The engine through its outer door, on SQLite and, where `TUTTI_TEST_POSTGRES` holds a URL, on PostgreSQL.

mod crash;
mod flows;
mod queues;
mod random;
mod signals;
mod world;
