//! The end of an application.
//!
//! Removal makes its relations and units dying. It is gone when the last unit is and no relation
//! refers to it, whoever of them goes last ([`finish_if_done`]).

use serde_json::json;
use tutti_model::api::{Accepted, Life, ModelKind};
use tutti_store::{Json, Tx};

use super::{Application, by_id, changed, find, sql};
use crate::bus::listeners;
use crate::flows::{self, Change, Tasks};
use crate::models::{self, Model};
use crate::relations::{self, Touched};
use crate::units::{self, Removal};
use crate::{Error, events, secrets, sequence};

/// Kind of the flows.
const KIND: &str = "remove-application";

/// Removes an application by name, on request.
pub(super) fn request(
    tx: &mut Tx<'_>,
    model: &Model,
    name: &str,
    removal: Removal,
) -> Result<Accepted, Error> {
    let application = find(tx, model, name)?;
    let resource = format!("application/{name}");
    if application.life.0 == Life::Dying && removal.force_at.is_none() {
        // Asked for already: it is the same work.
        if let Some(flow) = flows::unfinished(tx, model, &resource, KIND)? {
            let messages = vec![format!("will remove application {name}")];
            let resource = json!({ "application": name });
            return Ok(Accepted { flow: Some(flow), resource, messages });
        }
    }
    let units = units::of_application(tx, &application.id)?;
    let mut tasks = Tasks::new();
    let mut messages = vec![format!("will remove application {name}")];
    for unit in &units {
        tasks = tasks.gone("unit", &unit.id, &unit.name);
        messages.push(format!("- will remove unit {}", unit.name));
    }
    tasks = tasks.gone("application", &application.id, name);
    flows::retire(tx, model, &format!("application/{name}"))?;
    let mut touched = Touched::new();
    remove(tx, model, &application, removal, &mut touched)?;
    let change = Change {
        kind: KIND,
        title: format!("Remove {name}"),
        resources: vec![format!("application/{name}")],
        generation: Some(application.generation + 1),
        tasks,
    };
    let flow = flows::submit(tx, model, change, removal.now)?;
    sequence::touch(tx, touched.iter().map(String::as_str))?;
    Ok(Accepted { flow: Some(flow), resource: json!({ "application": name }), messages })
}

/// Asks an application to go.
pub(crate) fn remove(
    tx: &mut Tx<'_>,
    model: &Model,
    application: &Application,
    removal: Removal,
    touched: &mut Touched,
) -> Result<(), Error> {
    let now = removal.now;
    let mut application = application.clone();
    application.life = Json(Life::Dying);
    application.force_at = application.force_at.into_iter().chain(removal.force_at).min();
    application.scale = 0;
    changed(tx, model, &mut application)?;
    for unit in units::of_application(tx, &application.id)? {
        // A unit may have gone with its principal meanwhile.
        if units::by_id(tx, &unit.id)?.is_some() {
            units::remove(tx, model, &unit, removal, touched)?;
        }
    }
    relations::remove_all_of_application(tx, &application.id, removal.force_at, now, touched)?;
    finish_if_done(tx, &application.id, now, touched)
}

/// Removes the records of a dying application that has neither units nor relations.
pub(crate) fn finish_if_done(
    tx: &mut Tx<'_>,
    application: &str,
    now: i64,
    touched: &mut Touched,
) -> Result<(), Error> {
    let Some(application) = by_id(tx, application)? else { return Ok(()) };
    let id = &application.id;
    if application.life.0 == Life::Alive
        || tx.one::<i64>(units::sql::COUNT_OF_APPLICATION, (id,))? > 0
        || tx.one::<i64>(sql::HAS_RELATIONS, (id,))? > 0
    {
        return Ok(());
    }
    let model = models::find(tx, &application.model)?;
    relations::application_gone(tx, id, now, touched)?;
    secrets::remove_owned(tx, id, touched)?;
    listeners::set(tx, id, &[], now)?;
    tx.exec(sql::DELETE_RESOURCES, (id,))?;
    tx.exec(sql::DELETE, (id,))?;
    if model.kind.0 == ModelKind::Caas {
        tx.exec(sql::RESET_COUNTER, (&model.id, units::counter(&application.name)))?;
    }
    flows::outlived(tx, &model, &format!("application/{}", application.name))?;
    flows::gone(tx, &format!("application/{id}"), now)?;
    events::application(tx, &model, &application.name, "removed")?;
    models::gone_if_empty(tx, &model.id, now)
}
