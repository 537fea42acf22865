//! Whether the world matches the desired state of a resource, as its flows and the signals they wait for tell.
//!
//! A flow's work has *arrived* when the flow succeeded, when everything it waits for was signalled though the flow ended otherwise,
//! or when newer work covers it: a flow that converges and succeeded has done the work of all that were submitted before it.

use tutti_store::{Json, Tx, row, sql};
use uuid::Uuid;

use crate::{FlowState, Result, TaskState, query::shown_state};

/// Whether a resource is as desired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncState {
    /// Every change arrived, or there never was one.
    InSync,
    /// A change is queued.
    Pending,
    /// A change is under way.
    Syncing,
    /// A change is under way and something of it is tried again.
    Retrying,
    /// A change did not arrive, and nobody is at it any more.
    Failed,
}

/// The sync state of a resource and who answers for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// The state.
    pub state: SyncState,
    /// The flow responsible: running, else next queued, else the newest that did not arrive, else the last.
    pub flow: Option<Uuid>,
    /// The task that failed or is tried again.
    pub task: Option<Uuid>,
    /// One word for machines: the flow's state, `retrying`, or `none`.
    pub reason: &'static str,
    /// One sentence for people: the error, or what the flow does.
    pub message: String,
    /// Since when, in microseconds since 1970, UTC; 0 if there never was a change.
    pub since: i64,
    /// The oldest generation that has not arrived; none: all have.
    pub missing: Option<i64>,
    /// The oldest generation that no flow has finished handling, however it ended; none: all are handled. Never older than
    /// [`missing`](Self::missing).
    pub unhandled: Option<i64>,
}

row! {
    #[derive(Clone, Debug)]
    struct Brief {
        id: Uuid, title: String, state: FlowState, error: Option<String>, generation: Option<i64>, queued: i64,
        started: Option<i64>, finished: Option<i64>, ended_before: bool,
    }
}

macro_rules! brief {
    () => {
        concat!(
            "SELECT flow.id, flow.title, ", shown_state!(), ", flow.error, flow.generation, \
             coalesce(flow.requeued, flow.created), flow.started, flow.finished, flow.requeued IS NOT NULL FROM "
        )
    };
}

/// Whether the work of a flow that did not succeed has not arrived at the resource `own`.
macro_rules! missing {
    () => {
        "(EXISTS (SELECT 1 FROM flow_task AS task LEFT JOIN flow_signal AS signal ON signal.key = task.wait_key \
         WHERE task.flow = flow.id AND task.wait_key IS NOT NULL AND task.state <> 'succeeded' \
         AND coalesce(signal.value < task.wait_at_least, TRUE)) \
         OR flow.state <> 'superseded' AND EXISTS (SELECT 1 FROM flow_task AS task \
         WHERE task.flow = flow.id AND task.wait_key IS NULL AND task.state <> 'succeeded') \
         AND NOT EXISTS (SELECT 1 FROM flow_resource AS newer JOIN flow AS done ON done.id = newer.flow \
         WHERE newer.resource = own.resource AND done.created > flow.created AND done.state = 'succeeded' \
         AND (done.converge OR done.generation IS NOT NULL)))"
    };
}
pub(crate) use missing;

