//! From an answer to what stands on stdout.

use std::path::PathBuf;

use serde_json::Value;

use super::document::document;

/// What to do with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How to write it.
    pub format: Format,
    /// Into this file instead of stdout.
    pub file: Option<PathBuf>,
}

/// How to write an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people and shells: text as it is, lists one item per line, `True`/`False`, nothing for nothing,
    /// YAML for the rest.
    Smart,
    /// A YAML document; nothing for nothing.
    Yaml,
    /// JSON on one line.
    Json,
    /// Text as it is, without a line end.
    Raw,
}

impl Format {
    /// The format a charm asks for by name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "smart" => Some(Self::Smart),
            "yaml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// Writes an answer in this format.
    #[must_use]
    pub fn write(self, value: &Value) -> String {
        let value = whole_numbers(value);
        match (self, &value) {
            (Self::Json, value) => line(value.to_string()),
            (_, Value::Null) => String::new(),
            (Self::Raw, Value::String(text)) => text.clone(),
            (Self::Smart, Value::String(text)) if text.is_empty() => String::new(),
            (Self::Smart, Value::String(text)) => line(text.clone()),
            (Self::Smart, Value::Bool(on)) => line(if *on { "True" } else { "False" }.into()),
            (Self::Smart, Value::Array(items)) if items.iter().all(Value::is_string) => {
                items.iter().filter_map(Value::as_str).map(|item| format!("{item}\n")).collect()
            }
            (Self::Smart | Self::Yaml | Self::Raw, value) => document(value),
        }
    }
}

fn line(mut text: String) -> String {
    text.push('\n');
    text
}

/// Juju reads every number as a float and writes whole ones without a fraction: `8080.0` is `8080`.
fn whole_numbers(value: &Value) -> Value {
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() <= WHOLE_MAX);
            #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
            whole.map_or_else(|| value.clone(), |n| Value::from(n as i64))
        }
        Value::Array(items) => items.iter().map(whole_numbers).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), whole_numbers(value))).collect()
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn formats() {
        let table = [
            (json!(null), "", "", "null\n"),
            (json!(""), "", "\"\"\n", "\"\"\n"),
            (json!("hello"), "hello\n", "hello\n", "\"hello\"\n"),
            (json!("a: b"), "a: b\n", "'a: b'\n", "\"a: b\"\n"),
            (json!("two\nlines"), "two\nlines\n", "|-\n  two\n  lines\n", "\"two\\nlines\"\n"),
            (json!(1), "1\n", "1\n", "1\n"),
            (json!(-1.5), "-1.5\n", "-1.5\n", "-1.5\n"),
            (json!(8080.0), "8080\n", "8080\n", "8080\n"),
            (json!(true), "True\n", "true\n", "true\n"),
            (json!(false), "False\n", "false\n", "false\n"),
            (json!([]), "", "[]\n", "[]\n"),
            (json!(["a", "b"]), "a\nb\n", "- a\n- b\n", "[\"a\",\"b\"]\n"),
            (json!({}), "{}\n", "{}\n", "{}\n"),
            (
                json!({"b": "1", "a": {"x": 2.0}, "l": ["p"], "t": true, "e": ""}),
                "a:\n  x: 2\nb: \"1\"\ne: \"\"\nl:\n- p\nt: true\n",
                "a:\n  x: 2\nb: \"1\"\ne: \"\"\nl:\n- p\nt: true\n",
                "{\"a\":{\"x\":2},\"b\":\"1\",\"e\":\"\",\"l\":[\"p\"],\"t\":true}\n",
            ),
        ];
        for (value, smart, yaml, json) in table {
            assert_eq!(Format::Smart.write(&value), smart, "smart {value}");
            assert_eq!(Format::Yaml.write(&value), yaml, "yaml {value}");
            assert_eq!(Format::Json.write(&value), json, "json {value}");
        }
    }

    #[test]
    fn raw_has_no_line_end() {
        assert_eq!(Format::Raw.write(&json!("/path")), "/path");
    }
}
