//! The built-in broker, seen through its sockets.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod client;
mod compare;
mod compare_waiting;
mod crash;
mod garbage;
mod limits;
#[path = "../mutate/mod.rs"]
mod mutate;
mod mutations;
mod recovery;
mod vectors;
