-- Events announced by transactions, in commit order: `seq` comes from a counter row, whose lock is held until the commit,
-- so a reader that has seen a number never misses a smaller one.
CREATE TABLE outbox (
    seq BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    topic TEXT NOT NULL,
    body TEXT NOT NULL
);

CREATE INDEX outbox_at ON outbox (at);

CREATE TABLE outbox_last (
    id BIGINT PRIMARY KEY,
    seq BIGINT NOT NULL
);

INSERT INTO outbox_last (id, seq) VALUES (1, 0);
