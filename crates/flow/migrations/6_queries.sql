-- When it was put back into its queues after it had ended; absent if it never was.
ALTER TABLE flow ADD COLUMN requeued BIGINT;
