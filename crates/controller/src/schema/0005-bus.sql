-- How far the outbox has been fired on the bus: one row. `owner` is the controller that fires, until `until`; on SQLite there is
-- only one. What was announced before there was this table is not fired.
CREATE TABLE bus_cursor (
  id BIGINT PRIMARY KEY,
  seq BIGINT NOT NULL,
  owner TEXT NOT NULL,
  until BIGINT NOT NULL
);
INSERT INTO bus_cursor (id, seq, owner, until) SELECT 1, seq, '', 0 FROM outbox_last;
