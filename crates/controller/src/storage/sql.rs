//! The table `storage`.

use tutti_model::api::Life;
use tutti_store::Json;

tutti_store::row! {
    /// One instance of a unit.
    pub(super) struct Instance {
        pub(super) id: String,
        pub(super) kind: String,
        pub(super) pool: String,
        pub(super) size_mib: u64,
        pub(super) location: String,
        pub(super) life: Json<Life>,
        pub(super) provisioned: bool,
    }

    /// One instance with the name of its unit.
    pub(super) struct Attached {
        pub(super) id: String,
        pub(super) kind: String,
        pub(super) pool: String,
        pub(super) size_mib: u64,
        pub(super) location: String,
        pub(super) life: Json<Life>,
        pub(super) provisioned: bool,
        pub(super) unit: String,
    }
}

tutti_store::sql! {
    pub(super) INSERT = "INSERT INTO storage (model, id, unit, name, kind, pool, size_mib, \
        location, life, provisioned, created) VALUES ($1, $2, $3, $4, $5, $6, $7, '', $8, FALSE, $9)";
    pub(super) COUNT = "SELECT COUNT(*) FROM storage WHERE unit = $1 AND name = $2";
    pub(super) OF_UNIT = "SELECT id, kind, pool, size_mib, location, life, provisioned \
        FROM storage WHERE unit = $1";
    pub(super) LIST = "SELECT s.id, s.kind, s.pool, s.size_mib, s.location, s.life, \
        s.provisioned, u.name FROM storage s JOIN unit u ON u.id = s.unit \
        WHERE s.model = $1 ORDER BY s.id";
    pub(super) SET_LIFE = "UPDATE storage SET life = $2 WHERE unit = $1";
    pub(super) PROVISIONED =
        "UPDATE storage SET provisioned = TRUE, location = $3 WHERE unit = $1 AND id = $2";
    pub(super) REMOVE = "DELETE FROM storage WHERE unit = $1 AND id = $2";
    pub(super) REMOVE_OF_UNIT = "DELETE FROM storage WHERE unit = $1";
}
