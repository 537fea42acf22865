-- Attempts that failed, the newest few of each task in each direction. Nothing is written here as long as nothing fails.
CREATE TABLE flow_failure (
    flow TEXT NOT NULL,
    number BIGINT NOT NULL,
    -- Grows with time.
    id TEXT NOT NULL,
    -- Whether it was an attempt to undo the task.
    undoing BOOLEAN NOT NULL,
    attempt BIGINT NOT NULL,
    at BIGINT NOT NULL,
    class TEXT NOT NULL,
    message TEXT NOT NULL,
    worker TEXT,
    PRIMARY KEY (flow, number, undoing, id)
);

-- For what it was submitted, as whoever collects spans knows it: a W3C traceparent, or any other name.
ALTER TABLE flow ADD COLUMN trace TEXT;
