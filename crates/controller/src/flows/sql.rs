//! What the engine keeps of flows and its queries do not tell: read here, never written.

use tutti_store::Json;
use uuid::Uuid;

tutti_store::row! {
    /// What a flow has around it.
    pub(super) struct Beside {
        pub(super) parent: Option<Uuid>,
        pub(super) suspended: bool,
        pub(super) wake_at: Option<i64>,
    }

    /// What a task needs and how far it is.
    pub(super) struct Shape {
        pub(super) number: i64,
        pub(super) needs: Option<Json<Vec<usize>>>,
        pub(super) progress: Option<f64>,
    }

    /// A flow that a task submitted.
    pub(super) struct Child {
        pub(super) id: Uuid,
        pub(super) kind: String,
        pub(super) title: String,
        pub(super) state: String,
        pub(super) task: Option<i64>,
    }

    /// A line of a task.
    pub(super) struct Line {
        pub(super) number: i64,
        pub(super) at: i64,
        pub(super) line: String,
    }
}

tutti_store::sql! {
    pub(super) BESIDE = "SELECT parent, suspended, wake_at FROM flow WHERE id = $1";
    pub(super) SHAPE = "SELECT number, needs, progress FROM flow_task WHERE flow = $1 ORDER BY number";
    pub(super) CHILDREN = "SELECT id, kind, title, state, parent_task FROM flow WHERE parent = $1
        ORDER BY ticket LIMIT 1000";
    pub(super) PLACES = "SELECT own.resource, (
            SELECT count(*) FROM flow_queue AS before
            WHERE before.resource = own.resource AND before.ticket <= own.ticket)
        FROM flow_queue AS own WHERE own.flow = $1 AND NOT own.granted";
    pub(super) LOG = "SELECT number, at, line FROM flow_log WHERE flow = $1 ORDER BY id DESC LIMIT $2";
    pub(super) FLOWS_LIKE = "SELECT id FROM flow WHERE id LIKE $1 OR id LIKE $2 ORDER BY id DESC LIMIT $3";
    pub(super) TASKS_LIKE = "SELECT id FROM flow_task WHERE id LIKE $1 OR id LIKE $2 ORDER BY id DESC LIMIT $3";
}
