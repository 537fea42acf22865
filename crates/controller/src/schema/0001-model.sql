-- The model's tables. Times are UTC microseconds, JSON is TEXT, ids are UUIDv7 text.
-- Writers lock the model row first and draw from `sequence` last, so that transactions of one
-- model are serial on both engines and change numbers appear in commit order.
--
-- Columns that name another row hold its id, never its name: `leader`, `principal`, `unit` hold the
-- id of a unit, `application` that of an application, `model` a UUID, `relation` that of a relation;
-- `secret.owner` and `secret_grant.target` hold the id of what their kind says. `life` and other
-- closed sets are JSON, so text in quotes.

CREATE TABLE sequence (name TEXT PRIMARY KEY, value BIGINT NOT NULL);
INSERT INTO sequence (name, value) VALUES ('generation', 0), ('log', 0), ('session', 0), ('address', 0);

CREATE TABLE controller (
  uuid TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  created BIGINT NOT NULL
);

CREATE TABLE agent (
  machine TEXT PRIMARY KEY,
  session BIGINT NOT NULL,
  hostname TEXT NOT NULL,
  architecture TEXT NOT NULL,
  version TEXT NOT NULL,
  pid BIGINT NOT NULL,
  seen BIGINT NOT NULL
);

CREATE TABLE model (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  owner TEXT NOT NULL,
  kind TEXT NOT NULL,
  cloud TEXT NOT NULL,
  region TEXT NOT NULL,
  life TEXT NOT NULL,
  config TEXT NOT NULL,
  constraints TEXT NOT NULL,
  revision BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  next_machine BIGINT NOT NULL,
  next_relation BIGINT NOT NULL,
  next_task BIGINT NOT NULL,
  status_since BIGINT NOT NULL,
  created BIGINT NOT NULL
);

-- Numbers that are never given twice: units per application name, storage per storage name.
CREATE TABLE counter (
  model TEXT NOT NULL,
  name TEXT NOT NULL,
  next BIGINT NOT NULL,
  PRIMARY KEY (model, name)
);

CREATE TABLE machine (
  model TEXT NOT NULL,
  number BIGINT NOT NULL,
  life TEXT NOT NULL,
  base TEXT NOT NULL,
  constraints TEXT NOT NULL,
  agent TEXT NOT NULL,
  manual BOOLEAN NOT NULL,
  created BIGINT NOT NULL,
  PRIMARY KEY (model, number)
);

CREATE TABLE application (
  id TEXT PRIMARY KEY,
  model TEXT NOT NULL,
  name TEXT NOT NULL,
  life TEXT NOT NULL,
  charm TEXT NOT NULL,
  charm_name TEXT NOT NULL,
  charm_revision BIGINT NOT NULL,
  charm_digest TEXT NOT NULL,
  charm_modified BIGINT NOT NULL,
  force_upgrade BOOLEAN NOT NULL,
  base TEXT NOT NULL,
  subordinate BOOLEAN NOT NULL,
  config TEXT NOT NULL,
  trust BOOLEAN NOT NULL,
  constraints TEXT NOT NULL,
  bindings TEXT NOT NULL,
  storage TEXT NOT NULL,
  exposed BOOLEAN NOT NULL,
  deferral_retries BOOLEAN NOT NULL,
  scale BIGINT NOT NULL,
  leader TEXT,
  leader_settings TEXT NOT NULL,
  leader_settings_version BIGINT NOT NULL,
  status_set BOOLEAN NOT NULL,
  status TEXT NOT NULL,
  status_message TEXT NOT NULL,
  status_since BIGINT NOT NULL,
  workload_version TEXT NOT NULL,
  generation BIGINT NOT NULL,
  force_at BIGINT,
  created BIGINT NOT NULL,
  charm_version TEXT NOT NULL,
  UNIQUE (model, name)
);

CREATE TABLE unit (
  id TEXT PRIMARY KEY,
  model TEXT NOT NULL,
  application TEXT NOT NULL,
  name TEXT NOT NULL,
  number BIGINT NOT NULL,
  life TEXT NOT NULL,
  machine BIGINT,
  agent TEXT NOT NULL,
  principal TEXT,
  address TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  journal TEXT NOT NULL,
  version BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  observed_generation BIGINT NOT NULL,
  charm TEXT NOT NULL,
  resolved TEXT NOT NULL,
  trouble TEXT NOT NULL,
  agent_status TEXT NOT NULL,
  agent_message TEXT NOT NULL,
  agent_since BIGINT NOT NULL,
  workload_status TEXT NOT NULL,
  workload_message TEXT NOT NULL,
  workload_since BIGINT NOT NULL,
  workload_version TEXT NOT NULL,
  ports TEXT NOT NULL,
  force_at BIGINT,
  created BIGINT NOT NULL,
  UNIQUE (model, name)
);
CREATE INDEX unit_by_application ON unit (application);
CREATE INDEX unit_by_change ON unit (agent, generation);

-- Units whose records are gone, so that their agent hears of it.
CREATE TABLE unit_gone (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  model TEXT NOT NULL,
  model_name TEXT NOT NULL,
  agent TEXT NOT NULL,
  generation BIGINT NOT NULL
);
CREATE INDEX unit_gone_by_change ON unit_gone (agent, generation);

CREATE TABLE unit_state (
  unit TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (unit, key)
);

CREATE TABLE deferred (
  unit TEXT NOT NULL,
  sequence BIGINT NOT NULL,
  event TEXT NOT NULL,
  observer TEXT NOT NULL,
  method TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  since BIGINT NOT NULL,
  next BIGINT NOT NULL,
  PRIMARY KEY (unit, sequence)
);

