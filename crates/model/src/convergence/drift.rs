//! Whether a unit that says it has followed has done so.

use crate::agent::{CharmReference, Journal};

/// What an application wants of its units, as far as they tell in their journals what they have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The charm.
    pub charm: CharmReference,
    /// Grows when the charm or one of its resources changes.
    pub charm_modified: i64,
    /// Hash of the effective configuration.
    pub config_hash: String,
    /// Hash of the trust flag.
    pub trust_hash: String,
}

/// What a unit has other than its application wants, the end of a sentence that begins with the unit's
/// name; none if they agree. To be asked of a unit that is alive and has just reported that nothing is
/// left to do.
///
/// [`next_operation`](crate::operation::next_operation) makes the same comparisons, so an agent that
/// decides by it never drifts by its own doing: what remains are agents that do not, and records that
/// were changed beside the API (a database that was restored, or repaired by hand).
#[must_use]
pub fn drift(journal: &Journal, wanted: &Wanted) -> Option<String> {
    if journal.charm.as_ref() != Some(&wanted.charm) {
        let url = &wanted.charm.url;
        return Some(match &journal.charm {
            None => format!("runs no charm, not {url}"),
            Some(charm) if charm.url == *url => format!("runs another archive as {url}"),
            Some(charm) => format!("runs {}, not {url}", charm.url),
        });
    }
    let what = if journal.charm_modified != wanted.charm_modified {
        "resources"
    } else if journal.config_hash != wanted.config_hash {
        "options"
    } else if journal.trust_hash != wanted.trust_hash {
        "trust"
    } else {
        return None;
    };
    Some(format!("runs with other {what} than its application has"))
}
