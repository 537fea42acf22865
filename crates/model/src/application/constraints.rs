//! Constraints: what a machine has to offer.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::Constraints;
use crate::{Error, Result};

/// How a constraint is written.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    /// MiB; `1G` is 1024.
    Size,
    Flag,
    /// With commas.
    List,
}

/// Every constraint, in the order in which Juju prints them.
const CONSTRAINTS: [(&str, Kind); 15] = [
    ("arch", Kind::Text),
    ("container", Kind::Text),
    ("cores", Kind::Number),
    ("cpu-power", Kind::Number),
    ("mem", Kind::Size),
    ("root-disk", Kind::Size),
    ("root-disk-source", Kind::Text),
    ("tags", Kind::List),
    ("instance-role", Kind::Text),
    ("instance-type", Kind::Text),
    ("spaces", Kind::List),
    ("virt-type", Kind::Text),
    ("zones", Kind::List),
    ("allocate-public-ip", Kind::Flag),
    ("image-id", Kind::Text),
];

/// Reads constraints: `mem=1G` becomes 1024, the alias `cpu-cores` becomes `cores`, an empty value
/// leaves the constraint out.
///
/// # Errors
///
/// [`Error::UnknownConstraint`] or [`Error::Malformed`] for the first one that cannot be read.
pub fn parse_constraints(given: &BTreeMap<String, String>) -> Result<Constraints> {
    let mut constraints = Constraints::default();
    for (key, text) in given {
        let key = if key == "cpu-cores" { "cores" } else { key };
        let (_, kind) = (CONSTRAINTS.into_iter())
            .find(|(name, _)| *name == key)
            .ok_or_else(|| Error::UnknownConstraint { key: key.to_owned() })?;
        if !text.is_empty() {
            constraints.0.insert(key.to_owned(), parse(key, kind, text)?);
        }
    }
    Ok(constraints)
}

fn parse(key: &str, kind: Kind, text: &str) -> Result<Value> {
    let malformed = |expected| Error::Malformed {
        what: format!("{key:?} constraint"),
        text: text.into(),
        expected,
    };
    match kind {
        Kind::Text => Ok(Value::from(text)),
        Kind::Number => {
            text.parse::<u64>().map(Value::from).map_err(|_| malformed("a non-negative integer"))
        }
        Kind::Size => size_mib(text, "MGTP")
            .map(Value::from)
            .ok_or_else(|| malformed("a non-negative number with optional M/G/T/P suffix")),
        Kind::Flag => match text {
            "true" | "1" => Ok(Value::Bool(true)),
            "false" | "0" => Ok(Value::Bool(false)),
            _ => Err(malformed("true or false")),
        },
        Kind::List => Ok(text.split(',').filter(|word| !word.is_empty()).collect()),
    }
}

/// Reads a size in MiB, rounded up: a number with one of the suffixes `M`, `G`, `T`, `P`, … allowed;
/// without a suffix it is MiB.
#[must_use]
pub fn size_mib(text: &str, suffixes: &str) -> Option<u64> {
    let (number, factor) = match text.chars().last().and_then(|suffix| suffixes.find(suffix)) {
        Some(power) => (&text[..text.len() - 1], 1024_f64.powi(i32::try_from(power).ok()?)),
        None => (text, 1.0),
    };
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let size = number.parse::<f64>().ok().filter(|_| plain)? * factor;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded below")]
    (size <= 9e15).then(|| size.ceil() as u64)
}

/// The constraints that count for an application: its own over its model's.
#[must_use]
pub fn merged_constraints(model: &Constraints, application: &Constraints) -> Constraints {
    let mut merged = model.clone();
    merged.0.extend(application.0.clone());
    merged
}

/// Constraints as `status` shows them: `arch=amd64 cores=2 mem=4096M`.
#[must_use]
pub fn constraints_text(constraints: &Constraints) -> String {
    let words = CONSTRAINTS.into_iter().filter_map(|(key, kind)| {
        let value = constraints.0.get(key)?;
        Some(match (kind, value) {
            (Kind::Size, value) => format!("{key}={value}M"),
            (Kind::List, Value::Array(words)) => {
                let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
                format!("{key}={}", words.join(","))
            }
            (_, Value::String(text)) => format!("{key}={text}"),
            (_, value) => format!("{key}={value}"),
        })
    });
    words.collect::<Vec<_>>().join(" ")
}
