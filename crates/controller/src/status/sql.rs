//! What status reads: every table it needs, once, with the columns it shows.

use tutti_model::agent::Resolved;
use tutti_model::api::Life;
use tutti_store::Json;

tutti_store::row! {
    /// What is shown of a unit; `ports` is JSON.
    pub(super) struct UnitLine {
        pub(super) id: String,
        pub(super) application: String,
        pub(super) name: String,
        pub(super) life: Json<Life>,
        pub(super) machine: Option<i64>,
        pub(super) agent: String,
        pub(super) principal: Option<String>,
        pub(super) address: String,
        pub(super) provider_id: String,
        pub(super) version: i64,
        pub(super) generation: i64,
        pub(super) observed_generation: i64,
        pub(super) charm: String,
        pub(super) trouble: String,
        pub(super) agent_status: String,
        pub(super) agent_message: String,
        pub(super) agent_since: i64,
        pub(super) workload_status: String,
        pub(super) workload_message: String,
        pub(super) workload_since: i64,
        pub(super) ports: String,
        pub(super) resolved: Json<Resolved>,
        pub(super) drift: String,
        pub(super) drift_since: i64,
    }

    /// One end of a relation.
    pub(super) struct End {
        pub(super) number: i64,
        pub(super) interface: String,
        pub(super) scope: String,
        pub(super) application: String,
        pub(super) endpoint: String,
    }

    /// What is shown of a storage instance.
    pub(super) struct StorageLine {
        pub(super) id: String,
        pub(super) kind: String,
        pub(super) life: Json<Life>,
        pub(super) provisioned: bool,
        pub(super) location: String,
        pub(super) created: i64,
        pub(super) unit: String,
        pub(super) machine: Option<i64>,
    }
}

tutti_store::sql! {
    pub(super) UNITS = "SELECT id, application, name, life, machine, agent, principal, address, \
        provider_id, version, generation, observed_generation, charm, trouble, agent_status, \
        agent_message, agent_since, workload_status, workload_message, workload_since, ports, \
        resolved, drift, drift_since \
        FROM unit WHERE model = $1 ORDER BY application, number";
    pub(super) DEFERRED = "SELECT d.unit, COUNT(*) FROM deferred d JOIN unit u ON u.id = d.unit \
        WHERE u.model = $1 GROUP BY d.unit";
    pub(super) RELATIONS = "SELECT r.number, r.interface, r.scope, a.name, e.endpoint \
        FROM relation r JOIN relation_endpoint e ON e.relation = r.id \
        JOIN application a ON a.id = e.application WHERE r.model = $1 \
        ORDER BY r.number, e.role";
    pub(super) STORAGE = "SELECT s.id, s.kind, s.life, s.provisioned, s.location, s.created, \
        u.name, u.machine FROM storage s JOIN unit u ON u.id = s.unit WHERE s.model = $1 \
        ORDER BY s.id";
}
