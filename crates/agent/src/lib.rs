//! The half of Tutti that acts: runs the units of one machine.
//!
//! An agent opens a session with its controller, follows which of its units have something new,
//! and runs one loop per unit. What a unit has done is written down at the controller, in its
//! journal; the agent itself keeps files only, so it can be killed at any instant and started
//! again, and its machine's units go on where their journals say.

mod environment;
mod error;
mod leftover;
mod output;
mod process;
mod reports;
mod timing;

pub use environment::JUJU_VERSION;
pub use error::{Error, Result};
pub use reports::Reports;
pub use timing::Timing;
