//! Hooks: the runs of a charm for one event.

use serde::{Deserialize, Serialize};

use super::RelationId;

/// What happened to the unit, with what the charm must know about it.
///
/// The JSON form is persisted in a unit's journal: new variants are fine, existing ones keep their
/// fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Hook {
    /// First event of a unit.
    Install,
    /// Follows the first `config-changed`, and a restart of the machine.
    Start,
    /// First of the two last events of a unit that was started.
    Stop,
    /// Last event of a unit that was installed.
    Remove,
    /// The effective configuration, the trust flag or the unit's addresses changed.
    ConfigChanged,
    /// Nothing else to do for the model's update-status interval.
    UpdateStatus,
    /// The charm directory was switched to another revision.
    UpgradeCharm,
    /// The unit became the leader.
    LeaderElected,
    /// The leader wrote leader settings; runs on the others.
    LeaderSettingsChanged,
    /// `<endpoint>-relation-created`.
    RelationCreated(RelationHook),
    /// `<endpoint>-relation-joined`; always followed by changed for the same unit.
    RelationJoined(RelationHook),
    /// `<endpoint>-relation-changed`; without a remote unit the application databag changed.
    RelationChanged(RelationHook),
    /// `<endpoint>-relation-departed`.
    RelationDeparted(RelationHook),
    /// `<endpoint>-relation-broken`.
    RelationBroken(RelationHook),
    /// `<storage>-storage-attached`.
    StorageAttached(StorageHook),
    /// `<storage>-storage-detaching`.
    StorageDetaching(StorageHook),
    /// A consumed secret has a newer revision.
    SecretChanged(SecretHook),
    /// An owned secret is due for rotation.
    SecretRotate(SecretHook),
    /// A revision of an owned secret expired.
    SecretExpired(SecretHook),
    /// Nobody tracks a revision of an owned secret any more.
    SecretRemove(SecretHook),
    /// `bus-notice`: a bus event, or what the workload raised.
    Notice(NoticeHook),
}

/// The relation a relation hook is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationHook {
    /// The relation's number in its model.
    pub relation: RelationId,
    /// The local endpoint's name.
    pub endpoint: String,
    /// The application at the other end (the own one for peer relations).
    pub remote_application: String,
    /// The remote unit; none for created, broken and application-level changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_unit: Option<String>,
    /// For departed: the unit that leaves, which is the local one when it is being removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub departing_unit: Option<String>,
    /// Version of the databag that caused the hook (joined and changed).
    #[serde(default)]
    pub change_version: i64,
}

/// The storage a storage hook is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageHook {
    /// `name/number`.
    pub storage: String,
}

/// The secret a secret hook is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretHook {
    /// Bare 20-character id.
    pub secret: String,
    /// The label this unit knows it by, or empty.
    pub label: String,
    /// The revision; exported for expired and remove.
    pub revision: i64,
}

/// The notice a `bus-notice` hook is about. What it says comes with the hook's context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeHook {
    /// Its number; they grow.
    pub notice: i64,
}

impl Hook {
    /// The hook's full name, e.g. `db-relation-changed`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Install => "install".into(),
            Self::Start => "start".into(),
            Self::Stop => "stop".into(),
            Self::Remove => "remove".into(),
            Self::ConfigChanged => "config-changed".into(),
            Self::UpdateStatus => "update-status".into(),
            Self::UpgradeCharm => "upgrade-charm".into(),
            Self::LeaderElected => "leader-elected".into(),
            Self::LeaderSettingsChanged => "leader-settings-changed".into(),
            Self::RelationCreated(hook) => format!("{}-relation-created", hook.endpoint),
            Self::RelationJoined(hook) => format!("{}-relation-joined", hook.endpoint),
            Self::RelationChanged(hook) => format!("{}-relation-changed", hook.endpoint),
            Self::RelationDeparted(hook) => format!("{}-relation-departed", hook.endpoint),
            Self::RelationBroken(hook) => format!("{}-relation-broken", hook.endpoint),
            Self::StorageAttached(hook) => format!("{}-storage-attached", hook.name()),
            Self::StorageDetaching(hook) => format!("{}-storage-detaching", hook.name()),
            Self::SecretChanged(_) => "secret-changed".into(),
            Self::SecretRotate(_) => "secret-rotate".into(),
            Self::SecretExpired(_) => "secret-expired".into(),
            Self::SecretRemove(_) => "secret-remove".into(),
            Self::Notice(_) => "bus-notice".into(),
        }
    }

    /// The relation the hook is about, if it is a relation hook.
    #[must_use]
    pub fn relation(&self) -> Option<&RelationHook> {
        match self {
            Self::RelationCreated(hook)
            | Self::RelationJoined(hook)
            | Self::RelationChanged(hook)
            | Self::RelationDeparted(hook)
            | Self::RelationBroken(hook) => Some(hook),
            _ => None,
        }
    }
}

impl StorageHook {
    /// The storage's name in the charm's metadata.
    #[must_use]
    pub fn name(&self) -> &str {
        self.storage.split('/').next().unwrap_or_default()
    }
}
