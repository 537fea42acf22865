//! Every statement of the engine that changes something, and the rows they answer with.

use std::sync::Arc;

use tutti_store::{row, sql};
use uuid::Uuid;

use crate::{
    Fate, FlowState,
    graph::{Head, Label, Whose},
};

row! {
    /// A flow as it is loaded.
    #[derive(Clone, Debug)]
    pub(crate) struct Flow {
        pub(crate) id: Uuid,
        pub(crate) epoch: i64,
        pub(crate) kind: String,
        pub(crate) title: String,
        pub(crate) model: Option<String>,
        pub(crate) revertible: bool,
        pub(crate) passive: bool,
        pub(crate) state: FlowState,
        pub(crate) ending: Option<FlowState>,
        pub(crate) reverting: bool,
        pub(crate) suspended: bool,
        pub(crate) losses: i64,
        pub(crate) superseded_by: Option<Uuid>,
        pub(crate) error: Option<String>,
        pub(crate) wake_at: Option<i64>,
        pub(crate) started: Option<i64>,
        pub(crate) finished: Option<i64>,
        pub(crate) worker: Option<Uuid>,
        pub(crate) nudged: bool,
        pub(crate) ungranted: i64,
        pub(crate) parent: Option<Uuid>,
        pub(crate) parent_task: Option<i64>,
        pub(crate) fate: Option<Fate>,
        pub(crate) pass: i64,
        pub(crate) trace: Option<String>,
        pub(crate) resources: String,
    }

    /// A flow that moved up in a queue.
    #[derive(Clone, Debug)]
    pub(crate) struct Granted {
        pub(crate) id: Uuid,
        pub(crate) passive: bool,
        pub(crate) ungranted: i64,
        pub(crate) state: FlowState,
    }
}

impl Flow {
    /// What a graph is made of, beside its tasks.
    pub(crate) fn parts(self) -> (Whose, Head) {
        let head = self.head();
        let parent = self.parent.zip(self.parent_task).zip(self.fate);
        let whose = Whose {
            id: self.id,
            epoch: self.epoch,
            label: Arc::new(Label {
                kind: self.kind,
                title: self.title,
                model: self.model,
                trace: self.trace.map(Arc::from),
                resources: self.resources,
            }),
            revertible: self.revertible,
            parent: parent.map(|((flow, task), fate)| (flow, task, fate)),
        };
        (whose, head)
    }

    /// The part of it that changes.
    pub(crate) fn head(&self) -> Head {
        Head {
            state: self.state,
            ending: self.ending,
            reverting: self.reverting,
            suspended: self.suspended,
            losses: self.losses,
            superseded_by: self.superseded_by,
            error: self.error.clone(),
            wake_at: self.wake_at,
            started: self.started,
            finished: self.finished,
        }
    }
}

macro_rules! flow_columns {
    () => {
        "id, epoch, kind, title, model, revertible, passive, state, ending, reverting, suspended, losses, superseded_by, error, \
         wake_at, started, finished, worker, nudged, ungranted, parent, parent_task, fate, \
         pass, trace, resources"
    };
}

