//! The tables `secret`, `secret_revision`, `secret_grant` and `secret_consumer`.

tutti_store::row! {
    /// One secret.
    #[derive(Clone, Debug)]
    pub(crate) struct Secret {
        /// Bare id.
        pub(crate) id: String,
        /// UUID of its model.
        pub(crate) model: String,
        /// `model`, `application` or `unit`.
        pub(crate) owner_kind: String,
        /// Id of the owner.
        pub(crate) owner: String,
        /// Name, of a user's secret.
        pub(crate) name: String,
        /// The owner's label, of a charm's secret.
        pub(crate) label: String,
        /// Description.
        pub(crate) description: String,
        /// Rotation policy; empty = never.
        pub(crate) rotation: String,
        /// RFC 3339, or empty.
        pub(crate) expiry: String,
        /// Revisions nobody tracks are removed.
        pub(crate) auto_prune: bool,
        /// Latest revision.
        pub(crate) latest: i64,
        /// When it is due for rotation.
        pub(crate) rotates: Option<i64>,
        /// When it was made.
        pub(crate) created: i64,
        /// When its content last changed.
        pub(crate) updated: i64,
    }

    /// One revision without its content.
    pub(super) struct Revision {
        pub(super) secret: String,
        pub(super) revision: i64,
        pub(super) created: i64,
        pub(super) updated: i64,
    }

    /// One revision with its content.
    pub(super) struct Content {
        pub(super) secret: String,
        pub(super) revision: i64,
        pub(super) content: String,
    }

    /// A grant, with names.
    pub(super) struct Grant {
        pub(super) secret: String,
        pub(super) target_kind: String,
        /// Name of the application or unit.
        pub(super) target: String,
        /// Key of the relation it is scoped by, if any.
        pub(super) relation: Option<String>,
    }

    /// A secret one unit consumes.
    pub(super) struct Consumed {
        pub(super) secret: String,
        pub(super) latest: i64,
        pub(super) tracked: i64,
        pub(super) label: String,
    }

    /// A revision of a secret one unit manages.
    pub(super) struct Managed {
        pub(super) secret: String,
        pub(super) label: String,
        pub(super) latest: i64,
        pub(super) rotates: Option<i64>,
        pub(super) revision: i64,
        pub(super) expires: Option<i64>,
        pub(super) tracked: bool,
    }
}

/// Columns of [`Secret`].
macro_rules! columns {
    () => {
        "s.id, s.model, s.owner_kind, s.owner, s.name, s.label, s.description, s.rotation, \
         s.expiry, s.auto_prune, s.latest, s.rotates, s.created, s.updated"
    };
}

/// Ids of the secrets a unit ($1) of an application ($2) may read.
macro_rules! readable {
    () => {
        "(SELECT id FROM secret WHERE owner IN ($1, $2) \
         UNION SELECT secret FROM secret_grant WHERE target IN ($1, $2))"
    };
}

