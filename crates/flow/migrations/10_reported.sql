-- What an attempt last said of how far it is, as JSON, for the next one. It starts over with the task.
ALTER TABLE flow_task ADD COLUMN reported TEXT;
