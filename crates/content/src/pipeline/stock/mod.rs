//! The stages of the standard list.

mod add;
mod documents;
mod download;
mod query;
mod save;

pub(super) use add::add;
pub use documents::{Ask, documents};
pub(super) use download::download;
pub(super) use query::query;
pub(super) use save::{save_artifacts, save_units};

/// Units in one transaction: it shall not keep other writers waiting for long.
const UNITS_AT_ONCE: usize = 500;

/// Every statement of these stages by name.
pub(crate) const STATEMENTS: &[&[(&str, &str)]] =
    &[add::STATEMENTS, query::STATEMENTS, save::STATEMENTS];
