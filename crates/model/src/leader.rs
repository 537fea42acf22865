//! Who leads an application.
//!
//! Juju lets a lease lapse; here a leader leads until it dies or an operator names another, and
//! then a new one is chosen at once.

use crate::api::Life;

/// A unit, as far as leading goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its number.
    pub number: u32,
    /// Its life.
    pub life: Life,
    /// Its agent has not been heard of for too long.
    pub lost: bool,
    /// Whether it leads now.
    pub leads: bool,
}

/// Chooses the leader; answers its number, none if no unit is alive.
///
/// The present leader stays while it is alive, even if it is lost: hooks that it began may still
/// run. Otherwise a unit whose agent answers is preferred, then the lowest number.
#[must_use]
pub fn choose_leader(units: &[Candidate]) -> Option<u32> {
    units
        .iter()
        .filter(|unit| unit.life == Life::Alive)
        .min_by_key(|unit| (!unit.leads, unit.lost, unit.number))
        .map(|unit| unit.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_living_number_leads() {
        let unit = |number| Candidate { number, life: Life::Alive, lost: false, leads: false };
        let leader = |number| Candidate { leads: true, ..unit(number) };
        let lost = |unit: Candidate| Candidate { lost: true, ..unit };
        let dying = |unit: Candidate| Candidate { life: Life::Dying, ..unit };
        for (units, expected) in [
            (vec![], None),
            (vec![unit(10), unit(2)], Some(2)),
            (vec![unit(0), leader(1)], Some(1)),
            (vec![unit(0), lost(leader(1))], Some(1)),
            (vec![lost(unit(0)), unit(1), dying(leader(2))], Some(1)),
            (vec![lost(unit(0)), lost(unit(1))], Some(0)),
            (vec![dying(unit(0)), dying(leader(1))], None),
        ] {
            assert_eq!(choose_leader(&units), expected, "{units:?}");
        }
    }
}
