//! Deciders: conditions on the outputs of earlier tasks. A decision is the stored output of a task and a condition that is
//! data, so that it is the same after every restart.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A condition on the output of a needed task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct When {
    /// The position of the needed task.
    pub task: usize,
    /// What its output must be like. A skipped task has none, and meets no condition.
    pub is: Condition,
    /// How far the skipping spreads if it is not.
    pub depth: Depth,
}

/// What a value must be like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Neither absent, `null`, `false`, `0`, nor empty.
    True,
    /// Absent, `null`, `false`, `0`, or empty.
    False,
    /// Equal to a value.
    Equals(Value),
    /// One of several values.
    OneOf(Vec<Value>),
    /// The part a JSON pointer (RFC 6901) names is like that.
    At(String, Box<Condition>),
}

/// How far "no" spreads from a skipped task, as in TaskFlow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// Only the task is skipped; those that need it go on.
    Atom,
    /// The task and those that need it directly.
    Neighbors,
    /// The task and all behind it in the same nested flow.
    Flow,
    /// The task and all behind it.
    #[default]
    All,
}

impl Condition {
    /// Whether an output is like that.
    #[must_use]
    pub fn holds(&self, value: Option<&Value>) -> bool {
        match self {
            Self::True => value.is_some_and(is_true),
            Self::False => !value.is_some_and(is_true),
            Self::Equals(other) => value == Some(other),
            Self::OneOf(others) => value.is_some_and(|value| others.contains(value)),
            Self::At(pointer, condition) => {
                condition.holds(value.and_then(|value| value.pointer(pointer)))
            }
        }
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_hold() {
        for (condition, value, expected) in [
            (Condition::True, Some(json!(true)), true),
            (Condition::True, Some(json!("no")), true),
            (Condition::True, Some(json!(0)), false),
            (Condition::True, Some(json!({})), false),
            (Condition::True, None, false),
            (Condition::False, None, true),
            (Condition::False, Some(json!([])), true),
            (Condition::Equals(json!("a")), Some(json!("a")), true),
            (Condition::Equals(json!("a")), None, false),
            (Condition::OneOf(vec![json!(1), json!(2)]), Some(json!(2)), true),
            (
                Condition::At("/disk/0".into(), Box::new(Condition::Equals(json!("ssd")))),
                Some(json!({"disk": ["ssd"]})),
                true,
            ),
            (
                Condition::At("/disk/1".into(), Box::new(Condition::True)),
                Some(json!({"disk": ["ssd"]})),
                false,
            ),
        ] {
            assert_eq!(condition.holds(value.as_ref()), expected, "{condition:?} of {value:?}");
        }
    }
}
