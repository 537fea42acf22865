//! The table `log`.

/// Columns of a new line.
pub(super) const COLUMNS: &[&str] =
    &["sequence", "model", "time", "entity", "level", "logger", "message"];

tutti_store::row! {
    /// One stored line.
    pub(super) struct Line {
        pub(super) sequence: i64,
        pub(super) time: i64,
        pub(super) entity: String,
        pub(super) level: String,
        pub(super) logger: String,
        pub(super) message: String,
    }
}

tutti_store::sql! {
    pub(super) AFTER = "SELECT sequence, time, entity, level, logger, message FROM log \
        WHERE model = $1 AND ($2 = '' OR entity = $2) \
        AND CASE level WHEN 'TRACE' THEN 0 WHEN 'DEBUG' THEN 1 WHEN 'WARNING' THEN 3 \
            WHEN 'ERROR' THEN 4 WHEN 'CRITICAL' THEN 5 ELSE 2 END >= CAST($3 AS BIGINT) \
        AND sequence > $5 ORDER BY sequence LIMIT $4";
    pub(super) NEWEST = "SELECT sequence, time, entity, level, logger, message FROM log \
        WHERE model = $1 AND ($2 = '' OR entity = $2) \
        AND CASE level WHEN 'TRACE' THEN 0 WHEN 'DEBUG' THEN 1 WHEN 'WARNING' THEN 3 \
            WHEN 'ERROR' THEN 4 WHEN 'CRITICAL' THEN 5 ELSE 2 END >= CAST($3 AS BIGINT) \
        ORDER BY sequence DESC LIMIT $4";
    pub(super) PRUNE = "DELETE FROM log WHERE model = $1 AND (time < $3 OR sequence <= ( \
        SELECT sequence FROM log WHERE model = $1 ORDER BY sequence DESC LIMIT 1 OFFSET $2))";
    pub(super) REMOVE_ALL = "DELETE FROM log WHERE model = $1";
}
