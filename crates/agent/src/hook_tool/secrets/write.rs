//! Creating, changing and sharing secrets. Nothing of it happens before the run has succeeded.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tutti_charm::hook_tool::{Expiry, RelationArgument, SecretDraft, ToolError};
use tutti_model::agent::{RelationId, SecretCreate, SecretGrant, SecretRemove, SecretUpdate};

use super::super::context::not_the_leader;
use super::super::{HookContext, Moment};
use super::Known;

impl HookContext {
    pub(in super::super) fn secret_add(
        &mut self,
        application: bool,
        draft: SecretDraft,
        moment: Moment,
    ) -> Result<Value, ToolError> {
        if application && !self.context.leader {
            return Err(not_the_leader());
        }
        let label = draft.label.unwrap_or_default();
        self.check_label("", &label, application)?;
        let id = new_id(moment.random);
        let rotation = draft.rotation.filter(|policy| policy != "never");
        self.changes.secrets_created.push(SecretCreate {
            id: id.clone(),
            application,
            label,
            description: draft.description.unwrap_or_default(),
            rotation: rotation.unwrap_or_default(),
            expiry: draft.expiry.map(|expiry| at(&expiry, moment.now)).unwrap_or_default(),
            content: draft.content.unwrap_or_default().0,
        });
        Ok(format!("secret:{id}").into())
    }

    pub(in super::super) fn secret_set(
        &mut self,
        id: &str,
        draft: SecretDraft,
        moment: Moment,
    ) -> Result<(), ToolError> {
        let new = matches!(self.writable(id)?, Known::New(_));
        if let Some(label) = draft.label {
            self.set_label(id, label)?;
        }
        let expiry = draft.expiry.map(|expiry| at(&expiry, moment.now));
        let content = draft.content.map(|content| content.0);
        if new {
            for new in self.changes.secrets_created.iter_mut().filter(|new| new.id == id) {
                replace(&mut new.description, draft.description.clone());
                replace(&mut new.rotation, draft.rotation.clone());
                replace(&mut new.expiry, expiry.clone());
                replace(&mut new.content, content.clone());
            }
            return Ok(());
        }
        let update = self.update_of(id);
        update.description = draft.description.or_else(|| update.description.take());
        update.rotation = draft.rotation.or_else(|| update.rotation.take());
        update.expiry = expiry.or_else(|| update.expiry.take());
        update.content = content.or_else(|| update.content.take());
        Ok(())
    }

    /// Gives a secret that was read by its id a label: the secret's own if this unit may change that, else
    /// one that only this unit knows it by.
    pub(super) fn label_read(&mut self, id: &str, label: String) -> Result<(), ToolError> {
        let current = match self.known(id)? {
            Known::New(new) => &new.label,
            Known::Given(secret) => self.owner_label(id, secret),
        };
        let same = *current == label;
        if self.writable(id).is_err() {
            if !same || self.changes.secrets_tracked.contains_key(id) {
                self.changes.secrets_tracked.entry(id.to_owned()).or_default().label = Some(label);
            }
            return Ok(());
        }
        if same { Ok(()) } else { self.set_label(id, label) }
    }

    fn set_label(&mut self, id: &str, label: String) -> Result<(), ToolError> {
        let (new, application) = match self.writable(id)? {
            Known::New(new) => (true, new.application),
            Known::Given(secret) => (false, secret.owner == super::APPLICATION),
        };
        self.check_label(id, &label, application)?;
        if new {
            for new in self.changes.secrets_created.iter_mut().filter(|new| new.id == id) {
                new.label.clone_from(&label);
            }
        } else {
            self.update_of(id).label = Some(label);
        }
        Ok(())
    }

    pub(in super::super) fn secret_remove(
        &mut self,
        id: String,
        revision: Option<i64>,
    ) -> Result<(), ToolError> {
        if self.secrets_gone.contains(&id) {
            // Charms remove the revisions of a new secret and then the secret (Juju: no error).
            return Ok(());
        }
        let known = self.writable(&id)?;
        if let Known::New(_) = known {
            if revision.is_none_or(|revision| revision == 1) {
                self.secrets_gone.insert(id.clone());
                self.changes.secrets_created.retain(|new| new.id != id);
                self.changes.secrets_granted.retain(|grant| grant.id != id);
            }
            return Ok(());
        }
        if revision.is_none() {
            self.changes.secrets_updated.retain(|update| update.id != id);
            self.changes.secrets_granted.retain(|grant| grant.id != id);
            self.changes.secrets_revoked.retain(|grant| grant.id != id);
            self.changes.secrets_tracked.remove(&id);
            self.secrets_gone.insert(id.clone());
        }
        self.changes.secrets_removed.push(SecretRemove { id, revision });
        Ok(())
    }

