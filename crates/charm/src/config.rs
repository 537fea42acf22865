//! A charm's configuration: the options it declares (`config.yaml`), and the values people give them.
//!
//! Values are [`serde_json::Value`]s of the declared type and nothing else: [`parse_value`] reads what was typed on a
//! command line, [`ConfigSchema::check`] takes what came from YAML or JSON. What a charm sees is [`effective`]; what
//! survives a refresh to another charm is decided by [`retain`]. Refusals use Juju's texts.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::{name, yaml};

/// Values by option; options without a value are absent, never null.
pub type Settings = BTreeMap<String, Value>;

/// The options a charm declares. As JSON: `{"options": {"port": {"type": "int", "default": 80, "description": ""}}}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigSchema {
    /// The options by key.
    pub options: BTreeMap<String, ConfigOption>,
}

/// One option.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigOption {
    /// The type of its values.
    #[serde(rename = "type")]
    pub kind: OptionType,
    /// The value it has unless set; of the type declared.
    #[serde(default)]
    pub default: Option<Value>,
    /// What it is for.
    #[serde(default)]
    pub description: String,
}

/// The type of an option's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptionType {
    /// Text.
    String,
    /// A whole number of 64 bits.
    Int,
    /// A number.
    Float,
    /// True or false.
    Boolean,
    /// The identifier of a secret, `secret:…`.
    Secret,
}

impl OptionType {
    /// The word for it in `config.yaml` and in messages.
    pub fn word(self) -> &'static str {
        match self {
            OptionType::String => "string",
            OptionType::Int => "int",
            OptionType::Float => "float",
            OptionType::Boolean => "boolean",
            OptionType::Secret => "secret",
        }
    }

    fn from_word(word: &str) -> Option<OptionType> {
        let all = [
            OptionType::String,
            OptionType::Int,
            OptionType::Float,
            OptionType::Boolean,
            OptionType::Secret,
        ];
        all.into_iter().find(|kind| kind.word() == word)
    }

    /// The value if it is of this type; whole numbers become floats where floats are expected.
    fn accept(self, value: &Value) -> Option<Value> {
        match (self, value) {
            (OptionType::String, Value::String(_)) | (OptionType::Boolean, Value::Bool(_)) => {
                Some(value.clone())
            }
            (OptionType::Secret, Value::String(text)) => {
                text.starts_with("secret:").then(|| value.clone())
            }
            (OptionType::Int, Value::Number(number)) => number.as_i64().map(Value::from),
            (OptionType::Float, Value::Number(number)) => number.as_f64().map(Value::from),
            _ => None,
        }
    }

    /// The value that text on a command line stands for. Booleans are written in any way that Juju reads.
    fn parse(self, text: &str) -> Option<Value> {
        match self {
            OptionType::String => Some(Value::from(text)),
            OptionType::Secret => self.accept(&Value::from(text)),
            OptionType::Int => text.parse::<i64>().ok().map(Value::from),
            OptionType::Float => {
                text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from)
            }
            OptionType::Boolean => match text {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(Value::Bool(true)),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(Value::Bool(false)),
                _ => None,
            },
        }
    }
}

impl fmt::Display for OptionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl ConfigSchema {
    /// Reads `config.yaml`; `file` is the name used in errors.
    pub fn from_yaml(file: &str, text: &str) -> Result<ConfigSchema> {
        let written: Written = yaml::from_str::<Option<Written>>(text)
            .map_err(|source| Error::Yaml { file: file.to_owned(), source })?
            .unwrap_or_default();
        written.check(file)
    }

    /// Reads the `config` section of `charmcraft.yaml`; a file without one declares no options.
    pub(crate) fn from_charmcraft(file: &str, text: &str) -> Result<ConfigSchema> {
        let whole: Charmcraft =
            yaml::from_str(text).map_err(|source| Error::Yaml { file: file.to_owned(), source })?;
        whole.config.unwrap_or_default().check(file)
    }

    /// The option of that key, or Juju's `unknown option "x"`.
    pub fn option(&self, key: &str) -> Result<&ConfigOption> {
        self.options.get(key).ok_or_else(|| Error::UnknownOption { key: key.to_owned() })
    }

