//! More units and fewer units.

use std::collections::BTreeMap;

use serde_json::json;
use tutti_model::api::{Accepted, AddUnits, Life, RemoveUnits};
use tutti_model::application::units_to_remove;
use tutti_store::Tx;

use super::{Application, changed, deploy, find, find_alive};
use crate::flows::{self, Change, Tasks};
use crate::models::Model;
use crate::relations::Touched;
use crate::units::{self, Removal, Unit};
use crate::{Error, sequence};

/// The most units one request may add: a slip of the finger should not fill the database.
const ADD: u32 = 10_000;

/// What is to be said against adding so many units at once.
pub(super) fn too_many(count: u32) -> Option<String> {
    (count > ADD).then(|| format!("{count} units at once are too many, at most {ADD}"))
}

/// Adds units.
pub(super) fn add(
    tx: &mut Tx<'_>,
    model: &Model,
    name: &str,
    request: &AddUnits,
    now: i64,
) -> Result<Accepted, Error> {
    let mut application = find_alive(tx, model, name)?;
    if application.subordinate {
        return Err(Error::Invalid(format!("cannot add a unit to subordinate application {name}")));
    }
    let count = request.count.max(1);
    let (placements, mut reasons) = deploy::placements(tx, model, &request.to, count)?;
    reasons.extend(too_many(count));
    if !reasons.is_empty() {
        return Err(Error::refused(&format!("cannot add units to \"{name}\""), reasons));
    }
    let mut units = Vec::new();
    for nth in 0..count as usize {
        let placement = deploy::placement(model, placements.get(nth));
        units.push(units::create(tx, model, &application, placement, now)?);
    }
    application.scale += i64::from(count);
    changed(tx, model, &mut application)?;
    let generation = sequence::touch(tx, units.iter().map(|unit| unit.id.as_str()))?;
    let change = Change {
        kind: "add-units",
        title: format!("Add {count} units to {name}"),
        resources: vec![format!("application/{name}")],
        generation: Some(application.generation),
        tasks: Tasks::new().units(units.iter().map(|unit| (&unit.id, &unit.name)), generation),
    };
    let names: Vec<_> = units.iter().map(|unit| unit.name.as_str()).collect();
    Ok(Accepted {
        flow: Some(flows::submit(tx, model, change, now)?),
        resource: json!({ "application": name, "units": names }),
        messages: Vec::new(),
    })
}

/// Removes units: those named, or so many of an application, highest numbers first.
pub(crate) fn remove(
    tx: &mut Tx<'_>,
    model: &Model,
    request: &RemoveUnits,
    removal: Removal,
) -> Result<Accepted, Error> {
    let units = chosen(tx, model, request)?;
    let mut by_application: BTreeMap<&str, i64> = BTreeMap::new();
    for unit in units.iter().filter(|unit| unit.life.0 == Life::Alive) {
        *by_application.entry(unit.application.as_str()).or_default() += 1;
    }
    for (id, leaving) in by_application {
        let application: Option<Application> = super::by_id(tx, id)?;
        if let Some(mut application) = application {
            application.scale = (application.scale - leaving).max(0);
            changed(tx, model, &mut application)?;
        }
    }
    let mut tasks = Tasks::new();
    let mut touched = Touched::new();
    for unit in &units {
        tasks = tasks.gone("unit", &unit.id, &unit.name);
        units::remove(tx, model, unit, removal, &mut touched)?;
    }
    let names: Vec<_> = units.iter().map(|unit| unit.name.as_str()).collect();
    let change = Change {
        kind: "remove-units",
        title: format!("Remove {}", names.join(", ")),
        resources: names.iter().map(|name| format!("unit/{name}")).collect(),
        generation: None,
        tasks,
    };
    let flow = flows::submit(tx, model, change, removal.now)?;
    sequence::touch(tx, touched.iter().map(String::as_str))?;
    Ok(Accepted {
        flow: Some(flow),
        resource: json!({ "units": names }),
        messages: names.iter().map(|name| format!("will remove unit {name}")).collect(),
    })
}

fn chosen(tx: &mut Tx<'_>, model: &Model, request: &RemoveUnits) -> Result<Vec<Unit>, Error> {
    let mut units: Vec<Unit> = Vec::new();
    for name in &request.units {
        let unit = units::find(tx, model, name)?;
        if unit.principal.is_some() {
            let application = name.split('/').next().unwrap_or_default();
            return Err(Error::Invalid(format!(
                "unit \"{name}\" is a subordinate, to remove use remove-relation. Note: this will \
                 remove all units of \"{application}\""
            )));
        }
        if !units.iter().any(|one| one.id == unit.id) {
            units.push(unit);
        }
    }
    if !request.application.is_empty() {
        let application = find(tx, model, &request.application)?;
        let all = units::of_application(tx, &application.id)?;
        let lives: Vec<_> = all
            .iter()
            .map(|one| (u32::try_from(one.number).unwrap_or(u32::MAX), one.life.0))
            .collect();
        let count = request.count as usize;
        let chosen = units_to_remove(&lives, count);
        if count == 0 || chosen.len() < count {
            let name = &application.name;
            let have = lives.iter().filter(|(_, life)| *life == Life::Alive).count();
            return Err(Error::Invalid(format!(
                "cannot remove {count} units of \"{name}\": it has {have}"
            )));
        }
        units.extend(chosen.into_iter().filter_map(|at| all.get(at).cloned()));
    }
    if units.is_empty() {
        return Err(Error::Invalid("no unit was named".into()));
    }
    Ok(units)
}
