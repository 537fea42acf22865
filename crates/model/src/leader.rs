//! Who leads an application.
//!
//! Juju lets a lease lapse; here a leader leads until its records go or an operator names another,
//! and then a new one is chosen at once.

use crate::api::Life;

/// Chooses the leader among the units of an application that nobody leads, each given by number and
/// life; answers its place.
///
/// The lowest number among the living. Where all are going, the lowest of them: its last hooks may
/// still want to speak for the application.
#[must_use]
pub fn choose_leader(units: &[(i64, Life)]) -> Option<usize> {
    let rank = |place: &usize| {
        let (number, life) = units[*place];
        (life != Life::Alive, number)
    };
    (0..units.len()).min_by_key(rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_living_number_leads() {
        use Life::{Alive, Dying};
        for (units, expected) in [
            (vec![], None),
            (vec![(10, Alive), (2, Alive)], Some(1)),
            (vec![(0, Dying), (3, Alive), (2, Alive)], Some(2)),
            (vec![(1, Dying), (0, Dying)], Some(1)),
        ] {
            assert_eq!(choose_leader(&units), expected, "{units:?}");
        }
    }
}
