//! What hook tools are answered.
//!
//! A [`HookContext`] answers the calls of one run of a charm: from the [`Context`] that was taken when the
//! run began and from what the run itself has changed since. It is a plain value without I/O, so every rule
//! of the hook tools can be tested as a table. It collects what must only happen if the charm succeeds as
//! [`Changes`], and names what must happen before the tool is answered as an [`Effect`].
//!
//! A [`HookServer`] listens on the unit's socket, finds the run a tool belongs to, has the calls answered one
//! after the other, and has effects performed by the agent's [`EffectSink`].
//!
//! - [`HookContext`], [`Run`], [`Outcome`]: one run;
//! - `relations`, `model`, `status`, `ports`, `storage`, `state`, `secrets`, `actions`: its rules, by subject;
//! - `server`: the socket.
//!
//! [`Context`]: tutti_model::agent::Context
//! [`Changes`]: tutti_model::agent::Changes

mod actions;
mod context;
mod model;
mod ports;
mod relations;
mod run;
mod secrets;
mod server;
mod state;
mod status;
mod storage;

pub use context::{Effect, HookContext, Moment, Outcome, Reply};
pub use run::{Run, RunRelation};
pub use server::{EffectSink, HookServer};

#[cfg(test)]
mod tests;
