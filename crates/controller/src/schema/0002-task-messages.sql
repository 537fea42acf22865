-- One row per message. `operation_task.log` keeps the messages of older tasks.
CREATE TABLE operation_message (
  model TEXT NOT NULL,
  task BIGINT NOT NULL,
  position BIGINT NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (model, task, position)
);
