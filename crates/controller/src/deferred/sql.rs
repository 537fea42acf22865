//! The table `deferred`.

/// Columns of a notice.
pub(super) const COLUMNS: &[&str] =
    &["unit", "sequence", "event", "observer", "method", "attempts", "since", "next"];

tutti_store::row! {
    /// One stored notice, with its unit's name.
    pub(super) struct Notice {
        pub(super) unit: String,
        pub(super) sequence: i64,
        pub(super) event: String,
        pub(super) observer: String,
        pub(super) method: String,
        pub(super) attempts: u32,
        pub(super) since: i64,
        pub(super) next: i64,
    }
}

tutti_store::sql! {
    pub(super) REMOVE = "DELETE FROM deferred WHERE unit = $1";
    pub(super) LIST = "SELECT u.name, d.sequence, d.event, d.observer, d.method, d.attempts, \
        d.since, d.next FROM deferred d JOIN unit u ON u.id = d.unit \
        WHERE u.model = $1 AND ($2 = '' OR u.name = $2) \
        ORDER BY u.application, u.number, d.sequence";
}
