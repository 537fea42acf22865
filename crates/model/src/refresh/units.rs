//! What each unit will do.

use crate::agent::{Hook, HookStep, Journal, Operation};
use crate::api::{Life, Refresh};

/// A unit as a refresh finds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitState {
    /// `app/0`.
    pub name: String,
    /// Its life.
    pub life: Life,
    /// The charm it runs; empty before its first deploy on disk.
    pub charm: String,
    /// `install` was committed.
    pub installed: bool,
    /// The hook in error.
    pub failed: Option<String>,
    /// Its agent does not answer.
    pub lost: bool,
}

impl UnitState {
    /// A unit's state by its journal.
    #[must_use]
    pub fn new(name: &str, life: Life, lost: bool, journal: &Journal) -> Self {
        let failed = match &journal.operation {
            Operation::RunHook { hook, step: HookStep::Failed } => Some(hook),
            _ => journal.failed.as_ref(),
        };
        Self {
            name: name.to_owned(),
            life,
            charm: journal.charm.as_ref().map(|charm| charm.url.clone()).unwrap_or_default(),
            installed: journal.installed,
            failed: failed.map(Hook::name),
            lost,
        }
    }

    /// What the unit will do, in a few words.
    pub(super) fn verdict(&self, to: &str, charm_changes: bool, request: &Refresh) -> String {
        match &self.failed {
            _ if self.life != Life::Alive => "is being removed: stays as it is".into(),
            _ if self.lost => "agent lost: upgrades when it is back".into(),
            _ if self.charm == to && charm_changes => "runs it already".into(),
            Some(_) if !self.installed && request.force_units => {
                "failed to install: installs the new charm now".into()
            }
            Some(_) if !self.installed => {
                "failed to install: takes the new charm when it tries again".into()
            }
            None if !self.installed => "takes the new charm when it installs".into(),
            Some(hook) if request.force_units => {
                format!("in error: upgrades now, then returns to {hook}")
            }
            Some(_) => "in error: upgrades when resolved".into(),
            None => "upgrades now".to_owned(),
        }
    }
}
