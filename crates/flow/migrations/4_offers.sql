-- Tasks offered to workers that have what their flow's owner lacks, and who has claimed them.
CREATE TABLE flow_offer (
    flow TEXT NOT NULL,
    number BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    name TEXT NOT NULL,
    -- What a worker must have beside the handler, as a JSON list.
    labels TEXT NOT NULL,
    input TEXT NOT NULL,
    -- What the task left, as JSON, if it shall be undone.
    undo TEXT,
    -- How long an attempt may take, and be silent, in microseconds.
    time_limit BIGINT,
    heartbeat BIGINT,
    priority BIGINT NOT NULL,
    offered BIGINT NOT NULL,
    claim TEXT,
    worker TEXT,
    claimed BIGINT,
    lease_until BIGINT,
    deadline BIGINT,
    -- Whoever claimed it shall stop.
    cancelled BOOLEAN NOT NULL,
    PRIMARY KEY (flow, number)
);

CREATE UNIQUE INDEX flow_offer_claim ON flow_offer (claim) WHERE claim IS NOT NULL;
CREATE INDEX flow_offer_open ON flow_offer (priority DESC, offered) WHERE claim IS NULL;
CREATE INDEX flow_offer_lease ON flow_offer (lease_until) WHERE lease_until IS NOT NULL;

-- Its present attempt is made by whoever claims it.
ALTER TABLE flow_task ADD COLUMN offered BOOLEAN NOT NULL DEFAULT FALSE;

-- What a worker has beside its handlers, as a JSON list. One that takes work over HTTP goes by its name and has no flows.
ALTER TABLE flow_worker ADD COLUMN labels TEXT NOT NULL DEFAULT '[]';
ALTER TABLE flow_worker ADD COLUMN name TEXT;
CREATE UNIQUE INDEX flow_worker_name ON flow_worker (name) WHERE name IS NOT NULL;

-- A worker offers what it lacks a handler for; the flow stays with it.
DROP INDEX flow_ready;
DROP INDEX flow_lacking;
ALTER TABLE flow DROP COLUMN lacks;
CREATE INDEX flow_ready ON flow (priority DESC, pass, ticket) WHERE state = 'ready';
