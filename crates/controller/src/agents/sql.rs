//! The tables `agent` and `unit_state`, and the part of `unit` that agents write.

use tutti_model::agent::Journal;
use tutti_model::api::Life;
use tutti_store::Json;

tutti_store::row! {
    /// A unit that changed.
    pub(super) struct Changed {
        pub(super) id: String,
        pub(super) name: String,
        pub(super) model_name: String,
        pub(super) model: String,
        pub(super) generation: i64,
    }

    /// An agent, and when it was heard of.
    #[derive(Debug)]
    pub(super) struct Known {
        pub(super) machine: String,
        pub(super) hostname: String,
        pub(super) seen: i64,
        pub(super) since: i64,
    }

    /// A unit's journal.
    pub(super) struct Stored {
        pub(super) journal: Json<Journal>,
        pub(super) version: i64,
    }

    /// A unit's status, as others see it.
    pub(super) struct Status {
        pub(super) name: String,
        pub(super) life: Json<Life>,
        pub(super) trouble: String,
        pub(super) status: String,
        pub(super) message: String,
        pub(super) since: i64,
    }

    /// A unit at the other end of a relation, for `goal-state`.
    pub(super) struct Remote {
        pub(super) endpoint: String,
        pub(super) application: String,
        pub(super) relation_status: String,
        pub(super) relation_since: i64,
        pub(super) unit: Option<String>,
        pub(super) life: Option<Json<Life>>,
        pub(super) status: Option<String>,
        pub(super) since: Option<i64>,
    }
}

tutti_store::sql! {
    pub(super) SESSION = "SELECT session FROM agent WHERE machine = $1";
    pub(super) OPEN = "INSERT INTO agent \
        (machine, session, hostname, architecture, version, pid, seen, since) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (machine) DO UPDATE SET \
        since = CASE WHEN agent.seen < $8 THEN excluded.seen ELSE agent.since END, \
        session = excluded.session, hostname = excluded.hostname, \
        architecture = excluded.architecture, version = excluded.version, \
        pid = excluded.pid, seen = excluded.seen";
    pub(super) LAST_SEEN = "SELECT seen FROM agent WHERE machine = $1";
    pub(super) SEEN = "UPDATE agent SET seen = $2, \
        since = CASE WHEN seen < $3 THEN $2 ELSE since END WHERE machine = $1";
    pub(super) KNOWN = "SELECT machine, hostname, seen, since FROM agent";
    pub(super) LAST_GENERATION = "SELECT value FROM sequence WHERE name = 'generation'";
    pub(super) CHANGED = "SELECT u.id, u.name, m.name, u.model, u.generation \
        FROM unit u JOIN model m ON m.id = u.model \
        WHERE u.agent = $1 AND u.generation > $2 ORDER BY u.generation";
    pub(super) GONE = "SELECT id, name, model_name, model, generation FROM unit_gone \
        WHERE agent = $1 AND generation > $2 ORDER BY generation";
    pub(super) FORGET_GONE = "DELETE FROM unit_gone WHERE agent = $1 AND generation <= $2";

    pub(super) LOCK = "UPDATE model SET revision = revision + 1 \
        WHERE id = (SELECT model FROM unit WHERE id = $1)";
    pub(super) JOURNAL = "SELECT journal, version FROM unit WHERE id = $1";
    pub(super) WRITE = "UPDATE unit SET journal = $2, version = $3, observed_generation = $4, \
        charm = $5, resolved = $6, trouble = $7 WHERE id = $1";
    pub(super) SET_DRIFT = "UPDATE unit SET drift = $2, drift_since = $3 WHERE id = $1";
    pub(super) SET_PORTS = "UPDATE unit SET ports = $2 WHERE id = $1";
    pub(super) SET_WORKLOAD_VERSION = "UPDATE unit SET workload_version = $2 WHERE id = $1";
    pub(super) SUBORDINATES = "SELECT name FROM unit WHERE principal = $1 ORDER BY name";
    pub(super) PRUNE_HISTORY = "DELETE FROM status_log WHERE entity = $1 AND since < ( \
        SELECT since FROM status_log WHERE entity = $1 ORDER BY since DESC LIMIT 1 OFFSET 200)";

    pub(super) STATE = "SELECT key, value FROM unit_state WHERE unit = $1";
    pub(super) SET_STATE = "INSERT INTO unit_state (unit, key, value) VALUES ($1, $2, $3) \
        ON CONFLICT (unit, key) DO UPDATE SET value = excluded.value";
    pub(super) DELETE_STATE = "DELETE FROM unit_state WHERE unit = $1 AND key = $2";
    pub(super) STATE_SIZE = "SELECT CAST(COALESCE(SUM(LENGTH(key) + LENGTH(value)), 0) AS BIGINT) \
        FROM unit_state WHERE unit = $1";

    pub(super) STATUSES = "SELECT name, life, trouble, workload_status, workload_message, \
        workload_since FROM unit WHERE application = $1 ORDER BY number";
    pub(super) REMOTES = "SELECT e.endpoint, a.name, r.status, r.created, u.name, u.life, \
        u.workload_status, u.workload_since FROM relation_endpoint e \
        JOIN relation r ON r.id = e.relation AND r.kind <> 'peer' \
        JOIN relation_endpoint o ON o.relation = r.id AND o.application <> e.application \
        JOIN application a ON a.id = o.application LEFT JOIN unit u ON u.application = a.id \
        WHERE e.application = $1";
}
