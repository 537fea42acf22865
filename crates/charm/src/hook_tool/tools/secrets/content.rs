//! Secret values on the command line.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::super::parse::CommandLine;
use super::super::super::{SecretContent, ToolError};
use super::super::pairs;

/// Longest value, in bytes (Juju 3.6).
const VALUE_BYTES_MAX: usize = 8 << 10;
/// Longest sum of all values, in bytes (Juju 3.6).
const CONTENT_BYTES_MAX: usize = 64 << 10;

/// The values given by `--file` and by arguments; none if there are no values at all.
pub(super) fn read(line: &mut CommandLine<'_>) -> Result<Option<SecretContent>, ToolError> {
    let file = line.file()?;
    let words = line.rest();
    if words.is_empty() && file.is_none() {
        return Ok(None);
    }
    let mut given = match file {
        Some(bytes) => pairs::document(&bytes)?,
        None => BTreeMap::new(),
    };
    for word in &words {
        let (key, value) = pairs::pair(word)?;
        given.insert(key.into(), value.into());
    }
    let mut content = BTreeMap::new();
    for (key, value) in given {
        let (key, value) = resolve(line, &key, value)?;
        content.insert(key, value);
    }
    check(&content)?;
    Ok(Some(SecretContent(content)))
}

/// Follows `#base64` and `#file`.
fn resolve(
    line: &mut CommandLine<'_>,
    key: &str,
    value: String,
) -> Result<(String, String), ToolError> {
    let (name, source) = key.split_once('#').unwrap_or((key, ""));
    if !is_key(name) {
        return Err(ToolError::argument(format!("key {name:?} not valid")));
    }
    let bytes = match source {
        "" if !key.ends_with('#') => value.into_bytes(),
        "base64" => STANDARD.decode(value.trim()).map_err(|error| {
            ToolError::argument(format!("value of key {name:?} is not base64: {error}"))
        })?,
        "file" => line.read(&value)?,
        _ => return Err(ToolError::argument(format!("key {key:?} not valid"))),
    };
    let text = String::from_utf8(bytes).map_err(|_| {
        ToolError::argument(format!(
            "value of key {name:?} is not UTF-8 text; encode binary values before you store them"
        ))
    })?;
    Ok((name.to_owned(), text))
}

fn check(content: &BTreeMap<String, String>) -> Result<(), ToolError> {
    let mut total = 0;
    for (key, value) in content {
        total += value.len();
        if value.len() > VALUE_BYTES_MAX {
            return Err(ToolError::argument(format!(
                "secret content for key {key:?} too large: {} bytes, at most {VALUE_BYTES_MAX}",
                value.len()
            )));
        }
    }
    if total > CONTENT_BYTES_MAX {
        return Err(ToolError::argument(format!(
            "secret content too large: {total} bytes, at most {CONTENT_BYTES_MAX}"
        )));
    }
    if content.is_empty() {
        return Err(ToolError::argument("empty secret value not valid"));
    }
    Ok(())
}

/// `^([a-z](?:-?[a-z0-9]){2,})$`
fn is_key(name: &str) -> bool {
    let words = name.bytes().filter(|byte| *byte != b'-').count();
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && words >= 3
        && !name.ends_with('-')
        && !name.contains("--")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        for key in ["abc", "a1b2", "a-bc", "ab-c", "a-b-c", "password", "key-2"] {
            assert!(is_key(key), "{key}");
        }
        for key in ["", "a", "ab", "a-b", "1bc", "-abc", "abc-", "a--bc", "Abc", "a_bc", "abc.d"] {
            assert!(!is_key(key), "{key}");
        }
    }
}
