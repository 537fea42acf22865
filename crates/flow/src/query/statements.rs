//! The statements behind lists, and their rows.
//!
//! A list is read newest first and stops when its page is full; what makes a page hard to fill (a state, a resource, a parent, a
//! time) leads to its rows by an index. Of tasks only those that failed have one: an index that names a column that changes while
//! tasks run keeps PostgreSQL from updating their rows in place.

use serde_json::value::Value;
use tutti_store::{Json, row, sql};
use uuid::Uuid;

use crate::{FailureClass, FlowState, TaskState};

row! {
    pub(super) struct RawFlow {
        pub(super) id: Uuid,
        pub(super) ticket: i64,
        pub(super) kind: String,
        pub(super) title: String,
        pub(super) model: Option<String>,
        pub(super) state: FlowState,
        pub(super) reverting: bool,
        pub(super) ending: Option<FlowState>,
        pub(super) converge: bool,
        pub(super) generation: Option<i64>,
        pub(super) tasks: i64,
        pub(super) open: i64,
        pub(super) superseded_by: Option<Uuid>,
        pub(super) error: Option<String>,
        pub(super) created: i64,
        pub(super) started: Option<i64>,
        pub(super) finished: Option<i64>,
        pub(super) suspended: bool,
        pub(super) priority: i32,
        pub(super) parent: Option<Uuid>,
        pub(super) parent_task: Option<i64>,
        pub(super) wake_at: Option<i64>,
        pub(super) requeued: Option<i64>,
        pub(super) trace: Option<String>,
    }

    pub(super) struct RawTask {
        pub(super) id: Uuid,
        pub(super) flow: Uuid,
        pub(super) number: i64,
        pub(super) name: String,
        pub(super) title: String,
        pub(super) resource: Option<String>,
        pub(super) model: Option<String>,
        pub(super) state: TaskState,
        pub(super) attempt: u32,
        pub(super) attempts_max: u32,
        pub(super) input: Json<Value>,
        pub(super) output: Option<Json<Value>>,
        pub(super) error: Option<String>,
        pub(super) wait_key: Option<String>,
        pub(super) wait_at_least: Option<i64>,
        pub(super) next_at: Option<i64>,
        pub(super) started: Option<i64>,
        pub(super) finished: Option<i64>,
        pub(super) progress: Option<f64>,
        pub(super) labels: Option<Json<Vec<String>>>,
        pub(super) worker: Option<String>,
        pub(super) class: Option<FailureClass>,
    }
}

/// Where a flow stands, as people see it: one that is undone and waits for a worker, or for the time of another attempt, does not
/// go forwards.
macro_rules! shown_state {
    () => {
        "CASE WHEN flow.reverting AND flow.state IN ('ready', 'waiting') THEN 'reverting' ELSE flow.state END"
    };
}
pub(crate) use shown_state;

macro_rules! flow_columns {
    () => {
        concat!("SELECT flow.id, flow.ticket, flow.kind, flow.title, flow.model, ", shown_state!(), ", flow.reverting, \
         flow.ending, flow.converge, flow.generation, flow.tasks, (SELECT count(*) FROM flow_task AS open WHERE open.flow = flow.id \
         AND open.finished IS NULL), flow.superseded_by, flow.error, flow.created, flow.started, flow.finished, \
         flow.suspended, flow.priority, flow.parent, flow.parent_task, flow.wake_at, flow.requeued, flow.trace FROM ")
    };
}

