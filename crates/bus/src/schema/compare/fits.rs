//! Whether every value of one schema is a value of another.
//!
//! Sure of a yes, not of a no: of two keywords it cannot compare it says no.

use std::collections::BTreeSet;

use serde_json::Value;

/// Keywords that say nothing about which values are allowed.
const ANNOTATIONS: [&str; 9] = [
    "$schema",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "format",
];

/// Keywords that are compared one by one below.
const COMPARED: [&str; 8] = [
    "type",
    "enum",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "minItems",
    "maxItems",
];

/// Whether `wide` takes every value that `narrow` takes; if not, why, with the place of the difference.
pub(super) fn fits(narrow: &Value, wide: &Value) -> Result<(), String> {
    fits_at("", narrow, wide)
}

fn fits_at(place: &str, narrow: &Value, wide: &Value) -> Result<(), String> {
    if takes_everything(wide) || narrow == wide {
        return Ok(());
    }
    if let Some(alternatives) = narrow.get("anyOf").and_then(Value::as_array) {
        return alternatives.iter().try_for_each(|alternative| fits_at(place, alternative, wide));
    }
    if let Some(alternatives) = wide.get("anyOf").and_then(Value::as_array) {
        let fitting =
            alternatives.iter().any(|alternative| fits_at(place, narrow, alternative).is_ok());
        return if fitting { Ok(()) } else { Err(difference(place, narrow, wide)) };
    }
    types_fit(place, narrow, wide)?;
    enums_fit(place, narrow, wide)?;
    objects_fit(place, narrow, wide)?;
    arrays_fit(place, narrow, wide)?;
    rest_fits(place, narrow, wide)
}

fn takes_everything(schema: &Value) -> bool {
    match schema {
        Value::Bool(open) => *open,
        Value::Object(keywords) => keywords.keys().all(|key| ANNOTATIONS.contains(&key.as_str())),
        _ => false,
    }
}

fn types_fit(place: &str, narrow: &Value, wide: &Value) -> Result<(), String> {
    let (given, allowed) = (types(narrow), types(wide));
    let fitting = |kind: &&str| {
        allowed.contains(kind) || (**kind == *"integer" && allowed.contains("number"))
    };
    let fits = allowed.is_empty() || (!given.is_empty() && given.iter().all(fitting));
    if fits { Ok(()) } else { Err(difference(place, narrow, wide)) }
}

fn types(schema: &Value) -> BTreeSet<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => BTreeSet::from([kind.as_str()]),
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => BTreeSet::new(),
    }
}

fn enums_fit(place: &str, narrow: &Value, wide: &Value) -> Result<(), String> {
    let Some(allowed) = wide.get("enum").and_then(Value::as_array) else { return Ok(()) };
    let given = narrow.get("enum").and_then(Value::as_array);
    match given.map(|given| given.iter().find(|value| !allowed.contains(value))) {
        Some(None) => Ok(()),
        Some(Some(value)) => Err(format!("{}{value} is only on one side", prefix(place))),
        None => Err(difference(place, narrow, wide)),
    }
}

fn objects_fit(place: &str, narrow: &Value, wide: &Value) -> Result<(), String> {
    for name in names(wide, "required") {
        if !names(narrow, "required").contains(name) {
            return Err(format!("{} is required on one side only", inside(place, name)));
        }
    }
    let closed = Value::Bool(false);
    let open = Value::Bool(true);
    let rest = wide.get("additionalProperties").unwrap_or(&open);
    if let Some(properties) = narrow.get("properties").and_then(Value::as_object) {
        for (name, schema) in properties {
            let target = wide.get("properties").and_then(|known| known.get(name)).unwrap_or(rest);
            if *target == closed {
                return Err(format!("{} is only on one side", inside(place, name)));
            }
            fits_at(&inside(place, name), schema, target)?;
        }
    }
    let narrow_rest = narrow.get("additionalProperties").unwrap_or(&open);
    let is_object = types(narrow).contains("object");
    if is_object && *narrow_rest != closed {
        fits_at(&inside(place, "*"), narrow_rest, rest)?;
    }
    Ok(())
}

fn arrays_fit(place: &str, narrow: &Value, wide: &Value) -> Result<(), String> {
    let bound = |schema: &Value, keyword: &str| schema.get(keyword).and_then(Value::as_u64);
    let longer = bound(wide, "maxItems")
        .is_some_and(|limit| bound(narrow, "maxItems").is_none_or(|given| given > limit));
    let shorter = bound(wide, "minItems")
        .is_some_and(|limit| bound(narrow, "minItems").is_none_or(|given| given < limit));
    if longer || shorter {
        return Err(format!("{}the number of items differs", prefix(place)));
    }
    let anything = Value::Bool(true);
    match (narrow.get("items"), wide.get("items")) {
        (_, None) => Ok(()),
        (Some(Value::Array(given)), Some(Value::Array(allowed)))
            if given.len() == allowed.len() =>
        {
            let mut pairs = given.iter().zip(allowed).enumerate();
            pairs.try_for_each(|(n, (given, allowed))| {
                fits_at(&format!("{place}[{n}]"), given, allowed)
            })
        }
        (Some(Value::Array(given)), Some(allowed @ (Value::Object(_) | Value::Bool(_)))) => {
            given.iter().try_for_each(|given| fits_at(&format!("{place}[]"), given, allowed))
        }
        (_, Some(Value::Array(_))) => Err(difference(place, narrow, wide)),
        (given, Some(allowed)) => {
            fits_at(&format!("{place}[]"), given.unwrap_or(&anything), allowed)
        }
    }
}

/// Every other keyword of `wide` must be in `narrow` just the same; bounds of numbers and lengths may be tighter.
fn rest_fits(place: &str, narrow: &Value, wide: &Value) -> Result<(), String> {
    let Some(keywords) = wide.as_object() else { return Err(difference(place, narrow, wide)) };
    for (keyword, limit) in keywords {
        if ANNOTATIONS.contains(&keyword.as_str()) || COMPARED.contains(&keyword.as_str()) {
            continue;
        }
        let given = narrow.get(keyword);
        let numbers = given.and_then(Value::as_f64).zip(limit.as_f64());
        let tighter = match (keyword.as_str(), numbers) {
            (
                "minimum" | "exclusiveMinimum" | "minLength" | "minProperties",
                Some((given, limit)),
            ) => given >= limit,
            (
                "maximum" | "exclusiveMaximum" | "maxLength" | "maxProperties",
                Some((given, limit)),
            ) => given <= limit,
            _ => given == Some(limit),
        };
        if !tighter {
            return Err(format!("{}`{keyword}` differs", prefix(place)));
        }
    }
    Ok(())
}

fn names<'a>(schema: &'a Value, keyword: &str) -> BTreeSet<&'a str> {
    let names = schema.get(keyword).and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).collect()
}

fn inside(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

fn prefix(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!("{place}: ") }
}

fn difference(place: &str, one: &Value, other: &Value) -> String {
    format!("{}{} and {}", prefix(place), in_words(one), in_words(other))
}

fn in_words(schema: &Value) -> String {
    if let Some(alternatives) = schema.get("anyOf").and_then(Value::as_array) {
        return alternatives.iter().map(in_words).collect::<Vec<_>>().join(" or ");
    }
    let kinds: Vec<&str> = types(schema).into_iter().collect();
    match (schema.get("enum"), kinds.as_slice()) {
        (Some(values), _) => format!("one of {values}"),
        (None, []) => "anything".to_owned(),
        (None, kinds) => kinds.join(" or "),
    }
}
