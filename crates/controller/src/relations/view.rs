//! What one unit sees of its application's relations.
//!
//! Over a container-scoped relation a unit sees only the units beside it, and a subordinate only
//! relations with the application of its principal. [`View::load`] reads everything in two
//! statements, whatever the number of relations and units.

use std::collections::BTreeMap;

use tutti_model::agent::{ContextRelation, Databag, RelationId, RelationSnapshot};
use tutti_model::api::{UnitRelation, UnitRelationData};
use tutti_store::Tx;

use super::databag::parse;
use super::sql;
use crate::Error;

/// The unit that looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer<'a> {
    /// Its id.
    pub(crate) unit: &'a str,
    /// Id of its application.
    pub(crate) application: &'a str,
    /// UUID of its model.
    pub(crate) model: &'a str,
    /// Id of its principal and of the principal's application, for a subordinate.
    pub(crate) principal: Option<(&'a str, &'a str)>,
    /// Whether it leads its application.
    pub(crate) leader: bool,
}

impl Viewer<'_> {
    fn container(&self) -> &str {
        self.principal.map_or(self.unit, |(unit, _)| unit)
    }
}

/// A unit's relations with all that are or were in them.
pub(crate) struct View<'a> {
    viewer: Viewer<'a>,
    relations: Vec<(sql::Seen, Vec<sql::Part>)>,
}

impl<'a> View<'a> {
    /// Reads what the unit sees.
    pub(crate) fn load(tx: &mut Tx<'_>, viewer: Viewer<'a>) -> Result<Self, Error> {
        let mut relations: Vec<(sql::Seen, Vec<sql::Part>)> = tx
            .all(sql::SEEN, (viewer.application,))?
            .into_iter()
            .map(|s| (s, Vec::new()))
            .collect();
        relations.retain(|(seen, _)| visible(seen, &viewer));
        if relations.is_empty() {
            return Ok(Self { viewer, relations });
        }
        relations.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        for part in tx.all::<sql::Part>(sql::PARTS, (viewer.application, viewer.unit))? {
            let found = relations.binary_search_by(|(seen, _)| seen.id.cmp(&part.relation));
            let Ok(place) = found else { continue };
            let (seen, parts) = &mut relations[place];
            let beside = part.container.as_deref().is_none_or(|at| at == viewer.container());
            if seen.scope != "container" || beside {
                parts.push(part);
            }
        }
        Ok(Self { viewer, relations })
    }

    /// For the agent's decisions.
    pub(crate) fn snapshot(&self) -> BTreeMap<RelationId, RelationSnapshot> {
        self.relations.iter().map(|(seen, parts)| (seen.number, self.one(seen, parts))).collect()
    }

    fn one(&self, seen: &sql::Seen, parts: &[sql::Part]) -> RelationSnapshot {
        let others = parts.iter().filter(|part| part.unit != self.viewer.unit);
        RelationSnapshot {
            endpoint: seen.endpoint.clone(),
            remote_application: seen.remote_name.clone(),
            peer: seen.kind == "peer",
            implicit: seen.implicit,
            container_scoped: seen.scope == "container",
            life: seen.life.0,
            suspended: seen.status == "suspended",
            in_scope: parts.iter().any(|part| part.unit == self.viewer.unit && part.in_scope),
            members: others
                .filter(|part| part.in_scope)
                .map(|part| (part.name.clone(), part.version))
                .collect(),
            applications: BTreeMap::from([(seen.remote_name.clone(), seen.remote_version)]),
        }
    }

    /// For a hook's tools.
    pub(crate) fn context(&self) -> Result<BTreeMap<RelationId, ContextRelation>, Error> {
        let read = |(seen, parts): &(sql::Seen, Vec<sql::Part>)| {
            Ok((seen.number, self.readable(seen, parts)?))
        };
        self.relations.iter().map(read).collect()
    }

    fn readable(&self, seen: &sql::Seen, parts: &[sql::Part]) -> Result<ContextRelation, Error> {
        let peer = seen.kind == "peer";
        let mut relation = ContextRelation {
            endpoint: seen.endpoint.clone(),
            remote_application: seen.remote_name.clone(),
            peer,
            dying: seen.life.0 != tutti_model::api::Life::Alive,
            remote: parse(&seen.remote_settings)?,
            remote_model: self.viewer.model.to_owned(),
            ..ContextRelation::default()
        };
        if peer || self.viewer.leader {
            relation.application = parse(&seen.settings)?;
        }
        for part in parts {
            let bag = parse(&part.settings)?;
            if part.unit == self.viewer.unit {
                relation.unit = bag;
            } else {
                relation.units.insert(part.name.clone(), bag);
            }
        }
        Ok(relation)
    }

    /// For `show-unit`, by number.
    pub(crate) fn unit_relations(&self, name: &str) -> Result<Vec<UnitRelation>, Error> {
        let mut shown = self
            .relations
            .iter()
            .map(|(seen, parts)| self.shown(seen, parts, name))
            .collect::<Result<Vec<_>, _>>()?;
        shown.sort_by_key(|relation| relation.relation_id);
        Ok(shown)
    }

    /// Juju: a leader sees its own application's data beside the unit's only in peer relations,
    /// where it is the remote data as well.
    fn shown(
        &self,
        seen: &sql::Seen,
        parts: &[sql::Part],
        name: &str,
    ) -> Result<UnitRelation, Error> {
        let mut shown = UnitRelation {
            relation_id: seen.number,
            endpoint: seen.endpoint.clone(),
            related_endpoint: seen.remote_endpoint.clone(),
            application_data: parse(&seen.remote_settings)?,
            ..UnitRelation::default()
        };
        for part in parts {
            let data: Databag = parse(&part.settings)?;
            let data = UnitRelationData { in_scope: part.in_scope, data };
            if part.name == name {
                shown.local_unit = data;
            } else if part.in_scope {
                shown.related_units.insert(part.name.clone(), data);
            }
        }
        Ok(shown)
    }
}

fn visible(seen: &sql::Seen, viewer: &Viewer<'_>) -> bool {
    match viewer.principal {
        Some((_, application)) if seen.scope == "container" && seen.kind != "peer" => {
            seen.remote_subordinate || seen.remote == application
        }
        _ => true,
    }
}
