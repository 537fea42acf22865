//! Reading secrets.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tutti_charm::hook_tool::{SecretContent, SecretReading, ToolError};
use tutti_model::agent::{ContextSecret, SecretCreate};

use super::super::HookContext;
use super::{Known, not_found};

impl HookContext {
    pub(in super::super) fn secret_get(
        &mut self,
        id: Option<String>,
        label: Option<String>,
        reading: SecretReading,
    ) -> Result<SecretContent, ToolError> {
        let (id, new_label) = match (id, label) {
            (Some(id), label) => (id, label),
            (None, label) => (self.id_by_label(&label.unwrap_or_default())?, None),
        };
        if let Known::New(new) = self.known(&id)? {
            let content = new.content.clone();
            if let Some(label) = new_label {
                self.label_read(&id, label)?;
            }
            return Ok(SecretContent(content));
        }
        let secret = self.context.secrets.get(&id).ok_or_else(|| not_found(&id))?;
        let before = self.tracked(&id, secret);
        let revision = match reading {
            SecretReading::Tracked if before != 0 => before,
            SecretReading::Tracked => secret.latest,
            SecretReading::Peek | SecretReading::Refresh => self.newest(&id, secret),
        };
        let content = self.content(&id, secret, revision).cloned().ok_or_else(|| not_found(&id))?;
        if reading != SecretReading::Peek && revision != before {
            self.changes.secrets_tracked.entry(id.clone()).or_default().revision = Some(revision);
        }
        if let Some(label) = new_label {
            self.label_read(&id, label)?;
        }
        Ok(SecretContent(content))
    }

    /// Owned secrets go before those that only this unit has given a label.
    fn id_by_label(&self, label: &str) -> Result<String, ToolError> {
        let owned = self.owned().find(|(_, own, _)| *own == label).map(|(id, ..)| id.to_owned());
        let consumed = || {
            let mut secrets = self.context.secrets.iter();
            let found = secrets.find(|(id, secret)| {
                let track = self.changes.secrets_tracked.get(*id);
                match track.and_then(|track| track.label.as_deref()) {
                    Some(new) => new == label,
                    None => !secret.owned && secret.label == label,
                }
            });
            found.map(|(id, _)| id.clone())
        };
        owned
            .or_else(consumed)
            .filter(|_| !label.is_empty())
            .ok_or_else(|| ToolError::running(format!("secret with label {label:?} not found")))
    }

    /// The revision this unit tracks by now; 0 = none.
    fn tracked(&self, id: &str, secret: &ContextSecret) -> i64 {
        let track = self.changes.secrets_tracked.get(id).and_then(|track| track.revision);
        track.unwrap_or(secret.tracked)
    }

    /// The latest revision, counting the one this run is about to make.
    fn newest(&self, id: &str, secret: &ContextSecret) -> i64 {
        let update = self.update(id).and_then(|update| update.content.as_ref());
        let differs = update.is_some_and(|new| secret.revisions.get(&secret.latest) != Some(new));
        secret.latest + i64::from(differs)
    }

    fn content<'a>(
        &'a self,
        id: &str,
        secret: &'a ContextSecret,
        revision: i64,
    ) -> Option<&'a BTreeMap<String, String>> {
        if revision > secret.latest {
            return self.update(id).and_then(|update| update.content.as_ref());
        }
        secret.revisions.get(&revision)
    }

    pub(in super::super) fn secret_info_get(
        &self,
        id: Option<String>,
        label: Option<String>,
    ) -> Result<Value, ToolError> {
        let id = match (id, label) {
            (Some(id), _) => id,
            (None, label) => self.id_by_label(&label.unwrap_or_default())?,
        };
        let info = match self.known(&id)? {
            Known::New(new) => info_of_new(new),
            Known::Given(secret) if secret.owned => self.info(&id, secret),
            Known::Given(_) => return Err(not_found(&id)),
        };
        Ok(json!({ id: info }))
    }

    fn info(&self, id: &str, secret: &ContextSecret) -> Value {
        let update = self.update(id).cloned().unwrap_or_default();
        let mut fields = Map::new();
        fields.insert("revision".into(), secret.latest.into());
        fields.insert("label".into(), self.owner_label(id, secret).into());
        fields.insert("owner".into(), secret.owner.as_str().into());
        let rotation = update.rotation.unwrap_or_else(|| secret.rotation.clone());
        let rotation = if rotation.is_empty() { "never".into() } else { rotation };
        fields.insert("rotation".into(), rotation.into());
        let described = [
            ("description", update.description.as_ref().unwrap_or(&secret.description)),
            ("expiry", update.expiry.as_ref().unwrap_or(&secret.expiry)),
        ];
        for (key, text) in described.into_iter().filter(|(_, text)| !text.is_empty()) {
            fields.insert(key.into(), text.as_str().into());
        }
        if !secret.access.is_empty() {
            fields.insert("access".into(), json!(secret.access));
        }
        Value::Object(fields)
    }

    pub(in super::super) fn secret_ids(&self) -> Value {
        self.owned().map(|(id, ..)| id).collect()
    }
}

fn info_of_new(new: &SecretCreate) -> Value {
    let mut fields = Map::new();
    fields.insert("revision".into(), 1.into());
    fields.insert("label".into(), new.label.as_str().into());
    fields.insert("owner".into(), if new.application { "application" } else { "unit" }.into());
    let rotation = if new.rotation.is_empty() { "never" } else { &new.rotation };
    fields.insert("rotation".into(), rotation.into());
    for (key, text) in [("description", &new.description), ("expiry", &new.expiry)] {
        if !text.is_empty() {
            fields.insert(key.into(), text.as_str().into());
        }
    }
    Value::Object(fields)
}

/// The whole content, or one value of it.
pub(in super::super) fn value(
    content: &SecretContent,
    key: Option<String>,
    base64: bool,
) -> Result<Value, ToolError> {
    let Some(key) = key else { return Ok(json!(content)) };
    let text = content.0.get(&key);
    let text = text.ok_or_else(|| ToolError::running(format!("the secret has no key {key:?}")))?;
    Ok(if base64 { STANDARD.encode(text).into() } else { text.as_str().into() })
}
