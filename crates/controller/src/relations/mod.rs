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
//! - [`infos`]: what people see; [`joining`]: how far a relation is.
//!
//! Operations collect the units that must react in `touched`; the caller touches them last.

mod api;
mod databag;
mod integrate;
mod joining;
mod lifecycle;
mod scope;
mod sql;
pub(crate) mod view;

use std::collections::BTreeMap;

use tutti_model::agent::RelationId;
use tutti_model::api::RelationInfo;
use tutti_model::convergence::Progress;
use tutti_store::Tx;

use crate::agents::Heard;
use crate::models::Model;
use crate::state::Vantage;
use crate::{Error, convergence};

pub(crate) use api::routes;
pub(crate) use databag::{write_application, write_unit};
pub(crate) use integrate::existing;
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
pub(crate) fn infos(
    tx: &mut Tx<'_>,
    model: &Model,
    vantage: Vantage,
) -> Result<Vec<RelationInfo>, Error> {
    let mut sides: BTreeMap<i64, Vec<sql::Side>> = BTreeMap::new();
    for side in tx.all::<sql::Side>(sql::SIDES, (&model.id,))? {
        sides.entry(side.number).or_default().push(side);
    }
    let mut insides: BTreeMap<String, Vec<sql::Inside>> = BTreeMap::new();
    for unit in tx.all::<sql::Inside>(sql::INSIDES, (&model.id,))? {
        insides.entry(unit.relation.clone()).or_default().push(unit);
    }
    let heard = Heard::read(tx, vantage)?;
    let mut infos = Vec::new();
    for relation in list(tx, &model.id)? {
        let sides = sides.get(&relation.number).map(Vec::as_slice).unwrap_or_default();
        let units = insides.get(&relation.id).map(Vec::as_slice).unwrap_or_default();
        infos.push(info(tx, model, relation, sides, units, &heard)?);
    }
    Ok(infos)
}

/// The relation of that number as the API shows it.
pub(crate) fn one(
    tx: &mut Tx<'_>,
    model: &Model,
    number: RelationId,
    vantage: Vantage,
) -> Result<RelationInfo, Error> {
    let relation = found(tx, model, number)?;
    let sides: Vec<sql::Side> = tx.all(sql::SIDES_OF, (&relation.id,))?;
    let units: Vec<sql::Inside> = tx.all(sql::INSIDES_OF, (&relation.id,))?;
    let heard = Heard::read(tx, vantage)?;
    info(tx, model, relation, &sides, &units, &heard)
}

fn found(tx: &mut Tx<'_>, model: &Model, number: RelationId) -> Result<Relation, Error> {
    find(tx, &model.id, number)?
        .ok_or_else(|| Error::NotFound(format!("relation {number} not found")))
}

/// How far the relation of that number is.
pub(crate) fn progress_of(
    tx: &mut Tx<'_>,
    model: &Model,
    number: &str,
    vantage: Vantage,
) -> Result<Progress, Error> {
    let number = number.parse().unwrap_or(RelationId::MAX);
    let relation = found(tx, model, number)?;
    let units: Vec<sql::Inside> = tx.all(sql::INSIDES_OF, (&relation.id,))?;
    let heard = Heard::read(tx, vantage)?;
    joining::progress(tx, model, &relation, &units, &heard)
}

/// One relation as the API shows it.
fn info(
    tx: &mut Tx<'_>,
    model: &Model,
    relation: Relation,
    sides: &[sql::Side],
    units: &[sql::Inside],
    heard: &Heard,
) -> Result<RelationInfo, Error> {
    let progress = joining::progress(tx, model, &relation, units, heard)?;
    let joined = joining::joined(&relation, units, heard);
    let side = |role: &str| {
        let found = sides.iter().find(|side| side.role == role);
        found.map(|side| format!("{}:{}", side.name, side.endpoint)).unwrap_or_default()
    };
    let provider = if relation.kind == "peer" { side("peer") } else { side("provider") };
    Ok(RelationInfo {
        id: relation.number,
        generation: joining::generation(&relation),
        conditions: convergence::conditions([joined], progress.observed),
        sync: convergence::shown(progress),
        key: relation.key,
        provider,
        requirer: side("requirer"),
        interface: relation.interface,
        kind: relation.kind,
        status: relation.status,
        life: relation.life.0,
    })
}
