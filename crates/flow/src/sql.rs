//! Every statement of the engine, and the rows they answer with.

use tutti_store::{row, sql};
use uuid::Uuid;

use crate::{FlowState, TaskState};

row! {
    /// A flow as the engine changes it.
    #[derive(Clone, Debug)]
    pub(crate) struct Flow {
        pub(crate) id: Uuid,
        pub(crate) model: Option<String>,
        pub(crate) state: FlowState,
        pub(crate) ending: Option<FlowState>,
        pub(crate) reverting: bool,
        pub(crate) revertible: bool,
        pub(crate) ungranted: i64,
        pub(crate) open: i64,
        pub(crate) active: i64,
        pub(crate) worker: Option<Uuid>,
        pub(crate) epoch: i64,
        pub(crate) losses: i64,
        pub(crate) nudged: bool,
        pub(crate) superseded_by: Option<Uuid>,
        pub(crate) error: Option<String>,
        pub(crate) started: Option<i64>,
    }

    /// A task as the engine changes it.
    #[derive(Clone, Debug)]
    pub(crate) struct Task {
        pub(crate) number: i64,
        pub(crate) id: Uuid,
        pub(crate) name: String,
        pub(crate) resource: Option<String>,
        pub(crate) input: String,
        pub(crate) wait_key: Option<String>,
        pub(crate) wait_at_least: Option<i64>,
        pub(crate) attempts_max: u32,
        pub(crate) or_revert: bool,
        pub(crate) state: TaskState,
        pub(crate) blockers: i64,
        pub(crate) attempt: u32,
        pub(crate) revert_attempt: u32,
        pub(crate) before_revert: Option<TaskState>,
        pub(crate) output: Option<String>,
        pub(crate) error: Option<String>,
        pub(crate) next_at: Option<i64>,
    }

    /// What is told about a task that ended.
    #[derive(Clone, Debug)]
    pub(crate) struct Ended {
        pub(crate) id: Uuid,
        pub(crate) name: String,
        pub(crate) resource: Option<String>,
        pub(crate) error: Option<String>,
    }

    /// An entry in a resource's queue.
    #[derive(Clone, Debug)]
    pub(crate) struct Entry {
        pub(crate) ticket: i64,
        pub(crate) flow: Uuid,
        pub(crate) exclusive: bool,
        pub(crate) granted: bool,
    }
}

macro_rules! flow_columns {
    () => {
        "id, model, state, ending, reverting, revertible, ungranted, open, active, worker, epoch, losses, \
         nudged, superseded_by, error, started"
    };
}

macro_rules! task_columns {
    () => {
        "number, id, name, resource, input, wait_key, wait_at_least, attempts_max, or_revert, state, blockers, attempt, \
         revert_attempt, before_revert, output, error, next_at"
    };
}

