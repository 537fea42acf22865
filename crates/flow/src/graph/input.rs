//! What a task is given: its input, completed by what earlier tasks provide.

use serde_json::{Map, Value};

use super::{Graph, Node};
use crate::plan::Binding;

impl Graph {
    /// The task's input as JSON text, or why it cannot be put together.
    pub(crate) fn input(&self, number: usize) -> Result<String, String> {
        let node = &self.nodes[number];
        let bindings = &node.spec().bindings;
        if bindings.is_empty() {
            return Ok(node.input.clone());
        }
        self.input_value(number).map(|input| input.to_string())
    }

    /// The same, as a value.
    pub(super) fn input_value(&self, number: usize) -> Result<Value, String> {
        let node = &self.nodes[number];
        let mut input: Value = serde_json::from_str(&node.input)
            .map_err(|error| format!("the input stored is not JSON: {error}"))?;
        for binding in &node.spec().bindings {
            let Some(value) = self.provided(binding)? else { continue };
            if binding.into.is_empty() {
                input = value;
                continue;
            }
            if input.is_null() {
                input = Value::Object(Map::new());
            }
            let Value::Object(members) = &mut input else {
                return Err(format!("the input has no members, so no `{}`", binding.into));
            };
            members.insert(binding.into.clone(), value);
        }
        Ok(input)
    }

    /// What an earlier task provides; nothing if it was skipped.
    fn provided(&self, binding: &Binding) -> Result<Option<Value>, String> {
        let Some(producer) = self.nodes.get(binding.task) else {
            return Err(format!("there is no task {}", binding.task));
        };
        let Some(output) = self.output(producer) else { return Ok(None) };
        match output.pointer(&binding.from) {
            Some(value) => Ok(Some(value.clone())),
            None => Err(format!("task `{}` answered without `{}`", producer.name, binding.from)),
        }
    }

    pub(super) fn output(&self, node: &Node) -> Option<Value> {
        node.output.as_deref().and_then(|output| serde_json::from_str(output).ok())
    }
}
