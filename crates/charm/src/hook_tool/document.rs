//! Answers as YAML documents, quoted the way Juju's tools quote: shell charms cut these lines into words.
//!
//! Texts are plain where they can be, in double quotes where a reader would take them for a number, boolean
//! or date, in single quotes where punctuation would mislead, and literal blocks where they have several lines.

use std::fmt::Write;

use serde_json::Value;

/// The value as a document, ending in a newline.
pub(super) fn document(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => block(&mut text, value, 0),
        Value::Array(items) if !items.is_empty() => block(&mut text, value, 0),
        scalar => {
            flat(&mut text, scalar, 0);
            text.push('\n');
        }
    }
    text
}

/// A mapping or list that is not empty, one entry per line, from the start of a line.
fn block(text: &mut String, value: &Value, depth: usize) {
    let mut entries: Vec<(String, &Value)> = Vec::new();
    match value {
        Value::Object(fields) => {
            entries
                .extend(fields.iter().map(|(key, value)| (format!("{}:", key_text(key)), value)));
        }
        Value::Array(items) => entries.extend(items.iter().map(|item| ("-".to_owned(), item))),
        _ => {}
    }
    for (head, value) in entries {
        text.push_str(&" ".repeat(depth));
        entry(text, &head, value, depth);
    }
}

/// One entry after its indentation: `key: value` or `- value`.
fn entry(text: &mut String, head: &str, value: &Value, depth: usize) {
    text.push_str(head);
    match value {
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            // A list hangs below its key without further indentation.
            block(text, value, if head == "-" { depth + 2 } else { depth });
        }
        Value::Object(fields) if !fields.is_empty() => {
            if head != "-" {
                text.push('\n');
                block(text, value, depth + 2);
                return;
            }
            let mut nested = String::new();
            block(&mut nested, value, depth + 2);
            text.push(' ');
            text.push_str(nested.trim_start_matches(' '));
        }
        scalar => {
            text.push(' ');
            flat(text, scalar, depth);
            text.push('\n');
        }
    }
}

/// A value that needs no lines of its own, without the line's end.
fn flat(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::String(string) if is_literal(string) => literal(text, string, depth + 2),
        Value::String(string) => text.push_str(&quoted(string)),
        Value::Array(_) => text.push_str("[]"),
        Value::Object(_) => text.push_str("{}"),
        // Writing to a string cannot fail.
        other => _ = write!(text, "{other}"),
    }
}

fn key_text(key: &str) -> String {
    quoted(key)
}

/// Several lines that can be written as they are.
fn is_literal(string: &str) -> bool {
    let control = |c: char| (c.is_control() && c != '\n') || is_special(c);
    string.contains('\n') && !string.starts_with([' ', '\n']) && !string.contains(control)
}