tutti_store::sql! {
    pub(super) BY_ID =
        concat!("SELECT ", columns!(), " FROM secret s WHERE s.model = $1 AND s.id = $2");
    pub(super) ANY_BY_ID = concat!("SELECT ", columns!(), " FROM secret s WHERE s.id = $1");
    pub(super) BY_NAME = concat!("SELECT ", columns!(), " FROM secret s \
        WHERE s.model = $1 AND s.owner_kind = 'model' AND s.name = $2");
    pub(super) LIST =
        concat!("SELECT ", columns!(), " FROM secret s WHERE s.model = $1 ORDER BY s.id");
    pub(super) OWNED = concat!("SELECT ", columns!(), " FROM secret s WHERE s.owner = $1");
    pub(super) EXISTS = "SELECT COUNT(*) FROM secret WHERE id = $1";
    pub(super) LABELLED = "SELECT COUNT(*) FROM secret \
        WHERE model = $1 AND owner = $2 AND label = $3 AND id <> $4";
    pub(super) INSERT = "INSERT INTO secret (id, model, owner_kind, owner, name, label, \
        description, rotation, expiry, auto_prune, latest, rotates, created, updated) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    pub(super) UPDATE = "UPDATE secret SET name = $2, label = $3, description = $4, \
        rotation = $5, expiry = $6, auto_prune = $7, latest = $8, rotates = $9, updated = $10 \
        WHERE id = $1";
    pub(super) SET_ROTATES = "UPDATE secret SET rotates = $2 WHERE id = $1";
    pub(super) INSERT_REVISION = "INSERT INTO secret_revision \
        (secret, revision, content, expires, created, updated) VALUES ($1, $2, $3, $4, $5, $5)";
    pub(super) SET_EXPIRES =
        "UPDATE secret_revision SET expires = $3 WHERE secret = $1 AND revision = $2";
    pub(super) CONTENT =
        "SELECT secret, revision, content FROM secret_revision WHERE secret = $1 AND revision = $2";
    pub(super) REVISIONS = "SELECT secret, revision, created, updated FROM secret_revision \
        WHERE secret = $1 ORDER BY revision";
    pub(super) OBSOLETE = "SELECT r.revision FROM secret_revision r JOIN secret s ON s.id = r.secret \
        WHERE r.secret = $1 AND r.revision < s.latest AND NOT EXISTS ( \
        SELECT 1 FROM secret_consumer c WHERE c.secret = r.secret AND c.tracked = r.revision)";

    pub(super) REMOVE = "DELETE FROM secret WHERE id = $1";
    pub(super) REMOVE_REVISION = "DELETE FROM secret_revision WHERE secret = $1 AND revision = $2";
    pub(super) REMOVE_REVISIONS = "DELETE FROM secret_revision WHERE secret = $1";
    pub(super) REMOVE_GRANTS = "DELETE FROM secret_grant WHERE secret = $1";
    pub(super) REMOVE_CONSUMERS = "DELETE FROM secret_consumer WHERE secret = $1";

    pub(super) GRANT = "INSERT INTO secret_grant (secret, target_kind, target, relation) \
        VALUES ($1, $2, $3, $4) \
        ON CONFLICT (secret, target_kind, target) DO UPDATE SET relation = excluded.relation";
    pub(super) REVOKE = "DELETE FROM secret_grant WHERE secret = $1 AND target = $2";
    pub(super) REVOKE_RELATION = "DELETE FROM secret_grant WHERE relation = $1";
    pub(super) GRANTED_TO = "SELECT secret FROM secret_grant WHERE target = $1";
    pub(super) GRANTED_OVER = "SELECT DISTINCT secret FROM secret_grant WHERE relation = $1";
    pub(super) REVOKE_TARGET = "DELETE FROM secret_grant WHERE target = $1";
    pub(super) GRANTS_OF_SECRET = "SELECT g.secret, g.target_kind, COALESCE(a.name, u.name, ''), \
        r.key FROM secret_grant g LEFT JOIN application a ON a.id = g.target \
        LEFT JOIN unit u ON u.id = g.target LEFT JOIN relation r ON r.id = g.relation \
        WHERE g.secret = $1 ORDER BY 2, 3";
    pub(super) GRANTS_OF_OWNER = "SELECT g.secret, g.target_kind, COALESCE(a.name, u.name, ''), \
        r.key FROM secret s JOIN secret_grant g ON g.secret = s.id \
        LEFT JOIN application a ON a.id = g.target LEFT JOIN unit u ON u.id = g.target \
        LEFT JOIN relation r ON r.id = g.relation WHERE s.owner IN ($1, $2) ORDER BY 2, 3";

    pub(super) TRACK = "INSERT INTO secret_consumer (secret, unit, label, tracked) \
        VALUES ($1, $2, $3, $4) ON CONFLICT (secret, unit) DO UPDATE \
        SET label = excluded.label, tracked = excluded.tracked";
    pub(super) TRACKED = "SELECT c.secret, s.latest, c.tracked, c.label FROM secret_consumer c \
        JOIN secret s ON s.id = c.secret WHERE c.secret = $1 AND c.unit = $2";
    pub(super) CONSUMERS = "SELECT unit FROM secret_consumer WHERE secret = $1";
    pub(super) CONSUMED_BY = "SELECT secret FROM secret_consumer WHERE unit = $1";
    pub(super) FORGET_CONSUMER = "DELETE FROM secret_consumer WHERE unit = $1";
    pub(super) WITHOUT_ACCESS = "SELECT c.unit FROM secret_consumer c \
        JOIN secret s ON s.id = c.secret JOIN unit u ON u.id = c.unit \
        WHERE c.secret = $1 AND s.owner <> u.id AND s.owner <> u.application AND NOT EXISTS ( \
        SELECT 1 FROM secret_grant g \
        WHERE g.secret = c.secret AND (g.target = u.id OR g.target = u.application))";
    pub(super) FORGET = "DELETE FROM secret_consumer WHERE secret = $1 AND unit = $2";
    pub(super) MAY_READ = concat!("SELECT COUNT(*) FROM secret WHERE id = $3 AND id IN ", readable!());
    pub(super) OWNER_UNIT = "SELECT COALESCE(a.leader, s.owner) FROM secret s \
        LEFT JOIN application a ON a.id = s.owner WHERE s.id = $1 AND s.owner_kind <> 'model'";

    pub(super) CONSUMED = concat!("SELECT c.secret, s.latest, c.tracked, c.label \
        FROM secret_consumer c JOIN secret s ON s.id = c.secret \
        WHERE c.unit = $1 AND c.tracked > 0 AND c.secret IN ", readable!());
    pub(super) MANAGED = "SELECT s.id, s.label, s.latest, s.rotates, r.revision, r.expires, \
        EXISTS (SELECT 1 FROM secret_consumer c WHERE c.secret = s.id AND c.tracked = r.revision) \
        FROM secret s JOIN secret_revision r ON r.secret = s.id \
        WHERE s.owner = $1 OR s.owner = $2 ORDER BY s.id, r.revision";
    pub(super) READABLE =
        concat!("SELECT ", columns!(), " FROM secret s WHERE s.id IN ", readable!());
    pub(super) READABLE_CONTENT = concat!("SELECT r.secret, r.revision, r.content \
        FROM secret_revision r JOIN secret s ON s.id = r.secret \
        LEFT JOIN secret_consumer c ON c.secret = s.id AND c.unit = $1 \
        WHERE (r.revision = s.latest OR r.revision = c.tracked) AND s.id IN ", readable!());
    pub(super) CONSUMER_OF = "SELECT c.secret, s.latest, c.tracked, c.label \
        FROM secret_consumer c JOIN secret s ON s.id = c.secret WHERE c.unit = $1";
    pub(super) APPLICATION_ID = "SELECT id FROM application WHERE model = $1 AND name = $2";
    pub(super) UNIT_ID = "SELECT id FROM unit WHERE model = $1 AND name = $2";
    pub(super) UNIT_OF = "SELECT id, application FROM unit WHERE model = $1 AND name = $2";
    pub(super) OWNER_NAMES = "SELECT id, name FROM application WHERE model = $1 \
        UNION ALL SELECT id, name FROM unit WHERE model = $1";
    pub(super) OWNER_NAME = "SELECT name FROM application WHERE id = $1 \
        UNION ALL SELECT name FROM unit WHERE id = $1";

    pub(super) ROTATION_DUE = "SELECT COALESCE(a.leader, s.owner) FROM secret s \
        LEFT JOIN application a ON a.id = s.owner \
        WHERE s.rotates > $1 AND s.rotates <= $2 AND s.owner_kind <> 'model'";
    pub(super) EXPIRY_DUE = "SELECT COALESCE(a.leader, s.owner) FROM secret_revision r \
        JOIN secret s ON s.id = r.secret LEFT JOIN application a ON a.id = s.owner \
        WHERE r.expires > $1 AND r.expires <= $2 AND s.owner_kind <> 'model'";
}
