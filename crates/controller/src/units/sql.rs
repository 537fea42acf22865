//! The tables `unit`, `unit_gone` and `status_log`.
//!
//! A unit's journal is read and written by [`crate::agents`].

use tutti_model::agent::{OpenPort, Resolved};
use tutti_model::api::Life;
use tutti_store::{Json, ToValue, Tx};

use crate::Error;

/// The columns of [`Unit`], in its order.
macro_rules! columns {
    () => {
        "id, model, application, name, number, life, machine, agent, principal, address, \
         provider_id, version, generation, observed_generation, charm, resolved, trouble, \
         agent_status, agent_message, agent_since, workload_status, workload_message, \
         workload_since, workload_version, ports, force_at, created, drift, drift_since"
    };
}

tutti_store::row! {
    /// One unit.
    #[derive(Clone, Debug)]
    pub(crate) struct Unit {
        /// UUID.
        pub(crate) id: String,
        /// UUID of its model.
        pub(crate) model: String,
        /// Id of its application.
        pub(crate) application: String,
        /// `app/0`.
        pub(crate) name: String,
        /// The number in its name.
        pub(crate) number: i64,
        /// Life.
        pub(crate) life: Json<Life>,
        /// Machine number, on machine models.
        pub(crate) machine: Option<i64>,
        /// The agent that serves it.
        pub(crate) agent: String,
        /// Id of its principal, for a subordinate.
        pub(crate) principal: Option<String>,
        /// Its own loopback address.
        pub(crate) address: String,
        /// `app-0` on Kubernetes-like models, else empty.
        pub(crate) provider_id: String,
        /// Version of its journal; 0: its agent has not begun.
        pub(crate) version: i64,
        /// Newest desired generation that concerns it.
        pub(crate) generation: i64,
        /// Newest generation it has handled.
        pub(crate) observed_generation: i64,
        /// URL of the charm it runs, or empty.
        pub(crate) charm: String,
        /// The operator's word on a failed hook.
        pub(crate) resolved: Json<Resolved>,
        /// Why it is stuck, or empty.
        pub(crate) trouble: String,
        /// `allocating`, `executing`, `idle`, …
        pub(crate) agent_status: String,
        /// Text.
        pub(crate) agent_message: String,
        /// When the agent's status last changed.
        pub(crate) agent_since: i64,
        /// `active`, `waiting`, …
        pub(crate) workload_status: String,
        /// Text.
        pub(crate) workload_message: String,
        /// When the workload's status last changed.
        pub(crate) workload_since: i64,
        /// Version of the workload, or empty.
        pub(crate) workload_version: String,
        /// Open ports.
        pub(crate) ports: Json<Vec<OpenPort>>,
        /// When its records are removed whatever its agent says.
        pub(crate) force_at: Option<i64>,
        /// When it was made.
        pub(crate) created: i64,
        /// What it was found to have other than its application wants, or empty.
        pub(crate) drift: String,
        /// Since when.
        pub(crate) drift_since: i64,
    }

    /// A past status.
    pub(crate) struct PastStatus {
        /// `workload` or `juju-unit`.
        pub(crate) kind: String,
        /// Status.
        pub(crate) status: String,
        /// Text.
        pub(crate) message: String,
        /// When it was set.
        pub(crate) since: i64,
    }
}

