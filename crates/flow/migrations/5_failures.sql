-- What a task failed with, while it is undone: why that does not succeed is its error meanwhile.
ALTER TABLE flow_task ADD COLUMN failure TEXT;
