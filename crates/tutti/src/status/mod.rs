//! The status document in its forms for people.
//!
//! `status --format json` never comes here: the controller's bytes are passed on. For the other
//! forms the document is read into [`Status`] and
//!
//! - [`selection`] keeps what was asked for,
//! - [`time`] turns times into UTC,
//! - [`tabular`], [`oneline`] and [`summary`] draw it.

pub(crate) mod oneline;
pub(crate) mod order;
pub(crate) mod selection;
pub(crate) mod summary;
pub(crate) mod tabular;
pub(crate) mod time;

#[cfg(test)]
mod fixtures;

use tutti_model::api::{Status, StatusUnit};

/// All units, those of subordinates included.
pub(crate) fn units(status: &Status) -> impl Iterator<Item = (&str, &StatusUnit)> {
    status.applications.values().flat_map(|application| {
        application.units.iter().flat_map(|(name, unit)| {
            let subordinates = unit.subordinates.iter();
            std::iter::once((name.as_str(), unit))
                .chain(subordinates.map(|(name, unit)| (name.as_str(), unit)))
        })
    })
}

/// What to say of an entity that could not be read, or its own word.
pub(crate) fn word(status: &tutti_model::api::StatusInfo) -> &str {
    if status.current.is_empty() { "unknown" } else { &status.current }
}
