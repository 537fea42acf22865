//! The bus through its outer door, on a real server: the same tests on each kind.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod auth;
mod calls;
mod endings;
mod events;
mod faults;
mod python;
mod recorder;
mod schedule;
mod schemas;
mod server;
