//! The half of Tutti that acts: runs the units of one machine.
//!
//! An [`Agent`] opens a session with its controller, follows which of its units have something
//! new, and runs one loop per unit. What a unit has done is written down at the controller, in its
//! journal; the agent itself keeps files only, so it can be killed at any instant and started
//! again, and its machine's units go on where their journals say.
//!
//! - `agent`: start and stop, the session, the units' loops; `controller`: the calls;
//! - `unit`: the loop of one unit and its operations, decided by [`tutti_model::operation`];
//!   `steps`, `reports`: how it tells the controller;
//! - `process`, `output`, `environment`, `leftover`: running a charm;
//! - [`hook_tool`]: what a charm's tools are answered; `tools`: what they make happen at once;
//! - `artifacts`, `unit_directory`, `charm_directory`, `resources`, `storage`: files;
//! - `deferral`: what Python charms have put off.

mod agent;
mod artifacts;
mod charm_directory;
mod controller;
mod deferral;
mod environment;
mod error;
pub mod hook_tool;
mod leftover;
mod output;
mod process;
mod reports;
mod resources;
mod steps;
mod storage;
mod timing;
mod tools;
mod unit;
mod unit_directory;

pub use agent::{Agent, Handle, Options};
pub use environment::JUJU_VERSION;
pub use error::{Error, Result};
pub use timing::Timing;
