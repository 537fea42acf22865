//! What a hook changed: buffered while it runs, applied in one transaction when it exits 0.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{OpenPort, RelationId};
use crate::redacted::Keys;

/// Everything the hook tools of one hook run collected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Changes {
    /// Databag writes.
    pub relations: Vec<RelationSettings>,
    /// Ports opened.
    pub open_ports: Vec<OpenPort>,
    /// Ports closed.
    pub close_ports: Vec<OpenPort>,
    /// Server-side state: a value sets, none deletes.
    pub state: BTreeMap<String, Option<String>>,
    /// Storage to add: name → how many.
    pub storage: BTreeMap<String, u32>,
    /// Secrets to create.
    pub secrets_created: Vec<SecretCreate>,
    /// Secrets to update.
    pub secrets_updated: Vec<SecretUpdate>,
    /// Secrets, or single revisions, to remove.
    pub secrets_removed: Vec<SecretRemove>,
    /// Grants to add.
    pub secrets_granted: Vec<SecretGrant>,
    /// Grants to take back.
    pub secrets_revoked: Vec<SecretGrant>,
    /// Consumer side: track the latest revision and/or set a label, by bare id.
    pub secrets_tracked: BTreeMap<String, SecretTrack>,
}

impl Changes {
    /// Whether there is nothing to apply.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Settings to merge into one of the unit's own databags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationSettings {
    /// The relation.
    pub relation: RelationId,
    /// Into the application's databag (leader only) instead of the unit's.
    pub application: bool,
    /// A value sets, an empty string deletes.
    pub settings: BTreeMap<String, String>,
}

/// A new secret. The id is made by the agent so that the hook can use it at once.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretCreate {
    /// Bare 20-character id.
    pub id: String,
    /// Owned by the application instead of the unit.
    pub application: bool,
    /// Label, or empty.
    pub label: String,
    /// Description, or empty.
    pub description: String,
    /// Rotation policy, or empty for never.
    pub rotation: String,
    /// RFC 3339 with zone, or empty.
    pub expiry: String,
    /// Values by key.
    pub content: BTreeMap<String, String>,
}

impl fmt::Debug for SecretCreate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, application, label, description, rotation, expiry, content } = self;
        formatter
            .debug_struct("SecretCreate")
            .field("id", id)
            .field("application", application)
            .field("label", label)
            .field("description", description)
            .field("rotation", rotation)
            .field("expiry", expiry)
            .field("content", &Keys(content))
            .finish()
    }
}

/// A change of an owned secret: absent fields stay.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretUpdate {
    /// Bare id.
    pub id: String,
    /// New label.
    pub label: Option<String>,
    /// New description.
    pub description: Option<String>,
    /// New rotation policy.
    pub rotation: Option<String>,
    /// New expiry.
    pub expiry: Option<String>,
    /// New content: a new revision if it differs.
    pub content: Option<BTreeMap<String, String>>,
}

impl fmt::Debug for SecretUpdate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, label, description, rotation, expiry, content } = self;
        formatter
            .debug_struct("SecretUpdate")
            .field("id", id)
            .field("label", label)
            .field("description", description)
            .field("rotation", rotation)
            .field("expiry", expiry)
            .field("content", &content.as_ref().map(Keys))
            .finish()
    }
}

/// A removal of a secret or one of its revisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRemove {
    /// Bare id.
    pub id: String,
    /// Only this revision.
    pub revision: Option<i64>,
}

/// A grant or its revocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretGrant {
    /// Bare id.
    pub id: String,
    /// The relation that scopes it.
    pub relation: Option<RelationId>,
    /// Only this remote unit.
    pub unit: Option<String>,
    /// Only this remote application (revoke).
    pub application: Option<String>,
}

/// What a consumer does with a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretTrack {
    /// Revision to track from now on; none = unchanged.
    pub revision: Option<i64>,
    /// Label to know it by; none = unchanged.
    pub label: Option<String>,
}
