-- When it was put back into its queues after it had ended; absent if it never was.
ALTER TABLE flow ADD COLUMN requeued BIGINT;

-- What lists by state look for. Other indexes have these columns as well, so no update of a flow becomes dearer than it was but
-- for an entry of those that have not ended.
CREATE INDEX flow_open ON flow (ticket) WHERE finished IS NULL;
CREATE INDEX flow_unsuccessful ON flow (ticket)
    WHERE state IN ('failed', 'reverted', 'cancelled', 'parked', 'stuck', 'abandoned');
CREATE INDEX flow_set_aside ON flow (ticket) WHERE state IN ('parked', 'stuck');

-- Whether it failed for good. A column of its own, as PostgreSQL updates a row in place only if no column of any index changes,
-- those of an index's condition included: this one does not change as long as all goes well. SQLite keeps no copy of it.
ALTER TABLE flow_task ADD COLUMN failed BOOLEAN GENERATED ALWAYS AS (state IN ('failed', 'revert_failed'))
-- PostgreSQL: STORED
    NULL;
CREATE INDEX flow_task_failed ON flow_task (id) WHERE failed;
