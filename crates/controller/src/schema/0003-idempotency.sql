-- Answers to requests with an Idempotency-Key, written with the change they tell of. `model` is a
-- UUID, or empty for requests that are not below a model; `answer` is JSON.
CREATE TABLE idempotency (
  model TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  answer TEXT NOT NULL,
  created BIGINT NOT NULL,
  PRIMARY KEY (model, key)
);
CREATE INDEX idempotency_by_age ON idempotency (created);
