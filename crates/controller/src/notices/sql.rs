//! The table `notice`.

tutti_store::row! {
    /// What a notice says.
    pub(super) struct Content {
        pub(super) id: String,
        pub(super) kind: String,
        pub(super) key: String,
        pub(super) data: String,
    }
}

tutti_store::sql! {
    pub(super) COUNT = "SELECT COUNT(*) FROM notice WHERE unit = $1";
    pub(super) ADD = "INSERT INTO notice (unit, number, id, kind, key, data, created) \
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    pub(super) OLDEST = "SELECT MIN(number) FROM notice WHERE unit = $1";
    pub(super) CONTENT = "SELECT id, kind, key, data FROM notice WHERE unit = $1 AND number = $2";
    pub(super) REMOVE = "DELETE FROM notice WHERE unit = $1 AND number = $2";
    pub(super) REMOVE_ALL = "DELETE FROM notice WHERE unit = $1";
}