    /// A value that came from YAML or JSON, made to fit the option's type.
    pub fn check(&self, key: &str, value: &Value) -> Result<Value> {
        let expected = self.option(key)?.kind;
        expected.accept(value).ok_or_else(|| Error::OptionType {
            key: key.to_owned(),
            expected: expected.word(),
            got: value.to_string(),
        })
    }
}

/// A value typed on a command line, made to fit the option's type.
///
/// ```
/// use tutti_charm::config::{ConfigSchema, parse_value};
/// let schema = ConfigSchema::from_yaml("config.yaml", "options: {port: {type: int, default: 80}}").unwrap();
/// assert_eq!(parse_value(&schema, "port", "8080").unwrap(), 8080);
/// assert_eq!(
///     parse_value(&schema, "port", "abc").unwrap_err().to_string(),
///     r#"option "port" expected int, got "abc""#,
/// );
/// ```
pub fn parse_value(schema: &ConfigSchema, key: &str, text: &str) -> Result<Value> {
    let expected = schema.option(key)?.kind;
    expected.parse(text).ok_or_else(|| Error::OptionType {
        key: key.to_owned(),
        expected: expected.word(),
        got: format!("{text:?}"),
    })
}

/// What the charm sees: settings over defaults. Options with neither are absent; settings of options that the schema
/// does not have are left out.
pub fn effective(schema: &ConfigSchema, settings: &Settings) -> Settings {
    schema
        .options
        .iter()
        .filter_map(|(key, option)| {
            let value = settings.get(key).or(option.default.as_ref())?;
            Some((key.clone(), value.clone()))
        })
        .collect()
}

/// A setting that a refresh leaves behind, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    /// The option's key.
    pub key: String,
    /// The value it had.
    pub value: Value,
    /// Why it cannot stay: the text of the refusal.
    pub reason: String,
}

/// Carries settings over to another charm's schema: those that fit are kept, the others reported. (Juju drops the
/// others silently.)
pub fn retain(schema: &ConfigSchema, settings: &Settings) -> (Settings, Vec<Dropped>) {
    let mut kept = Settings::new();
    let mut dropped = Vec::new();
    for (key, value) in settings {
        match schema.check(key, value) {
            Ok(value) => drop(kept.insert(key.clone(), value)),
            Err(error) => dropped.push(Dropped {
                key: key.clone(),
                value: value.clone(),
                reason: error.to_string(),
            }),
        }
    }
    (kept, dropped)
}

#[derive(Default, Deserialize)]
struct Written {
    options: Option<BTreeMap<String, WrittenOption>>,
}

#[derive(Deserialize)]
struct Charmcraft {
    config: Option<Written>,
}

#[derive(Deserialize)]
struct WrittenOption {
    #[serde(rename = "type")]
    kind: Option<String>,
    default: Option<Value>,
    description: Option<String>,
}