sql! {
    pub(crate) OPEN = concat!(brief!(), "flow_queue JOIN flow ON flow.id = flow_queue.flow
        WHERE flow_queue.resource = $1 AND (flow.converge OR flow.generation IS NOT NULL)
        ORDER BY flow_queue.ticket LIMIT 1");
    /// Of all kinds but some.
    pub(crate) AT_WORK = concat!(brief!(), "flow_queue JOIN flow ON flow.id = flow_queue.flow
        WHERE flow_queue.resource = $1 AND flow.kind NOT IN (SELECT value FROM json_each($2))
        ORDER BY flow_queue.ticket LIMIT 1");
    pub(crate) LAST = concat!(brief!(), "flow_resource JOIN flow ON flow.id = flow_resource.flow
        WHERE flow_resource.resource = $1 AND (flow.converge OR flow.generation IS NOT NULL)
        AND flow.state = 'succeeded' ORDER BY flow_resource.ticket DESC LIMIT 1");
    /// The flows whose work has not arrived, newest first. Only a flow that never was retried stands in the order in which
    /// changes were made, so only such a one covers all before it.
    pub(crate) MISSING = concat!(brief!(), "flow_resource AS own JOIN flow ON flow.id = own.flow
        WHERE own.resource = $1 AND (flow.converge OR flow.generation IS NOT NULL) AND flow.state <> 'succeeded'
        AND own.ticket > coalesce((
            SELECT newer.ticket FROM flow_resource AS newer JOIN flow AS done ON done.id = newer.flow
            WHERE newer.resource = $1 AND done.converge AND done.state = 'succeeded' AND done.requeued IS NULL
            ORDER BY newer.ticket DESC LIMIT 1), 0)
        AND (flow.finished IS NULL AND flow.requeued IS NULL OR ", missing!(), ") ORDER BY own.ticket DESC");
    pub(crate) TROUBLED = "SELECT id, error FROM flow_task WHERE flow = $1
        AND state IN ('retry_wait', 'retrying', 'failed', 'revert_failed') ORDER BY number LIMIT 1";
}

/// The sync state of a resource, derived from the flows about it that converge or carry a generation (an action says nothing
/// about desired state).
///
/// # Errors
/// Storage errors.
pub fn sync_state(tx: &mut Tx<'_>, resource: &str) -> Result<Sync> {
    let missing: Vec<Brief> = tx.all(MISSING, (resource,))?;
    let mut flow: Option<Brief> = tx.maybe(OPEN, (resource,))?;
    if flow.is_none() {
        // What gave way to a newer flow explains nothing: the newer one does.
        let explains = missing.iter().find(|flow| flow.state != FlowState::Superseded);
        flow = explains.or_else(|| missing.first()).cloned();
    }
    if flow.is_none() {
        flow = tx.maybe(LAST, (resource,))?;
    }
    let Some(flow) = flow else { return Ok(derive(None, &missing, None)) };
    let troubled = troubled(tx, &flow)?;
    Ok(derive(Some(flow), &missing, troubled))
}

/// What is under way about a resource: of the flows in its queue, whether or not they carry a generation, the first that is not of
/// one of these kinds. What became of earlier ones it does not say.
///
/// # Errors
/// Storage errors.
pub fn at_work(tx: &mut Tx<'_>, resource: &str, except: &[&str]) -> Result<Option<Sync>> {
    let flow: Option<Brief> = tx.maybe(AT_WORK, (resource, Json(except)))?;
    let Some(flow) = flow else { return Ok(None) };
    let troubled = troubled(tx, &flow)?;
    Ok(Some(derive(Some(flow), &[], troubled)))
}

/// The task of a flow that is tried again or failed, with its error.
fn troubled(tx: &mut Tx<'_>, flow: &Brief) -> Result<Option<(Uuid, Option<String>)>> {
    match flow.state {
        FlowState::Succeeded | FlowState::Blocked | FlowState::Ready => Ok(None),
        _ => Ok(tx.maybe(TROUBLED, (flow.id,))?),
    }
}

fn derive(
    flow: Option<Brief>,
    missing: &[Brief],
    troubled: Option<(Uuid, Option<String>)>,
) -> Sync {
    let oldest = missing.iter().filter_map(|flow| flow.generation).min();
    let unhandled = unhandled(missing);
    let Some(flow) = flow else {
        return Sync {
            state: SyncState::InSync,
            flow: None,
            task: None,
            reason: "none",
            message: String::new(),
            since: 0,
            missing: oldest,
            unhandled,
        };
    };
    let state = match flow.state {
        FlowState::Succeeded => SyncState::InSync,
        FlowState::Blocked | FlowState::Ready if flow.started.is_none() => SyncState::Pending,
        state if state.is_ended() => SyncState::Failed,
        _ if troubled.is_some() => SyncState::Retrying,
        _ => SyncState::Syncing,
    };
    let reason = if state == SyncState::Retrying { "retrying" } else { flow.state.as_str() };
    let (task, trouble) = troubled.map_or((None, None), |(task, error)| (Some(task), error));
    Sync {
        state,
        flow: Some(flow.id),
        task,
        reason,
        message: trouble.or(flow.error).unwrap_or(flow.title),
        since: flow.finished.or(flow.started).unwrap_or(flow.queued),
        missing: oldest,
        unhandled,
    }
}

/// The oldest generation no flow has finished handling. One that gave way to a flow that has not ended either is not handled.
fn unhandled(missing: &[Brief]) -> Option<i64> {
    let generations = |wanted: fn(&Brief) -> bool| {
        missing.iter().filter(move |flow| wanted(flow)).filter_map(|flow| flow.generation)
    };
    let mut oldest = generations(|flow| flow.finished.is_none() && !flow.ended_before).min()?;
    while generations(|flow| flow.state == FlowState::Superseded).any(|one| one == oldest - 1) {
        oldest -= 1;
    }
    Some(oldest)
}

/// Whether a task state means that something is tried again.
impl TaskState {
    /// Whether it is between attempts, or waits for a subject in trouble.
    #[must_use]
    pub fn is_retrying(self) -> bool {
        matches!(self, Self::RetryWait | Self::Retrying)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flow_decides() {
        let task = Uuid::from_u128(2);
        for (state, started, troubled, expected) in [
            (FlowState::Blocked, None, false, SyncState::Pending),
            (FlowState::Ready, None, false, SyncState::Pending),
            (FlowState::Ready, Some(2), false, SyncState::Syncing),
            (FlowState::Running, Some(2), false, SyncState::Syncing),
            (FlowState::Waiting, Some(2), false, SyncState::Syncing),
            (FlowState::Waiting, Some(2), true, SyncState::Retrying),
            (FlowState::Reverting, Some(2), false, SyncState::Syncing),
            (FlowState::Succeeded, Some(2), false, SyncState::InSync),
            (FlowState::Failed, Some(2), true, SyncState::Failed),
            (FlowState::Reverted, Some(2), false, SyncState::Failed),
            (FlowState::Cancelled, None, false, SyncState::Failed),
            (FlowState::Parked, Some(2), false, SyncState::Failed),
            (FlowState::Stuck, Some(2), true, SyncState::Failed),
        ] {
            let flow = Brief {
                id: Uuid::from_u128(1),
                title: "deploy db".into(),
                state,
                error: None,
                generation: None,
                queued: 1,
                started,
                finished: None,
                ended_before: false,
            };
            let sync = derive(Some(flow), &[], troubled.then(|| (task, Some("refused".into()))));
            assert_eq!(sync.state, expected, "{state}");
            assert_eq!(sync.since, started.unwrap_or(1));
            assert_eq!(sync.message, if troubled { "refused" } else { "deploy db" });
        }
        assert_eq!(derive(None, &[], None).state, SyncState::InSync);
    }
}