fn literal(text: &mut String, string: &str, indent: usize) {
    let lines = string.trim_end_matches('\n');
    text.push_str(match string.len() - lines.len() {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in lines.split('\n') {
        text.push('\n');
        if !line.is_empty() {
            text.push_str(&" ".repeat(indent));
            text.push_str(line);
        }
    }
    // The last line's end is the caller's.
    for _ in 1..string.len() - lines.len() {
        text.push('\n');
    }
}

fn quoted(string: &str) -> String {
    if string.contains(|c: char| c.is_control() || is_special(c)) || means_something_else(string) {
        // A JSON string is a YAML string.
        return Value::from(string).to_string();
    }
    if is_plain(string) { string.to_owned() } else { format!("'{}'", string.replace('\'', "''")) }
}

/// Characters that some readers take for line ends or ignore.
fn is_special(c: char) -> bool {
    matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn is_plain(string: &str) -> bool {
    let mut start = string.chars();
    let first = match start.next() {
        // An indicator only when a space or nothing follows.
        Some('-' | '?' | ':') => start.next().is_some_and(|second| second != ' '),
        Some(first) => !"#&*!|>'\"%@`,[]{} ".contains(first),
        None => false,
    };
    first
        && !string.ends_with([' ', ':'])
        && !string.contains(": ")
        && !string.contains(" #")
        && !string.starts_with("---")
        && !string.starts_with("...")
}

/// Whether a reader of YAML 1.1 or 1.2 would not take the plain text for text.
fn means_something_else(string: &str) -> bool {
    const WORDS: [&str; 16] = [
        "", "~", "null", "true", "false", "yes", "no", "y", "n", "on", "off", ".inf", ".nan",
        "+.inf", "-.inf", "<<",
    ];
    let word = string.to_ascii_lowercase();
    WORDS.contains(&word.as_str()) || string == "=" || is_number(&word) || is_date(&word)
}

fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word).replace('_', "");
    let radix = |prefix: &str, radix: u32| {
        let rest = digits.strip_prefix(prefix);
        rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix)))
    };
    let decimal =
        |part: &str| part.bytes().any(|b| b.is_ascii_digit()) && part.parse::<f64>().is_ok();
    let sexagesimal = || digits.contains(':') && digits.split(':').all(decimal);
    decimal(&digits) || radix("0x", 16) || radix("0o", 8) || radix("0b", 2) || sexagesimal()
}

/// Begins like `2026-01-02`.
fn is_date(word: &str) -> bool {
    let mut parts = word.splitn(3, '-');
    let digits = |part: Option<&str>, least| {
        part.is_some_and(|part| part.len() >= least && part.bytes().all(|b| b.is_ascii_digit()))
    };
    digits(parts.next(), 4)
        && digits(parts.next(), 1)
        && parts.next().is_some_and(|day| day.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::yaml;

    #[test]
    fn scalars() {
        let table = [
            ("web", "web"),
            ("127.1.0.1", "127.1.0.1"),
            ("10.1.2.0/24", "10.1.2.0/24"),
            ("http://x:80/", "http://x:80/"),
            ("-x", "-x"),
            ("16", "\"16\""),
            ("1.10", "\"1.10\""),
            ("1e3", "\"1e3\""),
            ("0x1f", "\"0x1f\""),
            ("12:30", "\"12:30\""),
            ("yes", "\"yes\""),
            ("null", "\"null\""),
            ("", "\"\""),
            ("2026-01-02", "\"2026-01-02\""),
            ("8000-8010", "8000-8010"),
            ("1-2-3", "1-2-3"),
            ("a: b", "'a: b'"),
            ("it's #1", "'it''s #1'"),
            ("- x", "'- x'"),
            ("{x}", "'{x}'"),
            (" x", "' x'"),
            ("tab\there", "\"tab\\there\""),
            ("a\nb", "|-\n  a\n  b"),
            ("a\n\nb\n", "|\n  a\n\n  b"),
            ("a\n\n", "|+\n  a\n"),
            ("\na", "\"\\na\""),
        ];
        for (value, text) in table {
            assert_eq!(document(&json!(value)), format!("{text}\n"), "{value:?}");
        }
    }

    #[test]
    fn nesting() {
        let value = json!({
            "a": {"b": {}, "c": [1, "x"], "d": []},
            "l": [{"k": "v", "n": [true]}, ["p"], "text\nlines", null],
        });
        let text = "a:\n  b: {}\n  c:\n  - 1\n  - x\n  d: []\nl:\n- k: v\n  \"n\":\n  - true\n-\n  - p\n- |-\n  text\n  lines\n- null\n";
        assert_eq!(document(&value), text);
        assert_eq!(yaml::from_str::<Value>(text).unwrap(), value);
    }

    fn values() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            any::<String>(),
            "[ -~\n]{0,12}",
            "[-+.:0-9eExyn_/#' ]{0,8}",
            "[a-z:#\n \"'\\-]{0,20}",
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(text.clone(), inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in values()) {
            let text = document(&value);
            prop_assert_eq!(yaml::from_str::<Value>(&text), Ok(value), "{}", text);
        }
    }
}
