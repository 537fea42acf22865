//! Constraints: what a machine must have. Sizes are MiB.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Constraints by name.
pub(crate) type Constraints = BTreeMap<String, Value>;

/// How a constraint's text is read.
enum Kind {
    Text,
    Number,
    /// `512M`, `4G`; without a unit MiB.
    Size,
    Flag,
    /// Comma-separated.
    List,
}

fn kind(name: &str) -> Option<Kind> {
    Some(match name {
        "arch" | "container" | "root-disk-source" | "instance-role" | "instance-type"
        | "virt-type" | "image-id" => Kind::Text,
        "cores" | "cpu-power" => Kind::Number,
        "mem" | "root-disk" => Kind::Size,
        "allocate-public-ip" => Kind::Flag,
        "tags" | "spaces" | "zones" => Kind::List,
        _ => return None,
    })
}

/// Reads constraints given as text; an empty text leaves one out. Answers every problem at once.
pub(crate) fn parse(given: &BTreeMap<String, String>) -> Result<Constraints, Vec<String>> {
    let mut read = Constraints::new();
    let mut problems = Vec::new();
    for (name, text) in given.iter().filter(|(_, text)| !text.is_empty()) {
        let name = if name == "cpu-cores" { "cores" } else { name };
        match kind(name) {
            None => problems.push(format!("unknown constraint \"{name}\"")),
            Some(kind) => match value(&kind, text) {
                Some(value) => drop(read.insert(name.to_owned(), value)),
                None => problems.push(format!("bad \"{name}\" constraint: \"{text}\"")),
            },
        }
    }
    if problems.is_empty() { Ok(read) } else { Err(problems) }
}

/// Checks constraints given as JSON: text is read as above, numbers and lists stand for themselves.
pub(crate) fn check(given: &Constraints) -> Result<Constraints, Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        Value::Null => String::new(),
        value => value.to_string(),
    };
    parse(&given.iter().map(|(name, value)| (name.clone(), text(value))).collect())
}

/// `arch=amd64 cores=4 mem=1024M`, as `status` shows them.
pub(crate) fn shown(constraints: &Constraints) -> String {
    let one = |(name, value): (&String, &Value)| match (kind(name), value) {
        (Some(Kind::Size), size) => format!("{name}={size}M"),
        (_, Value::String(text)) => format!("{name}={text}"),
        (_, Value::Array(list)) => {
            let list: Vec<_> = list.iter().filter_map(Value::as_str).collect();
            format!("{name}={}", list.join(","))
        }
        (_, value) => format!("{name}={value}"),
    };
    constraints.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn value(kind: &Kind, text: &str) -> Option<Value> {
    Some(match kind {
        Kind::Text => json!(text),
        Kind::Number => json!(text.parse::<u64>().ok()?),
        Kind::Size => json!(mebibytes(text)?),
        Kind::Flag => json!(text.parse::<bool>().ok()?),
        Kind::List => json!(text.split(',').map(str::trim).collect::<Vec<_>>()),
    })
}

/// `1.5G` → 1536.
fn mebibytes(text: &str) -> Option<u64> {
    let text = text.trim_end_matches("iB").trim_end_matches('B');
    let (number, factor) = match text.char_indices().last()? {
        (at, 'M') => (&text[..at], 1.0),
        (at, 'G') => (&text[..at], 1024.0),
        (at, 'T') => (&text[..at], 1024.0 * 1024.0),
        (at, 'P') => (&text[..at], 1024.0 * 1024.0 * 1024.0),
        _ => (text, 1.0),
    };
    let size = number.parse::<f64>().ok()? * factor;
    let fits = size.is_finite() && (0.0..1e12).contains(&size);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be within range"
    )]
    fits.then_some(size.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect()
    }

    #[test]
    fn text_becomes_values() {
        let read = parse(&given(&[
            ("mem", "1G"),
            ("cpu-cores", "4"),
            ("tags", "a,b"),
            ("arch", "amd64"),
            ("root-disk", "1.5T"),
            ("zones", ""),
        ]));
        let read = read.unwrap();
        let expected = json!({"arch": "amd64", "cores": 4, "mem": 1024, "root-disk": 1_572_864, "tags": ["a", "b"]});
        assert_eq!(json!(read), expected);
        assert_eq!(shown(&read), "arch=amd64 cores=4 mem=1024M root-disk=1572864M tags=a,b");
        assert_eq!(check(&read).unwrap(), read);
    }

    #[test]
    fn every_problem_is_named() {
        let problems = parse(&given(&[("mem", "lots"), ("speed", "9"), ("cores", "-1")]));
        assert_eq!(
            problems.unwrap_err(),
            [
                "bad \"cores\" constraint: \"-1\"",
                "bad \"mem\" constraint: \"lots\"",
                "unknown constraint \"speed\""
            ]
        );
    }
}
