//! Values that are more than a word: `key=value` lists, `key=@file`, YAML files of options.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::failure::{Attempt as _, Failure, Outcome};

/// Splits `key=value`.
pub(crate) fn pair(text: &str) -> Option<(&str, &str)> {
    text.split_once('=').filter(|(key, _)| !key.is_empty())
}

/// Reads `key=value` texts; `kind` is what to call them in a refusal.
pub(crate) fn pairs<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    kind: &str,
) -> Outcome<BTreeMap<String, String>> {
    texts
        .into_iter()
        .map(|text| match pair(text) {
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => Err(Failure::usage(format!("{kind} {text:?} is not of the form key=value"))),
        })
        .collect()
}

/// Splits a list that may be repeated and comma-joined.
pub(crate) fn list(texts: &[String]) -> Vec<String> {
    let words = texts.iter().flat_map(|text| text.split(','));
    words.map(str::trim).filter(|word| !word.is_empty()).map(Into::into).collect()
}

/// Options given as `key=value`, `key=@file` or the path of a YAML file.
pub(crate) fn config_pairs(
    texts: &[String],
    application: &str,
) -> Outcome<BTreeMap<String, String>> {
    let mut options = BTreeMap::new();
    for text in texts {
        match pair(text) {
            Some((key, value)) => {
                options.insert(key.to_owned(), at_file(value)?);
            }
            None => options.extend(config_file(Path::new(text), application)?),
        }
    }
    Ok(options)
}

/// A value, or the content of the file that `@path` names.
pub(crate) fn at_file(value: &str) -> Outcome<String> {
    match value.strip_prefix('@') {
        Some(path) => fs::read_to_string(path).attempt(|| format!("cannot read {path}")),
        None => Ok(value.to_owned()),
    }
}

/// The options in a YAML file: a mapping at the top, or under the application's name.
pub(crate) fn config_file(path: &Path, application: &str) -> Outcome<BTreeMap<String, String>> {
    let top = mapping_file(path)?;
    let options = match top.get(application) {
        Some(Value::Object(options)) => options.clone(),
        _ => top,
    };
    Ok(options.into_iter().map(|(key, value)| (key, text(value))).collect())
}

/// A YAML file that holds a mapping. `-` is the standard input.
pub(crate) fn mapping_file(path: &Path) -> Outcome<serde_json::Map<String, Value>> {
    let shown = path.display();
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        fs::read_to_string(path)
    };
    let text = text.attempt(|| format!("cannot read {shown}"))?;
    match tutti_charm::yaml::from_str(&text).attempt(|| format!("cannot read {shown}"))? {
        Value::Object(mapping) => Ok(mapping),
        Value::Null => Ok(serde_json::Map::new()),
        _ => Err(Failure::new(format!("{shown} does not hold a mapping of keys to values"))),
    }
}

/// A YAML value as the text of an option. Lists and mappings become JSON.
pub(crate) fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_from_words_and_files() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| {
            let path = directory.path().join(name);
            fs::write(&path, content).unwrap();
            path.display().to_string()
        };
        let flat = write("flat.yaml", "a: 1\nb: yes\nd: ''\n");
        let nested = write("nested.yaml", "db:\n  c: x y\nweb:\n  c: other\n");
        let value = write("value.txt", "from file\n");
        let texts = [flat, nested, "a=2".into(), format!("e=@{value}"), "f=x=y".into()];
        let options = config_pairs(&texts, "db").unwrap();
        let expected = [
            ("a", "2"),
            ("b", "true"),
            ("c", "x y"),
            ("d", ""),
            ("e", "from file\n"),
            ("f", "x=y"),
        ];
        assert_eq!(options, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }

    #[test]
    fn refusals_name_the_text() {
        let failure = pairs(["=x"], "constraint").unwrap_err();
        assert_eq!(failure.code(), 2);
        assert!(failure.message().unwrap().contains("\"=x\""));
        assert!(config_pairs(&["missing.yaml".into()], "db").is_err());
    }

    #[test]
    fn lists_are_split_at_commas() {
        assert_eq!(list(&["a,b".into(), "c, ".into()]), ["a", "b", "c"]);
    }
}
