-- Ids of everything here are dense numbers from one counter: a set of units is a small bitmap, and whoever writes units
-- holds the counter's row, so two writers never insert the same unit.
CREATE TABLE content_number (id BIGINT PRIMARY KEY, next BIGINT NOT NULL);

ALTER TABLE repository RENAME TO earlier_repository;
ALTER TABLE repository_version RENAME TO earlier_version;
ALTER TABLE content_unit RENAME TO earlier_unit;
ALTER TABLE repository_content RENAME TO earlier_content;

-- Other digests of an artifact, once asked for: an object {"md5": "…", …}.
ALTER TABLE artifact ADD COLUMN digests TEXT;

CREATE INDEX artifact_created ON artifact (created);

-- The natural key is (content_type, path, identity). A version holds one unit of a path; identity tells the units of a
-- path apart: for types whose unit is one file, its SHA-256.
CREATE TABLE content_unit (
  id BIGINT PRIMARY KEY,
  content_type TEXT NOT NULL,
  path TEXT NOT NULL,
  identity TEXT NOT NULL,
  metadata TEXT NOT NULL,
  labels TEXT NOT NULL,
  created BIGINT NOT NULL,
  -- When it was last looked for or stored: an orphan is only taken away when it is old.
  touched BIGINT NOT NULL,
  UNIQUE (content_type, path, identity)
);

-- Files of a unit. The digest may be known before the bytes are here: they are here when the artifact has a row.
CREATE TABLE unit_artifact (
  unit BIGINT NOT NULL,
  path TEXT NOT NULL,
  digest TEXT,
  size BIGINT,
  PRIMARY KEY (unit, path)
);

CREATE INDEX unit_artifact_digest ON unit_artifact (digest);

-- Where a file of a unit can be fetched.
CREATE TABLE remote_artifact (
  unit BIGINT NOT NULL,
  path TEXT NOT NULL,
  remote BIGINT NOT NULL,
  url TEXT NOT NULL,
  -- Digests other than SHA-256, an object.
  digests TEXT NOT NULL,
  PRIMARY KEY (unit, path, remote)
);

CREATE INDEX remote_artifact_remote ON remote_artifact (remote);

CREATE TABLE remote (
  id BIGINT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  content_type TEXT NOT NULL,
  url TEXT NOT NULL,
  -- immediate, on_demand or streamed.
  policy TEXT NOT NULL,
  -- Everything else, an object; credentials apart, so that nothing lists them.
  settings TEXT NOT NULL,
  credentials TEXT NOT NULL,
  labels TEXT NOT NULL,
  created BIGINT NOT NULL,
  updated BIGINT NOT NULL
);

CREATE TABLE repository (
  id BIGINT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  content_type TEXT NOT NULL,
  description TEXT,
  -- The newest complete version, and the number the next one gets.
  version BIGINT NOT NULL,
  next_version BIGINT NOT NULL,
  -- Versions to keep; none: all.
  retain BIGINT,
  remote BIGINT,
  -- What its content type keeps of it, an object.
  settings TEXT NOT NULL,
  labels TEXT NOT NULL,
  -- What the last sync saw, an object: an unchanged remote is not read again.
  last_sync TEXT NOT NULL,
  created BIGINT NOT NULL,
  updated BIGINT NOT NULL
);

CREATE INDEX repository_remote ON repository (remote);

CREATE TABLE repository_version (
  repository BIGINT NOT NULL,
  number BIGINT NOT NULL,
  base BIGINT,
  -- By content type: {"file": {"added": 1, "removed": 0, "present": 7}}.
  counts TEXT NOT NULL,
  created BIGINT NOT NULL,
  PRIMARY KEY (repository, number)
);

-- A version being made. Its memberships are written ahead under its number, which no complete version has yet.
CREATE TABLE repository_draft (
  repository BIGINT PRIMARY KEY,
  number BIGINT NOT NULL,
  -- Whoever makes it; what another one wrote is refused.
  writer TEXT NOT NULL,
  counts TEXT NOT NULL,
  created BIGINT NOT NULL
);

-- Membership by intervals: a version n holds what was added up to n and not removed up to n.
CREATE TABLE repository_content (
  repository BIGINT NOT NULL,
  path TEXT NOT NULL,
  unit BIGINT NOT NULL,
  added BIGINT NOT NULL,
  removed BIGINT,
  PRIMARY KEY (repository, path, added)
);

CREATE UNIQUE INDEX repository_content_present ON repository_content (repository, path) WHERE removed IS NULL;
CREATE INDEX repository_content_added ON repository_content (repository, added);
CREATE INDEX repository_content_removed ON repository_content (repository, removed) WHERE removed IS NOT NULL;
CREATE INDEX repository_content_unit ON repository_content (unit);

CREATE TABLE publication (
  id BIGINT PRIMARY KEY,
  repository BIGINT NOT NULL,
  version BIGINT NOT NULL,
  content_type TEXT NOT NULL,
  settings TEXT NOT NULL,
  created BIGINT NOT NULL
);