sql! {
    pub(crate) TICKET = "UPDATE flow_ticket SET last = last + 1 WHERE id = 1 RETURNING last";

    pub(crate) FLOW = concat!("SELECT ", flow_columns!(), " FROM flow WHERE id = $1");

    /// The flow if its owner still is who took it with this epoch.
    pub(crate) FLOW_FENCED = concat!("SELECT ", flow_columns!(), " FROM flow
        WHERE id = $1 AND epoch = $2 AND worker IS NOT NULL");

    pub(crate) FLOW_INSERT = "INSERT INTO flow (id, ticket, kind, title, model, state, reverting, revertible, converge,
        generation, resources, ungranted, tasks, open, active, epoch, losses, nudged, created)
        VALUES ($1, $2, $3, $4, $5, $6, FALSE, $7, $8, $9, $10, $11, $12, $12, 0, 0, 0, FALSE, $13)";

    pub(crate) FLOW_WRITE = "UPDATE flow SET state = $2, ending = $3, reverting = $4, open = $5, active = $6,
        worker = $7, losses = $8, nudged = $9, superseded_by = $10, error = $11, started = $12, finished = $13
        WHERE id = $1";

    /// What changes while a worker goes on: no column of an index is touched.
    pub(crate) FLOW_COUNTS = "UPDATE flow SET open = $2, active = $3, losses = $4, nudged = $5 WHERE id = $1";

    pub(crate) FLOW_LABELS = "SELECT kind, title FROM flow WHERE id = $1";

    pub(crate) FLOW_GRANTED = concat!("UPDATE flow SET ungranted = ungranted - 1 WHERE id = $1 RETURNING ",
        flow_columns!());

    pub(crate) FLOW_REQUEUE = concat!("UPDATE flow SET ticket = $2, state = 'blocked', ungranted = $3, ending = $4,
        reverting = $5, open = $6, losses = 0, error = NULL, finished = NULL WHERE id = $1 RETURNING ", flow_columns!());

    /// Unstarted flows a newer one of the same kind may supersede, newest first.
    pub(crate) FLOWS_UNSTARTED = concat!("SELECT ", flow_columns!(), " FROM flow
        WHERE converge AND started IS NULL AND finished IS NULL AND resources = $1 AND kind = $2 ORDER BY ticket DESC");

    /// A worker that was declared dead and does not know yet gets nothing: nobody would take that over again.
    pub(crate) TAKE = concat!("UPDATE flow SET state = 'running', worker = $1, epoch = epoch + 1, nudged = FALSE,
        started = coalesce(started, $3)
        WHERE id IN (SELECT id FROM flow WHERE state = 'ready' ORDER BY ticket LIMIT $2)
        AND EXISTS (SELECT 1 FROM flow_worker WHERE flow_worker.id = $1) RETURNING ", flow_columns!());

    pub(crate) FLOWS_NUDGED = concat!("SELECT ", flow_columns!(), " FROM flow WHERE worker = $1 AND nudged");

    pub(crate) FLOWS_OWNED = concat!("SELECT ", flow_columns!(), " FROM flow WHERE worker = $1");

    /// Wakes the flows without a worker whose retry is due.
    pub(crate) WAKE_DUE = "UPDATE flow SET state = 'ready' WHERE state = 'waiting'
        AND id IN (SELECT flow FROM flow_task WHERE next_at <= $1)";

    pub(crate) NUDGE_DUE = "UPDATE flow SET nudged = TRUE WHERE worker = $1
        AND id IN (SELECT flow FROM flow_task WHERE next_at <= $2)";

    /// What is seen to be due needs no timer any more.
    pub(crate) CLEAR_DUE = "UPDATE flow_task SET next_at = NULL WHERE next_at <= $2
        AND flow IN (SELECT id FROM flow WHERE state = 'ready' OR worker = $1)";

    /// Whether a worker has anything to do, and when at the latest it will.
    pub(crate) WORK = "SELECT
        EXISTS (SELECT 1 FROM flow WHERE state = 'ready'),
        EXISTS (SELECT 1 FROM flow WHERE worker = $1 AND nudged),
        (SELECT min(next_at) FROM flow_task WHERE next_at IS NOT NULL)";

    pub(crate) QUEUE_CONFLICT = "SELECT ticket FROM flow_queue WHERE resource = $1 AND (exclusive OR $2) LIMIT 1";

    pub(crate) QUEUE_LAST = "SELECT max(ticket) FROM flow_queue WHERE resource = $1";

    pub(crate) QUEUE_TICKETS = "SELECT resource, ticket FROM flow_queue WHERE flow = $1";

    pub(crate) QUEUE_ENTER = "INSERT INTO flow_queue (resource, ticket, flow, exclusive, granted)
        VALUES ($1, $2, $3, $4, $5)";

    pub(crate) QUEUE_HEAD = "SELECT ticket, flow, exclusive, granted FROM flow_queue WHERE resource = $1
        ORDER BY ticket LIMIT 1";

    pub(crate) QUEUE_GRANT = "UPDATE flow_queue SET granted = TRUE WHERE resource = $1 AND ticket = $2";

    /// Grants the shared entries before the first exclusive one.
    pub(crate) QUEUE_GRANT_SHARED = "UPDATE flow_queue SET granted = TRUE WHERE resource = $1 AND NOT granted
        AND NOT exclusive AND ticket < coalesce(
            (SELECT min(ticket) FROM flow_queue WHERE resource = $1 AND exclusive), 9223372036854775807)
        RETURNING ticket, flow, exclusive, granted";

    pub(crate) QUEUE_LEAVE = "DELETE FROM flow_queue WHERE flow = $1 RETURNING resource";

    pub(crate) RESOURCES = "SELECT resource, exclusive FROM flow_resource WHERE flow = $1 ORDER BY resource";

    pub(crate) RESOURCES_TICKET = "UPDATE flow_resource SET ticket = $2 WHERE flow = $1";

    pub(crate) TASK = concat!("SELECT ", task_columns!(), " FROM flow_task WHERE flow = $1 AND number = $2");

    pub(crate) TASK_OF_ID = "SELECT flow, number, state FROM flow_task WHERE id = $1";

    /// Tasks that have begun and not ended, or could begin.
    pub(crate) TASKS_UNBLOCKED = concat!("SELECT ", task_columns!(), " FROM flow_task
        WHERE flow = $1 AND blockers = 0 AND finished IS NULL ORDER BY number");

    pub(crate) TASK_SUCCEEDED = "UPDATE flow_task SET state = 'succeeded', output = $3, error = NULL, finished = $4
        WHERE flow = $1 AND number = $2 RETURNING id, name, resource, error";

    pub(crate) TASKS_UNBLOCK = concat!("UPDATE flow_task SET blockers = blockers - 1 WHERE flow = $1 AND number IN
        (SELECT successor FROM flow_edge WHERE flow = $1 AND number = $2) RETURNING ", task_columns!());

    pub(crate) TASK_START = "UPDATE flow_task SET state = 'running', attempt = attempt + 1, next_at = NULL,
        started = coalesce(started, $3) WHERE flow = $1 AND number = $2";

    pub(crate) TASK_WAIT = "UPDATE flow_task SET state = $3, error = $4, started = coalesce(started, $5)
        WHERE flow = $1 AND number = $2";

    pub(crate) TASK_RETRY = "UPDATE flow_task SET state = 'retry_wait', error = $3, next_at = $4
        WHERE flow = $1 AND number = $2";

    pub(crate) TASK_FAILED = "UPDATE flow_task SET state = 'failed', error = $3, finished = $4
        WHERE flow = $1 AND number = $2 RETURNING id, name, resource, error";

    pub(crate) TASKS_LOST = "UPDATE flow_task SET state = 'maybe_ran' WHERE flow = $1 AND blockers = 0
        AND finished IS NULL AND state = 'running'";

    /// What a flow leaves undone when it ends.
    pub(crate) TASKS_LEFT = "UPDATE flow_task SET state = CASE state WHEN 'maybe_ran' THEN state ELSE $2 END,
        next_at = NULL, finished = $3 WHERE flow = $1 AND finished IS NULL";

    pub(crate) TASK_TO_REVERT = concat!("SELECT ", task_columns!(), " FROM flow_task WHERE flow = $1
        AND state IN ('succeeded', 'failed', 'maybe_ran', 'reverting') ORDER BY number DESC LIMIT 1");

    pub(crate) TASK_REVERT = "UPDATE flow_task SET state = 'reverting', before_revert = $3,
        revert_attempt = revert_attempt + 1, next_at = NULL WHERE flow = $1 AND number = $2";

    pub(crate) TASK_REVERT_RETRY = "UPDATE flow_task SET error = $3, next_at = $4 WHERE flow = $1 AND number = $2";

    pub(crate) TASK_REVERTED = "UPDATE flow_task SET state = $3, error = coalesce($4, error), finished = $5
        WHERE flow = $1 AND number = $2 RETURNING id, name, resource, error";

    /// Puts what has not succeeded back to the start.
    pub(crate) TASKS_AGAIN = "UPDATE flow_task SET state = 'pending', attempt = 0, revert_attempt = 0,
        before_revert = NULL, output = NULL, error = NULL, next_at = NULL, started = NULL, finished = NULL
        WHERE flow = $1 AND state <> 'succeeded'";

    pub(crate) TASKS_AGAIN_BLOCKERS = "UPDATE flow_task SET blockers = (
            SELECT count(*) FROM flow_edge JOIN flow_task AS need
            ON need.flow = flow_edge.flow AND need.number = flow_edge.number
            WHERE flow_edge.flow = $1 AND flow_edge.successor = flow_task.number AND need.state <> 'succeeded')
        WHERE flow = $1 AND state = 'pending'";

    /// Lets a stuck flow try again to undo what it could not.
    pub(crate) TASKS_REVERT_AGAIN = "UPDATE flow_task SET state = 'reverting', revert_attempt = 0, next_at = NULL
        WHERE flow = $1 AND state = 'revert_failed'";

    pub(crate) TASKS_OPEN = "SELECT count(*) FROM flow_task WHERE flow = $1 AND finished IS NULL";

    pub(crate) SIGNAL = "INSERT INTO flow_signal (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE
        SET value = excluded.value WHERE flow_signal.value IS NULL OR flow_signal.value < excluded.value";

    pub(crate) SIGNAL_TROUBLE = "INSERT INTO flow_signal (key, trouble) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE
        SET trouble = excluded.trouble";

    pub(crate) SIGNAL_OF = "SELECT value, trouble FROM flow_signal WHERE key = $1";

    pub(crate) SIGNAL_GONE = "DELETE FROM flow_signal WHERE key = $1";

    pub(crate) TASKS_WAITING = "SELECT flow, number FROM flow_task WHERE wait_key = $1 AND finished IS NULL
        AND state IN ('waiting', 'retrying') AND wait_at_least <= $2 ORDER BY flow, number";

    pub(crate) TASKS_TROUBLED = "UPDATE flow_task SET state = $2, error = $3 WHERE wait_key = $1 AND finished IS NULL
        AND state IN ('waiting', 'retrying')";

    pub(crate) WORKER_JOIN = "INSERT INTO flow_worker (id, instance, lease_until, started) VALUES ($1, $2, $3, $4)";

    pub(crate) WORKER_BEAT = "UPDATE flow_worker SET lease_until = $2 WHERE id = $1";

    pub(crate) WORKER_LEAVE = "DELETE FROM flow_worker WHERE id = $1";

    pub(crate) WORKERS_DEAD = "SELECT id FROM flow_worker WHERE lease_until < $1 OR instance <> coalesce($2, instance)";
}

#[cfg(test)]
mod tests {
    use tutti_store::Store;

    #[tokio::test]
    async fn every_statement_prepares_on_both_engines() {
        let directory = tempfile::tempdir().unwrap();
        let file = format!("{}/test.db", directory.path().display());
        let server = std::env::var("TUTTI_TEST_POSTGRES").ok();
        let schema = format!("flow_statements_{}", std::process::id());
        let server = server.map(|url| format!("{url}?schema={schema}"));
        for url in std::iter::once(file).chain(server) {
            let store = Store::open(&url, crate::MIGRATIONS).await.unwrap();
            for list in [
                super::STATEMENTS,
                crate::query::STATEMENTS,
                crate::sync::STATEMENTS,
                crate::retention::STATEMENTS,
            ] {
                store.prepare_all(list).await.unwrap();
            }
            if store.backend() == tutti_store::Backend::Postgres {
                let drop: &'static str = format!("DROP SCHEMA {schema} CASCADE").leak();
                store.write(move |tx| tx.exec(drop, ())).await.unwrap();
            }
            store.close().await;
        }
    }
}
