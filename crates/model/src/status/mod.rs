//! The `status` document: from plain rows to what clients read.
//!
//! [`build`] takes [`StatusRows`], what a controller reads from its store in a few queries, and
//! answers [`crate::api::Status`] in time linear in the number of rows. The rules are Juju's, with
//! one addition: a unit that has not handled its newest desired generation shows its agent as
//! `executing`, never `idle`. So a client that waits for idle agents right after a change waits for
//! the change.
//!
//! - `rows`: what goes in; `build`: how it is put together;
//! - `severity`: which status of several counts; `time`: Juju's time texts; `text`: ports and
//!   the order of names.

mod build;
mod rows;
mod severity;
#[cfg(test)]
mod tests;
mod text;
mod time;

pub use build::build;
pub use rows::{
    ApplicationRow, MachineRow, ModelRow, RelationRow, StatusRows, StatusValue, StorageRow, UnitRow,
};
pub use severity::{severity, shown, worst};
pub use text::{natural_order, open_ports};
pub use time::{clock_time, status_time};
