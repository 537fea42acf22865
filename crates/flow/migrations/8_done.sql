-- What a task in a transaction answered, as long as its effect stands: written and cleared with the effect, whatever becomes of
-- the task's state.
ALTER TABLE flow_task ADD COLUMN done TEXT;
