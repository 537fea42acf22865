//! An agent with real charms, against a controller that speaks the agents' protocol from memory.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod charms;
mod crashes;
mod fake;
mod lifecycle;
mod processes;
mod tasks;
