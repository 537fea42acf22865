//! `key=value` arguments and files of keys and values.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::ToolError;
use super::super::parse::CommandLine;
use crate::yaml;

/// Strings by key.
pub(super) type Pairs = BTreeMap<String, String>;

/// Splits `key=value`.
pub(super) fn pair(word: &str) -> Result<(&str, &str), ToolError> {
    word.split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| ToolError::argument(format!("expected \"key=value\", got {word:?}")))
}

/// What `--file` holds, overridden by what the remaining arguments say.
pub(super) fn file_and_arguments(line: &mut CommandLine<'_>) -> Result<Pairs, ToolError> {
    let mut pairs = match line.file()? {
        Some(bytes) => document(&bytes)?,
        None => Pairs::new(),
    };
    for word in line.rest() {
        let (key, value) = pair(&word)?;
        pairs.insert(key.into(), value.into());
    }
    Ok(pairs)
}

/// A YAML or JSON document that maps keys to texts. Other plain values count as the text they were written as,
/// nothing counts as empty text.
pub(super) fn document(bytes: &[u8]) -> Result<Pairs, ToolError> {
    let wrong = |cause: String| ToolError::running(format!("cannot parse the settings: {cause}"));
    let text = std::str::from_utf8(bytes).map_err(|_| wrong("they are not UTF-8 text".into()))?;
    if text.trim().is_empty() {
        return Ok(Pairs::new());
    }
    if let Ok(fields) = serde_json::from_str::<BTreeMap<String, Value>>(text) {
        return fields
            .into_iter()
            .map(|(key, value)| match value {
                Value::String(text) => Ok((key, text)),
                Value::Null => Ok((key, String::new())),
                Value::Bool(_) | Value::Number(_) => Ok((key, value.to_string())),
                Value::Array(_) | Value::Object(_) => {
                    Err(wrong(format!("the value of {key:?} is not text")))
                }
            })
            .collect();
    }
    let fields: BTreeMap<String, Option<String>> =
        yaml::from_str(text).map_err(|fault| wrong(fault.to_string()))?;
    Ok(fields.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        let table: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("{}", &[]),
            (
                r#"{"a": "1", "b": 2, "c": true, "d": null, "e": ""}"#,
                &[("a", "1"), ("b", "2"), ("c", "true"), ("d", ""), ("e", "")],
            ),
            ("{a: x, b: y}", &[("a", "x"), ("b", "y")]),
            (
                "a: x\nb: 1.10\nc: 010\nd: yes\ne:\nf: ''\ng: '7'\nh: ~\n",
                &[
                    ("a", "x"),
                    ("b", "1.10"),
                    ("c", "010"),
                    ("d", "yes"),
                    ("e", ""),
                    ("f", ""),
                    ("g", "7"),
                    ("h", ""),
                ],
            ),
            ("a: |\n  two\n  lines\n", &[("a", "two\nlines\n")]),
        ];
        for (text, pairs) in table {
            let pairs: Pairs =
                pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            assert_eq!(document(text.as_bytes()).unwrap(), pairs, "{text}");
        }
    }

    #[test]
    fn wrong_documents() {
        for text in ["[1]", "text", "a: {b: c}", "{\"a\": [1]}", "a: [", "\u{0}"] {
            let error = document(text.as_bytes()).unwrap_err();
            assert!(error.message.starts_with("cannot parse the settings: "), "{error}");
            assert_eq!(error.exit_code, 1);
        }
        assert!(document(b"a: \xff").is_err());
    }
}
