//! Having units look again although nothing new is wished for.
//!
//! Agents compare what a unit has with what is wanted of it whenever they look, so to look again is to
//! repair. The flow of it converges: when it succeeds, every unit has followed all that was wished for
//! before, whatever became of the flows of that.

use serde_json::json;
use tutti_model::api::Accepted;
use tutti_model::convergence::SyncState;
use tutti_store::Tx;

use super::settings::unchanged;
use super::{Application, find_alive, progress_of, touch_all};
use crate::flows::{self, Change, RESYNC, Tasks};
use crate::models::Model;
use crate::state::Vantage;
use crate::{Error, units};

/// Brings an application back to what is wished, on request; nothing is done if it is in sync, or if that
/// is under way already.
pub(super) fn request(
    tx: &mut Tx<'_>,
    model: &Model,
    name: &str,
    vantage: Vantage,
    now: i64,
) -> Result<Accepted, Error> {
    let application = find_alive(tx, model, name)?;
    if progress_of(tx, model, name, vantage)?.state == SyncState::InSync {
        return Ok(unchanged(name));
    }
    resync(tx, model, &application, format!("Synchronize {name}"), now)
}

/// Brings an application back to what is wished after a unit was found to be otherwise.
pub(crate) fn repair(
    tx: &mut Tx<'_>,
    model: &Model,
    application: &Application,
    now: i64,
) -> Result<Accepted, Error> {
    let title = format!("Bring {} back to what is wished", application.name);
    resync(tx, model, application, title, now)
}

fn resync(
    tx: &mut Tx<'_>,
    model: &Model,
    application: &Application,
    title: String,
    now: i64,
) -> Result<Accepted, Error> {
    let name = &application.name;
    let resource = format!("application/{name}");
    if let Some(flow) = flows::unfinished(tx, model, &resource, RESYNC)? {
        let resource = json!({ "application": name });
        return Ok(Accepted { flow: Some(flow), resource, messages: Vec::new() });
    }
    let units = units::of_application(tx, &application.id)?;
    let generation = touch_all(tx, [application.id.as_str()])?;
    let tasks = Tasks::new()
        .check_charm(application)
        .units(units.iter().map(|unit| (&unit.id, &unit.name)), generation);
    let resources = vec![resource];
    let change = Change { kind: RESYNC, title, resources, generation: None, tasks };
    let flow = Some(flows::submit(tx, model, change, now)?);
    Ok(Accepted { flow, resource: json!({ "application": name }), messages: Vec::new() })
}
