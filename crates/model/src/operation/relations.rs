//! Which hook a relation needs next.

use crate::agent::{Hook, RelationHook, RelationId, RelationJournal, RelationSnapshot, Snapshot};
use crate::api::Life;

use super::Next;

/// The next operation of the unit's relations: those with other applications first, so that a
/// dying unit can still use its peers in their hooks, then peers; by number within each.
pub(super) fn next_relation_operation(snapshot: &Snapshot) -> Option<Next> {
    let of_kind = |peer: bool| {
        snapshot.journal.relations.iter().filter_map(move |(id, journal)| {
            let remote = snapshot.relations.get(id)?;
            (remote.peer == peer).then_some(Relation { snapshot, id: *id, journal, remote })
        })
    };
    of_kind(false).chain(of_kind(true)).find_map(|relation| relation.next())
}

/// A hook that names no remote unit, or `unit`.
pub(super) fn application_hook(
    snapshot: &Snapshot,
    id: RelationId,
    unit: Option<&str>,
    change_version: i64,
) -> Option<RelationHook> {
    let remote = snapshot.relations.get(&id)?;
    let application = unit.map_or(remote.remote_application.as_str(), application_of);
    Some(RelationHook {
        relation: id,
        endpoint: remote.endpoint.clone(),
        remote_application: application.to_owned(),
        remote_unit: unit.map(str::to_owned),
        departing_unit: None,
        change_version,
    })
}

/// `db` of `db/0`.
fn application_of(unit: &str) -> &str {
    unit.rsplit_once('/').map_or(unit, |(application, _)| application)
}

struct Relation<'a> {
    snapshot: &'a Snapshot,
    id: RelationId,
    journal: &'a RelationJournal,
    remote: &'a RelationSnapshot,
}

impl Relation<'_> {
    fn next(&self) -> Option<Next> {
        if self.remote.implicit || !self.journal.created {
            // The charm knows nothing of it.
            return self.ending().then(|| Next::DropRelations(vec![self.id]));
        }
        if let Some(unit) = &self.journal.changed_pending {
            return self.changed(unit);
        }
        let left = |unit: &&String| self.ending() || !self.remote.members.contains_key(*unit);
        if let Some(unit) = self.journal.members.keys().find(left) {
            return self.departed(unit);
        }
        if self.ending() {
            return Some(match self.hook(None, 0) {
                Some(hook) if !self.remote.peer => Next::RunHook(Hook::RelationBroken(hook)),
                _ => Next::DropRelations(vec![self.id]),
            });
        }
        self.application_changed().or_else(|| self.joined()).or_else(|| self.unit_changed())
    }

    /// Whether the unit is on its way out of the relation: remote units count as gone.
    fn ending(&self) -> bool {
        self.snapshot.life != Life::Alive
            || self.remote.life != Life::Alive
            || self.remote.suspended
    }

    fn hook(&self, unit: Option<&str>, version: i64) -> Option<RelationHook> {
        application_hook(self.snapshot, self.id, unit, version)
    }

    fn changed(&self, unit: &str) -> Option<Next> {
        let version = (self.remote.members.get(unit))
            .or_else(|| self.journal.members.get(unit))
            .copied()
            .unwrap_or_default();
        Some(Next::RunHook(Hook::RelationChanged(self.hook(Some(unit), version)?)))
    }

    fn departed(&self, unit: &str) -> Option<Next> {
        let leaving =
            self.snapshot.life != Life::Alive || self.snapshot.application_life != Life::Alive;
        let departing = if leaving { self.snapshot.unit.as_str() } else { unit };
        let hook = self.hook(Some(unit), 0)?;
        Some(Next::RunHook(Hook::RelationDeparted(RelationHook {
            departing_unit: Some(departing.to_owned()),
            ..hook
        })))
    }

    fn application_changed(&self) -> Option<Next> {
        let known = |application| self.journal.applications.get(application).copied();
        let (application, version) = (self.remote.applications.iter())
            .find(|(application, version)| known(*application).unwrap_or_default() != **version)?;
        let hook = self.hook(None, *version)?;
        Some(Next::RunHook(Hook::RelationChanged(RelationHook {
            remote_application: application.clone(),
            ..hook
        })))
    }

    fn joined(&self) -> Option<Next> {
        let (unit, version) = (self.remote.members.iter())
            .find(|(unit, _)| !self.journal.members.contains_key(*unit))?;
        Some(Next::RunHook(Hook::RelationJoined(self.hook(Some(unit), *version)?)))
    }

    fn unit_changed(&self) -> Option<Next> {
        let (unit, _) = (self.remote.members.iter())
            .find(|(unit, version)| self.journal.members.get(*unit) != Some(*version))?;
        self.changed(unit)
    }
}
