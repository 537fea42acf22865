//! The tables `relation`, `relation_endpoint` and `relation_unit`.

use tutti_model::api::Life;
use tutti_store::Json;

/// The units of a relation's ends, as `Inside`. A subordinate belongs in a relation within one machine
/// only if its principal is at the other end.
macro_rules! insides {
    () => {
        "SELECT r.id, u.name, u.agent, u.life, u.trouble, u.agent_since, \
         COALESCE(m.in_scope, FALSE) FROM relation r JOIN relation_endpoint e ON e.relation = r.id \
         JOIN unit u ON u.application = e.application \
         LEFT JOIN relation_unit m ON m.relation = r.id AND m.unit = u.id \
         WHERE (r.scope <> 'container' OR u.principal IS NULL OR EXISTS ( \
             SELECT 1 FROM unit p JOIN relation_endpoint o ON o.application = p.application \
             WHERE p.id = u.principal AND o.relation = r.id)) AND "
    };
}

tutti_store::row! {
    /// One relation.
    #[derive(Clone, Debug)]
    pub(crate) struct Relation {
        /// Id.
        pub(crate) id: String,
        /// UUID of its model.
        pub(crate) model: String,
        /// Number in its model.
        pub(crate) number: i64,
        /// `app:endpoint app:endpoint`, requirer first.
        pub(crate) key: String,
        /// Interface.
        pub(crate) interface: String,
        /// `global` or `container`.
        pub(crate) scope: String,
        /// `regular`, `peer` or `subordinate`.
        pub(crate) kind: String,
        /// Life.
        pub(crate) life: Json<Life>,
        /// `joining`, `joined`, `suspended` …
        pub(crate) status: String,
        /// When it is removed although units have not left.
        pub(crate) force_at: Option<i64>,
    }

    /// One end of a relation, with its application.
    #[derive(Clone, Debug)]
    pub(crate) struct Side {
        /// Number of the relation.
        pub(crate) number: i64,
        /// Id of the application.
        pub(crate) application: String,
        /// Name of the application.
        pub(crate) name: String,
        /// Endpoint.
        pub(crate) endpoint: String,
        /// `provider`, `requirer` or `peer`.
        pub(crate) role: String,
    }

    /// A unit as relations see it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct Member {
        /// Id.
        pub(crate) unit: String,
        /// Name.
        pub(crate) name: String,
        /// Id of its application.
        pub(crate) application: String,
        /// Id of the unit it lives beside: the principal, or itself.
        pub(crate) container: String,
        /// Whether it leads its application.
        pub(crate) leader: bool,
        /// Its loopback address.
        pub(crate) address: String,
    }

    /// A unit that should be in a relation, or is.
    #[derive(Clone, Debug)]
    pub(super) struct Inside {
        /// Id of the relation.
        pub(super) relation: String,
        pub(super) name: String,
        pub(super) agent: String,
        pub(super) life: Json<Life>,
        pub(super) trouble: String,
        pub(super) agent_since: i64,
        pub(super) in_scope: bool,
    }

    /// A databag as stored.
    #[derive(Clone, Debug)]
    pub(super) struct Bag {
        /// JSON of the settings.
        pub(super) settings: String,
        /// Grows with each real change.
        pub(super) version: i64,
    }

    /// A relation as one application sees it: its own end and the other.
    #[derive(Clone, Debug)]
    pub(super) struct Seen {
        pub(super) id: String,
        pub(super) number: i64,
        pub(super) scope: String,
        pub(super) kind: String,
        pub(super) life: Json<Life>,
        pub(super) status: String,
        pub(super) endpoint: String,
        pub(super) implicit: bool,
        pub(super) settings: String,
        pub(super) remote: String,
        pub(super) remote_name: String,
        pub(super) remote_subordinate: bool,
        pub(super) remote_endpoint: String,
        pub(super) remote_settings: String,
        pub(super) remote_version: i64,
    }

    /// A unit's part in a relation.
    #[derive(Clone, Debug)]
    pub(super) struct Part {
        pub(super) relation: String,
        pub(super) unit: String,
        pub(super) name: String,
        pub(super) in_scope: bool,
        pub(super) settings: String,
        pub(super) version: i64,
        /// Id of the unit it lives beside; none once the unit is gone.
        pub(super) container: Option<String>,
    }
}

