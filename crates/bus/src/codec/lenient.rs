//! Reading what Python writes and calls JSON: `NaN`, `Infinity`, integers of any size, lone surrogates, bytes that
//! are not UTF-8, keys that occur twice. First as JSON; only what fails is repaired and read again.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a value. Bare `NaN` and infinities become strings of that text, numbers too large for a float
/// strings of their digits, lone surrogates U+FFFD; of keys that occur twice the last counts; `1.0` can be read as an
/// integer, as JSON Schema has it.
pub(crate) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes).or_else(|error| {
        let text = String::from_utf8_lossy(bytes);
        let repaired = repair(&text);
        serde_json::from_str(&repaired)
            .or_else(|_| {
                let mut unique: Value = serde_json::from_str(&repaired)?;
                make_whole_numbers_integers(&mut unique);
                serde_json::from_str(&unique.to_string())
            })
            // The first error speaks of what was really sent.
            .map_err(|_: serde_json::Error| error)
    })
}

/// Reads a value from text; see [`from_slice`].
pub(crate) fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    from_slice(text.as_bytes())
}

fn make_whole_numbers_integers(value: &mut Value) {
    /// Beyond it a float has no place for every integer.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|it| it.fract() == 0.0 && it.abs() <= EXACT_MAX);
            if let Some(whole) = whole {
                *value = Value::from(whole as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_whole_numbers_integers),
        Value::Object(members) => members.values_mut().for_each(make_whole_numbers_integers),
        _ => {}
    }
}

/// Rewrites what is not JSON. Strings are copied, but for their lone surrogates.
pub(super) fn repair(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    while at < bytes.len() {
        let (end, replacement) = match bytes[at] {
            b'"' => string(text, at),
            b'-' | b'0'..=b'9' | b'N' | b'I' => word(text, at),
            _ => (at + 1, None),
        };
        if let Some(replacement) = replacement {
            out.push_str(&text[copied..at]);
            out.push_str(&replacement);
            copied = end;
        }
        at = end;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// The end of the string that starts here, and what to write in its stead.
fn string(text: &str, start: usize) -> (usize, Option<String>) {
    let bytes = text.as_bytes();
    let mut at = start + 1;
    let mut replaced: Option<String> = None;
    let mut copied = start;
    while at < bytes.len() && bytes[at] != b'"' {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        let length = match (surrogate(bytes, at), surrogate(bytes, at + 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(_), _) => {
                let out = replaced.get_or_insert_default();
                out.push_str(&text[copied..at]);
                out.push_str("\\ufffd");
                copied = at + 6;
                6
            }
            (None, _) => 2,
        };
        at += length;
    }
    let mut end = (at + 1).min(bytes.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    (
        end,
        replaced.map(|mut out| {
            out.push_str(&text[copied..end]);
            out
        }),
    )
}

/// The surrogate written as an escape here, if there is one.
fn surrogate(bytes: &[u8], at: usize) -> Option<u32> {
    let escape = bytes.get(at..at + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    let unit = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (0xD800..=0xDFFF).contains(&unit).then_some(unit)
}

/// The end of the number or bare word that starts here, and what to write in its stead.
fn word(text: &str, start: usize) -> (usize, Option<String>) {
    let length = text[start..]
        .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '+' | '.'))
        .unwrap_or(text.len() - start);
    let end = start + length;
    let word = &text[start..end];
    let replacement = match word {
        "NaN" | "Infinity" | "-Infinity" => Some(format!("\"{word}\"")),
        _ if word.ends_with(|last: char| last.is_ascii_digit()) => match word.parse::<f64>() {
            Ok(number) if number.is_infinite() => Some(format!("\"{word}\"")),
            _ => None,
        },
        _ => None,
    };
    (end.max(start + 1), replacement)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Value {
        from_str(text).unwrap()
    }

    #[test]
    fn bare_words_become_strings() {
        assert_eq!(read("NaN"), json!("NaN"));
        assert_eq!(
            read(r#"{"a": [NaN, Infinity, -Infinity, -1.5e3], "NaN": "Infinity"}"#),
            json!({"a": ["NaN", "Infinity", "-Infinity", -1500.0], "NaN": "Infinity"})
        );
    }

    #[test]
    fn numbers_of_any_size_are_read() {
        let digits = "7".repeat(400);
        assert_eq!(read(&format!("[{digits}, 1e+16]")), json!([digits, 1e16]));
        assert_eq!(read("1180591620717411303424").as_f64(), Some(1180591620717411303424.0));
    }

    #[test]
    fn surrogates_that_stand_alone_are_replaced_and_pairs_are_not() {
        assert_eq!(
            read(r#"["\ud83d\ude00", "a\ud83db", "\ude00", "\\ud83d"]"#),
            json!(["😀", "a\u{fffd}b", "\u{fffd}", "\\ud83d"])
        );
    }

    #[test]
    fn the_last_of_two_keys_counts() {
        #[derive(serde::Deserialize)]
        struct One {
            a: i32,
        }
        assert_eq!(from_str::<One>(r#"{"a": 1, "a": 2}"#).unwrap().a, 2);
    }

    #[test]
    fn a_whole_number_is_an_integer_where_one_is_wanted() {
        let numbers: (i64, f64, u8) = from_str("[1.0, 1.0, 2.5e1]").unwrap();
        assert_eq!(numbers, (1, 1.0, 25));
        assert!(from_str::<i64>("1.5").is_err());
        assert!(from_str::<i64>("1e300").is_err());
        assert_eq!(read("1.0").to_string(), "1.0");
    }

    #[test]
    fn bytes_that_are_not_text_are_read_as_far_as_they_go() {
        assert_eq!(from_slice::<Value>(b"\"a\xffb\"").unwrap(), json!("a\u{fffd}b"));
    }

    #[test]
    fn what_is_no_json_stays_an_error() {
        for text in [
            "",
            "{",
            "nope",
            "\"",
            "\"\\",
            "\"\\ud8",
            "[1,]",
            "Inf",
            "-",
            "{\"a\":NaN",
            "\u{e9}",
            "\"\\\u{e9}",
        ] {
            assert!(from_str::<Value>(text).is_err(), "{text}");
        }
    }
}
