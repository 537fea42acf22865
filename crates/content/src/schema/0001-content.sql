-- Bytes on disk, by SHA-256.
CREATE TABLE artifact (
  digest TEXT PRIMARY KEY,
  size BIGINT NOT NULL,
  created BIGINT NOT NULL
);

CREATE TABLE repository (
  name TEXT PRIMARY KEY,
  content_type TEXT NOT NULL,
  version BIGINT NOT NULL,
  created BIGINT NOT NULL
);

-- A version is immutable: its content is what was added up to it and not removed up to it.
CREATE TABLE repository_version (
  repository TEXT NOT NULL,
  number BIGINT NOT NULL,
  created BIGINT NOT NULL,
  PRIMARY KEY (repository, number)
);

-- The natural key is (content_type, namespace, name, revision).
CREATE TABLE content_unit (
  id TEXT PRIMARY KEY,
  content_type TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  revision BIGINT NOT NULL,
  digest TEXT NOT NULL,
  size BIGINT NOT NULL,
  metadata TEXT NOT NULL,
  created BIGINT NOT NULL,
  UNIQUE (content_type, namespace, name, revision)
);

CREATE TABLE repository_content (
  repository TEXT NOT NULL,
  content_unit TEXT NOT NULL,
  added BIGINT NOT NULL,
  removed BIGINT,
  PRIMARY KEY (repository, content_unit, added)
);
