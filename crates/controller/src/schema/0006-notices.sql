-- Notices that wait for units, each until its hook has been committed. `kind` is `bus` or `custom`, `data` a JSON object.
CREATE TABLE notice (
  unit TEXT NOT NULL,
  number BIGINT NOT NULL,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  data TEXT NOT NULL,
  created BIGINT NOT NULL,
  PRIMARY KEY (unit, number)
);
INSERT INTO sequence (name, value) VALUES ('notice', 0);

-- The bus events of which an application's charm wants to hear; `event` may be `*`.
CREATE TABLE bus_listener (
  application TEXT NOT NULL,
  api TEXT NOT NULL,
  event TEXT NOT NULL,
  PRIMARY KEY (application, api, event)
);
CREATE INDEX bus_listener_by_api ON bus_listener (api);

-- How far the events of an API have become notices: the id of an entry of its stream. Moved in the transaction that
-- writes the notices.
CREATE TABLE bus_position (
  api TEXT PRIMARY KEY,
  position TEXT NOT NULL
);
INSERT INTO bus_position (api, position) VALUES ('tutti.notice', '0-0');
