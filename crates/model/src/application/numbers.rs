//! How units are numbered.

use std::cmp::Reverse;

use crate::api::{Life, ModelKind};

/// The number of an application's first unit, given the counter that is kept for its name (0 if it
/// is new).
///
/// Juju: on machine models numbers go on where an earlier application of that name stopped, on
/// Kubernetes-like models they begin anew with each deployment. Either way no number is given twice
/// while the application lives.
#[must_use]
pub fn first_unit_number(kind: ModelKind, counter: u32) -> u32 {
    match kind {
        ModelKind::Iaas => counter,
        ModelKind::Caas => 0,
    }
}

/// Which units go when an application shrinks by `count`: the highest numbers that are not going
/// already. Answers positions in `units`, highest number first; fewer if there are not enough.
#[must_use]
pub fn units_to_remove(units: &[(u32, Life)], count: usize) -> Vec<usize> {
    let mut alive: Vec<_> =
        (0..units.len()).filter(|index| units[*index].1 == Life::Alive).collect();
    alive.sort_by_key(|index| Reverse(units[*index].0));
    alive.truncate(count);
    alive
}
