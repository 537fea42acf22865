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

use tutti_flow::query::{FlowFilter, flow, flows, is_crowded, places};
use tutti_flow::{Access, FlowRow, FlowState, NewFlow};
use tutti_model::api::FlowInfo;
use tutti_model::convergence::{Facts, Work};
use tutti_store::Tx;
use uuid::Uuid;

use crate::models::Model;
use crate::{Error, convergence, models};

pub(crate) use announced::Names;
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

/// Kinds of which the newest does the work of all: each waits for every unit of what it is about.
const CONVERGING: &[&str] =
    &["configure", "trust", "deferral", "refresh", "attach-resource", RESYNC];

/// Kind of the flows that bring about what was wished for already.
pub(crate) const RESYNC: &str = "resync";

/// Kinds that change nothing of what is wished for.
const ACTIONS: &[&str] = &["run", "exec"];

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
/// queues, its model at most so many that have not ended. There is always room for what removes
/// something.
pub(crate) fn check_room(
    tx: &mut Tx<'_>,
    id: Uuid,
    queue_max: usize,
    flows_max: u32,
) -> Result<(), Error> {
    let full = |(_, place): &(String, u32)| *place as usize > queue_max;
    let queue = places(tx, id)?.into_iter().find(full);
    if queue.is_none() && !is_crowded(tx, id, flows_max)? {
        return Ok(());
    }
    let Some(row) = flow(tx, id)?.filter(|row| !is_removal(&row.kind)) else { return Ok(()) };
    match (queue, row.model) {
        (Some((resource, _)), _) => {
            Err(Error::QueueFull { resource: unscoped(&resource).to_owned(), max: queue_max })
        }
        (None, Some(model)) => {
            Err(Error::ModelFull { model: models::find(tx, &model)?.name, max: flows_max })
        }
        (None, None) => Ok(()),
    }
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

/// How far a resource with generations of its own is, as far as the flows about it can tell.
pub(crate) fn facts(
    tx: &mut Tx<'_>,
    model: &Model,
    resource: &str,
    generation: i64,
) -> Result<Facts, Error> {
    let resource = scoped(&model.id, resource);
    let sync = tutti_flow::sync_state(tx, &resource)?;
    // A flow of one that had the name before may have had more generations.
    let before = |oldest: Option<i64>| oldest.map_or(generation, |one| generation.min(one - 1));
    let (observed, applied) = (before(sync.unhandled), before(sync.missing));
    let work = Some(convergence::work(sync));
    Ok(Facts { generation, observed, applied, work, ..Facts::default() })
}

/// What is under way about the first of these resources that has anything; none: nothing is. An action
/// does not count: it changes nothing that is wished for.
pub(crate) fn at_work(
    tx: &mut Tx<'_>,
    model: &Model,
    resources: &[String],
) -> Result<Option<Work>, Error> {
    for resource in resources {
        let found = tutti_flow::at_work(tx, &scoped(&model.id, resource), ACTIONS)?;
        if let Some(found) = found {
            return Ok(Some(convergence::work(found)));
        }
    }
    Ok(None)
}
