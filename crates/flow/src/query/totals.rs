//! Numbers of flows and tasks, for those who watch over an engine.
//!
//! Flows that have not ended, and those that wait for somebody, have indexes of their own: the cost follows from those alone, not
//! from the history.

use tutti_store::{Json, Tx, row, sql};
use uuid::Uuid;

use super::statements::shown_state;
use crate::{FlowState, Result, TaskState};

row! {
    /// Flows in one state that have not ended, or wait for somebody: parked or stuck.
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

sql! {
    pub(crate) OPEN_FLOWS = concat!("SELECT ", shown_state!(), ", count(*),
        min(CASE WHEN started IS NULL THEN coalesce(requeued, created) END) FROM flow WHERE finished IS NULL GROUP BY 1
        UNION ALL SELECT state, count(*), NULL FROM flow WHERE state IN ('parked', 'stuck') GROUP BY state");
    pub(crate) OPEN_TASKS = "SELECT state, count(*) FROM flow_task
        WHERE flow IN (SELECT id FROM flow WHERE finished IS NULL) GROUP BY state";
    /// Of the index alone: found if more than so many flows are open, whatever they belong to.
    pub(crate) OPEN_BEYOND = "SELECT ticket FROM flow WHERE finished IS NULL ORDER BY ticket LIMIT 1 OFFSET $1";
    pub(crate) OPEN_OF = "SELECT count(*) FROM (SELECT 1 FROM flow WHERE finished IS NULL
        AND model = (SELECT model FROM flow WHERE id = $1) LIMIT $2) AS open";
    pub(crate) ENDED_TASKS = "SELECT flow, name, started, finished FROM flow_task
        WHERE flow IN (SELECT value FROM json_each($1)) AND state IN ('succeeded', 'failed')
        AND started IS NOT NULL AND finished IS NOT NULL";
}

/// Flows that have not ended, and those that are parked or stuck, by state.
///
/// # Errors
/// Storage errors.
pub fn open_flows(tx: &mut Tx<'_>) -> Result<Vec<OpenFlows>> {
    Ok(tx.all(OPEN_FLOWS, ())?)
}

/// Whether of the scope a flow belongs to more than so many have not ended. As long as there are fewer in all, that costs next to
/// nothing.
///
/// # Errors
/// Storage errors.
pub fn is_crowded(tx: &mut Tx<'_>, flow: Uuid, most: u32) -> Result<bool> {
    if tx.maybe::<i64>(OPEN_BEYOND, (most,))?.is_none() {
        return Ok(false);
    }
    let open: i64 = tx.one(OPEN_OF, (flow, i64::from(most) + 1))?;
    Ok(open > i64::from(most))
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
