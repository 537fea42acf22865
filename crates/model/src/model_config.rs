//! The settings of a model: which there are, their types and defaults (Juju: `model-config`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::{ConfigChange, ModelConfig, ModelConfigValue};
use crate::duration::parse_duration;
use crate::{Error, Result};

/// How a setting's text is read.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Flag,
    Number,
    /// Stays text: `5m`.
    Duration,
}

const SETTINGS: [(&str, Kind, &str); 22] = [
    ("apt-http-proxy", Kind::Text, ""),
    ("apt-https-proxy", Kind::Text, ""),
    ("automatically-retry-hooks", Kind::Flag, "true"),
    ("default-base", Kind::Text, ""),
    ("default-space", Kind::Text, ""),
    ("development", Kind::Flag, "false"),
    ("disable-telemetry", Kind::Flag, "false"),
    ("ftp-proxy", Kind::Text, ""),
    ("http-proxy", Kind::Text, ""),
    ("https-proxy", Kind::Text, ""),
    ("juju-ftp-proxy", Kind::Text, ""),
    ("juju-http-proxy", Kind::Text, ""),
    ("juju-https-proxy", Kind::Text, ""),
    ("juju-no-proxy", Kind::Text, "127.0.0.1,localhost,::1"),
    ("logging-config", Kind::Text, "<root>=INFO"),
    ("max-action-results-age", Kind::Duration, "336h"),
    ("max-status-history-age", Kind::Duration, "336h"),
    ("no-proxy", Kind::Text, "127.0.0.1,localhost,::1"),
    ("num-provision-workers", Kind::Number, "16"),
    ("provisioner-harvest-mode", Kind::Text, "destroyed"),
    ("test-mode", Kind::Flag, "false"),
    ("update-status-hook-interval", Kind::Duration, "5m"),
];

fn setting(key: &str) -> Option<(Kind, &'static str)> {
    SETTINGS.into_iter().find(|(name, ..)| *name == key).map(|(_, kind, default)| (kind, default))
}

/// The value in force, as text; none for a key that is neither set nor known.
#[must_use]
pub fn text<'a>(set: &'a BTreeMap<String, String>, key: &str) -> Option<&'a str> {
    set.get(key).map(String::as_str).or_else(|| setting(key).map(|(_, default)| default))
}

/// Every setting with its value and where that comes from.
#[must_use]
pub fn shown(set: &BTreeMap<String, String>) -> ModelConfig {
    let entry = |kind, text: &str, source: &str| {
        let value = read(kind, text).unwrap_or_else(|_| json!(text));
        ModelConfigValue { value, source: source.into() }
    };
    let defaults = SETTINGS
        .into_iter()
        .map(|(key, kind, default)| (key.to_owned(), entry(kind, default, "default")));
    let own = set.iter().map(|(key, text)| {
        let kind = setting(key).map_or(Kind::Text, |(kind, _)| kind);
        (key.clone(), entry(kind, text, "model"))
    });
    ModelConfig(defaults.chain(own).collect())
}

/// The settings after a change. Keys nobody knows are kept, as Juju does: charms' tests set them.
///
/// # Errors
///
/// [`Error::Malformed`] for the first value that does not fit its setting.
pub fn changed(
    set: &BTreeMap<String, String>,
    change: &ConfigChange,
) -> Result<BTreeMap<String, String>> {
    let mut after = set.clone();
    for (key, text) in &change.set {
        if let Some((kind, _)) = setting(key) {
            read(kind, text).map_err(|expected| Error::Malformed {
                what: format!("value of {key:?}"),
                text: text.clone(),
                expected,
            })?;
        }
        after.insert(key.clone(), text.clone());
    }
    after.retain(|key, _| !change.reset.contains(key));
    Ok(after)
}

/// The keys of a change that no setting has: worth a warning.
pub fn unknown(change: &ConfigChange) -> impl Iterator<Item = &str> {
    change.set.keys().map(String::as_str).filter(|key| setting(key).is_none())
}

fn read(kind: Kind, text: &str) -> Result<Value, &'static str> {
    match kind {
        Kind::Text => Ok(json!(text)),
        Kind::Flag => match text {
            "true" | "True" | "1" => Ok(json!(true)),
            "false" | "False" | "0" => Ok(json!(false)),
            _ => Err("true or false"),
        },
        Kind::Number => text.parse::<i64>().map(Value::from).map_err(|_| "a whole number"),
        Kind::Duration => {
            let valid = parse_duration(text).is_ok();
            if valid { Ok(json!(text)) } else { Err("a duration such as 30s or 1h30m") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn set_and_reset() {
        let none = BTreeMap::new();
        let interval = |set: &BTreeMap<String, String>| {
            let entry = &shown(set).0["update-status-hook-interval"];
            (entry.value.clone(), entry.source.clone())
        };
        assert_eq!(interval(&none), (json!("5m"), "default".into()));
        let change = ConfigChange {
            set: pairs(&[("update-status-hook-interval", "10s"), ("own-key", "x")]),
            ..ConfigChange::default()
        };
        let set = changed(&none, &change).unwrap();
        assert_eq!(interval(&set), (json!("10s"), "model".into()));
        assert_eq!(shown(&set).0["own-key"].value, json!("x"));
        assert_eq!(unknown(&change).collect::<Vec<_>>(), ["own-key"]);
        let reset = ConfigChange {
            reset: vec!["update-status-hook-interval".into(), "nothing".into()],
            ..ConfigChange::default()
        };
        assert_eq!(interval(&changed(&set, &reset).unwrap()), (json!("5m"), "default".into()));
    }

    #[test]
    fn values_have_their_types() {
        let set = pairs(&[("development", "1"), ("num-provision-workers", "odd")]);
        let config = shown(&set).0;
        assert_eq!(config["automatically-retry-hooks"].value, json!(true));
        assert_eq!(config["development"].value, json!(true));
        assert_eq!(config["num-provision-workers"].value, json!("odd"), "shown as it is");
        assert_eq!(text(&set, "automatically-retry-hooks"), Some("true"));
        assert_eq!((text(&set, "development"), text(&set, "nothing")), (Some("1"), None));
    }

    #[test]
    fn values_that_do_not_fit() {
        for (key, value, expected) in [
            ("update-status-hook-interval", "soon", "a duration such as 30s or 1h30m"),
            ("automatically-retry-hooks", "maybe", "true or false"),
            ("num-provision-workers", "1.5", "a whole number"),
        ] {
            let change = ConfigChange { set: pairs(&[(key, value)]), ..ConfigChange::default() };
            assert_eq!(
                changed(&BTreeMap::new(), &change).unwrap_err().to_string(),
                format!("bad value of {key:?}: {value:?} is not {expected}")
            );
        }
    }

    #[test]
    fn every_default_fits() {
        for (key, kind, default) in SETTINGS {
            assert!(read(kind, default).is_ok(), "{key}");
        }
    }
}
