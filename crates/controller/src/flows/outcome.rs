//! What became of a flow, for those who waited for it.

use tutti_flow::{FlowRow, FlowState, TaskFilter, TaskState, query};
use tutti_model::api::{FlowInfo, Problem, Sync};
use tutti_model::convergence::progress;
use tutti_store::Tx;
use uuid::Uuid;

use super::{show, unscoped};
use crate::state::Vantage;
use crate::{Error, convergence, models};

/// Reasons that one problem names.
const REASONS: u32 = 20;

/// What became of a flow.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The flow, without its tasks.
    pub(crate) flow: FlowInfo,
    /// How far the first of its resources is.
    pub(crate) sync: Sync,
    /// Why it failed, if it did.
    pub(crate) problem: Option<Problem>,
}

/// The flow that has ended, if it has: itself, or the one that took its place.
pub(crate) fn ended(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<Uuid>, Error> {
    let mut id = id;
    loop {
        let flow = query::flow(tx, id)?.ok_or(tutti_flow::Error::NoFlow { id })?;
        match flow.superseded_by {
            // It may have been forgotten, and a flow never gives way to an older one.
            Some(newer) if flow.state == FlowState::Superseded && newer > id => id = newer,
            _ => return Ok(flow.state.is_ended().then_some(id)),
        }
    }
}

/// What became of a flow that has ended.
pub(crate) fn outcome(tx: &mut Tx<'_>, id: Uuid, vantage: Vantage) -> Result<Outcome, Error> {
    let row = query::flow(tx, id)?.ok_or(tutti_flow::Error::NoFlow { id })?;
    let has_failed = !matches!(row.state, FlowState::Succeeded | FlowState::Superseded);
    let failed = if has_failed { failed_tasks(tx, id)? } else { Vec::new() };
    let problem = has_failed.then(|| problem(&row, &failed));
    let mut sync = sync(tx, &row, vantage)?;
    // What nobody has to be waited for is in force although its flow was cancelled.
    if has_failed && sync.state != "in_sync" {
        "failed".clone_into(&mut sync.state);
        row.state.as_str().clone_into(&mut sync.reason);
        sync.flow = Some(id.to_string());
        sync.task = failed.first().map(|(task, _)| task.to_string());
        sync.message = row.error.clone().unwrap_or_default();
    }
    let names = models::names(tx)?;
    let name = |model: &str| names.get(model).cloned().unwrap_or_default();
    Ok(Outcome { flow: show::flow(row, name), sync, problem })
}

/// How far the first resource of a flow is; of a model that is gone, as far as it can be.
fn sync(tx: &mut Tx<'_>, row: &FlowRow, vantage: Vantage) -> Result<Sync, Error> {
    let generation = row.generation.unwrap_or_default();
    let (Some(id), Some((resource, _))) = (&row.model, row.resources.first()) else {
        return Ok(Sync { state: "in_sync".to_owned(), ..Sync::default() });
    };
    let model = models::list(tx)?.into_iter().find(|model| model.id == *id);
    let Some(model) = model else {
        return Ok(Sync {
            state: "in_sync".to_owned(),
            observed_generation: generation,
            applied_generation: generation,
            flow: Some(row.id.to_string()),
            ..Sync::default()
        });
    };
    let resource = unscoped(resource);
    // It may have changed again meanwhile, or be gone.
    let progress = match convergence::of(tx, &model, resource, vantage)? {
        Some(progress) => progress,
        None => progress(super::facts(tx, &model, resource, generation)?),
    };
    Ok(convergence::shown(progress))
}

/// Tasks that failed, with what they said.
fn failed_tasks(tx: &mut Tx<'_>, flow: Uuid) -> Result<Vec<(Uuid, String)>, Error> {
    let filter = TaskFilter {
        flow: Some(flow),
        state: vec![TaskState::Failed, TaskState::RevertFailed],
        limit: Some(REASONS),
        ..TaskFilter::default()
    };
    let text = |task: tutti_flow::TaskRow| {
        let said = task.error.unwrap_or_else(|| "failed".to_owned());
        (task.id, format!("{}: {said}", task.title))
    };
    Ok(query::tasks(tx, &filter)?.into_iter().map(text).collect())
}

fn problem(row: &FlowRow, failed: &[(Uuid, String)]) -> Problem {
    let said = row.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
    Problem {
        code: format!("flow-{}", row.state),
        status: 200,
        detail: format!("\"{}\" was accepted and is {} now{said}", row.title, row.state),
        reasons: failed.iter().map(|(_, text)| text.clone()).collect(),
    }
}