// $1 model, $2 states as JSON, $3 kind, $4 since or 0, $5 after, $6 limit, $7 parent, $8 name, $9 the same as a
// pattern. Tickets follow the time of submission but
// for flows that were retried, and for the clocks of those who submit: what is a minute older than wanted ends the search.
macro_rules! flow_filter {
    ($ticket:literal) => {
        concat!(
            "(CAST($1 AS TEXT) IS NULL OR flow.model = $1) \
             AND (CAST($2 AS TEXT) IS NULL OR ", shown_state!(), " IN (SELECT value FROM json_each($2))) \
             AND (CAST($3 AS TEXT) IS NULL OR flow.kind = $3) AND flow.created >= CAST($4 AS BIGINT) \
             AND (CAST($7 AS TEXT) IS NULL OR flow.parent = $7) AND (CAST($8 AS TEXT) IS NULL OR flow.kind = $8 \
             OR lower(flow.title) LIKE CAST($9 AS TEXT) ESCAPE '!') AND ",
            $ticket,
            " < coalesce((SELECT ticket FROM flow WHERE id = $5), 9223372036854775807) AND ",
            $ticket,
            " > CASE WHEN CAST($4 AS BIGINT) > 0 THEN coalesce((SELECT older.ticket FROM flow AS older \
             WHERE older.created < CAST($4 AS BIGINT) - 60000000 AND older.requeued IS NULL \
             ORDER BY older.ticket DESC LIMIT 1), 0) ELSE 0 END ORDER BY ",
            $ticket,
            " DESC LIMIT $6"
        )
    };
}

macro_rules! task_from {
    () => {
        "flow_task AS task JOIN flow ON flow.id = task.flow "
    };
}

// An error's class is that of the attempt that failed with it. A task whose worker is gone has no error yet.
macro_rules! task_class {
    () => {
        "(SELECT class FROM flow_failure AS failure WHERE failure.flow = task.flow AND failure.number = task.number \
         AND (failure.message = task.error OR task.state = 'maybe_ran' AND failure.class = 'lost') \
         ORDER BY failure.id DESC LIMIT 1)"
    };
}

macro_rules! task_columns {
    () => {
        concat!("SELECT task.id, task.flow, task.number, task.name, task.title, task.resource, flow.model, task.state, \
         task.attempt, task.attempts_max, task.input, task.output, task.error, task.wait_key, task.wait_at_least, \
         task.next_at, task.started, task.finished, task.progress, offer.labels, offer.worker, ", task_class!(), " FROM ")
    };
}

macro_rules! with_offer {
    () => {
        "LEFT JOIN flow_offer AS offer ON task.offered AND offer.flow = task.flow AND offer.number = task.number "
    };
}

// $1 states as JSON, $2 name, $3 model, $4 parent, $5 before this id, $6 from this id on, $7 limit, $8 classes as JSON.
macro_rules! task_filter {
    () => {
        concat!("(CAST($1 AS TEXT) IS NULL OR task.state IN (SELECT value FROM json_each($1))) \
         AND (CAST($2 AS TEXT) IS NULL OR task.name = $2) AND (CAST($3 AS TEXT) IS NULL OR flow.model = $3) \
         AND (CAST($4 AS TEXT) IS NULL OR flow.parent = $4) AND (CAST($8 AS TEXT) IS NULL OR ", task_class!(),
         " IN (SELECT value FROM json_each($8))) AND task.id < $5 AND task.id >= $6")
    };
}

// Tasks on a resource, and those of flows about it: each by its own index, and only then together.
macro_rules! tasks_about {
    ($task:literal, $flow:literal) => {
        concat!(
            task_columns!(), "(SELECT task.id AS id FROM ", task_from!(), "WHERE ", $task, " AND ", task_filter!(),
            " UNION SELECT task.id AS id FROM flow_resource AS used JOIN flow_task AS task ON task.flow = used.flow
            JOIN flow ON flow.id = used.flow WHERE ", $flow, " AND ", task_filter!(), " ORDER BY id DESC LIMIT $7) AS found
            JOIN flow_task AS task ON task.id = found.id JOIN flow ON flow.id = task.flow ", with_offer!(),
            "ORDER BY task.id DESC"
        )
    };
}

