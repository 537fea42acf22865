//! Relations.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Condition, Life, Sync};

/// Relate two applications.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Integrate {
    /// `application` or `application:endpoint`.
    pub endpoints: Vec<String>,
}

/// Remove a relation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RemoveRelation {
    /// `application` or `application:endpoint`, two of them.
    pub endpoints: Vec<String>,
    /// Or the relation's number.
    pub id: Option<i64>,
    /// Do not wait for agents that do not answer.
    pub force: bool,
}

/// A relation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RelationInfo {
    /// Number.
    pub id: i64,
    /// `app:endpoint app:endpoint`, requirer first.
    pub key: String,
    /// `app:endpoint` of the provider (the only one for peers).
    pub provider: String,
    /// `app:endpoint` of the requirer.
    pub requirer: String,
    /// Interface.
    pub interface: String,
    /// `regular`, `peer` or `subordinate`.
    pub kind: String,
    /// `joining`, `joined`, …
    pub status: String,
    /// Life.
    pub life: Life,
    /// 1: it shall be; 2: it shall be gone.
    pub generation: i64,
    /// Whether every unit of both ends is in it, or it is on its way out.
    pub sync: Sync,
    /// `Joined`.
    pub conditions: Vec<Condition>,
}
