//! What a controller and an agent say to each other about one unit.
//!
//! The controller keeps each unit's [`Journal`]: what the unit has done. A [`Snapshot`] adds what
//! the controller wants. From the two the agent decides the next operation, and every operation is
//! one or two [`Step`]s: *begin* (write down what is about to happen, receive the hook's
//! [`Context`]) and *commit* (write down that it happened, together with everything the hook
//! changed). A step is one transaction at the controller, guarded by the journal's version, so a
//! hook's effects are visible exactly when its commit is. A commit says what the controller has to
//! know to go on by itself ([`Follow`]), so that most hooks cost one step.

mod changes;
mod context;
mod hook;
mod journal;
mod snapshot;
mod step;

pub use changes::*;
pub use context::*;
pub use hook::*;
pub use journal::*;
pub use snapshot::*;
pub use step::*;
