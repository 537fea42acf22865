//! The charm's state kept by the model.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tutti_charm::hook_tool::ToolError;

use super::HookContext;

impl HookContext {
    pub(super) fn state_get(&self, key: Option<String>, strict: bool) -> Result<Value, ToolError> {
        let mut state = self.context.state.clone();
        for (key, value) in &self.changes.state {
            match value {
                Some(value) => state.insert(key.clone(), value.clone()),
                None => state.remove(key),
            };
        }
        match key {
            None => Ok(json!(state)),
            Some(key) => match state.remove(&key) {
                Some(value) => Ok(value.into()),
                None if strict => Err(ToolError::running(format!("{key:?} not found"))),
                None => Ok(Value::Null),
            },
        }
    }

    pub(super) fn state_set(&mut self, values: BTreeMap<String, String>) -> Result<(), ToolError> {
        self.check_size(&values)?;
        self.changes.state.extend(values.into_iter().map(|(key, value)| (key, Some(value))));
        Ok(())
    }

    pub(super) fn state_delete(&mut self, key: String) -> Result<(), ToolError> {
        self.check_size(&BTreeMap::from([(key.clone(), String::new())]))?;
        self.changes.state.insert(key, None);
        Ok(())
    }
}