sql! {
    pub(crate) FLOW = concat!(flow_columns!(), "flow WHERE id = $1");
    pub(crate) FLOWS_BY_ID = concat!(flow_columns!(), "flow WHERE flow.id IN (SELECT value FROM json_each($1))");
    pub(crate) FLOWS = concat!(flow_columns!(), "flow WHERE ", flow_filter!("flow.ticket"));
    pub(crate) FLOWS_OPEN = concat!(flow_columns!(), "flow WHERE flow.finished IS NULL AND ", flow_filter!("flow.ticket"));
    /// The states are those of the index.
    pub(crate) FLOWS_UNSUCCESSFUL = concat!(flow_columns!(), "flow WHERE flow.state IN
        ('failed', 'reverted', 'cancelled', 'parked', 'stuck', 'abandoned') AND ", flow_filter!("flow.ticket"));
    pub(crate) FLOWS_UNDER = concat!(flow_columns!(), "flow WHERE flow.parent = $7 AND ", flow_filter!("flow.ticket"));
    pub(crate) FLOWS_OF = concat!(flow_columns!(), "flow_resource AS used JOIN flow ON flow.id = used.flow
        WHERE used.resource = $10 AND ", flow_filter!("used.ticket"));
    pub(crate) RESOURCES = "SELECT flow, resource, exclusive FROM flow_resource {rows} WHERE flow = $1";
    /// Whoever submits many flows about one resource counts those before each of them: at most `$2`.
    pub(crate) WAITING_FOR = "SELECT own.flow, own.resource, (
            SELECT before.flow FROM flow_queue AS before
            WHERE before.resource = own.resource AND before.ticket < own.ticket ORDER BY before.ticket DESC LIMIT 1), (
            SELECT count(*) FROM (SELECT 1 FROM flow_queue AS before
                WHERE before.resource = own.resource AND before.ticket <= own.ticket LIMIT $2) AS those)
        FROM flow_queue AS own {rows} WHERE own.flow = $1 AND NOT own.granted";
    pub(crate) NEEDS = "SELECT number, needs FROM flow_task WHERE flow = $1 AND needs IS NOT NULL";
    pub(crate) TASK = concat!(task_columns!(), task_from!(), with_offer!(), "WHERE task.id = $1");
    pub(crate) TASKS_OF_FLOW = concat!(task_columns!(), task_from!(), with_offer!(), "WHERE task.flow = $1
        AND (CAST($2 AS TEXT) IS NULL OR task.state IN (SELECT value FROM json_each($2)))
        AND (CAST($3 AS TEXT) IS NULL OR task.name = $3)
        AND (CAST($6 AS TEXT) IS NULL OR ", task_class!(), " IN (SELECT value FROM json_each($6)))
        AND task.number > coalesce((SELECT number FROM flow_task WHERE id = $4), -1) ORDER BY task.number LIMIT $5");
    pub(crate) TASKS = concat!(task_columns!(), task_from!(), with_offer!(), "WHERE ", task_filter!(),
        " ORDER BY task.id DESC LIMIT $7");
    pub(crate) TASKS_FAILED = concat!(task_columns!(), task_from!(), with_offer!(), "WHERE task.failed AND ",
        task_filter!(), " ORDER BY task.id DESC LIMIT $7");
    /// Few attempts fail: those are where to look.
    pub(crate) TASKS_CLASSED = concat!(task_columns!(), task_from!(), with_offer!(), "WHERE task.id IN (
        SELECT one.id FROM flow_failure AS failed JOIN flow_task AS one ON one.flow = failed.flow AND one.number = failed.number
        WHERE failed.class IN (SELECT value FROM json_each($8))) AND ", task_filter!(), " ORDER BY task.id DESC LIMIT $7");
    pub(crate) TASKS_UNDER = concat!(task_columns!(), task_from!(), with_offer!(), "WHERE flow.parent = $4 AND ",
        task_filter!(), " ORDER BY task.id DESC LIMIT $7");
    pub(crate) TASKS_ABOUT = tasks_about!("task.resource = $9", "used.resource = $9");
    pub(crate) TASKS_BELOW = tasks_about!("substr(task.resource, 1, length($9)) = $9",
        "substr(used.resource, 1, length($9)) = $9");
    pub(crate) FAILURES = "SELECT attempt, undoing, at, class, message, worker FROM flow_failure
        WHERE flow = $1 AND number = $2 ORDER BY id";
    pub(crate) LOG = "SELECT number, at, line FROM flow_log WHERE flow = $1
        AND (CAST($2 AS BIGINT) IS NULL OR number = $2) ORDER BY id DESC LIMIT $3";
}
