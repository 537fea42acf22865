//! Actions: parameters, results, failure and progress.

use serde_json::{Map, Value};
use tutti_charm::hook_tool::ToolError;
use tutti_model::agent::{ContextAction, Report};

use super::context::{after, refused};
use super::{Effect, HookContext, Reply};

/// What an action has said about itself so far; kept whether it succeeds or fails.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ActionResults {
    /// Values of `action-set`.
    pub(super) results: Map<String, Value>,
    /// Message of `action-fail`.
    pub(super) failure: Option<String>,
}

impl HookContext {
    pub(super) fn action_get(&self, path: &[String]) -> Result<Value, ToolError> {
        Ok(at(&self.action()?.parameters, path))
    }

    pub(super) fn action_set(
        &mut self,
        results: Vec<(Vec<String>, String)>,
    ) -> Result<(), ToolError> {
        self.action()?;
        for (path, value) in results {
            put(&mut self.action.results, &path, value);
        }
        Ok(())
    }

    pub(super) fn action_fail(&mut self, message: String) -> Result<(), ToolError> {
        self.action()?;
        self.action.failure = Some(message);
        Ok(())
    }

    pub(super) fn action_log(&self, message: String) -> Reply {
        match self.action() {
            Ok(action) => after(Effect::Report(Report::TaskLog { task: action.task, message })),
            Err(error) => refused(error),
        }
    }

    fn action(&self) -> Result<&ContextAction, ToolError> {
        self.context.action.as_ref().ok_or_else(|| ToolError::running("not running an action"))
    }
}

fn at(value: &Value, path: &[String]) -> Value {
    let mut value = value;
    for key in path {
        match value.get(key) {
            Some(inner) => value = inner,
            None => return Value::Null,
        }
    }
    // An action without parameters has an empty set of them.
    if path.is_empty() && value.is_null() { Value::Object(Map::new()) } else { value.clone() }
}

/// Sets a value at a path; whatever stands in the way is replaced.
fn put(results: &mut Map<String, Value>, path: &[String], value: String) {
    let Some((key, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        results.insert(key.clone(), value.into());
        return;
    }
    let inner = results.entry(key.clone()).or_insert(Value::Null);
    if !inner.is_object() {
        *inner = Value::Object(Map::new());
    }
    if let Value::Object(inner) = inner {
        put(inner, rest, value);
    }
}
