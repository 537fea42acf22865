//! Changing one thing of an application: each is a transaction that writes the wish, or nothing if
//! it is as wished already.

use serde_json::json;
use tutti_model::api::{Accepted, ConfigChange, Constraints};
use tutti_store::{Json, Tx};

use super::resources::{self, Uploads};
use super::{Application, changed, config, find, find_alive, touch_all};
use crate::flows::{self, Change, Tasks};
use crate::models::Model;
use crate::relations::Touched;
use crate::{Error, charms, constraints, leadership, sequence, units};

/// Sets and resets options, and `trust`.
pub(super) fn configure(
    tx: &mut Tx<'_>,
    model: &Model,
    name: &str,
    change: &ConfigChange,
    now: i64,
) -> Result<Accepted, Error> {
    // A dying application may need another setting to finish dying.
    let mut application = find(tx, model, name)?;
    let charm = charms::of_application(tx, &application)?;
    let (settings, trust) = config::changed(&charm, &application, change)?;
    if settings == application.config.0 && trust == application.trust {
        return Ok(unchanged(name));
    }
    application.config = Json(settings);
    application.trust = trust;
    converge(tx, model, application, "configure", format!("Configure {name}"), now)
}

/// Gives or takes the cloud credential.
pub(super) fn trust(
    tx: &mut Tx<'_>,
    model: &Model,
    name: &str,
    on: bool,
    now: i64,
) -> Result<Accepted, Error> {
    let mut application = find(tx, model, name)?;
    if application.trust == on {
        return Ok(unchanged(name));
    }
    application.trust = on;
    let title = if on { format!("Trust {name}") } else { format!("Trust {name} no more") };
    converge(tx, model, application, "trust", title, now)
}

/// Opens or closes the application's ports to the outside.
pub(super) fn expose(
    tx: &mut Tx<'_>,
    model: &Model,
    name: &str,
    on: bool,
    now: i64,
) -> Result<Accepted, Error> {
    let mut application = find_alive(tx, model, name)?;
    if application.exposed == on {
        return Ok(unchanged(name));
    }
    application.exposed = on;
    let title = if on { format!("Expose {name}") } else { format!("Expose {name} no more") };
    record(tx, model, application, "expose", title, now)
}

/// Lets deferred notices come back early, or only at the next event.
pub(super) fn deferral(
    tx: &mut Tx<'_>,
    model: &Model,
    name: &str,
    on: bool,
    now: i64,
) -> Result<Accepted, Error> {
    let mut application = find_alive(tx, model, name)?;
    if application.deferral_retries == on {
        return Ok(unchanged(name));
    }
    application.deferral_retries = on;
    let title = format!("Turn early retries of {name} {}", if on { "on" } else { "off" });
    converge(tx, model, application, "deferral", title, now)
}

/// Replaces the application's constraints; they hold for machines to come.
pub(super) fn constrain(
    tx: &mut Tx<'_>,
    model: &Model,
    name: &str,
    wanted: &Constraints,
    now: i64,
) -> Result<Accepted, Error> {
    let mut application = find_alive(tx, model, name)?;
    let wanted = constraints::check(wanted)?.0;
    if wanted == application.constraints.0 {
        return Ok(unchanged(name));
    }
    application.constraints = Json(wanted);
    record(tx, model, application, "constrain", format!("Constrain {name}"), now)
}

/// Attaches a resource: units run `upgrade-charm` with it.
pub(super) fn attach(
    tx: &mut Tx<'_>,
    model: &Model,
    name: &str,
    uploads: &Uploads,
    now: i64,
) -> Result<Accepted, Error> {
    let mut application = find_alive(tx, model, name)?;
    let metadata = charms::of_application(tx, &application)?.metadata;
    if let Some(reason) = resources::unknown(&metadata, uploads).next() {
        return Err(Error::NotFound(reason));
    }
    let attached = resources::attach(tx, &application, &metadata, uploads, now)?;
    if attached.is_empty() {
        return Ok(unchanged(name));
    }
    application.charm_modified += 1;
    let title = format!("Attach {} to {name}", attached.join(", "));
    converge(tx, model, application, "attach-resource", title, now)
}

/// Makes a unit the leader.
pub(super) fn lead(
    tx: &mut Tx<'_>,
    model: &Model,
    name: &str,
    unit: &str,
    now: i64,
) -> Result<Accepted, Error> {
    let mut application = find_alive(tx, model, name)?;
    let mut touched = Touched::new();
    if !leadership::choose(tx, model, &application, unit, &mut touched)? {
        return Ok(unchanged(name));
    }
    let leader = units::find(tx, model, unit)?;
    changed(tx, model, &mut application)?;
    let generation = sequence::touch(tx, touched.iter().map(String::as_str))?;
    let title = format!("Let {unit} lead {name}");
    let tasks = Tasks::new().units([(&leader.id, &leader.name)], generation);
    submitted(tx, model, &application, "lead", title, tasks, now)
}

/// Writes a change that units have to follow.
pub(super) fn converge(
    tx: &mut Tx<'_>,
    model: &Model,
    mut application: Application,
    kind: &'static str,
    title: String,
    now: i64,
) -> Result<Accepted, Error> {
    changed(tx, model, &mut application)?;
    let units = units::of_application(tx, &application.id)?;
    let generation = touch_all(tx, [application.id.as_str()])?;
    let tasks = Tasks::new().units(units.iter().map(|unit| (&unit.id, &unit.name)), generation);
    submitted(tx, model, &application, kind, title, tasks, now)
}

/// Writes a change that is in force at once.
fn record(
    tx: &mut Tx<'_>,
    model: &Model,
    mut application: Application,
    kind: &'static str,
    title: String,
    now: i64,
) -> Result<Accepted, Error> {
    changed(tx, model, &mut application)?;
    submitted(tx, model, &application, kind, title, Tasks::new(), now)
}

/// Submits the flow of a change that was written.
pub(super) fn submitted(
    tx: &mut Tx<'_>,
    model: &Model,
    application: &Application,
    kind: &'static str,
    title: String,
    tasks: Tasks,
    now: i64,
) -> Result<Accepted, Error> {
    let name = &application.name;
    let change = Change {
        kind,
        title,
        resources: vec![format!("application/{name}")],
        generation: Some(application.generation),
        tasks,
    };
    let flow = Some(flows::submit(tx, model, change, now)?);
    Ok(Accepted { flow, resource: json!({ "application": name }), messages: Vec::new() })
}

/// The answer when nothing had to change.
pub(super) fn unchanged(name: &str) -> Accepted {
    Accepted { resource: json!({ "application": name }), ..Accepted::default() }
}
