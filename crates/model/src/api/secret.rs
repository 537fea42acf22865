//! Secrets.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::redacted::Keys;

/// A new user secret.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SecretAdd {
    /// Name, unique in the model.
    pub name: String,
    /// Description.
    pub description: String,
    /// Values by key.
    pub content: BTreeMap<String, String>,
}

impl fmt::Debug for SecretAdd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, description, content } = self;
        formatter
            .debug_struct("SecretAdd")
            .field("name", name)
            .field("description", description)
            .field("content", &Keys(content))
            .finish()
    }
}

/// A change of a user secret.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SecretChange {
    /// New name.
    pub name: Option<String>,
    /// New description.
    pub description: Option<String>,
    /// New content.
    pub content: Option<BTreeMap<String, String>>,
    /// Remove revisions nobody tracks.
    pub auto_prune: Option<bool>,
}

impl fmt::Debug for SecretChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, description, content, auto_prune } = self;
        formatter
            .debug_struct("SecretChange")
            .field("name", name)
            .field("description", description)
            .field("content", &content.as_ref().map(Keys))
            .field("auto_prune", auto_prune)
            .finish()
    }
}

/// Grant or revoke.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretGrantChange {
    /// Applications.
    pub applications: Vec<String>,
}

/// A secret, with the fields `juju show-secret` prints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SecretInfo {
    /// Bare id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Latest revision.
    pub revision: i64,
    /// Checksum of the latest content.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub checksum: String,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotates: Option<String>,
    /// `<model>`, or the application or unit.
    pub owner: String,
    /// Description.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Name (user secrets).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Label (charm secrets).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// RFC 3339, whole seconds.
    pub created: String,
    /// RFC 3339, whole seconds.
    pub updated: String,
    /// Revisions, when asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<SecretRevision>,
    /// Grants.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub access: Vec<SecretInfoAccess>,
    /// Content, when revealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<SecretContent>,
}

/// One revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SecretRevision {
    /// Number.
    pub revision: i64,
    /// `internal`.
    pub backend: String,
    /// RFC 3339.
    pub created: String,
    /// RFC 3339.
    pub updated: String,
}

/// One grant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SecretInfoAccess {
    /// Who.
    pub target: String,
    /// Within what.
    pub scope: String,
    /// `view`.
    pub role: String,
}

/// Revealed content. The capital letter is Juju's.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretContent {
    /// Values by key.
    #[serde(rename = "Data")]
    pub data: BTreeMap<String, String>,
}

impl fmt::Debug for SecretContent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { data } = self;
        formatter.debug_struct("SecretContent").field("data", &Keys(data)).finish()
    }
}
