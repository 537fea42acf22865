//! Storage.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tutti_charm::hook_tool::ToolError;

use super::HookContext;

impl HookContext {
    pub(super) fn storage_add(&mut self, counts: BTreeMap<String, u32>) -> Result<(), ToolError> {
        if let Some(name) = counts.keys().find(|name| !self.context.storage_names.contains(name)) {
            return Err(ToolError::running(format!("charm storage {name:?} not found")));
        }
        for (name, count) in counts {
            let total = self.changes.storage.entry(name).or_default();
            *total = total.saturating_add(count);
        }
        Ok(())
    }

    pub(super) fn storage_get(
        &self,
        id: Option<String>,
        attribute: Option<&str>,
    ) -> Result<Value, ToolError> {
        let id = id.or_else(|| self.run.storage.clone());
        let id = id.ok_or_else(|| {
            ToolError::argument("storage requires -s with a storage ID outside of storage hooks")
        })?;
        let storage = self.context.storage.get(&id).ok_or_else(|| {
            ToolError::argument(format!("invalid value {id:?} for option -s: storage not found"))
        })?;
        match attribute {
            None => Ok(json!({ "kind": storage.kind, "location": storage.location })),
            Some("kind") => Ok(json!(storage.kind)),
            Some("location") => Ok(json!(storage.location)),
            Some(other) => Err(ToolError::running(format!("invalid storage attribute {other:?}"))),
        }
    }

    pub(super) fn storage_list(&self, name: Option<&str>) -> Value {
        let ids = self.context.storage.keys().map(String::as_str);
        let of_name = |id: &&str| {
            name.is_none_or(|name| id.split_once('/').is_some_and(|(kind, _)| kind == name))
        };
        ids.filter(of_name).collect()
    }
}
