//! Numbers of flows and tasks, for those who watch over an engine.
//!
//! A flow that has not ended is in the queues of its resources, or has a parent that is: the cost follows from those alone, not
//! from the history.

use tutti_store::{Json, Tx, row, sql};
use uuid::Uuid;

use super::statements::shown_state;
use crate::{FlowState, Result, TaskState};

row! {
    /// Flows that have not ended, in one state.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct OpenFlows {
        /// The state.
        pub state: FlowState,
        /// How many there are.
        pub count: i64,
        /// When the oldest of them that has not begun was queued, in microseconds since 1970, UTC.
        pub oldest: Option<i64>,
    }

    /// A task that succeeded or failed. Times are microseconds since 1970, UTC.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EndedTask {
        /// Its flow.
        pub flow: Uuid,
        /// The name of its handler.
        pub name: String,
        /// When it began.
        pub started: i64,
        /// When it ended.
        pub finished: i64,
    }
}

macro_rules! open {
    () => {
        "(SELECT flow FROM flow_queue UNION SELECT child.id FROM flow AS child \
         WHERE child.parent IN (SELECT flow FROM flow_queue) AND child.finished IS NULL)"
    };
}

sql! {
    pub(crate) OPEN_FLOWS = concat!("SELECT ", shown_state!(), ", count(*),
        min(CASE WHEN started IS NULL THEN coalesce(requeued, created) END) FROM flow
        WHERE id IN ", open!(), " GROUP BY 1");
    pub(crate) OPEN_TASKS = concat!("SELECT state, count(*) FROM flow_task WHERE flow IN ", open!(), " GROUP BY state");
    pub(crate) ENDED_TASKS = "SELECT flow, name, started, finished FROM flow_task
        WHERE flow IN (SELECT value FROM json_each($1)) AND state IN ('succeeded', 'failed')
        AND started IS NOT NULL AND finished IS NOT NULL";
}

/// Flows that have not ended, by state.
///
/// # Errors
/// Storage errors.
pub fn open_flows(tx: &mut Tx<'_>) -> Result<Vec<OpenFlows>> {
    Ok(tx.all(OPEN_FLOWS, ())?)
}

/// Tasks of flows that have not ended, by state.
///
/// # Errors
/// Storage errors.
pub fn open_tasks(tx: &mut Tx<'_>) -> Result<Vec<(TaskState, i64)>> {
    Ok(tx.all(OPEN_TASKS, ())?)
}

/// The tasks of these flows that succeeded or failed.
///
/// # Errors
/// Storage errors.
pub fn ended_tasks(tx: &mut Tx<'_>, flows: &[Uuid]) -> Result<Vec<EndedTask>> {
    Ok(tx.all(ENDED_TASKS, (Json(flows),))?)
}