CREATE TABLE relation (
  id TEXT PRIMARY KEY,
  model TEXT NOT NULL,
  number BIGINT NOT NULL,
  key TEXT NOT NULL,
  interface TEXT NOT NULL,
  scope TEXT NOT NULL,
  kind TEXT NOT NULL,
  life TEXT NOT NULL,
  status TEXT NOT NULL,
  force_at BIGINT,
  created BIGINT NOT NULL,
  UNIQUE (model, number),
  UNIQUE (model, key)
);

-- One row per side (one in all for a peer relation), with the application's databag.
CREATE TABLE relation_endpoint (
  relation TEXT NOT NULL,
  application TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  role TEXT NOT NULL,
  implicit BOOLEAN NOT NULL,
  settings TEXT NOT NULL,
  version BIGINT NOT NULL,
  PRIMARY KEY (relation, application, endpoint)
);
CREATE INDEX relation_endpoint_by_application ON relation_endpoint (application);

-- A unit that is or was in scope, with its databag; kept until the relation is gone.
CREATE TABLE relation_unit (
  relation TEXT NOT NULL,
  unit TEXT NOT NULL,
  unit_name TEXT NOT NULL,
  application TEXT NOT NULL,
  in_scope BOOLEAN NOT NULL,
  settings TEXT NOT NULL,
  version BIGINT NOT NULL,
  PRIMARY KEY (relation, unit)
);
CREATE INDEX relation_unit_by_unit ON relation_unit (unit);

CREATE TABLE storage (
  model TEXT NOT NULL,
  id TEXT NOT NULL,
  unit TEXT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  pool TEXT NOT NULL,
  size_mib BIGINT NOT NULL,
  location TEXT NOT NULL,
  life TEXT NOT NULL,
  provisioned BOOLEAN NOT NULL,
  created BIGINT NOT NULL,
  PRIMARY KEY (model, id)
);
CREATE INDEX storage_by_unit ON storage (unit);

CREATE TABLE resource (
  application TEXT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  revision BIGINT NOT NULL,
  digest TEXT NOT NULL,
  size BIGINT NOT NULL,
  filename TEXT NOT NULL,
  created BIGINT NOT NULL,
  PRIMARY KEY (application, name)
);

CREATE TABLE secret (
  id TEXT PRIMARY KEY,
  model TEXT NOT NULL,
  owner_kind TEXT NOT NULL,
  owner TEXT NOT NULL,
  name TEXT NOT NULL,
  label TEXT NOT NULL,
  description TEXT NOT NULL,
  rotation TEXT NOT NULL,
  expiry TEXT NOT NULL,
  auto_prune BOOLEAN NOT NULL,
  latest BIGINT NOT NULL,
  rotates BIGINT,
  created BIGINT NOT NULL,
  updated BIGINT NOT NULL
);
CREATE INDEX secret_by_owner ON secret (owner);
CREATE INDEX secret_by_model ON secret (model);

CREATE TABLE secret_revision (
  secret TEXT NOT NULL,
  revision BIGINT NOT NULL,
  content TEXT NOT NULL,
  expires BIGINT,
  created BIGINT NOT NULL,
  updated BIGINT NOT NULL,
  PRIMARY KEY (secret, revision)
);

CREATE TABLE secret_grant (
  secret TEXT NOT NULL,
  target_kind TEXT NOT NULL,
  target TEXT NOT NULL,
  relation TEXT NOT NULL,
  PRIMARY KEY (secret, target_kind, target)
);
CREATE INDEX secret_grant_by_target ON secret_grant (target);

CREATE TABLE secret_consumer (
  secret TEXT NOT NULL,
  unit TEXT NOT NULL,
  label TEXT NOT NULL,
  tracked BIGINT NOT NULL,
  PRIMARY KEY (secret, unit)
);
CREATE INDEX secret_consumer_by_unit ON secret_consumer (unit);

CREATE TABLE operation (
  model TEXT NOT NULL,
  number BIGINT NOT NULL,
  summary TEXT NOT NULL,
  refused TEXT NOT NULL,
  flow TEXT,
  enqueued BIGINT NOT NULL,
  PRIMARY KEY (model, number)
);

CREATE TABLE operation_task (
  model TEXT NOT NULL,
  number BIGINT NOT NULL,
  operation BIGINT NOT NULL,
  unit TEXT,
  receiver TEXT NOT NULL,
  name TEXT NOT NULL,
  work TEXT NOT NULL,
  parallel BOOLEAN NOT NULL,
  parameters TEXT NOT NULL,
  command TEXT NOT NULL,
  timeout_ms BIGINT NOT NULL,
  status TEXT NOT NULL,
  message TEXT NOT NULL,
  results TEXT NOT NULL,
  log TEXT NOT NULL,
  enqueued BIGINT NOT NULL,
  started BIGINT,
  completed BIGINT,
  PRIMARY KEY (model, number)
);
CREATE INDEX operation_task_by_unit ON operation_task (unit, status);

CREATE TABLE log (
  sequence BIGINT PRIMARY KEY,
  model TEXT NOT NULL,
  time BIGINT NOT NULL,
  entity TEXT NOT NULL,
  level TEXT NOT NULL,
  logger TEXT NOT NULL,
  message TEXT NOT NULL
);
CREATE INDEX log_by_model ON log (model, sequence);

CREATE TABLE status_log (
  id TEXT PRIMARY KEY,
  entity TEXT NOT NULL,
  kind TEXT NOT NULL,
  status TEXT NOT NULL,
  message TEXT NOT NULL,
  since BIGINT NOT NULL
);
CREATE INDEX status_log_by_entity ON status_log (entity, since);
