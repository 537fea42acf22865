-- How long whoever claimed it may go on once told to stop, in microseconds.
ALTER TABLE flow_offer ADD COLUMN cancel_limit BIGINT;
