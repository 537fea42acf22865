-- Owners of flows keep them in memory: what can be derived from tasks and edges needs no columns.
DROP INDEX flow_ready;
DROP INDEX flow_task_unblocked;
DROP INDEX flow_task_retry;
DROP INDEX flow_task_failed;
DROP INDEX flow_task_wait;
ALTER TABLE flow DROP COLUMN open;
ALTER TABLE flow DROP COLUMN active;
ALTER TABLE flow_task DROP COLUMN blockers;

ALTER TABLE flow ADD COLUMN priority BIGINT NOT NULL DEFAULT 0;
-- Its turn among the flows of all scopes: scopes with many flows do not hold up those with few.
ALTER TABLE flow ADD COLUMN pass BIGINT NOT NULL DEFAULT 0;
-- No task of it needs a worker.
ALTER TABLE flow ADD COLUMN passive BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE flow ADD COLUMN suspended BOOLEAN NOT NULL DEFAULT FALSE;
-- When something of a waiting flow is due.
ALTER TABLE flow ADD COLUMN wake_at BIGINT;
-- The handler that the worker it was with does not know.
ALTER TABLE flow ADD COLUMN lacks TEXT;
ALTER TABLE flow ADD COLUMN parent TEXT;
ALTER TABLE flow ADD COLUMN parent_task BIGINT;
ALTER TABLE flow ADD COLUMN fate TEXT;

-- What has no column of its own: the kind of work, bindings, conditions, timeouts, guard. Absent for a plain task.
ALTER TABLE flow_task ADD COLUMN spec TEXT;
ALTER TABLE flow_task ADD COLUMN progress DOUBLE PRECISION;

-- Names of handlers a worker has, as a JSON list.
ALTER TABLE flow_worker ADD COLUMN handlers TEXT NOT NULL DEFAULT '[]';

ALTER TABLE flow_ticket ADD COLUMN pass BIGINT NOT NULL DEFAULT 0;

-- The tasks a task needs, as a JSON list; absent if there are none.
ALTER TABLE flow_task ADD COLUMN needs TEXT;

UPDATE flow_task SET needs = (
    WITH RECURSIVE listed (number, text) AS (
        SELECT min(edge.number), '[' || CAST(min(edge.number) AS TEXT) FROM flow_edge AS edge
        WHERE edge.flow = flow_task.flow AND edge.successor = flow_task.number
        UNION ALL
        SELECT edge.number, listed.text || ',' || CAST(edge.number AS TEXT) FROM listed JOIN flow_edge AS edge
            ON edge.flow = flow_task.flow AND edge.successor = flow_task.number
        WHERE edge.number = (SELECT min(next.number) FROM flow_edge AS next
            WHERE next.flow = flow_task.flow AND next.successor = flow_task.number AND next.number > listed.number)
    )
    SELECT listed.text || ']' FROM listed WHERE listed.number IS NOT NULL ORDER BY listed.number DESC LIMIT 1);
DROP TABLE flow_edge;

UPDATE flow SET wake_at = (SELECT min(next_at) FROM flow_task WHERE flow_task.flow = flow.id)
    WHERE state = 'waiting';

CREATE INDEX flow_ready ON flow (priority DESC, pass, ticket) WHERE state = 'ready' AND lacks IS NULL;
CREATE INDEX flow_lacking ON flow (lacks) WHERE state = 'ready' AND lacks IS NOT NULL;
CREATE INDEX flow_due ON flow (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX flow_parent ON flow (parent) WHERE parent IS NOT NULL;
CREATE INDEX flow_nudged ON flow (worker) WHERE nudged;
CREATE INDEX flow_queue_ungranted ON flow_queue (resource, ticket) WHERE NOT granted;

-- The last turn of each scope.
CREATE TABLE flow_share (
    model TEXT PRIMARY KEY,
    pass BIGINT NOT NULL
);

-- What happened to flows that a worker has in memory: it reads this when nudged.
CREATE TABLE flow_inbox (
    flow TEXT NOT NULL,
    id TEXT NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (flow, id)
);

-- What tasks said while they ran.
CREATE TABLE flow_log (
    flow TEXT NOT NULL,
    number BIGINT NOT NULL,
    id TEXT NOT NULL,
    at BIGINT NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (flow, number, id)
);

-- Who waits for what. No index of the tasks' own table has a column that changes while they run: so PostgreSQL can update
-- their rows in place.
CREATE TABLE flow_wait (
    key TEXT NOT NULL,
    flow TEXT NOT NULL,
    number BIGINT NOT NULL,
    at_least BIGINT NOT NULL,
    PRIMARY KEY (key, flow, number)
);

CREATE INDEX flow_wait_flow ON flow_wait (flow);
CREATE INDEX flow_task_key ON flow_task (wait_key) WHERE wait_key IS NOT NULL;

INSERT INTO flow_wait (key, flow, number, at_least)
    SELECT wait_key, flow, number, coalesce(wait_at_least, 0) FROM flow_task
    WHERE wait_key IS NOT NULL AND finished IS NULL AND state IN ('waiting', 'retrying');

-- PostgreSQL: ALTER TABLE flow_task SET (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);
-- PostgreSQL: ALTER TABLE flow SET (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);
-- PostgreSQL: ALTER FUNCTION json_each (text) ROWS 10;
