//! The table `model`.

use std::collections::BTreeMap;

use serde_json::Value as JsonValue;
use tutti_model::api::{Life, ModelKind};
use tutti_store::{Json, ToValue, Tx};

use crate::Error;

tutti_store::row! {
    /// One model.
    #[derive(Clone, Debug)]
    pub(crate) struct Model {
        /// UUID.
        pub(crate) id: String,
        /// Short name.
        pub(crate) name: String,
        /// Owner.
        pub(crate) owner: String,
        /// Machine-like or Kubernetes-like.
        pub(crate) kind: Json<ModelKind>,
        /// Cloud.
        pub(crate) cloud: String,
        /// Region.
        pub(crate) region: String,
        /// Life.
        pub(crate) life: Json<Life>,
        /// Settings that differ from the defaults.
        pub(crate) config: Json<BTreeMap<String, String>>,
        /// Constraints.
        pub(crate) constraints: Json<BTreeMap<String, JsonValue>>,
        /// Grows with every mutation.
        pub(crate) revision: i64,
        /// Grows with every accepted change of the model itself.
        pub(crate) generation: i64,
        /// When the status last changed.
        pub(crate) status_since: i64,
        /// When it was made.
        pub(crate) created: i64,
    }
}

tutti_store::sql! {
    pub(crate) FIND = "SELECT id, name, owner, kind, cloud, region, life, config, constraints, \
        revision, generation, status_since, created FROM model WHERE id = $1 OR name = $1";
    pub(crate) LIST = "SELECT id, name, owner, kind, cloud, region, life, config, constraints, \
        revision, generation, status_since, created FROM model ORDER BY name";
    pub(crate) NAMES = "SELECT id, name FROM model";
    INSERT = "INSERT INTO model (id, name, owner, kind, cloud, region, life, config, constraints, \
        revision, generation, next_machine, next_relation, next_task, status_since, created) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, 0, 0, $12, $13)";
    pub(crate) COUNT_UNITS = "SELECT model, COUNT(*) FROM unit GROUP BY model";
    pub(crate) COUNT_APPLICATIONS = "SELECT model, COUNT(*) FROM application GROUP BY model";
    pub(crate) AGENTS = "SELECT DISTINCT agent FROM unit WHERE model = $1 ORDER BY agent";
    pub(crate) MACHINES = "SELECT model, number FROM machine";
    pub(crate) SET_CONFIG =
        "UPDATE model SET config = $2, generation = generation + 1 WHERE id = $1";
    pub(crate) SET_CONSTRAINTS =
        "UPDATE model SET constraints = $2, generation = generation + 1 WHERE id = $1";
    pub(crate) TOUCH_UNITS = "UPDATE unit SET generation = $2 WHERE model = $1";
    pub(crate) DELETE = "DELETE FROM model WHERE id = $1";
    pub(crate) DELETE_COUNTERS = "DELETE FROM counter WHERE model = $1";
    pub(crate) SET_LIFE = "UPDATE model SET life = $2, status_since = $3, \
        generation = generation + 1 WHERE id = $1";
}

/// Adds a model.
pub(crate) fn insert(tx: &mut Tx<'_>, model: &Model) -> Result<(), Error> {
    let values = vec![
        model.id.to_value(),
        model.name.to_value(),
        model.owner.to_value(),
        model.kind.to_value(),
        model.cloud.to_value(),
        model.region.to_value(),
        model.life.to_value(),
        model.config.to_value(),
        model.constraints.to_value(),
        model.revision.to_value(),
        model.generation.to_value(),
        model.status_since.to_value(),
        model.created.to_value(),
    ];
    tx.exec(INSERT, values)?;
    Ok(())
}
