//! What is counted of the engine's tables: read here, never written.
//!
//! A flow that has not ended is in the queues of its resources, or has a parent that is: the cost
//! follows from those alone, not from the history.

use uuid::Uuid;

tutti_store::row! {
    /// Flows in a state.
    pub(super) struct Flows {
        pub(super) state: String,
        pub(super) count: i64,
        /// When the oldest of them that has not begun was submitted.
        pub(super) oldest: Option<i64>,
    }

    /// A task that ended.
    pub(super) struct Ended {
        pub(super) flow: Uuid,
        pub(super) name: String,
        pub(super) started: i64,
        pub(super) finished: i64,
    }
}

tutti_store::sql! {
    pub(super) FLOWS = "SELECT state, count(*), min(CASE WHEN started IS NULL THEN created END) FROM flow
        WHERE id IN (SELECT flow FROM flow_queue UNION SELECT child.id FROM flow AS child
            WHERE child.parent IN (SELECT flow FROM flow_queue) AND child.finished IS NULL) GROUP BY state";
    pub(super) TASKS = "SELECT state, count(*) FROM flow_task
        WHERE flow IN (SELECT flow FROM flow_queue UNION SELECT child.id FROM flow AS child
            WHERE child.parent IN (SELECT flow FROM flow_queue) AND child.finished IS NULL) GROUP BY state";
    pub(super) ENDED = "SELECT flow, name, started, finished FROM flow_task
        WHERE flow IN (SELECT value FROM json_each($1)) AND state IN ('succeeded', 'failed')
        AND started IS NOT NULL AND finished IS NOT NULL";
}
