//! The end of a model: everything in it goes, then it does.

use serde_json::json;
use tutti_content::repository;
use tutti_model::api::{Accepted, Life};
use tutti_store::{Json, Tx};

use super::{Model, lock, sql};
use crate::applications::{self, Application};
use crate::flows::{self, Change, Tasks};
use crate::relations::{self, Touched};
use crate::units::{self, Removal};
use crate::{Error, charms, events, logs, machines, operations, secrets, sequence};

/// Destroys a model with everything in it.
pub(super) fn destroy(tx: &mut Tx<'_>, model: &str, removal: Removal) -> Result<Accepted, Error> {
    let now = removal.now;
    let model = lock(tx, model)?;
    let all: Vec<Application> = applications::list(tx, &model)?;
    let mut tasks = Tasks::new();
    for application in &all {
        for unit in units::of_application(tx, &application.id)? {
            tasks = tasks.gone("unit", &unit.id, &unit.name);
        }
        tasks = tasks.gone("application", &application.id, &application.name);
        flows::retire(tx, &model, &format!("application/{}", application.name))?;
    }
    let resource = format!("model/{}", model.name);
    flows::retire(tx, &model, &resource)?;
    let change = Change {
        kind: "destroy-model",
        title: format!("Destroy {}", model.name),
        resources: vec![resource],
        generation: Some(model.generation + 1),
        tasks: tasks.gone("model", &model.id, &model.name),
    };
    let id = flows::submit(tx, &model, change, now)?.id;
    tx.exec(sql::SET_LIFE, (&model.id, Json(Life::Dying), now))?;
    events::model(tx, &model, "dying")?;
    let mut touched = Touched::new();
    for application in &all {
        // It may have gone with a relation meanwhile.
        if applications::by_id(tx, &application.id)?.is_some() {
            applications::remove(tx, &model, application, removal, &mut touched)?;
        }
    }
    for machine in machines::list(tx, &model)? {
        machines::dying(tx, &model, machine.number)?;
    }
    gone_if_empty(tx, &model.id, now)?;
    // Read last: a model without units is gone by now, and its flow has ended.
    let flow = flows::by_id(tx, &id)?;
    sequence::touch(tx, touched.iter().map(String::as_str))?;
    Ok(Accepted { flow, resource: json!({ "model": model.name }), messages: Vec::new() })
}

/// Removes the records of a dying model in which nothing is left. A model whose last application
/// took it along is gone already.
pub(crate) fn gone_if_empty(tx: &mut Tx<'_>, model: &str, now: i64) -> Result<(), Error> {
    let Some(model) = tx.maybe::<Model>(sql::FIND, (model,))? else { return Ok(()) };
    let id = &model.id;
    if model.life.0 == Life::Alive
        || tx.one::<i64>(applications::sql::COUNT, (id,))? > 0
        || tx.one::<i64>(machines::sql::COUNT, (id,))? > 0
    {
        return Ok(());
    }
    relations::remove_all_of_model(tx, id, now)?;
    secrets::remove_owned(tx, id, &mut Touched::new())?;
    operations::remove_all_of_model(tx, id)?;
    logs::remove_all_of_model(tx, id)?;
    if let Some(charms) = repository::find(tx, &charms::repository(id))? {
        repository::drop(tx, charms.id)?;
    }
    tx.exec(sql::DELETE_COUNTERS, (id,))?;
    tx.exec(sql::DELETE, (id,))?;
    flows::gone(tx, &format!("model/{id}"), now)?;
    events::model(tx, &model, "removed")
}