tutti_store::sql! {
    pub(super) NEXT_NUMBER =
        "UPDATE model SET next_relation = next_relation + 1 WHERE id = $1 RETURNING next_relation";
    pub(super) INSERT = "INSERT INTO relation (id, model, number, key, interface, scope, kind, \
        life, status, force_at, created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'joining', NULL, $9)";
    pub(super) INSERT_SIDE = "INSERT INTO relation_endpoint (relation, application, endpoint, \
        role, implicit, settings, version) VALUES ($1, $2, $3, $4, $5, '{}', 0)";
    pub(super) BY_NUMBER = "SELECT id, model, number, key, interface, scope, kind, life, status, \
        force_at FROM relation WHERE model = $1 AND number = $2";
    pub(super) BY_KEY = "SELECT id, model, number, key, interface, scope, kind, life, status, \
        force_at FROM relation WHERE model = $1 AND key = $2";
    pub(super) LIST = "SELECT id, model, number, key, interface, scope, kind, life, status, \
        force_at FROM relation WHERE model = $1 ORDER BY number";
    pub(super) OF_APPLICATION = "SELECT DISTINCT r.id, r.model, r.number, r.key, r.interface, \
        r.scope, r.kind, r.life, r.status, r.force_at FROM relation_endpoint e \
        JOIN relation r ON r.id = e.relation WHERE e.application = $1 ORDER BY r.number";
    pub(super) IN_SCOPE_OF_UNIT = "SELECT r.id, r.model, r.number, r.key, r.interface, \
        r.scope, r.kind, r.life, r.status, r.force_at FROM relation_unit m \
        JOIN relation r ON r.id = m.relation WHERE m.unit = $1 AND m.in_scope ORDER BY r.number";
    pub(super) DUE = "SELECT id, model, number, key, interface, scope, kind, life, status, \
        force_at FROM relation WHERE force_at IS NOT NULL AND force_at <= $1 ORDER BY force_at";
    pub(super) NEXT_DUE = "SELECT MIN(force_at) FROM relation";
    pub(super) SIDES = "SELECT r.number, e.application, a.name, e.endpoint, e.role \
        FROM relation r JOIN relation_endpoint e ON e.relation = r.id \
        JOIN application a ON a.id = e.application WHERE r.model = $1 ORDER BY r.number, e.role";
    pub(super) SIDES_OF = "SELECT r.number, e.application, a.name, e.endpoint, e.role \
        FROM relation r JOIN relation_endpoint e ON e.relation = r.id \
        JOIN application a ON a.id = e.application WHERE r.id = $1 ORDER BY e.role";
    pub(super) SET_LIFE = "UPDATE relation SET life = $2, force_at = $3 WHERE id = $1";
    pub(super) JOINED = "UPDATE relation SET status = 'joined' WHERE id = $1 AND status = 'joining'";
    pub(super) REMOVE = "DELETE FROM relation WHERE id = $1";
    pub(super) REMOVE_SIDES = "DELETE FROM relation_endpoint WHERE relation = $1";
    pub(super) REMOVE_UNITS = "DELETE FROM relation_unit WHERE relation = $1";

    pub(super) MEMBER = "SELECT u.id, u.name, u.application, COALESCE(u.principal, u.id), \
        COALESCE(a.leader = u.id, FALSE), u.address \
        FROM unit u JOIN application a ON a.id = u.application WHERE u.id = $1";
    pub(super) IS_SIDE =
        "SELECT COUNT(*) FROM relation_endpoint WHERE relation = $1 AND application = $2";
    pub(super) UNIT_BAG =
        "SELECT settings, version FROM relation_unit WHERE relation = $1 AND unit = $2";
    pub(super) PUT_UNIT = "INSERT INTO relation_unit (relation, unit, unit_name, application, \
        in_scope, settings, version) VALUES ($1, $2, $3, $4, $5, $6, $7) \
        ON CONFLICT (relation, unit) DO UPDATE SET in_scope = excluded.in_scope, \
        settings = excluded.settings, version = excluded.version";
    pub(super) IN_SCOPE =
        "SELECT in_scope FROM relation_unit WHERE relation = $1 AND unit = $2";
    pub(super) LEAVE = "UPDATE relation_unit SET in_scope = FALSE \
        WHERE relation = $1 AND unit = $2 AND in_scope";
    pub(super) COUNT_IN_SCOPE =
        "SELECT COUNT(*) FROM relation_unit WHERE relation = $1 AND in_scope";
    pub(super) APPLICATION_BAG = "SELECT settings, version FROM relation_endpoint \
        WHERE relation = $1 AND application = $2 ORDER BY endpoint LIMIT 1";
    pub(super) SET_APPLICATION_BAG = "UPDATE relation_endpoint SET settings = $3, version = $4 \
        WHERE relation = $1 AND application = $2";
    pub(super) VIEWERS = "SELECT u.id FROM relation_endpoint e \
        JOIN unit u ON u.application = e.application \
        WHERE e.relation = $1 AND u.id <> $2 AND (e.application <> $3 OR $4) \
        AND ($5 = '' OR COALESCE(u.principal, u.id) = $5)";
    pub(super) UNITS_OF_SIDES = "SELECT u.id FROM relation_endpoint e \
        JOIN unit u ON u.application = e.application WHERE e.relation = $1";

    pub(super) INSIDES_OF = concat!(insides!(), "r.id = $1 ORDER BY u.name");
    pub(super) INSIDES = concat!(insides!(), "r.model = $1 ORDER BY u.name");

    pub(super) SEEN = "SELECT r.id, r.number, r.scope, r.kind, r.life, r.status, e.endpoint, \
        e.implicit, e.settings, o.application, a.name, a.subordinate, o.endpoint, o.settings, \
        o.version FROM relation_endpoint e JOIN relation r ON r.id = e.relation \
        JOIN relation_endpoint o ON o.relation = r.id \
            AND (r.kind = 'peer' OR o.application <> e.application) \
        JOIN application a ON a.id = o.application WHERE e.application = $1";
    pub(super) PARTS = "SELECT m.relation, m.unit, m.unit_name, m.in_scope, m.settings, \
        m.version, COALESCE(u.principal, u.id) \
        FROM relation_endpoint e JOIN relation r ON r.id = e.relation \
        JOIN relation_unit m ON m.relation = r.id \
            AND (r.kind = 'peer' OR m.application <> e.application OR m.unit = $2) \
        LEFT JOIN unit u ON u.id = m.unit WHERE e.application = $1";

    pub(super) SUBORDINATES_MISSING = "SELECT DISTINCT o.application FROM relation_unit m \
        JOIN relation r ON r.id = m.relation AND r.scope = 'container' AND r.life = $2 \
        JOIN relation_endpoint o ON o.relation = r.id AND o.application <> m.application \
        JOIN application a ON a.id = o.application AND a.subordinate AND a.life = $2 \
        JOIN application p ON p.id = m.application AND NOT p.subordinate \
        JOIN unit u ON u.id = m.unit AND u.life = $2 \
        WHERE m.unit = $1 AND m.in_scope AND NOT EXISTS ( \
            SELECT 1 FROM unit s WHERE s.application = o.application AND s.principal = $1)";
    pub(super) SUBORDINATES_LOST = "SELECT s.id FROM relation_endpoint e \
        JOIN application a ON a.id = e.application AND a.subordinate \
        JOIN unit s ON s.application = e.application \
        JOIN unit p ON p.id = s.principal \
        WHERE e.relation = $1 AND NOT EXISTS ( \
            SELECT 1 FROM relation r \
            JOIN relation_endpoint mine ON mine.relation = r.id AND mine.application = s.application \
            JOIN relation_endpoint other ON other.relation = r.id AND other.application = p.application \
            WHERE r.scope = 'container' AND r.life = $2)";
}
