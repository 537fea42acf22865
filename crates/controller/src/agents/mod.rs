//! Agents: what the controller says to the half that acts.
//!
//! An agent opens a [`session`], which fences off older ones of the same machine, and long-polls
//! for the units that have something new. For each it reads a [`snapshot`], decides, and writes
//! [`step`]s: one transaction with everything an operation did, guarded by the version of the
//! unit's journal, so that a step repeated after a lost answer never applies twice.
//!
//! - [`session`]: sessions, and which units changed; [`heard`]: who is silent;
//! - [`unit`]: a unit with all the rows a call needs;
//! - [`step`]: the transaction; [`flush`]: what a hook changed; [`report`]: immediate effects;
//! - [`compare`]: whether a unit has what is wanted;
//! - [`snapshot`], [`context`]: what the agent decides from, and what a hook reads.

mod api;
mod compare;
mod context;
mod flush;
mod heard;
mod report;
mod session;
mod snapshot;
mod sql;
mod step;
mod unit;

pub(crate) use api::routes;
pub(crate) use heard::Heard;
pub(crate) use sql::STATEMENTS;
pub(crate) use unit::is_installed;
