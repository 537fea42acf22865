//! Constraints as requests carry them.

use serde_json::Value;
use tutti_model::api::Constraints;
use tutti_model::application::parse_constraints;

use crate::Error;

/// Checks constraints given as JSON: text is read as on a command line, numbers and lists stand for
/// themselves, and nothing leaves a constraint out.
pub(crate) fn check(given: &Constraints) -> Result<Constraints, Error> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        Value::Null => String::new(),
        value => value.to_string(),
    };
    let texts = given.0.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    Ok(parse_constraints(&texts)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_and_values() {
        let given = json!({"mem": "1G", "cores": 4, "tags": ["a", "b"], "zones": null});
        let read = check(&serde_json::from_value(given).unwrap()).unwrap();
        assert_eq!(json!(read), json!({"cores": 4, "mem": 1024, "tags": ["a", "b"]}));
        assert_eq!(check(&read).unwrap(), read);
        let unknown = serde_json::from_value(json!({"speed": 9})).unwrap();
        assert_eq!(check(&unknown).unwrap_err().to_string(), "unknown constraint \"speed\"");
    }
}
