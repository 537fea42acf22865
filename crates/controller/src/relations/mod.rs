//! Relations: pairs of endpoints over which applications exchange databags.
//!
//! A relation exists between its creation and the moment the last unit has left its scope, so it
//! is visible, and its databags stay readable, until then. A unit *enters* when its agent begins
//! with the relation and *leaves* when it has run its last hook of it.
//!
//! - [`lifecycle`]: create, remove, gone; peers come and go with their application;
//! - [`scope`]: units enter and leave; subordinates follow their principal;
//! - [`databag`]: writing, with versions that grow only on a real change;
//! - [`view`]: what one unit sees: for the agent's snapshot, a hook's context, `show-unit`;
//! - [`infos`]: what people see.
//!
//! Operations collect the units that must react in `touched`; the caller touches them last.

mod api;
mod databag;
mod integrate;
mod lifecycle;
mod scope;
mod sql;
pub(crate) mod view;

use std::collections::BTreeMap;

use tutti_model::agent::RelationId;
use tutti_model::api::RelationInfo;
use tutti_store::Tx;

use crate::Error;

pub(crate) use api::routes;
pub(crate) use databag::{write_application, write_unit};
pub(crate) use lifecycle::{
    application_gone, create_peers, force_due, next_due, remove_all_of_application,
    remove_all_of_model, sync_peers,
};
pub(crate) use scope::{
    Touched, ensure_subordinates, enter, leave, member, refresh_addresses, unit_gone,
};
pub(crate) use sql::{Member, Relation, STATEMENTS};

/// The relation of that number, if it exists.
pub(crate) fn find(
    tx: &mut Tx<'_>,
    model: &str,
    number: RelationId,
) -> Result<Option<Relation>, Error> {
    Ok(tx.maybe(sql::BY_NUMBER, (model, number))?)
}

/// Id of the application at the other end of a relation; its own for peers.
pub(crate) fn other_end(
    tx: &mut Tx<'_>,
    relation: &Relation,
    application: &str,
) -> Result<String, Error> {
    let sides: Vec<sql::Side> = tx.all(sql::SIDES_OF, (&relation.id,))?;
    let other = sides.into_iter().map(|side| side.application).find(|other| other != application);
    Ok(other.unwrap_or_else(|| application.to_owned()))
}

/// Every relation of a model, peers included, by number.
pub(crate) fn list(tx: &mut Tx<'_>, model: &str) -> Result<Vec<Relation>, Error> {
    Ok(tx.all(sql::LIST, (model,))?)
}

/// Every relation of a model as the API shows it.
pub(crate) fn infos(tx: &mut Tx<'_>, model: &str) -> Result<Vec<RelationInfo>, Error> {
    let mut sides: BTreeMap<i64, Vec<sql::Side>> = BTreeMap::new();
    for side in tx.all::<sql::Side>(sql::SIDES, (model,))? {
        sides.entry(side.number).or_default().push(side);
    }
    let info = |relation: Relation| {
        let sides = sides.get(&relation.number).map(Vec::as_slice).unwrap_or_default();
        info(relation, sides)
    };
    Ok(list(tx, model)?.into_iter().map(info).collect())
}

/// The relation of that number as the API shows it.
pub(crate) fn one(tx: &mut Tx<'_>, model: &str, number: RelationId) -> Result<RelationInfo, Error> {
    let relation = find(tx, model, number)?
        .ok_or_else(|| Error::NotFound(format!("relation {number} not found")))?;
    let sides: Vec<sql::Side> = tx.all(sql::SIDES_OF, (&relation.id,))?;
    Ok(info(relation, &sides))
}

/// One relation as the API shows it.
fn info(relation: Relation, sides: &[sql::Side]) -> RelationInfo {
    let side = |role: &str| {
        let found = sides.iter().find(|side| side.role == role);
        found.map(|side| format!("{}:{}", side.name, side.endpoint)).unwrap_or_default()
    };
    let provider = if relation.kind == "peer" { side("peer") } else { side("provider") };
    RelationInfo {
        id: relation.number,
        key: relation.key,
        provider,
        requirer: side("requirer"),
        interface: relation.interface,
        kind: relation.kind,
        status: relation.status,
        life: relation.life.0,
    }
}
