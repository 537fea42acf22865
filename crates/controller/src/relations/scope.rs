//! Units enter and leave the scope of relations, and subordinates come and go with them.

use std::collections::BTreeSet;

use tutti_model::agent::{Databag, RelationId};
use tutti_model::api::Life;
use tutti_store::{Json, Tx};

use super::{Member, Relation, databag, lifecycle, sql};
use crate::{Error, units};

/// Ids of the units that must react to what a transaction changed.
pub(crate) type Touched = BTreeSet<String>;

/// A unit as relations see it, by id.
pub(crate) fn member(tx: &mut Tx<'_>, unit: &str) -> Result<Member, Error> {
    Ok(tx.one(sql::MEMBER, (unit,))?)
}

/// A unit enters a relation: its databag gets its addresses and the others see it. Does nothing
/// when the unit is in, or the relation is gone or going.
pub(crate) fn enter(
    tx: &mut Tx<'_>,
    model: &str,
    number: RelationId,
    member: &Member,
    now: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    let found: Option<Relation> = tx.maybe(sql::BY_NUMBER, (model, number))?;
    let Some(relation) = found.filter(|relation| relation.life.0 == Life::Alive) else {
        return Ok(());
    };
    if tx.one::<i64>(sql::IS_SIDE, (&relation.id, &member.application))? == 0 {
        let text = format!("unit {} has no end of relation {number}", member.name);
        return Err(Error::Invalid(text));
    }
    if in_scope(tx, &relation, &member.unit)? {
        return Ok(());
    }
    let (mut bag, version) = databag::read(tx, sql::UNIT_BAG, &relation.id, &member.unit)?;
    bag.extend(addresses(&member.address));
    databag::put_unit(tx, &relation, member, true, bag, version + 1)?;
    if member.leader {
        tx.exec(sql::JOINED, (&relation.id,))?;
    }
    viewers(tx, &relation, member, touched)?;
    if relation.scope == "container" {
        ensure_subordinates(tx, &member.unit, now, touched)?;
    }
    Ok(())
}

/// A unit leaves a relation. The last one to leave a relation that is being removed takes it with
/// it.
pub(crate) fn leave(
    tx: &mut Tx<'_>,
    model: &str,
    number: RelationId,
    member: &Member,
    now: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    let Some(relation) = tx.maybe::<Relation>(sql::BY_NUMBER, (model, number))? else {
        return Ok(());
    };
    leave_relation(tx, &relation, member, now, touched)
}

/// A unit's records are about to go: it leaves every relation it is still in.
pub(crate) fn unit_gone(
    tx: &mut Tx<'_>,
    unit: &str,
    now: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    let member = member(tx, unit)?;
    let relations: Vec<Relation> = tx.all(sql::IN_SCOPE_OF_UNIT, (unit,))?;
    for relation in &relations {
        leave_relation(tx, relation, &member, now, touched)?;
    }
    touched.remove(unit);
    Ok(())
}

/// The unit's addresses may have changed: writes them to its databags again.
pub(crate) fn refresh_addresses(
    tx: &mut Tx<'_>,
    member: &Member,
    touched: &mut Touched,
) -> Result<(), Error> {
    let settings = addresses(&member.address);
    let relations: Vec<Relation> = tx.all(sql::IN_SCOPE_OF_UNIT, (&member.unit,))?;
    for relation in &relations {
        let (mut bag, version) = databag::read(tx, sql::UNIT_BAG, &relation.id, &member.unit)?;
        if databag::merge(&mut bag, &settings, &member.name, relation.number)? {
            databag::put_unit(tx, relation, member, true, bag, version + 1)?;
            viewers(tx, relation, member, touched)?;
        }
    }
    Ok(())
}

/// Creates the subordinate units a principal should have beside it and has not: one per
/// container-scoped relation it is in.
pub(crate) fn ensure_subordinates(
    tx: &mut Tx<'_>,
    principal: &str,
    now: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    let missing: Vec<String> = tx.all(sql::SUBORDINATES_MISSING, (principal, Json(Life::Alive)))?;
    for application in missing {
        let unit = units::create_subordinate(tx, &application, principal, now)?;
        touched.insert(unit);
        touched.insert(principal.to_owned());
    }
    Ok(())
}

/// Whether a unit is in a relation.
pub(super) fn in_scope(tx: &mut Tx<'_>, relation: &Relation, unit: &str) -> Result<bool, Error> {
    Ok(tx.maybe::<bool>(sql::IN_SCOPE, (&relation.id, unit))?.unwrap_or_default())
}

/// Adds those who see a unit in a relation.
pub(super) fn viewers(
    tx: &mut Tx<'_>,
    relation: &Relation,
    member: &Member,
    touched: &mut Touched,
) -> Result<(), Error> {
    let container = if relation.scope == "container" { member.container.as_str() } else { "" };
    let peer = relation.kind == "peer";
    let row = (&relation.id, &member.unit, &member.application, peer, container);
    touched.extend(tx.all::<String>(sql::VIEWERS, row)?);
    Ok(())
}

/// Adds those who see an application's databag in a relation.
pub(super) fn application_viewers(
    tx: &mut Tx<'_>,
    relation: &Relation,
    leader: &Member,
    touched: &mut Touched,
) -> Result<(), Error> {
    let peer = relation.kind == "peer";
    let row = (&relation.id, &leader.unit, &leader.application, peer, "");
    touched.extend(tx.all::<String>(sql::VIEWERS, row)?);
    Ok(())
}

fn leave_relation(
    tx: &mut Tx<'_>,
    relation: &Relation,
    member: &Member,
    now: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    if tx.exec(sql::LEAVE, (&relation.id, &member.unit))? > 0 {
        viewers(tx, relation, member, touched)?;
    }
    lifecycle::gone_if_empty(tx, relation, now, touched)?;
    Ok(())
}

/// What Juju writes into the databag of each unit by itself.
fn addresses(address: &str) -> Databag {
    Databag::from([
        ("egress-subnets".to_owned(), format!("{address}/32")),
        ("ingress-address".to_owned(), address.to_owned()),
        ("private-address".to_owned(), address.to_owned()),
    ])
}
