//! Actions: what people can ask a unit to do, and the parameters they may give (`actions.yaml`).
//!
//! Parameters are described by a subset of JSON Schema, the part published charms use: see [`schema::Schema`]. A call
//! goes through [`Action::defaults`], which fills in what was left out, and [`Action::validate`], which reports all
//! that does not fit.

pub mod schema;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::{name, yaml};
use schema::Schema;

/// Parameters by name.
pub type Parameters = Map<String, Value>;

/// All actions of a charm, by name.
pub type Actions = BTreeMap<String, Action>;

/// One action.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Action {
    /// What it does.
    pub description: String,
    /// Whether it may run while others of its group run; our agents run one at a time in any case.
    pub parallel: Option<bool>,
    /// Actions of one group wait for each other.
    pub execution_group: Option<String>,
    /// What parameters it takes: a schema of type object.
    pub parameters: Schema,
}

impl Action {
    /// The parameters given, with the schema's defaults where one was left out. Defaults inside an object are filled
    /// in even if the object itself was left out.
    pub fn defaults(&self, given: &Parameters) -> Parameters {
        let mut filled = given.clone();
        self.parameters.fill(&mut filled);
        filled
    }

    /// Checks parameters; `action` is the name used in the error, which lists all problems.
    pub fn validate(&self, action: &str, parameters: &Parameters) -> Result<()> {
        let mut problems = Vec::new();
        self.parameters.check_object("", parameters, &mut problems);
        if problems.is_empty() {
            return Ok(());
        }
        Err(Error::ActionParameters { action: action.to_owned(), problems })
    }

    /// The schema as Juju shows it (`juju actions --schema`): with title, description and an explicit answer to
    /// whether other parameters are allowed.
    pub fn json_schema(&self, action: &str) -> Value {
        let mut shown = json!(self.parameters);
        shown["title"] = json!(action);
        shown["description"] = json!(self.description);
        for (key, value) in [
            ("type", json!("object")),
            ("properties", json!({})),
            ("required", json!([])),
            ("additionalProperties", json!(true)),
        ] {
            if shown.get(key).is_none() {
                shown[key] = value;
            }
        }
        shown
    }
}

/// Reads `actions.yaml`; `file` is the name used in errors. Also answers warnings.
///
/// ```
/// use serde_json::json;
/// let text = "backup:\n  params:\n    target: {type: string, default: /srv}\n";
/// let (actions, _) = tutti_charm::action::from_yaml("actions.yaml", text).unwrap();
/// let given = json!({"speed": "slow"}).as_object().unwrap().clone();
/// let filled = actions["backup"].defaults(&given);
/// assert_eq!(filled["target"], "/srv");
/// assert!(actions["backup"].validate("backup", &filled).is_ok());
/// ```
pub fn from_yaml(file: &str, text: &str) -> Result<(Actions, Vec<String>)> {
    let written: Option<Value> =
        yaml::from_str(text).map_err(|source| Error::Yaml { file: file.to_owned(), source })?;
    read(file, &written.unwrap_or_default())
}

/// Reads the `actions` section of `charmcraft.yaml`.
pub(crate) fn from_charmcraft(file: &str, text: &str) -> Result<(Actions, Vec<String>)> {
    #[derive(Deserialize)]
    struct Charmcraft {
        #[serde(default)]
        actions: Value,
    }
    let whole: Charmcraft =
        yaml::from_str(text).map_err(|source| Error::Yaml { file: file.to_owned(), source })?;
    read(file, &whole.actions)
}

fn read(file: &str, written: &Value) -> Result<(Actions, Vec<String>)> {
    let mut notes = schema::Notes::default();
    let mut actions = Actions::new();
    match written {
        Value::Null => {}
        Value::Object(all) => {
            for (name, written) in all {
                if let Err(error) = name::action(name) {
                    notes.problems.push(error.to_string());
                }
                actions.insert(name.clone(), read_one(name, written, &mut notes));
            }
        }
        other => notes.problems.push(format!("expected a mapping of actions, got {other}")),
    }
    if notes.problems.is_empty() {
        let warnings = notes.warnings.into_iter().map(|text| format!("{file}: {text}")).collect();
        return Ok((actions, warnings));
    }
    Err(Error::Invalid { file: file.to_owned(), problems: notes.problems })
}

/// One action as written: `params` are the properties of its parameters, the other keys of a schema stand beside.
fn read_one(name: &str, written: &Value, notes: &mut schema::Notes) -> Action {
    let mut keys = match written {
        Value::Null => Map::new(),
        Value::Object(keys) => keys.clone(),
        other => {
            notes.problems.push(format!("action {name:?}: expected a mapping, got {other}"));
            return Action::default();
        }
    };
    let mut text = |key: &str| match keys.remove(key) {
        Some(Value::String(text)) => Some(text),
        Some(Value::Null) | None => None,
        Some(other) => {
            notes.problems.push(format!("action {name:?}: {key} expected text, got {other}"));
            None
        }
    };
    let description = text("description").unwrap_or_default();
    let execution_group = text("execution-group");
    let parallel = match keys.remove("parallel") {
        Some(Value::Bool(parallel)) => Some(parallel),
        Some(Value::Null) | None => None,
        Some(other) => {
            notes
                .problems
                .push(format!("action {name:?}: parallel expected a boolean, got {other}"));
            None
        }
    };
    if let Some(properties) = keys.remove("params").filter(|params| !params.is_null()) {
        keys.insert("properties".to_owned(), properties);
    }
    keys.insert("type".to_owned(), json!("object"));
    let at = format!("action {name:?}");
    let parameters = Schema::read(&at, &Value::Object(keys), notes);
    Action { description, parallel, execution_group, parameters }
}

#[cfg(test)]
mod tests;
