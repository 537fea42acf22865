//! Storage: directories that units get beside their charm.
//!
//! A charm declares storage, a directive (`pool,count,size`) can change pool, number and size, and
//! each unit gets instances `name/number`. The agent provisions an instance, announces it to the
//! charm, and detaches it when the unit goes. Instances live and die with their unit.

mod api;
mod sql;

use std::collections::BTreeMap;

use tutti_charm::metadata::{Metadata, StorageKind};
use tutti_model::agent::StorageSnapshot;
use tutti_model::api::{Life, StorageInfo};
use tutti_model::application::{Directive, StorageChoice, check_storage};
use tutti_store::{Json, Tx};

use crate::applications::Application;
use crate::models::Model;
use crate::units::Unit;
use crate::{Error, charms, sequence};

pub(crate) use api::routes;
pub(crate) use sql::STATEMENTS;

/// Creates the storage a new unit starts with.
pub(crate) fn create_for_unit(
    tx: &mut Tx<'_>,
    model: &Model,
    application: &Application,
    unit: &Unit,
    now: i64,
) -> Result<(), Error> {
    let metadata = charms::of_application(tx, application)?.metadata;
    // Checked when the application was deployed.
    let (chosen, _) =
        check_storage(&metadata.name, &metadata.storage, &application.storage.0, true);
    for (name, choice) in &chosen {
        for _ in 0..choice.count {
            create(tx, &model.id, &unit.id, &metadata, name, choice, now)?;
        }
    }
    Ok(())
}

/// Adds storage to a unit that exists: one instance, unless the directive says more. Answers the
/// new ids.
pub(crate) fn add(
    tx: &mut Tx<'_>,
    model: &str,
    unit: &str,
    metadata: &Metadata,
    name: &str,
    directive: &str,
    now: i64,
) -> Result<Vec<String>, Error> {
    let has: u32 = tx.one(sql::COUNT, (unit, name))?;
    let (more, choice) = more(metadata, name, directive, has).map_err(Error::Invalid)?;
    let mut added = Vec::new();
    for _ in 0..more {
        added.push(create(tx, model, unit, metadata, name, &choice, now)?);
    }
    Ok(added)
}

/// How many instances a directive adds to those there are, and of what sort.
fn more(
    metadata: &Metadata,
    name: &str,
    directive: &str,
    has: u32,
) -> Result<(u32, StorageChoice), String> {
    let given: Directive =
        directive.parse().map_err(|error: tutti_model::Error| error.to_string())?;
    let more = given.count.unwrap_or(1);
    let mut whole = vec![has.saturating_add(more).to_string()];
    whole.extend(given.pool);
    whole.extend(given.size_mib.map(|size| format!("{size}M")));
    let directives = BTreeMap::from([(name.to_owned(), whole.join(","))]);
    let (mut chosen, reasons) =
        check_storage(&metadata.name, &metadata.storage, &directives, false);
    match chosen.remove(name).filter(|_| reasons.is_empty()) {
        Some(choice) => Ok((more, choice)),
        None => Err(reasons.join("; ")),
    }
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
    metadata: &Metadata,
    name: &str,
    choice: &StorageChoice,
    now: i64,
) -> Result<String, Error> {
    let number = sequence::next_counter(tx, model, &format!("storage/{name}"))?;
    let id = format!("{name}/{number}");
    let kind = metadata.storage.get(name).map_or("filesystem", |storage| kind_word(storage.kind));
    let (pool, size, life) = (choice.pool.as_str(), choice.size_mib, Json(Life::Alive));
    let row = (model, &id, unit, name, kind, pool, size, life, now);
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