impl Written {
    fn check(self, file: &str) -> Result<ConfigSchema> {
        let mut problems = Vec::new();
        let mut options = BTreeMap::new();
        for (key, written) in self.options.unwrap_or_default() {
            if let Err(error) = name::config_key(&key) {
                problems.push(error.to_string());
            }
            let word = written.kind.unwrap_or_default();
            let Some(kind) = OptionType::from_word(&word) else {
                problems.push(format!(
                    "option {key:?} has unknown type {word:?}, expected string, int, float, boolean or secret"
                ));
                continue;
            };
            let default = match written.default {
                None | Some(Value::Null) => None,
                Some(value) => {
                    let fitting = kind.accept(&value);
                    if fitting.is_none() {
                        problems.push(format!(
                            "default of option {key:?} expected {kind}, got {value}"
                        ));
                    }
                    fitting
                }
            };
            let description = written.description.unwrap_or_default();
            options.insert(key, ConfigOption { kind, default, description });
        }
        if problems.is_empty() {
            return Ok(ConfigSchema { options });
        }
        Err(Error::Invalid { file: file.to_owned(), problems })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ALL: &str = "
options:
  name: {type: string, default: web, description: the name}
  empty: {type: string, default: ''}
  port: {type: int, default: 80}
  ratio: {type: float, default: 1}
  debug: {type: boolean, default: no}
  key: {type: secret}
  unset: {type: string}
";

    fn schema() -> ConfigSchema {
        ConfigSchema::from_yaml("config.yaml", ALL).unwrap()
    }

    #[test]
    fn defaults_have_their_type() {
        let seen = effective(&schema(), &Settings::new());
        let expected =
            json!({"name": "web", "empty": "", "port": 80, "ratio": 1.0, "debug": false});
        assert_eq!(json!(seen), expected);
        let json = serde_json::to_string(&schema()).unwrap();
        assert_eq!(serde_json::from_str::<ConfigSchema>(&json).unwrap(), schema());
    }

    #[test]
    fn typed_text_becomes_values() {
        let cases: &[(&str, &str, Result<Value, &str>)] = &[
            ("name", "", Ok(json!(""))),
            ("name", "5", Ok(json!("5"))),
            ("port", "-5", Ok(json!(-5))),
            ("port", "", Err(r#"option "port" expected int, got """#)),
            ("port", "abc", Err(r#"option "port" expected int, got "abc""#)),
            ("port", "1.5", Err(r#"option "port" expected int, got "1.5""#)),
            ("ratio", "2", Ok(json!(2.0))),
            ("ratio", "NaN", Err(r#"option "ratio" expected float, got "NaN""#)),
            ("debug", "True", Ok(json!(true))),
            ("debug", "yes", Err(r#"option "debug" expected boolean, got "yes""#)),
            ("key", "secret:9m4e2mr0ui3e8a215n4g", Ok(json!("secret:9m4e2mr0ui3e8a215n4g"))),
            ("key", "abc", Err(r#"option "key" expected secret, got "abc""#)),
            ("x", "1", Err(r#"unknown option "x""#)),
        ];
        for (key, text, expected) in cases {
            let got = parse_value(&schema(), key, text).map_err(|error| error.to_string());
            assert_eq!(
                got.as_ref().map_err(String::as_str),
                expected.as_ref().map_err(|e| *e),
                "{key}={text}"
            );
        }
    }

    #[test]
    fn refresh_keeps_what_fits() {
        let old = Settings::from([
            ("name".into(), json!(5)),
            ("port".into(), json!(8080)),
            ("ratio".into(), json!(3)),
            ("gone".into(), json!("x")),
        ]);
        let (kept, dropped) = retain(&schema(), &old);
        assert_eq!(json!(kept), json!({"port": 8080, "ratio": 3.0}));
        let reasons: Vec<&str> = dropped.iter().map(|one| one.reason.as_str()).collect();
        assert_eq!(
            reasons,
            [r#"unknown option "gone""#, r#"option "name" expected string, got 5"#]
        );
    }

    #[test]
    fn problems_are_listed() {
        let text =
            "options: {a: {type: text}, b: {type: int, default: x}, 'c d': {type: string}, e: {}}";
        let error = ConfigSchema::from_yaml("config.yaml", text).unwrap_err().to_string();
        for part in [
            "option \"a\" has unknown type \"text\"",
            "\"b\" expected int, got \"x\"",
            "\"c d\"",
            "\"e\"",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
        for empty in ["", "options:\n", "{}\n", "# nothing\n"] {
            assert!(ConfigSchema::from_yaml("config.yaml", empty).unwrap().options.is_empty());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".{0,40}", key in "(name|port|ratio|debug|key|other)") {
            let schema = schema();
            if let Ok(value) = parse_value(&schema, &key, &text) {
                let checked = schema.check(&key, &value).unwrap();
                prop_assert_eq!(&checked, &value);
                let (kept, dropped) = retain(&schema, &Settings::from([(key, value)]));
                prop_assert!(kept.len() == 1 && dropped.is_empty());
            }
        }

        #[test]
        fn any_file_is_answered(text in "(options:\n)?(  [a-z ]{1,4}: ?[\\[{]?[a-z0-9:, \n]{0,30}){0,4}") {
            let _ = ConfigSchema::from_yaml("config.yaml", &text);
        }
    }
}
