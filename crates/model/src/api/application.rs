//! Charms and applications.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Condition, Life, StatusInfo, Sync};

/// A charm in a model's repository of local charms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CharmInfo {
    /// `local:NAME-REVISION`.
    pub url: String,
    /// Name in its metadata.
    pub name: String,
    /// Revision, strictly growing per name and model.
    pub revision: i64,
    /// SHA-256 of the archive.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// Base it will run on, `ubuntu@24.04`.
    pub base: String,
    /// Things worth knowing, e.g. unknown metadata keys.
    pub warnings: Vec<String>,
}

/// Deploy a charm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Deploy {
    /// `local:NAME-REVISION` of an uploaded charm, or a name in the catalogue.
    pub charm: String,
    /// Application name; the charm's name if empty.
    pub application: String,
    /// Units; 1 if absent (0 for subordinates).
    pub units: Option<u32>,
    /// Config as text.
    pub config: BTreeMap<String, String>,
    /// Constraints as `key=value` text.
    pub constraints: BTreeMap<String, String>,
    /// Resources: name → uploaded artifact.
    pub resources: BTreeMap<String, ResourceUpload>,
    /// Storage directives: name → `pool,count,size` in any order.
    pub storage: BTreeMap<String, String>,
    /// Placement per unit: a machine number.
    pub to: Vec<String>,
    /// Endpoint → space.
    pub bindings: BTreeMap<String, String>,
    /// `ubuntu@24.04`, or empty for the charm's.
    pub base: String,
    /// Catalogue channel, or empty.
    pub channel: String,
    /// Catalogue revision.
    pub revision: Option<i64>,
    /// Trusted with the cloud credential.
    pub trust: bool,
    /// Skip checks that may be skipped.
    pub force: bool,
}

/// An uploaded artifact used as a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ResourceUpload {
    /// SHA-256 of the uploaded artifact; empty when `text` stands for it (an OCI image name).
    pub digest: String,
    /// File name.
    pub filename: String,
    /// For `oci-image` resources: the image.
    pub text: String,
}

/// A resource of an application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ResourceInfo {
    /// Name.
    pub name: String,
    /// `file` or `oci-image`.
    pub kind: String,
    /// Description.
    pub description: String,
    /// Revision, from 1; 0 = nothing uploaded.
    pub revision: i64,
    /// SHA-256.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// `upload` or empty.
    pub origin: String,
    /// When, RFC 3339.
    pub created: String,
}

/// An application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ApplicationInfo {
    /// Name.
    pub name: String,
    /// Charm URL.
    pub charm: String,
    /// Charm name.
    pub charm_name: String,
    /// Charm revision.
    pub charm_revision: i64,
    /// Base.
    pub base: String,
    /// Life.
    pub life: Life,
    /// Whether it is a subordinate.
    pub subordinate: bool,
    /// Exposed.
    pub exposed: bool,
    /// Trusted.
    pub trust: bool,
    /// Units wanted.
    pub scale: u32,
    /// Constraints.
    pub constraints: BTreeMap<String, Value>,
    /// Endpoint → space.
    pub bindings: BTreeMap<String, String>,
    /// Units by name: their machine.
    pub units: BTreeMap<String, String>,
    /// Status.
    pub status: StatusInfo,
    /// Desired generation: bumped by each accepted change.
    pub generation: i64,
    /// Newest generation that was handled.
    pub observed_generation: i64,
    /// Whether the world matches.
    pub sync: Sync,
    /// `Converged`, `LeaderElected`.
    pub conditions: Vec<Condition>,
}

/// An application's config, as `juju config --format json` prints it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct ApplicationConfig {
    /// Application name.
    pub application: String,
    /// Charm name.
    pub charm: String,
    /// Settings of the application itself (`trust`).
    pub application_config: BTreeMap<String, ConfigSetting>,
    /// Settings of the charm.
    pub settings: BTreeMap<String, ConfigSetting>,
}

/// One setting.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ConfigSetting {
    /// The default, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Text.
    pub description: String,
    /// `unset`, `default` or `user`.
    pub source: String,
    /// `string`, `int`, `float`, `boolean`, `secret`; `bool` for application settings.
    #[serde(rename = "type")]
    pub kind: String,
    /// The value in force, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// On or off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Switch {
    /// The wanted state.
    pub on: bool,
}

/// Which unit should lead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeaderChoice {
    /// `app/1`.
    pub unit: String,
}

/// Actions by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Actions(pub BTreeMap<String, ActionInfo>);

/// One action of a charm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ActionInfo {
    /// Description.
    pub description: String,
    /// JSON schema of the parameters.
    pub schema: Value,
}

/// Refresh an application to another charm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Refresh {
    /// Charm to go to: `local:NAME-REVISION`; empty: the newest of its origin.
    pub charm: String,
    /// Other charm name allowed.
    pub switch: bool,
    /// Only print the plan.
    pub dry_run: bool,
    /// SHA-256 of a charm that was uploaded with `dry_run`: the charm to go to, in a dry run only.
    pub candidate: String,
    /// Upgrade units in error too.
    pub force_units: bool,
    /// Skip the base check.
    pub force_base: bool,
    /// Skip the checks that may be skipped.
    pub force: bool,
    /// Config to set in the same change.
    pub config: BTreeMap<String, String>,
    /// Resources to change in the same change.
    pub resources: BTreeMap<String, ResourceUpload>,
    /// Storage directives.
    pub storage: BTreeMap<String, String>,
    /// Trust.
    pub trust: Option<bool>,
    /// Base, or empty.
    pub base: String,
}

/// What a refresh will do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RefreshPlan {
    /// Application.
    pub application: String,
    /// Charm now.
    pub from: String,
    /// Charm then.
    pub to: String,
    /// Base then.
    pub base: String,
    /// Every reason it is refused for; empty: it may go ahead.
    pub refusals: Vec<String>,
    /// Files added, changed, removed.
    pub files_added: Vec<String>,
    /// Changed files.
    pub files_changed: Vec<String>,
    /// Removed files.
    pub files_removed: Vec<String>,
    /// Config keys that appear.
    pub config_added: Vec<String>,
    /// Set config keys that are dropped.
    pub config_dropped: Vec<String>,
    /// Endpoints that appear.
    pub endpoints_added: Vec<String>,
    /// Endpoints that disappear.
    pub endpoints_removed: Vec<String>,
    /// Storage that appears.
    pub storage_added: Vec<String>,
    /// Resources that change.
    pub resources_changed: Vec<String>,
    /// Per unit: what it will do, e.g. `upgrades now`, `in error: upgrades when resolved`.
    pub units: BTreeMap<String, String>,
    /// Endpoints that change their interface, role, scope or limit.
    pub endpoints_changed: Vec<String>,
    /// Storage that disappears.
    pub storage_removed: Vec<String>,
    /// What else of the request changes something, besides the charm: `config port`, `trust`, …
    pub also: Vec<String>,
    /// Nothing to do at all.
    pub up_to_date: bool,
}
