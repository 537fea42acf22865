//! What is wrong with a configuration, told by the path of each key.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, ValidationError};
use serde_json::Value;

use crate::schema::{field, sentence};

/// A suggestion must be at least this much like what was written (0 to 1).
const LIKENESS_MIN: f64 = 0.75;

/// All problems of `value` by `schema`, in words; empty if there are none.
pub(super) fn problems(value: &Value, schema: &Value) -> Vec<String> {
    let validator = match jsonschema::options().with_draft(Draft::Draft7).build(schema) {
        Ok(validator) => validator,
        Err(error) => return vec![error.to_string()],
    };
    let mut problems = Vec::new();
    for error in validator.iter_errors(value) {
        tell(&error, schema, &mut problems);
    }
    problems
}

fn tell(error: &ValidationError<'_>, schema: &Value, problems: &mut Vec<String>) {
    match error.kind() {
        // `x` or null: what is wrong is told of `x`, unless it is of another type altogether.
        ValidationErrorKind::AnyOf { context } => match closest(context) {
            Some(errors) => errors.iter().for_each(|error| tell(error, schema, problems)),
            None => problems.push(sentence(error)),
        },
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let parent = error.schema_path().as_str().rsplit_once('/').map_or("", |(path, _)| path);
            let known = schema.pointer(parent).and_then(|parent| parent["properties"].as_object());
            let known: Vec<&str> =
                known.into_iter().flat_map(|known| known.keys()).map(String::as_str).collect();
            let place = field(error.instance_path().as_str());
            problems.extend(unexpected.iter().map(|name| unknown(&place, name, &known)));
        }
        _ => problems.push(sentence(error)),
    }
}

/// The alternative whose type fits, if one does.
fn closest<'a>(
    alternatives: &'a [Vec<ValidationError<'static>>],
) -> Option<&'a [ValidationError<'static>]> {
    let is_other_type =
        |error: &ValidationError<'_>| matches!(error.kind(), ValidationErrorKind::Type { .. });
    let mut fitting = alternatives.iter().filter(|errors| {
        // An error further inside says that the type itself fits.
        let outermost = errors.iter().min_by_key(|error| error.instance_path().as_str().len());
        outermost.is_some_and(|error| !is_other_type(error) || deeper(error, alternatives))
    });
    fitting.next().map(Vec::as_slice)
}

fn deeper(error: &ValidationError<'_>, alternatives: &[Vec<ValidationError<'static>>]) -> bool {
    let shortest =
        alternatives.iter().flatten().map(|error| error.instance_path().as_str().len()).min();
    shortest.is_some_and(|shortest| error.instance_path().as_str().len() > shortest)
}

fn unknown(place: &str, name: &str, known: &[&str]) -> String {
    let path = if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    let likeness = |known: &&str| strsim::normalized_damerau_levenshtein(name, known);
    let best = known.iter().copied().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    match best.filter(|known| strsim::jaro_winkler(name, known) >= LIKENESS_MIN) {
        Some(known) => format!("{path} is unknown: did you mean {known}?"),
        None if known.is_empty() => format!("{path} is unknown: there are no keys here"),
        None => format!("{path} is unknown: there are {}", known.join(", ")),
    }
}
