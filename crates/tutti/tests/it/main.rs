//! The built binary from the outside: exit codes, streams, names, and a controller of its own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod controller;
mod flows;
mod lines;
mod place;
