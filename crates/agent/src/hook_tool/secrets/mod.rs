//! Secrets: who may see, change and share them, and which revision a reader gets.
//!
//! A secret is owned by a unit, by an application (every unit reads, the leader writes) or by a user. Whoever
//! reads one tracks a revision: the latest at the first read, and a newer one only after `--refresh`. Labels
//! are names a charm gives: an owner's belongs to the secret, a reader's is known to that reader alone.
//!
//! Python charms take `not found` in any refusal as "this secret does not exist", so nothing else may say so.

mod read;
mod write;

use tutti_charm::hook_tool::ToolError;
use tutti_model::agent::{ContextSecret, SecretCreate, SecretUpdate};

pub(super) use read::value;

use super::HookContext;
use super::context::not_the_leader;

/// How `owner` says that the unit's application owns a secret, as opposed to the unit.
const APPLICATION: &str = "application";

/// A secret this run may know of.
enum Known<'a> {
    /// Created by this run.
    New(&'a SecretCreate),
    /// There when the run began.
    Given(&'a ContextSecret),
}

impl HookContext {
    fn known(&self, id: &str) -> Result<Known<'_>, ToolError> {
        let removed = |id: &str| {
            let mut removed = self.changes.secrets_removed.iter();
            removed.any(|remove| remove.id == id && remove.revision.is_none())
        };
        let new = self.changes.secrets_created.iter().find(|new| new.id == id).map(Known::New);
        let given = || self.context.secrets.get(id).filter(|_| !removed(id)).map(Known::Given);
        new.or_else(given).ok_or_else(|| not_found(id))
    }

    /// A secret of the own unit or application that this unit may change.
    fn writable(&self, id: &str) -> Result<Known<'_>, ToolError> {
        let known = self.known(id)?;
        let of_application = match &known {
            Known::New(new) => new.application,
            Known::Given(secret) if secret.owned => secret.owner == APPLICATION,
            Known::Given(_) => return Err(not_found(id)),
        };
        if of_application && !self.context.leader {
            return Err(not_the_leader());
        }
        Ok(known)
    }

    /// What this run changes about a secret that was there before.
    fn update(&self, id: &str) -> Option<&SecretUpdate> {
        self.changes.secrets_updated.iter().find(|update| update.id == id)
    }

    /// The label the owner has given a secret, with this run's change.
    fn owner_label<'a>(&'a self, id: &str, secret: &'a ContextSecret) -> &'a str {
        let update = self.update(id).and_then(|update| update.label.as_deref());
        update.unwrap_or(&secret.label)
    }

    /// Bare ids of the secrets this unit or its application owns, with their labels.
    fn owned(&self) -> impl Iterator<Item = (&str, &str, bool)> {
        let given = self
            .context
            .secrets
            .iter()
            .filter(|(id, secret)| secret.owned && self.known(id).is_ok());
        let given = given.map(|(id, secret)| {
            (id.as_str(), self.owner_label(id, secret), secret.owner == APPLICATION)
        });
        let new = self.changes.secrets_created.iter();
        given.chain(new.map(|new| (new.id.as_str(), new.label.as_str(), new.application)))
    }
}

fn not_found(id: &str) -> ToolError {
    ToolError::running(format!("secret {id:?} not found"))
}
