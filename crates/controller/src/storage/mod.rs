//! Storage: directories that units get beside their charm.
//!
//! A charm declares storage, a directive (`pool,count,size`) can change pool, number and size, and
//! each unit gets instances `name/number`. The agent provisions an instance, announces it to the
//! charm, and detaches it when the unit goes. Instances live and die with their unit.
//!
//! - [`directive`]: what a directive says and what a charm accepts.

mod api;
mod directive;
mod sql;

use std::collections::BTreeMap;

use tutti_charm::metadata::{Metadata, StorageKind};
use tutti_model::agent::StorageSnapshot;
use tutti_model::api::{Life, StorageInfo};
use tutti_store::{Json, Tx};

use crate::applications::Application;
use crate::models::Model;
use crate::units::Unit;
use crate::{Error, charms, sequence};

pub(crate) use api::routes;
pub(crate) use directive::refusals;
pub(crate) use sql::STATEMENTS;

/// Creates the storage a new unit starts with.
pub(crate) fn create_for_unit(
    tx: &mut Tx<'_>,
    model: &Model,
    application: &Application,
    unit: &Unit,
    now: i64,
) -> Result<(), Error> {
    let charm = charms::of_application(tx, application)?;
    for name in charm.metadata.storage.keys() {
        let given = application.storage.0.get(name).map_or("", String::as_str);
        let wanted = directive::wanted(&charm.metadata, name, given).map_err(Error::Conflict)?;
        for _ in 0..wanted.count {
            create(tx, &model.id, &unit.id, name, &wanted, now)?;
        }
    }
    Ok(())
}

/// Adds storage to a unit that exists; answers the new ids.
pub(crate) fn add(
    tx: &mut Tx<'_>,
    model: &str,
    unit: &str,
    metadata: &Metadata,
    name: &str,
    given: &str,
    now: i64,
) -> Result<Vec<String>, Error> {
    let has: u32 = tx.one(sql::COUNT, (unit, name))?;
    let wanted = directive::more(metadata, name, given, has).map_err(Error::Invalid)?;
    let mut added = Vec::new();
    for _ in 0..wanted.count {
        added.push(create(tx, model, unit, name, &wanted, now)?);
    }
    Ok(added)
}

/// A unit was asked to go: its storage is to be detached.
pub(crate) fn dying_for_unit(tx: &mut Tx<'_>, unit: &str) -> Result<(), Error> {
    tx.exec(sql::SET_LIFE, (unit, Json(Life::Dying)))?;
    Ok(())
}

/// A unit's records are gone: so is its storage.
pub(crate) fn unit_gone(tx: &mut Tx<'_>, unit: &str) -> Result<(), Error> {
    tx.exec(sql::REMOVE_OF_UNIT, (unit,))?;
    Ok(())
}

/// An agent has provisioned an instance of its unit.
pub(crate) fn provisioned(
    tx: &mut Tx<'_>,
    unit: &str,
    id: &str,
    location: &str,
) -> Result<(), Error> {
    tx.exec(sql::PROVISIONED, (unit, id, location))?;
    Ok(())
}

/// An agent has detached an instance of its unit for good.
pub(crate) fn detached(tx: &mut Tx<'_>, unit: &str, id: &str) -> Result<(), Error> {
    tx.exec(sql::REMOVE, (unit, id))?;
    Ok(())
}

/// A unit's storage by id.
pub(crate) fn of_unit(
    tx: &mut Tx<'_>,
    unit: &str,
) -> Result<BTreeMap<String, StorageSnapshot>, Error> {
    let rows: Vec<sql::Instance> = tx.all(sql::OF_UNIT, (unit,))?;
    Ok(rows.into_iter().map(|row| (row.id.clone(), snapshot(row))).collect())
}

/// A model's storage, by id.
pub(crate) fn infos(tx: &mut Tx<'_>, model: &str) -> Result<Vec<StorageInfo>, Error> {
    let rows: Vec<sql::Attached> = tx.all(sql::LIST, (model,))?;
    let info = |row: sql::Attached| StorageInfo {
        status: status(row.life.0, row.provisioned).to_owned(),
        id: row.id,
        kind: row.kind,
        pool: row.pool,
        size_mib: row.size_mib,
        unit: row.unit,
        location: row.location,
        life: row.life.0,
    };
    Ok(rows.into_iter().map(info).collect())
}

fn create(
    tx: &mut Tx<'_>,
    model: &str,
    unit: &str,
    name: &str,
    wanted: &directive::Directive,
    now: i64,
) -> Result<String, Error> {
    let number = sequence::next_counter(tx, model, &format!("storage/{name}"))?;
    let id = format!("{name}/{number}");
    let (pool, size, life) = (wanted.pool.as_str(), wanted.size_mib, Json(Life::Alive));
    let row = (model, &id, unit, name, kind_word(wanted.kind), pool, size, life, now);
    tx.exec(sql::INSERT, row)?;
    Ok(id)
}

fn snapshot(row: sql::Instance) -> StorageSnapshot {
    StorageSnapshot {
        kind: row.kind,
        life: row.life.0,
        location: row.location,
        pool: row.pool,
        size_mib: row.size_mib,
        provisioned: row.provisioned,
    }
}

fn kind_word(kind: StorageKind) -> &'static str {
    match kind {
        StorageKind::Filesystem => "filesystem",
        StorageKind::Block => "block",
    }
}

fn status(life: Life, provisioned: bool) -> &'static str {
    match (life, provisioned) {
        (Life::Alive, true) => "attached",
        (Life::Alive, false) => "pending",
        _ => "detaching",
    }
}
