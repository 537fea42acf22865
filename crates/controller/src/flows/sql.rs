//! What the engine keeps of flows and its queries do not tell: read here, never written.

use tutti_store::Json;

tutti_store::row! {
    /// The tasks a task needs, by position.
    pub(super) struct Needs {
        pub(super) number: i64,
        pub(super) needs: Json<Vec<usize>>,
    }
}

tutti_store::sql! {
    pub(super) NEEDS = "SELECT number, needs FROM flow_task WHERE flow = $1 AND needs IS NOT NULL";
    pub(super) PLACES = "SELECT own.resource, (
            SELECT count(*) FROM flow_queue AS before
            WHERE before.resource = own.resource AND before.ticket <= own.ticket)
        FROM flow_queue AS own WHERE own.flow = $1 AND NOT own.granted";
    pub(super) FLOWS_LIKE = "SELECT id FROM flow WHERE id LIKE $1 OR id LIKE $2 ORDER BY id DESC LIMIT $3";
    pub(super) TASKS_LIKE = "SELECT id FROM flow_task WHERE id LIKE $1 OR id LIKE $2 ORDER BY id DESC LIMIT $3";
}
