-- An attempt made before its flow was retried may have had an effect, which has not been undone since.
ALTER TABLE flow_task ADD COLUMN ran BOOLEAN NOT NULL DEFAULT FALSE;
