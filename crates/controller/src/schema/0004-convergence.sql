-- Since when an agent is heard of without a silence longer than its lease.
ALTER TABLE agent ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
UPDATE agent SET since = seen;

-- What a unit was found to have other than its application wants when it last said it had followed;
-- empty: nothing. Found where its journal is written, for reading all journals takes too long.
ALTER TABLE unit ADD COLUMN drift TEXT NOT NULL DEFAULT '';
ALTER TABLE unit ADD COLUMN drift_since BIGINT NOT NULL DEFAULT 0;
