//! How far resources are, as the API shows it. What it is derived from each noun collects; the rules
//! are [`tutti_model::convergence`]'s.

use tutti_flow::SyncState as Found;
use tutti_model::api;
use tutti_model::convergence::{Condition, Progress, SyncState, Work};
use tutti_store::Tx;

use crate::models::Model;
use crate::state::Vantage;
use crate::time::rfc3339;
use crate::{Error, applications, machines, models, relations, units};

/// How far a resource is, `unit/db/0`; none if it is not there any more.
pub(crate) fn of(
    tx: &mut Tx<'_>,
    model: &Model,
    resource: &str,
    vantage: Vantage,
) -> Result<Option<Progress>, Error> {
    let found = match resource.split_once('/') {
        Some(("application", name)) => applications::progress_of(tx, model, name, vantage),
        Some(("unit", name)) => units::progress_of(tx, model, name, vantage),
        Some(("machine", number)) => machines::progress_of(tx, model, number, vantage),
        Some(("relation", number)) => relations::progress_of(tx, model, number, vantage),
        Some(("model", _)) => models::progress_of(tx, model, vantage),
        _ => return Ok(None),
    };
    match found {
        Err(Error::NotFound(_)) => Ok(None),
        found => found.map(Some),
    }
}

/// What flows tell, as the rules take it.
pub(crate) fn work(sync: tutti_flow::Sync) -> Work {
    let state = match sync.state {
        Found::InSync => SyncState::InSync,
        Found::Pending => SyncState::Pending,
        Found::Syncing => SyncState::Syncing,
        Found::Retrying => SyncState::Retrying,
        Found::Failed => SyncState::Failed,
    };
    Work {
        state,
        flow: sync.flow.map(|id| id.to_string()),
        task: sync.task.map(|id| id.to_string()),
        reason: sync.reason.to_owned(),
        message: sync.message,
        since: sync.since,
    }
}

/// `sync` of a resource.
pub(crate) fn shown(progress: Progress) -> api::Sync {
    api::Sync {
        state: progress.state.as_str().to_owned(),
        observed_generation: progress.observed,
        applied_generation: progress.applied,
        flow: progress.flow,
        task: progress.task,
        reason: progress.reason,
        message: progress.message,
        since: rfc3339(progress.since),
    }
}

/// `conditions` of a resource of which so much was handled.
pub(crate) fn conditions(
    found: impl IntoIterator<Item = Condition>,
    observed_generation: i64,
) -> Vec<api::Condition> {
    let shown = |condition: Condition| api::Condition {
        kind: condition.kind.to_owned(),
        status: condition.status.as_str().to_owned(),
        reason: condition.reason,
        message: condition.message,
        observed_generation,
        since: rfc3339(condition.since),
    };
    found.into_iter().map(shown).collect()
}
