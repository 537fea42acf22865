//! What one run of a charm is about, apart from what it can read.

use std::collections::{BTreeMap, BTreeSet};

use tutti_model::agent::{Hook, Journal, RelationId};

/// One run of a charm: a hook, an action or a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The unit, `app/0`.
    pub unit: String,
    /// Remote units this unit has been told of, by the relations it has entered and not seen broken.
    ///
    /// Juju: `relation-list` shows what the charm has been told, not what the controller knows, so a charm
    /// never sees a unit before its `joined` nor after its `departed`.
    pub members: BTreeMap<RelationId, BTreeSet<String>>,
    /// The relation a relation hook is about.
    pub relation: Option<RunRelation>,
    /// The storage a storage hook is about, `name/number`.
    pub storage: Option<String>,
    /// A context in which Juju answers almost nothing (`collect-metrics`).
    pub restricted: bool,
}

/// The relation a run is about: what `relation-get` and others mean when they are not told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunRelation {
    /// Its number.
    pub id: RelationId,
    /// Local endpoint.
    pub endpoint: String,
    /// The application at the other end.
    pub remote_application: String,
    /// The unit at the other end, if the run is about one.
    pub remote_unit: Option<String>,
}

impl Run {
    /// A run for a hook of the unit with this journal, before the hook is committed.
    #[must_use]
    pub fn hook(unit: &str, journal: &Journal, hook: &Hook) -> Self {
        let mut run = Self::task(unit, journal);
        if let Some(about) = hook.relation() {
            let members = run.members.entry(about.relation).or_default();
            match (hook, &about.remote_unit) {
                (Hook::RelationJoined(_) | Hook::RelationChanged(_), Some(remote)) => {
                    members.insert(remote.clone());
                }
                (Hook::RelationDeparted(_), Some(remote)) => {
                    members.remove(remote);
                }
                _ => {}
            }
            run.relation = Some(RunRelation {
                id: about.relation,
                endpoint: about.endpoint.clone(),
                remote_application: about.remote_application.clone(),
                remote_unit: about.remote_unit.clone(),
            });
        }
        if let Hook::StorageAttached(about) | Hook::StorageDetaching(about) = hook {
            run.storage = Some(about.storage.clone());
        }
        run
    }

    /// A run for an action or a command.
    #[must_use]
    pub fn task(unit: &str, journal: &Journal) -> Self {
        let entered = journal.relations.iter().filter(|(_, relation)| !relation.broken);
        let members =
            entered.map(|(id, relation)| (*id, relation.members.keys().cloned().collect()));
        Self { unit: unit.into(), members: members.collect(), ..Self::default() }
    }

    /// The unit's application.
    pub(super) fn application(&self) -> &str {
        self.unit.split('/').next().unwrap_or_default()
    }
}