CREATE INDEX publication_version ON publication (repository, version);

-- Files that a publication adds to those of its version.
CREATE TABLE published_file (
  publication BIGINT NOT NULL,
  path TEXT NOT NULL,
  digest TEXT NOT NULL,
  size BIGINT NOT NULL,
  PRIMARY KEY (publication, path)
);

CREATE INDEX published_file_digest ON published_file (digest);

-- What is served below a base path: a publication, one version of a repository, or its newest.
CREATE TABLE distribution (
  id BIGINT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  base_path TEXT NOT NULL UNIQUE,
  content_type TEXT NOT NULL,
  repository BIGINT,
  version BIGINT,
  publication BIGINT,
  remote BIGINT,
  settings TEXT NOT NULL,
  labels TEXT NOT NULL,
  created BIGINT NOT NULL,
  updated BIGINT NOT NULL
);

CREATE INDEX distribution_repository ON distribution (repository);
CREATE INDEX distribution_publication ON distribution (publication);

-- An upload in parts: bytes written so far are in a file of its own.
CREATE TABLE upload (
  id BIGINT PRIMARY KEY,
  size BIGINT NOT NULL,
  -- Parts that are there: [{"offset": 0, "size": 10}].
  parts TEXT NOT NULL,
  created BIGINT NOT NULL,
  updated BIGINT NOT NULL
);

-- Paths are compared letter by letter, whatever the language of the database: what lies below a path is a range.
-- PostgreSQL: ALTER TABLE content_unit ALTER COLUMN path TYPE TEXT COLLATE "C";
-- PostgreSQL: ALTER TABLE unit_artifact ALTER COLUMN path TYPE TEXT COLLATE "C";
-- PostgreSQL: ALTER TABLE remote_artifact ALTER COLUMN path TYPE TEXT COLLATE "C";
-- PostgreSQL: ALTER TABLE repository_content ALTER COLUMN path TYPE TEXT COLLATE "C";
-- PostgreSQL: ALTER TABLE published_file ALTER COLUMN path TYPE TEXT COLLATE "C";
-- PostgreSQL: ALTER TABLE distribution ALTER COLUMN base_path TYPE TEXT COLLATE "C";

-- The highest revision of a charm's name that a repository ever gave.
CREATE TABLE charm_revision (
  repository BIGINT NOT NULL,
  name TEXT NOT NULL,
  highest BIGINT NOT NULL,
  PRIMARY KEY (repository, name)
);

INSERT INTO content_unit (id, content_type, path, identity, metadata, labels, created, touched)
SELECT row_number() OVER (ORDER BY min(id)), content_type, name || '_' || revision || '.charm', digest, min(metadata), '{}',
       min(created), max(created)
FROM earlier_unit GROUP BY content_type, name, revision, digest;

INSERT INTO unit_artifact (unit, path, digest, size)
SELECT u.id, u.path, u.identity, (SELECT min(e.size) FROM earlier_unit e WHERE e.digest = u.identity) FROM content_unit u;

INSERT INTO repository (id, name, content_type, version, next_version, settings, labels, last_sync, created, updated)
SELECT (SELECT count(*) FROM content_unit) + row_number() OVER (ORDER BY name), name, content_type, version, version + 1, '{}', '{}',
       '{}', created, created
FROM earlier_repository;

INSERT INTO repository_content (repository, path, unit, added, removed)
SELECT r.id, u.path, u.id, c.added, c.removed
FROM earlier_content c
JOIN earlier_unit e ON e.id = c.content_unit
JOIN repository r ON r.name = c.repository
JOIN content_unit u ON u.content_type = e.content_type AND u.path = e.name || '_' || e.revision || '.charm' AND u.identity = e.digest;

INSERT INTO repository_version (repository, number, counts, created)
SELECT r.id, v.number,
       '{"charm":{"added":' || (SELECT count(*) FROM repository_content c WHERE c.repository = r.id AND c.added = v.number)
       || ',"removed":' || (SELECT count(*) FROM repository_content c WHERE c.repository = r.id AND c.removed = v.number)
       || ',"present":' || (SELECT count(*) FROM repository_content c WHERE c.repository = r.id AND c.added <= v.number
                            AND (c.removed IS NULL OR c.removed > v.number)) || '}}',
       v.created
FROM earlier_version v JOIN repository r ON r.name = v.repository;

INSERT INTO repository_version (repository, number, counts, created) SELECT id, 0, '{}', created FROM repository;

INSERT INTO charm_revision (repository, name, highest)
SELECT r.id, e.name, max(e.revision) FROM earlier_unit e JOIN repository r ON r.name = e.namespace GROUP BY r.id, e.name;

INSERT INTO content_number (id, next)
SELECT 1, 1 + (SELECT count(*) FROM content_unit) + (SELECT count(*) FROM repository);

DROP TABLE earlier_content;
DROP TABLE earlier_unit;
DROP TABLE earlier_version;
DROP TABLE earlier_repository;
