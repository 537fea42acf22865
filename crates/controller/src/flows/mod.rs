//! Flows: how a mutation becomes durable, visible work.
//!
//! A mutation writes what is wanted and submits a [`Change`]: the resources it is about and its
//! [`Tasks`], most of which wait for units to catch up ([`Tasks::units`]) or for something to be
//! gone ([`Tasks::gone`]). Agents' steps bring the news: [`observed`], [`trouble`], [`gone`].
//!
//! Resources are named `application/db`, `unit/db/0`, `relation/…`, `machine/0`, `model/prod`; the
//! engine knows them by their model's UUID as well ([`scoped`]).

mod announced;
mod api;
mod events;
mod find;
mod graph;
mod list;
mod outcome;
mod show;
mod tasks;
pub(crate) mod trace;
mod verb;
mod whole;

use std::collections::BTreeSet;

use tutti_flow::query::{FlowFilter, flow, flows, places};
use tutti_flow::{Access, FlowRow, FlowState, NewFlow, SyncState};
use tutti_model::api::{FlowInfo, Sync};
use tutti_store::Tx;
use uuid::Uuid;

use crate::models::Model;
use crate::time::rfc3339;
use crate::{Error, models};

pub(crate) use api::routes;
pub(crate) use outcome::{Outcome, ended, outcome};
pub(crate) use tasks::Tasks;
pub(crate) use whole::whole;

/// What a mutation submits.
#[derive(Debug)]
pub(crate) struct Change {
    /// `deploy`, `configure`, `integrate`, …
    pub(crate) kind: &'static str,
    /// One sentence.
    pub(crate) title: String,
    /// What it is about, without the model: `application/db`.
    pub(crate) resources: Vec<String>,
    /// The generation of the resources it brings about.
    pub(crate) generation: Option<i64>,
    /// Its work.
    pub(crate) tasks: Tasks,
}

/// Kinds of which the newest does the work of all: each waits for every unit of its application.
const CONVERGING: &[&str] = &["configure", "trust", "deferral", "refresh", "attach-resource"];

/// How the kinds of flows begin that remove something.
const REMOVALS: &[&str] = &["remove-", "destroy-"];

/// Submits the flow of a mutation, in its transaction.
pub(crate) fn submit(
    tx: &mut Tx<'_>,
    model: &Model,
    change: Change,
    now: i64,
) -> Result<FlowInfo, Error> {
    let resources: BTreeSet<String> =
        change.resources.iter().map(|resource| scoped(&model.id, resource)).collect();
    let (id, tasks) = change.tasks.finish(&model.id);
    let new = NewFlow {
        id,
        kind: change.kind.to_owned(),
        title: change.title,
        model: Some(model.id.clone()),
        resources: resources.into_iter().map(|name| (name, Access::Exclusive)).collect(),
        tasks,
        converge: CONVERGING.contains(&change.kind),
        generation: change.generation,
        trace: trace::current(),
        ..NewFlow::default()
    };
    let row = tutti_flow::submit(tx, new, now)?;
    Ok(show::flow(row, |_| model.name.clone()))
}

/// The engine's name of a model's resource.
pub(crate) fn scoped(model: &str, resource: &str) -> String {
    format!("{model}:{resource}")
}

/// The resource without its model.
fn unscoped(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, resource)| resource)
}

/// The flow of this kind about a resource that has not ended, the newest if there are several.
pub(crate) fn unfinished(
    tx: &mut Tx<'_>,
    model: &Model,
    resource: &str,
    kind: &str,
) -> Result<Option<FlowInfo>, Error> {
    let filter = FlowFilter {
        resource: Some(scoped(&model.id, resource)),
        state: FlowState::ALL.iter().copied().filter(|state| !state.is_ended()).collect(),
        kind: Some(kind.to_owned()),
        limit: Some(1),
        ..FlowFilter::default()
    };
    let found = flows(tx, &filter)?.pop();
    Ok(found.map(|row| show::flow(row, |_| model.name.clone())))
}

/// Refuses a new flow for which there is no room: its resources have at most so many flows in their
/// queues. There is always room for what removes something.
pub(crate) fn check_room(tx: &mut Tx<'_>, id: Uuid, queue_max: usize) -> Result<(), Error> {
    let full = |(_, place): &(String, u32)| *place as usize > queue_max;
    let Some((resource, _)) = places(tx, id)?.into_iter().find(full) else { return Ok(()) };
    if flow(tx, id)?.is_some_and(|row| is_removal(&row.kind)) {
        return Ok(());
    }
    Err(Error::QueueFull { resource: unscoped(&resource).to_owned(), max: queue_max })
}

