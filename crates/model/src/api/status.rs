//! The `status` document, field by field as Juju 3.6 prints it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The whole status of a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct Status {
    /// The model.
    pub model: StatusModel,
    /// Machines by number.
    pub machines: BTreeMap<String, StatusMachine>,
    /// Applications by name.
    pub applications: BTreeMap<String, StatusApplication>,
    /// Storage; `{}` when there is none.
    pub storage: StatusStorage,
    /// The controller.
    pub controller: StatusController,
}

/// The model block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct StatusModel {
    /// Short name.
    pub name: String,
    /// `iaas` or `caas`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Controller name.
    pub controller: String,
    /// Cloud.
    pub cloud: String,
    /// Region.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// Version.
    pub version: String,
    /// Status of the model.
    pub model_status: StatusInfo,
}

/// A status with its message and time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct StatusInfo {
    /// The word.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub current: String,
    /// Free text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// `02 Jan 2006 15:04:05Z07:00`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub since: String,
    /// Agent version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// `dying` or `dead`; left out while alive.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub life: String,
}

/// One machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct StatusMachine {
    /// Agent status.
    pub juju_status: StatusInfo,
    /// Host name.
    pub hostname: String,
    /// Address.
    pub dns_name: String,
    /// Addresses.
    pub ip_addresses: Vec<String>,
    /// Instance.
    pub instance_id: String,
    /// Instance status.
    pub machine_status: StatusInfo,
    /// Modification status.
    pub modification_status: StatusInfo,
    /// Base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<StatusBase>,
    /// Interfaces by name.
    pub network_interfaces: BTreeMap<String, StatusInterface>,
    /// `arch=amd64 …`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub constraints: String,
    /// `arch=amd64 cores=2 mem=4096M`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hardware: String,
    /// Tutti: `state` of its `sync`; left out when it is `in_sync`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sync_state: String,
}

/// One network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct StatusInterface {
    /// Addresses.
    pub ip_addresses: Vec<String>,
    /// MAC address.
    pub mac_address: String,
    /// Whether it is up.
    pub is_up: bool,
}

/// A base.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusBase {
    /// `ubuntu`.
    pub name: String,
    /// `24.04`.
    pub channel: String,
}

/// One application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct StatusApplication {
    /// `local:NAME-REV`.
    pub charm: String,
    /// Base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<StatusBase>,
    /// `local`.
    pub charm_origin: String,
    /// Charm name.
    pub charm_name: String,
    /// Revision.
    pub charm_rev: i64,
    /// Channel, for catalogue charms.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub charm_channel: String,
    /// The charm's `version` file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub charm_version: String,
    /// Number of units wanted.
    pub scale: u32,
    /// Kubernetes-like: provider id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider_id: String,
    /// Kubernetes-like: address of the service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Exposed.
    pub exposed: bool,
    /// `dying` or `dead`; left out while alive.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub life: String,
    /// Status, set by the leader or derived.
    pub application_status: StatusInfo,
    /// Endpoint → partners; left out when empty.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub relations: BTreeMap<String, Vec<StatusRelation>>,
    /// Principals of a subordinate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subordinate_to: Vec<String>,
    /// Units by name; left out when there are none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub units: BTreeMap<String, StatusUnit>,
    /// Workload version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Endpoint → space.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoint_bindings: BTreeMap<String, String>,
    /// Tutti: whether the world matches the desired state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<super::Sync>,
    /// Why this entity could not be read; nothing else counts then.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status_error: String,
}

/// One partner of an application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct StatusRelation {
    /// Partner.
    pub related_application: String,
    /// Interface.
    pub interface: String,
    /// `global` or `container`.
    pub scope: String,
}

/// One unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct StatusUnit {
    /// How the workload feels.
    pub workload_status: StatusInfo,
    /// What the agent does.
    pub juju_status: StatusInfo,
    /// Left out when false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub leader: bool,
    /// The charm it still runs, when it differs from the application's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub upgrading_from: String,
    /// Machine number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub machine: String,
    /// `["8080/tcp"]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub open_ports: Vec<String>,
    /// Address.
    pub public_address: String,
    /// Address.
    pub address: String,
    /// Kubernetes-like: provider id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider_id: String,
    /// Subordinate units.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(no_recursion)]
    pub subordinates: BTreeMap<String, StatusUnit>,
    /// Tutti: `state` of its `sync`; left out when it is `in_sync`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sync_state: String,
    /// Tutti: number of deferred notices.
    #[serde(skip_serializing_if = "is_zero")]
    pub deferred: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Storage blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct StatusStorage {
    /// Instances by id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub storage: BTreeMap<String, StatusStorageInstance>,
}

/// One storage instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct StatusStorageInstance {
    /// `filesystem` or `block`.
    pub kind: String,
    /// Status.
    pub status: StatusInfo,
    /// Whether it outlives its unit.
    pub persistent: bool,
    /// Life, when not alive.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub life: String,
    /// Attachments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachments: Option<StatusAttachments>,
}

/// Where a storage instance is attached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct StatusAttachments {
    /// By unit.
    pub units: BTreeMap<String, StatusAttachment>,
}

/// One attachment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct StatusAttachment {
    /// Machine.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub machine: String,
    /// Path.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub location: String,
    /// Life.
    pub life: String,
}

/// The controller block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusController {
    /// `15:04:05Z07:00`.
    pub timestamp: String,
}
