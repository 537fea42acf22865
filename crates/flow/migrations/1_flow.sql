-- Tickets: one order for all flows. Drawn in the transaction that queues the flow.
CREATE TABLE flow_ticket (
    id BIGINT PRIMARY KEY,
    last BIGINT NOT NULL
);

INSERT INTO flow_ticket (id, last) VALUES (1, 0);

-- Processes that run tasks. A worker whose lease has ended owns nothing any more.
CREATE TABLE flow_worker (
    id TEXT PRIMARY KEY,
    instance TEXT NOT NULL,
    lease_until BIGINT NOT NULL,
    started BIGINT NOT NULL
);

CREATE TABLE flow (
    id TEXT PRIMARY KEY,
    ticket BIGINT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    model TEXT,
    state TEXT NOT NULL,
    -- How it shall end once no task of it runs: failed, reverted, cancelled or parked.
    ending TEXT,
    reverting BOOLEAN NOT NULL,
    -- Whether a cancelled flow is reverted.
    revertible BOOLEAN NOT NULL,
    converge BOOLEAN NOT NULL,
    generation BIGINT,
    -- The names of its resources, sorted: what a newer flow must match to supersede it.
    resources TEXT NOT NULL,
    -- Entries in queues of resources that are not at the head yet.
    ungranted BIGINT NOT NULL,
    tasks BIGINT NOT NULL,
    -- Tasks that have not ended, and those of them a worker is running.
    open BIGINT NOT NULL,
    active BIGINT NOT NULL,
    worker TEXT,
    -- Grows with every take: a write of an earlier owner matches nothing.
    epoch BIGINT NOT NULL,
    -- How often its worker died without a task having ended in between.
    losses BIGINT NOT NULL,
    -- Its worker shall look at it: a signal, a due retry or a cancellation.
    nudged BOOLEAN NOT NULL,
    superseded_by TEXT,
    error TEXT,
    created BIGINT NOT NULL,
    started BIGINT,
    finished BIGINT
);

CREATE INDEX flow_ready ON flow (ticket) WHERE state = 'ready';
CREATE INDEX flow_owned ON flow (worker) WHERE worker IS NOT NULL;
CREATE INDEX flow_unstarted ON flow (resources, ticket) WHERE converge AND started IS NULL AND finished IS NULL;
CREATE INDEX flow_finished ON flow (finished) WHERE finished IS NOT NULL;

-- Queues: an entry for each resource of each flow that has not ended.
CREATE TABLE flow_queue (
    resource TEXT NOT NULL,
    ticket BIGINT NOT NULL,
    flow TEXT NOT NULL,
    exclusive BOOLEAN NOT NULL,
    granted BOOLEAN NOT NULL,
    PRIMARY KEY (resource, ticket)
);

CREATE INDEX flow_queue_exclusive ON flow_queue (resource, ticket) WHERE exclusive;
CREATE INDEX flow_queue_flow ON flow_queue (flow);

-- What a flow was about, also after it ended.
CREATE TABLE flow_resource (
    flow TEXT NOT NULL,
    resource TEXT NOT NULL,
    ticket BIGINT NOT NULL,
    exclusive BOOLEAN NOT NULL,
    PRIMARY KEY (flow, resource)
);

CREATE INDEX flow_resource_history ON flow_resource (resource, ticket);

CREATE TABLE flow_task (
    flow TEXT NOT NULL,
    number BIGINT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    title TEXT NOT NULL,
    resource TEXT,
    input TEXT NOT NULL,
    wait_key TEXT,
    wait_at_least BIGINT,
    attempts_max BIGINT NOT NULL,
    or_revert BOOLEAN NOT NULL,
    state TEXT NOT NULL,
    -- Tasks it needs that have not succeeded.
    blockers BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    revert_attempt BIGINT NOT NULL,
    -- Its state before reverting began.
    before_revert TEXT,
    output TEXT,
    error TEXT,
    next_at BIGINT,
    started BIGINT,
    finished BIGINT,
    PRIMARY KEY (flow, number)
);

CREATE INDEX flow_task_unblocked ON flow_task (flow, number) WHERE blockers = 0 AND finished IS NULL;
CREATE INDEX flow_task_retry ON flow_task (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX flow_task_wait ON flow_task (wait_key) WHERE wait_key IS NOT NULL AND finished IS NULL;
CREATE INDEX flow_task_resource ON flow_task (resource, id) WHERE resource IS NOT NULL;
CREATE INDEX flow_task_failed ON flow_task (id) WHERE state IN ('failed', 'revert_failed');

CREATE TABLE flow_edge (
    flow TEXT NOT NULL,
    number BIGINT NOT NULL,
    successor BIGINT NOT NULL,
    PRIMARY KEY (flow, number, successor)
);

-- The greatest value signalled for a key, and what is wrong with its subject.
CREATE TABLE flow_signal (
    key TEXT PRIMARY KEY,
    value BIGINT,
    trouble TEXT
);
