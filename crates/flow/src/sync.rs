//! Whether the world matches the desired state of a resource, as its newest flows tell.

use tutti_store::{Tx, row, sql};
use uuid::Uuid;

use crate::{FlowState, Result, TaskState};

/// Whether a resource is as desired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncState {
    /// The last change arrived, or there never was one.
    InSync,
    /// A change is queued.
    Pending,
    /// A change is under way.
    Syncing,
    /// A change is under way and something of it is tried again.
    Retrying,
    /// The last change did not arrive.
    Failed,
}

/// The sync state of a resource and who answers for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// The state.
    pub state: SyncState,
    /// The flow responsible: running, else next queued, else last.
    pub flow: Option<Uuid>,
    /// The task that failed or is tried again.
    pub task: Option<Uuid>,
    /// One word for machines: the flow's state, `retrying`, or `none`.
    pub reason: &'static str,
    /// One sentence for people: the error, or what the flow does.
    pub message: String,
    /// Since when, in microseconds since 1970, UTC; 0 if there never was a change.
    pub since: i64,
}

row! {
    struct Brief {
        id: Uuid, title: String, state: FlowState, error: Option<String>, created: i64, started: Option<i64>,
        finished: Option<i64>,
    }
}

macro_rules! brief {
    () => {
        "SELECT flow.id, flow.title, flow.state, flow.error, flow.created, flow.started, flow.finished FROM "
    };
}

sql! {
    pub(crate) OPEN = concat!(brief!(), "flow_queue JOIN flow ON flow.id = flow_queue.flow
        WHERE flow_queue.resource = $1 AND (flow.converge OR flow.generation IS NOT NULL)
        ORDER BY flow_queue.ticket LIMIT 1");
    pub(crate) LAST = concat!(brief!(), "flow_resource JOIN flow ON flow.id = flow_resource.flow
        WHERE flow_resource.resource = $1 AND (flow.converge OR flow.generation IS NOT NULL)
        AND flow.state <> 'superseded' ORDER BY flow_resource.ticket DESC LIMIT 1");
    pub(crate) TROUBLED = "SELECT id, error FROM flow_task WHERE flow = $1
        AND state IN ('retry_wait', 'retrying', 'failed', 'revert_failed') ORDER BY number LIMIT 1";
}

/// The sync state of a resource, derived from the flows about it that converge or carry a generation (an action says nothing
/// about desired state).
///
/// # Errors
/// Storage errors.
pub fn sync_state(tx: &mut Tx<'_>, resource: &str) -> Result<Sync> {
    let mut flow: Option<Brief> = tx.maybe(OPEN, (resource,))?;
    if flow.is_none() {
        flow = tx.maybe(LAST, (resource,))?;
    }
    let Some(flow) = flow else { return Ok(derive(None, None)) };
    let troubled = match flow.state {
        FlowState::Succeeded | FlowState::Blocked | FlowState::Ready => None,
        _ => tx.maybe(TROUBLED, (flow.id,))?,
    };
    Ok(derive(Some(flow), troubled))
}

fn derive(flow: Option<Brief>, troubled: Option<(Uuid, Option<String>)>) -> Sync {
    let Some(flow) = flow else {
        let message = String::new();
        let state = SyncState::InSync;
        return Sync { state, flow: None, task: None, reason: "none", message, since: 0 };
    };
    let state = match flow.state {
        FlowState::Succeeded | FlowState::Superseded => SyncState::InSync,
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
        since: flow.finished.or(flow.started).unwrap_or(flow.created),
    }
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
                created: 1,
                started,
                finished: None,
            };
            let sync = derive(Some(flow), troubled.then(|| (task, Some("refused".into()))));
            assert_eq!(sync.state, expected, "{state}");
            assert_eq!(sync.since, started.unwrap_or(1));
            assert_eq!(sync.message, if troubled { "refused" } else { "deploy db" });
        }
        assert_eq!(derive(None, None).state, SyncState::InSync);
    }
}