/// Whether flows of this kind remove something.
fn is_removal(kind: &str) -> bool {
    REMOVALS.iter().any(|removal| kind.starts_with(removal))
}

/// Cancels what is under way for a resource that is going: nobody waits for it any more.
pub(crate) fn retire(tx: &mut Tx<'_>, model: &Model, resource: &str) -> Result<(), Error> {
    cancel_all(tx, model, resource, |_| true)
}

/// Cancels what was still to be changed of a resource that is gone; whatever removes it is done.
pub(crate) fn outlived(tx: &mut Tx<'_>, model: &Model, resource: &str) -> Result<(), Error> {
    cancel_all(tx, model, resource, |flow| !is_removal(&flow.kind))
}

fn cancel_all(
    tx: &mut Tx<'_>,
    model: &Model,
    resource: &str,
    wanted: impl Fn(&FlowRow) -> bool,
) -> Result<(), Error> {
    let unfinished = FlowState::ALL.iter().copied().filter(|state| !state.is_ended()).collect();
    let filter = FlowFilter {
        resource: Some(scoped(&model.id, resource)),
        state: unfinished,
        limit: Some(1000),
        ..FlowFilter::default()
    };
    for flow in flows(tx, &filter)?.into_iter().filter(wanted) {
        match tutti_flow::cancel(tx, flow.id) {
            Ok(()) | Err(tutti_flow::Error::Ended { .. } | tutti_flow::Error::Reverting { .. }) => {
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A unit has handled everything up to this generation.
pub(crate) fn observed(
    tx: &mut Tx<'_>,
    unit: &str,
    generation: i64,
    now: i64,
) -> Result<(), Error> {
    Ok(tutti_flow::signal(tx, &unit_key(unit), generation, now)?)
}

/// A unit is stuck, or with `None` no more: those who wait for it shall see why.
pub(crate) fn trouble(
    tx: &mut Tx<'_>,
    unit: &str,
    message: Option<&str>,
    now: i64,
) -> Result<(), Error> {
    Ok(tutti_flow::trouble(tx, &unit_key(unit), message, now)?)
}

/// `unit/<id>`, `application/<id>`, `relation/<id>` or `model/<id>` is gone: whatever is waited for
/// has happened. A greatest value, not an end: flows that wait for their turn must still see it.
pub(crate) fn gone(tx: &mut Tx<'_>, key: &str, now: i64) -> Result<(), Error> {
    Ok(tutti_flow::signal(tx, key, i64::MAX, now)?)
}

/// The key on which tasks wait for a unit, by id.
fn unit_key(unit: &str) -> String {
    format!("unit/{unit}")
}

/// A flow as the API shows it.
pub(crate) fn by_id(tx: &mut Tx<'_>, id: &str) -> Result<Option<FlowInfo>, Error> {
    let Ok(id) = Uuid::try_parse(id) else { return Ok(None) };
    let Some(row) = tutti_flow::query::flow(tx, id)? else { return Ok(None) };
    let names = models::names(tx)?;
    Ok(Some(show::flow(row, |model| names.get(model).cloned().unwrap_or_default())))
}

/// Whether the world matches a resource's desired state.
pub(crate) fn sync(
    tx: &mut Tx<'_>,
    model: &Model,
    resource: &str,
    generation: i64,
) -> Result<Sync, Error> {
    let resource = scoped(&model.id, resource);
    let sync = tutti_flow::sync_state(tx, &resource)?;
    // A flow of one that had the name before may have had more generations.
    let before = |oldest: Option<i64>| oldest.map_or(generation, |one| generation.min(one - 1));
    let (observed, applied) = (before(sync.unhandled), before(sync.missing));
    Ok(Sync {
        state: word(sync.state).to_owned(),
        observed_generation: observed,
        applied_generation: applied,
        flow: sync.flow.map(|id| id.to_string()),
        task: sync.task.map(|id| id.to_string()),
        reason: sync.reason.to_owned(),
        message: sync.message,
        since: rfc3339(sync.since),
    })
}

fn word(state: SyncState) -> &'static str {
    match state {
        SyncState::InSync => "in_sync",
        SyncState::Pending => "pending",
        SyncState::Syncing => "syncing",
        SyncState::Retrying => "retrying",
        SyncState::Failed => "failed",
    }
}