sql! {
    /// Draws tickets; and whether anybody stands in the queue of a resource, and whether the worker `$3` may begin what is new:
    /// it is alive, and no other flow waits for its turn.
    pub(crate) TICKETS = "UPDATE flow_ticket SET last = last + $1 WHERE id = 1 RETURNING last, pass,
        EXISTS (SELECT 1 FROM flow_queue WHERE resource = $2),
        EXISTS (SELECT 1 FROM flow_worker WHERE flow_worker.id = $3) AND NOT EXISTS (SELECT 1 FROM flow WHERE state = 'ready')";

    pub(crate) TICKET = "UPDATE flow_ticket SET last = last + 1 WHERE id = 1 RETURNING last, pass";

    pub(crate) PASS_REACHED = "UPDATE flow_ticket SET pass = $1 {rows} WHERE id = 1 AND pass < $1";

    /// The last of so many turns, `$3` of them behind the next.
    pub(crate) SHARE = "INSERT INTO flow_share (model, pass) VALUES ($1, CAST($2 AS BIGINT) + CAST($3 AS BIGINT))
        ON CONFLICT (model) DO UPDATE
        SET pass = CASE WHEN flow_share.pass + 1 > $2 THEN flow_share.pass + 1 ELSE $2 END + $3 RETURNING pass";

    /// Of one that is being forgotten, not all is there any more.
    pub(crate) FLOW = concat!("SELECT ", flow_columns!(), " FROM flow WHERE id = $1 AND NOT forgotten");

    pub(crate) FLOW_FORGOTTEN = "SELECT forgotten FROM flow WHERE id = $1";

    pub(crate) FLOW_OWNER = "SELECT epoch, worker FROM flow WHERE id = $1";

    pub(crate) FLOW_STANDS = "SELECT state, reverting, suspended FROM flow WHERE id = $1";

    /// As its flow sees it: what was offered may have been claimed.
    pub(crate) TASK_STANDS = "SELECT CASE WHEN offered AND state = 'running' THEN 'offered' ELSE state END,
        attempt, revert_attempt, finished FROM flow_task WHERE flow = $1 AND number = $2";

    /// What a change makes of a flow: `$7` whether its worker, `$14`, keeps it. A flow somebody wants something of is not let
    /// go before that is heard. One that was let go before is anybody's.
    pub(crate) HEAD_WRITE = "UPDATE flow SET state = $3, ending = $4, reverting = $5, suspended = $6,
        worker = CASE WHEN $7 THEN worker ELSE NULL END, losses = $8, superseded_by = $9, error = $10, wake_at = $11,
        started = $12, finished = $13 {rows} WHERE id = $1 AND epoch = $2
        AND worker IS NOT DISTINCT FROM $14 AND (NOT nudged OR $7 OR CAST($13 AS BIGINT) IS NOT NULL) RETURNING id";

    /// As [`HEAD_WRITE`] for a flow that stays or ends; if it is another's, the column that may not be empty refuses it.
    pub(crate) HEAD_WRITE_OWN = "UPDATE flow SET state = CASE WHEN epoch = $2 AND (worker IS NOT DISTINCT FROM $14) THEN $3 END,
        ending = $4, reverting = $5, suspended = $6, worker = CASE WHEN $7 THEN worker ELSE NULL END, losses = $8,
        superseded_by = $9, error = $10, wake_at = $11, started = $12, finished = $13 {rows} WHERE id = $1";

    pub(crate) TASKS_GREW = "UPDATE flow SET tasks = $2 WHERE id = $1";

    /// The flows that are still an owner's.
    pub(crate) FLOW_OWNED = "SELECT flow.id FROM flow {rows} WHERE flow.id = $1 AND flow.epoch = $2";

    /// What a change makes of a task.
    pub(crate) TASK_WRITE = "UPDATE flow_task SET state = $3, attempt = $4, revert_attempt = $5, before_revert = $6,
        output = $7, error = $8, next_at = $9, started = $10, finished = $11, offered = $12, failure = $13,
        ran = $14 {rows} WHERE flow = $1 AND number = $2";

    /// The same, if the flow is its owner's; otherwise the column that may not be empty refuses it. `$15` is the owner's epoch, absent
    /// where another row of the flow asks.
    pub(crate) TASK_WRITE_OWN = "UPDATE flow_task SET state = CASE WHEN CAST($15 AS BIGINT) IS NULL THEN $3
            ELSE (SELECT $3 FROM flow WHERE flow.id = $1 AND flow.epoch = $15) END,
        attempt = $4, revert_attempt = $5, before_revert = $6, output = $7, error = $8, next_at = $9, started = $10,
        finished = $11, offered = $12, failure = $13, ran = $14 {rows} WHERE flow = $1 AND number = $2";

    /// As [`TASK_WRITE_OWN`], where nothing went wrong and nothing is undone; `$8` is the owner's epoch.
    pub(crate) TASK_GOES_ON = "UPDATE flow_task SET state = CASE WHEN CAST($8 AS BIGINT) IS NULL THEN $3
            ELSE (SELECT $3 FROM flow WHERE flow.id = $1 AND flow.epoch = $8) END,
        attempt = $4, revert_attempt = 0, before_revert = NULL, output = $5, error = NULL, next_at = NULL, started = $6,
        finished = $7, offered = FALSE, failure = NULL, ran = FALSE {rows} WHERE flow = $1 AND number = $2";

    pub(crate) FLOW_GRANTED = "UPDATE flow SET ungranted = ungranted - $2,
        state = CASE WHEN ungranted = $2 AND state = 'blocked' AND NOT passive THEN 'ready' ELSE state END {rows}
        WHERE id = $1 RETURNING id, passive, ungranted, state";

    pub(crate) FLOW_REQUEUE = "UPDATE flow SET ticket = $2, state = $3, ungranted = $4, ending = $5, reverting = $6,
        requeued = $7, losses = 0, error = NULL, started = NULL, finished = NULL, epoch = epoch + 1, nudged = FALSE,
        suspended = FALSE WHERE id = $1";

    /// Lets a blocked flow end as soon as it has its resources.
    pub(crate) FLOW_CANCELLED = "UPDATE flow SET ending = 'cancelled' WHERE id = $1";

    /// Whether a flow that was retried has kept anything of what it did before.
    pub(crate) SOMETHING_DONE = "SELECT EXISTS (SELECT 1 FROM flow_task WHERE flow = $1 AND (state = 'succeeded' OR ran))";

    /// A flow that has not started ends.
    pub(crate) FLOW_END_UNSTARTED = "UPDATE flow SET state = $2, ending = $2, superseded_by = $3, finished = $4,
        epoch = epoch + 1 WHERE id = $1";

    /// Gives up a flow, whoever has it.
    pub(crate) FLOW_ABANDON = "UPDATE flow SET state = 'abandoned', worker = NULL, epoch = epoch + 1, finished = $2,
        wake_at = NULL, nudged = FALSE WHERE id = $1";

    pub(crate) FLOW_READY = "UPDATE flow SET state = 'ready', wake_at = NULL WHERE id = $1 AND worker IS NULL
        AND state IN ('waiting', 'suspended')";

    /// Takes a flow from its worker, which has read the news.
    pub(crate) FLOW_DROP = "UPDATE flow SET state = 'ready', worker = NULL, epoch = epoch + 1, nudged = FALSE
        WHERE id = $1 AND epoch = $2 AND worker = $3";

    pub(crate) FLOW_NUDGE = "UPDATE flow SET nudged = TRUE WHERE id = $1";

    pub(crate) FLOW_SUSPENDED = "UPDATE flow SET suspended = $2 WHERE id = $1";

    /// Unstarted flows a newer one of the same kind may supersede, newest first.
    pub(crate) FLOWS_UNSTARTED = concat!("SELECT ", flow_columns!(), " FROM flow
        WHERE converge AND started IS NULL AND finished IS NULL AND ending IS NULL AND resources = $1 AND kind = $2
        ORDER BY ticket DESC");

    /// Flows to take, those first whose turn it is.
    pub(crate) READY = "SELECT id FROM flow WHERE state = 'ready' ORDER BY priority DESC, pass, ticket LIMIT $1";

    /// Takes the next ready flows, those first whose turn it is; as [`TAKE`].
    pub(crate) TAKE_NEXT = concat!("UPDATE flow SET state = CASE WHEN reverting THEN 'reverting' ELSE 'running' END,
        worker = $1, epoch = epoch + 1, started = coalesce(started, $2), wake_at = NULL
        WHERE id IN (SELECT id FROM flow WHERE state = 'ready' ORDER BY priority DESC, pass, ticket LIMIT $3)
        AND EXISTS (SELECT 1 FROM flow_worker WHERE flow_worker.id = $1) RETURNING ", flow_columns!());

    /// Takes a ready flow. A worker that was declared dead and does not know yet gets nothing: nobody would take that over
    /// again.
    pub(crate) TAKE = concat!("UPDATE flow SET state = CASE WHEN reverting THEN 'reverting' ELSE 'running' END,
        worker = $2, epoch = epoch + 1, started = coalesce(started, $3), wake_at = NULL {rows}
        WHERE id = $1 AND state = 'ready' AND EXISTS (SELECT 1 FROM flow_worker WHERE flow_worker.id = $2)
        RETURNING ", flow_columns!());

    pub(crate) FLOWS_OWNED = "SELECT id, epoch FROM flow WHERE worker = $1";

    pub(crate) FLOWS_NUDGED = "SELECT id FROM flow WHERE worker = $1 AND nudged";

    /// Wakes the flows without a worker of which something is due.
    pub(crate) WAKE_DUE = "UPDATE flow SET state = 'ready', wake_at = NULL WHERE state = 'waiting' AND wake_at <= $1";

    /// Whether a worker has anything to do, and when at the latest it will.
    pub(crate) WORK = "SELECT EXISTS (SELECT 1 FROM flow WHERE state = 'ready'),
        EXISTS (SELECT 1 FROM flow WHERE worker = $1 AND nudged),
        (SELECT min(wake_at) FROM flow WHERE wake_at IS NOT NULL)";

    pub(crate) QUEUE_CONFLICT = "SELECT ticket FROM flow_queue WHERE resource = $1 AND (exclusive OR $2) LIMIT 1";

    /// Whether anybody stands in the queue of a resource, and whether anybody who wants it alone.
    pub(crate) QUEUE_STANDING = "SELECT $1, EXISTS (SELECT 1 FROM flow_queue WHERE resource = $1),
        EXISTS (SELECT 1 FROM flow_queue WHERE resource = $1 AND exclusive) {rows}";

    pub(crate) QUEUE_LAST = "SELECT max(ticket) FROM flow_queue WHERE resource = $1";

    pub(crate) QUEUE_TICKETS = "SELECT resource, ticket FROM flow_queue WHERE flow = $1";

    pub(crate) QUEUE_ENTER = "INSERT INTO flow_queue (resource, ticket, flow, exclusive, granted)
        VALUES ($1, $2, $3, $4, $5)";

    /// Grants what moved up in a queue: the shared entries before the first exclusive one, or that if it is the head. Nothing
    /// behind it is looked at.
    pub(crate) QUEUE_GRANT = "UPDATE flow_queue SET granted = TRUE {rows} WHERE resource = $1 AND NOT granted
        AND ticket <= coalesce((SELECT min(other.ticket) FROM flow_queue AS other
            WHERE other.resource = $1 AND other.exclusive), 9223372036854775807)
        AND (NOT exclusive OR ticket = (SELECT min(head.ticket) FROM flow_queue AS head WHERE head.resource = $1))
        RETURNING flow_queue.flow";

    /// Leaves all queues; and whether there is anybody else.
    pub(crate) QUEUE_LEAVE = "DELETE FROM flow_queue {rows} WHERE flow = $1 RETURNING resource, EXISTS
        (SELECT 1 FROM flow_queue AS other WHERE other.resource = flow_queue.resource AND other.flow <> flow_queue.flow)";

    pub(crate) RESOURCES = "SELECT resource, exclusive FROM flow_resource WHERE flow = $1 ORDER BY resource";

    pub(crate) RESOURCES_TICKET = "UPDATE flow_resource SET ticket = $2 WHERE flow = $1";

    pub(crate) TASKS = "SELECT flow, number, name, resource, input, needs, spec, wait_key, wait_at_least, attempts_max, or_revert,
        state, attempt, revert_attempt, before_revert, output, error, next_at, started, finished, offered, failure,
        ran FROM flow_task {rows} WHERE flow = $1";

    pub(crate) TASK_OF_ID = "SELECT flow, number, state, wait_key FROM flow_task WHERE id = $1";

    /// What a flow leaves undone when it ends. What was done in this database is known, also if the flow has not heard of it.
    pub(crate) TASKS_LEFT = "UPDATE flow_task SET
        state = CASE WHEN state = 'reverting' THEN 'revert_failed' WHEN done IS NOT NULL THEN 'succeeded'
            WHEN state = 'running' THEN 'maybe_ran' ELSE $2 END,
        output = CASE WHEN state = 'reverting' THEN output ELSE coalesce(done, output) END,
        error = CASE state WHEN 'reverting' THEN coalesce(error, 'it was not undone: the flow ended') ELSE error END,
        next_at = NULL, offered = FALSE, finished = $3 WHERE flow = $1 AND (finished IS NULL OR state = 'reverting')";

    /// Puts what has not succeeded back to the start; of what may have had an effect that is kept. What stands in this database has
    /// succeeded, also if its flow ended before it knew, or was about to undo it.
    pub(crate) TASKS_AGAIN = "UPDATE flow_task SET state = CASE WHEN done IS NULL THEN 'pending' ELSE 'succeeded' END,
        attempt = CASE WHEN done IS NULL THEN 0 ELSE attempt END, revert_attempt = 0, before_revert = NULL, output = done,
        error = NULL, next_at = NULL, progress = NULL, reported = NULL, started = CASE WHEN done IS NULL THEN NULL ELSE started END,
        finished = CASE WHEN done IS NULL THEN NULL ELSE finished END, failure = NULL, ran = done IS NULL AND state <> 'reverted'
        AND (ran OR attempt > 0 OR state IN ('failed', 'revert_failed', 'maybe_ran')) WHERE flow = $1 AND state <> 'succeeded'";

    /// Lets a flow try again to undo what it could not.
    pub(crate) TASKS_REVERT_AGAIN = "UPDATE flow_task SET state = 'reverting', revert_attempt = 0, next_at = NULL
        WHERE flow = $1 AND state = 'revert_failed'";

    /// Says by hand how a task ended, and that nothing is left of it.
    pub(crate) TASK_OVERRIDE = "UPDATE flow_task SET state = $3, done = NULL, ran = FALSE, next_at = NULL, finished = $4
        WHERE flow = $1 AND number = $2";

    pub(crate) SIGNAL = "INSERT INTO flow_signal (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE
        SET value = excluded.value WHERE flow_signal.value IS NULL OR flow_signal.value < excluded.value";

    pub(crate) SIGNAL_TROUBLE = "INSERT INTO flow_signal (key, trouble) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE
        SET trouble = excluded.trouble";

    pub(crate) SIGNALS_OF = "SELECT key, value, trouble FROM flow_signal {rows} WHERE key = $1";

    pub(crate) SIGNAL_GONE = "DELETE FROM flow_signal WHERE key = $1";

    pub(crate) TASKS_WAITING = "SELECT flow, number, joins FROM flow_wait WHERE key = $1";

    /// Those a signal is for wait no more.
    pub(crate) WAITS_OVER = "DELETE FROM flow_wait WHERE key = $1 AND at_least <= $2 RETURNING flow, number, joins";

    pub(crate) WAIT_OVER = "DELETE FROM flow_wait WHERE key = $1 AND flow = $2 AND number = $3 RETURNING joins";

    pub(crate) TASK_STATE = "SELECT state FROM flow_task WHERE flow = $1 AND number = $2";

    /// Whether anything is waited for whose end meets others there. Who ended without a signal may still be among the waits.
    pub(crate) JOIN_WAITS = "SELECT EXISTS (SELECT 1 FROM flow_wait JOIN flow_task
        ON flow_task.flow = flow_wait.flow AND flow_task.number = flow_wait.number
        WHERE flow_wait.flow = $1 AND flow_wait.joins = $2 AND flow_task.state IN ('waiting', 'retrying', 'reverting'))";

    pub(crate) WAIT_BEGIN = "INSERT INTO flow_wait (key, flow, number, at_least, joins)
        SELECT $1, $2, $3, $4, $5 {rows} WHERE TRUE ON CONFLICT (key, flow, number) DO UPDATE SET joins = excluded.joins";

    /// Nobody wants any more what is waited for; its end meets that of others there.
    pub(crate) WAIT_UNWANTED = "UPDATE flow_wait SET joins = $3 {rows} WHERE key = $1 AND flow = $2";

    /// What a waiting task waited for has come, and nothing follows.
    pub(crate) TASK_ARRIVED = "UPDATE flow_task SET state = 'succeeded', output = $3, error = NULL, next_at = NULL,
        finished = $4 WHERE flow = $1 AND number = $2 AND state IN ('waiting', 'retrying')";

    /// What a waiting task waited for will not come, and nothing follows.
    pub(crate) TASK_MISSED = "UPDATE flow_task SET state = 'failed', error = $3, next_at = NULL, finished = $4
        WHERE flow = $1 AND number = $2 AND state IN ('waiting', 'retrying') RETURNING id, name, resource";

    /// What the flow of a task did has been undone, and nothing follows.
    pub(crate) TASK_UNDONE = "UPDATE flow_task SET state = 'reverted', before_revert = NULL, error = failure, failure = NULL,
        finished = $3 WHERE flow = $1 AND number = $2 AND state = 'reverting'";

    /// What a waiting task waits for is in trouble, or no more.
    pub(crate) TASK_TROUBLED = "UPDATE flow_task SET state = $3, error = $4
        WHERE flow = $1 AND number = $2 AND state IN ('waiting', 'retrying')";

    pub(crate) WAITS_END = "DELETE FROM flow_wait {rows} WHERE flow = $1";

    pub(crate) INBOX_ADD = "INSERT INTO flow_inbox (flow, id, event) VALUES ($1, $2, $3)";

    pub(crate) INBOX = "SELECT flow, id, event FROM flow_inbox {rows} WHERE flow = $1";

    pub(crate) INBOX_HEARD = "DELETE FROM flow_inbox WHERE flow = $1 AND id IN (SELECT value FROM json_each($2))";

    pub(crate) INBOX_CLEAR = "DELETE FROM flow_inbox WHERE flow = $1";

    pub(crate) FLOW_HEARD = "UPDATE flow SET nudged = EXISTS (SELECT 1 FROM flow_inbox WHERE flow_inbox.flow = flow.id
        AND flow_inbox.id NOT IN (SELECT value FROM json_each($3))) WHERE id = $1 AND epoch = $2";

    pub(crate) CHILDREN = "SELECT id FROM flow WHERE parent = $1 AND finished IS NULL AND fate <> 'free' ORDER BY ticket";

    /// What was reported of a task that starts over is of no use to its next attempt.
    pub(crate) REPORT_FORGOTTEN = "UPDATE flow_task SET reported = NULL, progress = NULL {rows} WHERE flow = $1 AND number = $2";

    pub(crate) WORKER_JOIN = "INSERT INTO flow_worker (id, instance, lease_until, started, handlers, labels)
        VALUES ($1, $2, $3, $4, $5, $6)";

    pub(crate) WORKER_ALIVE = "SELECT EXISTS (SELECT 1 FROM flow_worker WHERE id = $1)";

    pub(crate) WORKER_BEAT = "UPDATE flow_worker SET lease_until = $2 WHERE id = $1";

    pub(crate) WORKER_LEAVE = "DELETE FROM flow_worker WHERE id = $1";

    pub(crate) WORKERS_DEAD = "SELECT id FROM flow_worker WHERE lease_until < $1
        OR name IS NULL AND instance <> coalesce($2, instance)";

    /// Gives back what a worker has.
    pub(crate) FLOWS_GIVE_BACK = "UPDATE flow SET state = 'ready', worker = NULL, epoch = epoch + 1, losses = losses + $2
        WHERE worker = $1";

    /// Gives back what a worker has without knowing: `$2` lists what it knows of, each with its epoch.
    pub(crate) FLOWS_DISOWN = "UPDATE flow SET state = 'ready', worker = NULL, epoch = epoch + 1 WHERE worker = $1
        AND id || ' ' || epoch NOT IN (SELECT value FROM json_each($2))";
}
