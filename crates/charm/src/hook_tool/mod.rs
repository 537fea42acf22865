//! Hook tools: how a running hook asks its agent for things.
//!
//! A charm calls small commands (`config-get`, `relation-set`, …) that are all links to one binary. That
//! binary calls [`run`]: it turns the arguments into a typed [`Call`], sends one [`Request`] over the unix
//! socket of its unit, waits for the one [`Response`] and prints the answer the way Juju's tools do. What a
//! call *means* is the agent's business; what it looks like from outside (flags, texts, exit codes, output
//! formats) is decided here.
//!
//! A call is made hundreds of times while a model converges and charms wait for each of them, so the client
//! uses the standard library's blocking sockets and no threads: it starts and ends in about a millisecond.
//!
//! - [`Call`]: what can be asked;
//! - `parse`, `flags`, `tools/`: from a command line to a call, one table row per tool;
//! - `help`: what `--help` prints;
//! - `wire`: the bytes on the socket;
//! - `output`, `document`: from an answer to stdout;
//! - `client`: all of it together.

mod call;
mod client;
mod document;
mod error;
mod flags;
mod help;
mod output;
mod parse;
mod surroundings;
mod tools;
mod wire;

pub use call::*;
pub use client::{ADDRESS_VARIABLE, CONTEXT_VARIABLE, run};
pub use error::{ToolError, Usage};
pub use output::{Format, Output};
pub use parse::{Invocation, parse};
pub use surroundings::{ProcessSurroundings, Surroundings};
pub use tools::{AGENT_COMMANDS, TOOLS};
pub use wire::{MESSAGE_BYTES_MAX, Request, Response, decode, encode, reachable_path};
