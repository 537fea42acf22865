//! JSON as Go's encoder writes it: one line, with `<`, `>` and `&` escaped.
//!
//! Those characters occur in JSON only inside strings, so escaping is a search over finished
//! bytes; a large status document passes through without being parsed.

use serde::Serialize;

use crate::failure::Outcome;

/// A value as one line of JSON with its line break.
pub(crate) fn line<T: Serialize>(value: &T) -> Outcome<String> {
    let mut bytes = escape(serde_json::to_vec(value)?);
    bytes.push(b'\n');
    Ok(String::from_utf8(bytes)?)
}

/// Escapes what Go escapes for the sake of HTML in a finished JSON document.
pub(crate) fn escape(json: Vec<u8>) -> Vec<u8> {
    let Some(first) = next(&json, 0) else { return json };
    let mut escaped = Vec::with_capacity(json.len() + 64);
    let mut copied = 0;
    let mut found = Some(first);
    while let Some((at, length, text)) = found {
        escaped.extend_from_slice(&json[copied..at]);
        escaped.extend_from_slice(text);
        copied = at + length;
        found = next(&json, copied);
    }
    escaped.extend_from_slice(&json[copied..]);
    escaped
}

/// The next thing to escape from `from` on: where it is, how long, what stands for it.
fn next(json: &[u8], from: usize) -> Option<(usize, usize, &'static [u8])> {
    let mut start = from;
    loop {
        let special = |byte: &u8| matches!(byte, b'<' | b'>' | b'&' | 0xE2);
        let at = start + json[start..].iter().position(special)?;
        match &json[at..] {
            [b'<', ..] => return Some((at, 1, br"\u003c")),
            [b'>', ..] => return Some((at, 1, br"\u003e")),
            [b'&', ..] => return Some((at, 1, br"\u0026")),
            [0xE2, 0x80, 0xA8, ..] => return Some((at, 3, br"\u2028")),
            [0xE2, 0x80, 0xA9, ..] => return Some((at, 3, br"\u2029")),
            _ => start = at + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn escapes_as_go_does() {
        let value = json!({"a": "<b> & c", "d": "e\u{2028}f\u{2029}", "g": "é\u{2030}"});
        let text = line(&value).unwrap();
        assert_eq!(
            text,
            "{\"a\":\"\\u003cb\\u003e \\u0026 c\",\"d\":\"e\\u2028f\\u2029\",\"g\":\"é\u{2030}\"}\n"
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn plain_documents_stay_as_they_are() {
        let json = br#"{"a":[1,2,"x"]}"#.to_vec();
        assert_eq!(escape(json.clone()), json);
    }
}
