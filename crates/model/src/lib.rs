//! The nouns and rules of Tutti without I/O, and the request and answer types of its API.
//!
//! Everything here is a value or a plain function on values: no store, no HTTP, no clock. The
//! controller and the agent both build on it, so what one side decides the other can replay.
//!
//! - [`agent`]: what a controller and an agent say to each other about a unit: its persisted
//!   [`agent::Journal`], the [`agent::Snapshot`] of what the controller wants, the
//!   [`agent::Context`] a hook reads and the [`agent::Step`] that commits what it did;
//! - [`api`]: the types of the HTTP API under `/v1`, used by the controller and its clients.

pub mod agent;
pub mod api;
pub mod operation;
