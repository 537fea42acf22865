//! The tables `application` and `resource`.

use std::collections::BTreeMap;

use serde_json::Value;
use tutti_charm::config::Settings;
use tutti_model::api::Life;
use tutti_store::{Json, ToValue, Tx};

use crate::Error;

/// The columns of [`Application`], in its order.
macro_rules! columns {
    () => {
        "id, model, name, life, charm, charm_name, charm_revision, charm_digest, charm_modified, \
         force_upgrade, base, subordinate, config, trust, constraints, bindings, storage, exposed, \
         deferral_retries, scale, leader, leader_settings, leader_settings_version, status_set, \
         status, status_message, status_since, workload_version, generation, force_at, created, \
         charm_version"
    };
}

tutti_store::row! {
    /// One application.
    #[derive(Clone, Debug)]
    pub(crate) struct Application {
        /// UUID.
        pub(crate) id: String,
        /// UUID of its model.
        pub(crate) model: String,
        /// Name.
        pub(crate) name: String,
        /// Life.
        pub(crate) life: Json<Life>,
        /// `local:NAME-REVISION`.
        pub(crate) charm: String,
        /// Charm name.
        pub(crate) charm_name: String,
        /// Charm revision.
        pub(crate) charm_revision: i64,
        /// SHA-256 of the charm's archive.
        pub(crate) charm_digest: String,
        /// Grows when the charm or one of its resources changes.
        pub(crate) charm_modified: i64,
        /// Units upgrade even when a hook is in error.
        pub(crate) force_upgrade: bool,
        /// `ubuntu@24.04`.
        pub(crate) base: String,
        /// Whether its units live beside units of others.
        pub(crate) subordinate: bool,
        /// Settings that were set.
        pub(crate) config: Json<Settings>,
        /// Trusted with the cloud credential.
        pub(crate) trust: bool,
        /// Constraints.
        pub(crate) constraints: Json<BTreeMap<String, Value>>,
        /// Space of each endpoint; the key "" holds the default.
        pub(crate) bindings: Json<BTreeMap<String, String>>,
        /// Storage directives that were given: name → `pool,count,size`.
        pub(crate) storage: Json<BTreeMap<String, String>>,
        /// Exposed.
        pub(crate) exposed: bool,
        /// Deferred notices may come back early.
        pub(crate) deferral_retries: bool,
        /// Units wanted.
        pub(crate) scale: i64,
        /// Id of the leading unit.
        pub(crate) leader: Option<String>,
        /// Leader settings.
        pub(crate) leader_settings: Json<BTreeMap<String, String>>,
        /// Grows when leader settings change.
        pub(crate) leader_settings_version: i64,
        /// The leader has set the status.
        pub(crate) status_set: bool,
        /// The status the leader has set.
        pub(crate) status: String,
        /// Text.
        pub(crate) status_message: String,
        /// When it was set.
        pub(crate) status_since: i64,
        /// Version of the workload, or empty.
        pub(crate) workload_version: String,
        /// Grows by one with every accepted change.
        pub(crate) generation: i64,
        /// When its records are removed whatever agents say.
        pub(crate) force_at: Option<i64>,
        /// When it was made.
        pub(crate) created: i64,
        /// What the charm's `version` file says, or empty.
        pub(crate) charm_version: String,
    }

    /// A resource of an application.
    #[derive(Clone, Debug)]
    pub(crate) struct Resource {
        /// Name.
        pub(crate) name: String,
        /// `file` or `oci-image`.
        pub(crate) kind: String,
        /// From 1.
        pub(crate) revision: i64,
        /// SHA-256 of its content.
        pub(crate) digest: String,
        /// Bytes.
        pub(crate) size: u64,
        /// File name.
        pub(crate) filename: String,
        /// When it was attached.
        pub(crate) created: i64,
    }
}