    pub(in super::super) fn secret_grant(
        &mut self,
        id: String,
        relation: Option<&RelationArgument>,
        unit: Option<String>,
    ) -> Result<(), ToolError> {
        self.writable(&id)?;
        let relation = self.relation_of_grant(relation)?;
        let relation = relation.ok_or_else(|| ToolError::argument("no relation id specified"))?;
        if let Some(unit) = &unit {
            let remote = self.context.relations.get(&relation);
            let application = remote.map_or("", |relation| &relation.remote_application);
            if unit.split('/').next() != Some(application) {
                return Err(ToolError::running(format!(
                    "unit {unit:?} is not part of relation {relation}"
                )));
            }
        }
        let grant = SecretGrant { id, relation: Some(relation), unit, application: None };
        self.changes.secrets_revoked.retain(|revoked| *revoked != grant);
        if !self.changes.secrets_granted.contains(&grant) {
            self.changes.secrets_granted.push(grant);
        }
        Ok(())
    }

    pub(in super::super) fn secret_revoke(
        &mut self,
        id: String,
        relation: Option<&RelationArgument>,
        application: Option<String>,
        unit: Option<String>,
    ) -> Result<(), ToolError> {
        let new = matches!(self.writable(&id)?, Known::New(_));
        let named = relation.is_some() || (application.is_none() && unit.is_none());
        let relation = if named { self.relation_of_grant(relation)? } else { None };
        if relation.is_none() && application.is_none() && unit.is_none() {
            return Err(ToolError::argument("no application, unit or relation specified"));
        }
        let relations = &self.context.relations;
        let remote = |id: RelationId| relations.get(&id).map(|found| &found.remote_application);
        let taken_back = |grant: &SecretGrant| {
            grant.id == id
                && (relation.is_none() || grant.relation == relation)
                && (unit.is_none() || grant.unit == unit)
                && (application.is_none()
                    || grant.relation.and_then(remote) == application.as_ref())
        };
        self.changes.secrets_granted.retain(|grant| !taken_back(grant));
        let revoke = SecretGrant { id, relation, unit, application };
        if !new && !self.changes.secrets_revoked.contains(&revoke) {
            self.changes.secrets_revoked.push(revoke);
        }
        Ok(())
    }

    fn relation_of_grant(
        &self,
        relation: Option<&RelationArgument>,
    ) -> Result<Option<RelationId>, ToolError> {
        let Some(argument) = relation else {
            return Ok(self.run.relation.as_ref().map(|about| about.id));
        };
        if self.visible(argument.id).is_none() {
            return Err(ToolError::argument(format!(
                "invalid value {}: no such relation",
                argument.shown
            )));
        }
        Ok(Some(argument.id))
    }

    /// A label names one secret of its owner.
    fn check_label(&self, id: &str, label: &str, application: bool) -> Result<(), ToolError> {
        let taken = self.owned().any(|(other, used, of_application)| {
            other != id && used == label && of_application == application
        });
        if taken && !label.is_empty() {
            return Err(ToolError::running(format!("secret with label {label:?} already exists")));
        }
        Ok(())
    }

    fn update_of(&mut self, id: &str) -> &mut SecretUpdate {
        let updates = &mut self.changes.secrets_updated;
        let place = updates.iter().position(|update| update.id == id).unwrap_or_else(|| {
            updates.push(SecretUpdate { id: id.to_owned(), ..SecretUpdate::default() });
            updates.len() - 1
        });
        &mut updates[place]
    }
}

fn replace<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn at(expiry: &Expiry, now: Timestamp) -> String {
    match expiry {
        Expiry::At(time) => time.clone(),
        Expiry::After(milliseconds) => {
            let duration = i64::try_from(*milliseconds).map(SignedDuration::from_millis);
            let time = now.saturating_add(duration.unwrap_or(SignedDuration::MAX));
            time.unwrap_or(Timestamp::MAX).to_string()
        }
    }
}

/// 96 bits as 20 digits of base32hex, as Juju's ids look.
fn new_id(random: [u8; 12]) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let bits = random.iter().fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte)) << 4;
    let digits = (0..20).rev().map(|place| DIGITS[(bits >> (5 * place)) as usize & 31]);
    digits.map(char::from).collect()
}
