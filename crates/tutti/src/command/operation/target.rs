//! Who runs what: units and parameters of an action, the command line of a command.

use serde_json::{Map, Value};
use tutti_charm::name::split_unit;
use tutti_model::api::{ModelInfo, UnitInfo};

use crate::arguments::value::pair;
use crate::context::{Context, Model, unit_path};
use crate::directories::variable;
use crate::failure::{Failure, Outcome};

/// The words of `run`, sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Action {
    pub(super) units: Vec<String>,
    pub(super) action: String,
    /// Dotted keys and texts.
    pub(super) parameters: Vec<(String, String)>,
}

/// Sorts `UNIT… ACTION [key.key=value…]`.
pub(super) fn action(words: &[String]) -> Outcome<Action> {
    let mut sorted = Action::default();
    for word in words {
        let is_unit = split_unit(word).is_some() || word.ends_with("/leader");
        if sorted.action.is_empty() && is_unit {
            sorted.units.push(word.clone());
        } else if sorted.action.is_empty() {
            if word.contains(['/', '=']) || word.is_empty() {
                return Err(Failure::usage(format!("invalid unit or action name {word:?}")));
            }
            sorted.action.clone_from(word);
        } else {
            let Some((key, value)) = pair(word) else {
                return Err(Failure::usage(format!(
                    "argument {word:?} must be of the form key.key.key…=value"
                )));
            };
            sorted.parameters.push((key.into(), value.into()));
        }
    }
    if sorted.units.is_empty() {
        return Err(Failure::usage("no unit specified"));
    }
    if sorted.action.is_empty() {
        return Err(Failure::usage("no action specified"));
    }
    Ok(sorted)
}

/// Sets a parameter: `a.b=1` is `{"a": {"b": 1}}`, values are YAML unless taken as text.
pub(super) fn set_parameter(
    parameters: &mut Map<String, Value>,
    key: &str,
    text: &str,
    as_text: bool,
) -> Outcome {
    if let Some((first, rest)) = key.split_once('.') {
        let entry = parameters.entry(first).or_insert_with(|| Value::Object(Map::new()));
        if !entry.is_object() {
            *entry = Value::Object(Map::new());
        }
        let Value::Object(inner) = entry else { return Ok(()) };
        return set_parameter(inner, rest, text, as_text);
    }
    if key.is_empty() {
        return Err(Failure::usage("the key of a parameter is empty"));
    }
    let value = if as_text {
        Value::String(text.into())
    } else {
        // What is no YAML (`a: b: c`) is meant as text.
        tutti_charm::yaml::from_str(text).unwrap_or_else(|_| Value::String(text.into()))
    };
    parameters.insert(key.into(), value);
    Ok(())
}

/// One word is a line for the shell; several are a program and its arguments.
pub(super) fn command_line(words: &[String]) -> String {
    match words {
        [line] => line.clone(),
        words => words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "),
    }
}

/// A word as the shell reads it back.
fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-+=:,./@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The unit and the command of `juju-exec`.
pub(super) fn juju_exec(words: &[String]) -> Outcome<(String, Vec<String>)> {
    let mut words = words.iter().peekable();
    let mut unit = variable("JUJU_UNIT_NAME");
    let mut named = false;
    while let Some(word) = words.next_if(|word| word.starts_with('-')) {
        match word.as_str() {
            "--" => break,
            "-u" | "--unit" => {
                unit = words.next().cloned();
                named = true;
            }
            "-r" | "--relation" | "--remote-unit" => {
                words.next();
            }
            _ => {}
        }
    }
    if let Some(first) = words.next_if(|word| !named && split_unit(word).is_some()) {
        unit = Some(first.clone());
    }
    let command: Vec<String> = words.cloned().collect();
    let usage = || Failure::usage("usage: juju-exec UNIT COMMAND…");
    let unit = unit.filter(|_| !command.is_empty()).ok_or_else(usage)?;
    Ok((unit, command))
}

/// The model of a unit that a script names without its model: `$JUJU_MODEL_UUID` inside a hook's
/// environment, else the only model that has such a unit, else the current one.
pub(super) async fn model_of_unit(context: &Context, unit: &str) -> Outcome<Model> {
    if let Some(uuid) = variable("JUJU_MODEL_UUID") {
        return context.model_named(Some(&uuid)).await;
    }
    let target = context.target(None)?;
    let client = context.client(&target).await?;
    let models: Vec<ModelInfo> = client.get("/v1/models").await?;
    let path = unit_path(unit, "")?;
    let mut found = Vec::new();
    for info in models {
        let (client, controller) = (client.clone(), target.name.clone());
        let model = Model { client, name: info.uuid, controller };
        if model.get::<UnitInfo>(&path).await.is_ok() {
            found.push(model);
        }
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Failure::new(format!("unit {unit:?} not found in any model"))),
        _ => context.model_named(None).await,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn words_of_run_are_sorted() {
        let sorted = action(&owned(&["db/0", "db/leader", "back-up", "a.b=1", "c=x=y"])).unwrap();
        assert_eq!(sorted.units, ["db/0", "db/leader"]);
        assert_eq!(sorted.action, "back-up");
        let expected = [("a.b", "1"), ("c", "x=y")];
        assert_eq!(sorted.parameters, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
        for words in [&["db/0"][..], &["backup"], &[], &["db/0", "backup", "x"], &["db/x", "b"]] {
            assert_eq!(action(&owned(words)).unwrap_err().code(), 2, "{words:?}");
        }
    }

    #[test]
    fn parameters_are_yaml_and_nest() {
        let mut parameters = Map::new();
        for (key, text, as_text) in [
            ("a.b", "1", false),
            ("a.c", "yes", false),
            ("d", "1", true),
            ("e", "[1, x]", false),
            ("f", "a: b: c", false),
        ] {
            set_parameter(&mut parameters, key, text, as_text).unwrap();
        }
        assert_eq!(
            Value::Object(parameters),
            json!({"a": {"b": 1, "c": true}, "d": "1", "e": [1, "x"], "f": "a: b: c"})
        );
    }

    #[test]
    fn commands_are_quoted_only_as_lists() {
        assert_eq!(command_line(&owned(&["echo $HOME | cat"])), "echo $HOME | cat");
        assert_eq!(command_line(&owned(&["echo", "a b", "it's", ""])), r"echo 'a b' 'it'\''s' ''");
    }

    #[test]
    fn juju_exec_takes_old_and_new_forms() {
        for words in [
            &["db/0", "status-get"][..],
            &["-u", "db/0", "status-get"],
            &["--no-context", "-u", "db/0", "--", "status-get"],
            &["--no-context", "db/0", "status-get"],
        ] {
            let (unit, command) = juju_exec(&owned(words)).unwrap();
            assert_eq!((unit.as_str(), &command[..]), ("db/0", &["status-get".to_owned()][..]));
        }
        assert_eq!(juju_exec(&owned(&["db/0"])).unwrap_err().code(), 2);
    }
}