tutti_store::sql! {
    pub(crate) BY_ID = concat!("SELECT ", columns!(), " FROM application WHERE id = $1");
    pub(crate) BY_NAME =
        concat!("SELECT ", columns!(), " FROM application WHERE model = $1 AND name = $2");
    pub(crate) OF_MODEL =
        concat!("SELECT ", columns!(), " FROM application WHERE model = $1 ORDER BY name");
    pub(crate) COUNT = "SELECT COUNT(*) FROM application WHERE model = $1";
    INSERT = concat!("INSERT INTO application (", columns!(), ") \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
        $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32)");
    UPDATE = "UPDATE application SET life = $2, charm = $3, charm_name = $4, charm_revision = $5, \
        charm_digest = $6, charm_modified = $7, force_upgrade = $8, base = $9, config = $10, \
        trust = $11, constraints = $12, bindings = $13, storage = $14, exposed = $15, \
        deferral_retries = $16, scale = $17, generation = $18, force_at = $19, \
        charm_version = $20 WHERE id = $1";
    pub(crate) SET_STATUS = "UPDATE application SET status_set = $5, status = $2, \
        status_message = $3, status_since = $4 WHERE id = $1";
    pub(crate) SET_WORKLOAD_VERSION = "UPDATE application SET workload_version = $2 WHERE id = $1";
    pub(crate) TOUCH_UNITS = "UPDATE unit SET generation = $2 WHERE application = $1";
    pub(crate) HAS_RELATIONS = "SELECT COUNT(*) FROM relation_endpoint e \
        JOIN relation r ON r.id = e.relation WHERE e.application = $1 AND r.kind <> 'peer'";
    pub(crate) DELETE = "DELETE FROM application WHERE id = $1";
    pub(crate) DELETE_RESOURCES = "DELETE FROM resource WHERE application = $1";
    pub(crate) RESET_COUNTER = "DELETE FROM counter WHERE model = $1 AND name = $2";
    pub(crate) RESOURCES = "SELECT name, kind, revision, digest, size, filename, created \
        FROM resource WHERE application = $1 ORDER BY name";
    pub(crate) ARTIFACTS =
        "SELECT digest FROM resource UNION SELECT charm_digest FROM application";
    SET_RESOURCE = "INSERT INTO resource \
        (application, name, kind, revision, digest, size, filename, created) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
        ON CONFLICT (application, name) DO UPDATE SET kind = $3, revision = $4, digest = $5, \
        size = $6, filename = $7, created = $8";
    pub(crate) COUNT_STORAGE = "SELECT s.name, COUNT(*) FROM storage s \
        JOIN unit u ON u.id = s.unit WHERE u.application = $1 GROUP BY s.name";
    pub(crate) JOURNALS =
        "SELECT name, life, journal FROM unit WHERE application = $1 ORDER BY number";
    pub(crate) DELETE_RESOURCE = "DELETE FROM resource WHERE application = $1 AND name = $2";
}

/// Adds an application.
pub(crate) fn insert(tx: &mut Tx<'_>, one: &Application) -> Result<(), Error> {
    let values = vec![
        one.id.to_value(),
        one.model.to_value(),
        one.name.to_value(),
        one.life.to_value(),
        one.charm.to_value(),
        one.charm_name.to_value(),
        one.charm_revision.to_value(),
        one.charm_digest.to_value(),
        one.charm_modified.to_value(),
        one.force_upgrade.to_value(),
        one.base.to_value(),
        one.subordinate.to_value(),
        one.config.to_value(),
        one.trust.to_value(),
        one.constraints.to_value(),
        one.bindings.to_value(),
        one.storage.to_value(),
        one.exposed.to_value(),
        one.deferral_retries.to_value(),
        one.scale.to_value(),
        one.leader.to_value(),
        one.leader_settings.to_value(),
        one.leader_settings_version.to_value(),
        one.status_set.to_value(),
        one.status.to_value(),
        one.status_message.to_value(),
        one.status_since.to_value(),
        one.workload_version.to_value(),
        one.generation.to_value(),
        one.force_at.to_value(),
        one.created.to_value(),
        one.charm_version.to_value(),
    ];
    tx.exec(INSERT, values)?;
    Ok(())
}

/// Writes what operators decide: everything but leadership and statuses.
pub(crate) fn update(tx: &mut Tx<'_>, one: &Application) -> Result<(), Error> {
    let values = vec![
        one.id.to_value(),
        one.life.to_value(),
        one.charm.to_value(),
        one.charm_name.to_value(),
        one.charm_revision.to_value(),
        one.charm_digest.to_value(),
        one.charm_modified.to_value(),
        one.force_upgrade.to_value(),
        one.base.to_value(),
        one.config.to_value(),
        one.trust.to_value(),
        one.constraints.to_value(),
        one.bindings.to_value(),
        one.storage.to_value(),
        one.exposed.to_value(),
        one.deferral_retries.to_value(),
        one.scale.to_value(),
        one.generation.to_value(),
        one.force_at.to_value(),
        one.charm_version.to_value(),
    ];
    tx.exec(UPDATE, values)?;
    Ok(())
}

/// Adds or replaces a resource.
pub(crate) fn set_resource(
    tx: &mut Tx<'_>,
    application: &str,
    resource: &Resource,
) -> Result<(), Error> {
    tx.exec(
        SET_RESOURCE,
        (
            application,
            &resource.name,
            &resource.kind,
            resource.revision,
            &resource.digest,
            resource.size,
            &resource.filename,
            resource.created,
        ),
    )?;
    Ok(())
}