tutti_store::sql! {
    pub(crate) BY_ID = concat!("SELECT ", columns!(), " FROM unit WHERE id = $1");
    pub(crate) BY_NAME =
        concat!("SELECT ", columns!(), " FROM unit WHERE model = $1 AND name = $2");
    pub(crate) OF_APPLICATION =
        concat!("SELECT ", columns!(), " FROM unit WHERE application = $1 ORDER BY number");
    pub(crate) SUBORDINATES =
        concat!("SELECT ", columns!(), " FROM unit WHERE principal = $1 ORDER BY name");
    pub(crate) OF_MODEL =
        concat!("SELECT ", columns!(), " FROM unit WHERE model = $1 ORDER BY application, number");
    pub(crate) FORCED = concat!("SELECT ", columns!(), " FROM unit WHERE force_at <= $1");
    pub(crate) NEXT_FORCED = "SELECT MIN(force_at) FROM unit";
    pub(crate) COUNT_OF_APPLICATION = "SELECT COUNT(*) FROM unit WHERE application = $1";
    pub(crate) HAS_STORAGE = "SELECT COUNT(*) FROM storage WHERE unit = $1";
    INSERT = "INSERT INTO unit (id, model, application, name, number, life, machine, agent, \
        principal, address, provider_id, journal, version, generation, observed_generation, \
        charm, resolved, trouble, agent_status, agent_message, agent_since, workload_status, \
        workload_message, workload_since, workload_version, ports, force_at, created) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
        $19, $20, $21, $22, $23, $24, $25, $26, $27, $28)";
    pub(crate) SET_LIFE = "UPDATE unit SET life = $2 WHERE id = $1";
    pub(crate) SET_FORCE_AT = "UPDATE unit SET force_at = $2 \
        WHERE id = $1 AND (force_at IS NULL OR force_at > $2)";
    pub(crate) SET_RESOLVED = "UPDATE unit SET resolved = $2 WHERE id = $1";
    pub(crate) SET_WORKLOAD_STATUS = "UPDATE unit SET workload_status = $2, workload_message = $3, \
        workload_since = $4 WHERE id = $1 AND (workload_status <> $2 OR workload_message <> $3)";
    pub(crate) SET_AGENT_STATUS = "UPDATE unit SET agent_status = $2, agent_message = $3, \
        agent_since = $4 WHERE id = $1 AND (agent_status <> $2 OR agent_message <> $3)";
    pub(crate) DELETE = "DELETE FROM unit WHERE id = $1";
    pub(crate) DELETE_STATE = "DELETE FROM unit_state WHERE unit = $1";
    pub(crate) DELETE_HISTORY = "DELETE FROM status_log WHERE entity = $1";
    pub(crate) ADD_GONE = "INSERT INTO unit_gone (id, name, model, model_name, agent, generation) \
        VALUES ($1, $2, $3, $4, $5, $6)";
    pub(crate) LOG_STATUS = "INSERT INTO status_log (id, entity, kind, status, message, since) \
        VALUES ($1, $2, $3, $4, $5, $6)";
    pub(crate) HISTORY = "SELECT kind, status, message, since FROM status_log WHERE entity = $1 \
        ORDER BY since DESC, id DESC LIMIT $2";
    pub(crate) PRUNE_HISTORY = "DELETE FROM status_log WHERE since < $1";
}

/// Adds a unit, with an empty journal.
pub(crate) fn insert(tx: &mut Tx<'_>, unit: &Unit) -> Result<(), Error> {
    let values = vec![
        unit.id.to_value(),
        unit.model.to_value(),
        unit.application.to_value(),
        unit.name.to_value(),
        unit.number.to_value(),
        unit.life.to_value(),
        unit.machine.to_value(),
        unit.agent.to_value(),
        unit.principal.to_value(),
        unit.address.to_value(),
        unit.provider_id.to_value(),
        "{}".to_value(),
        unit.version.to_value(),
        unit.generation.to_value(),
        unit.observed_generation.to_value(),
        unit.charm.to_value(),
        unit.resolved.to_value(),
        unit.trouble.to_value(),
        unit.agent_status.to_value(),
        unit.agent_message.to_value(),
        unit.agent_since.to_value(),
        unit.workload_status.to_value(),
        unit.workload_message.to_value(),
        unit.workload_since.to_value(),
        unit.workload_version.to_value(),
        unit.ports.to_value(),
        unit.force_at.to_value(),
        unit.created.to_value(),
    ];
    tx.exec(INSERT, values)?;
    Ok(())
}
