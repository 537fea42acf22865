//! Model config: the settings there are, their defaults and types.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tutti_model::api::{ConfigChange, ModelConfig, ModelConfigValue};

use super::Model;
use crate::Error;

/// How a setting's text is read.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Flag,
    Number,
    /// A Go duration, `5m`.
    Duration,
}

/// The settings with a default (Juju: `model-config`).
const SETTINGS: &[(&str, Kind, &str)] = &[
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

/// The value in force, as text; empty for a setting nobody knows or set.
pub(crate) fn text<'m>(model: &'m Model, key: &str) -> &'m str {
    let set = model.config.0.get(key).map(String::as_str);
    set.or_else(|| setting(key).map(|(_, default)| default)).unwrap_or_default()
}

/// Whether a failed hook is retried (`automatically-retry-hooks`).
pub(crate) fn retry_hooks(model: &Model) -> bool {
    text(model, "automatically-retry-hooks") != "false"
}

/// The model's config as the API shows it.
pub(crate) fn shown(model: &Model) -> ModelConfig {
    let mut shown: BTreeMap<_, _> = SETTINGS
        .iter()
        .map(|(key, kind, default)| ((*key).to_owned(), entry(*kind, default, "default")))
        .collect();
    for (key, value) in &model.config.0 {
        let kind = setting(key).map_or(Kind::Text, |(kind, _)| kind);
        shown.insert(key.clone(), entry(kind, value, "model"));
    }
    ModelConfig(shown)
}

/// Settings of a new model, checked.
pub(crate) fn checked(set: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Error> {
    for (key, value) in set {
        check(key, value)?;
    }
    Ok(set.clone())
}

/// The settings after a change, and a sentence for each key Juju does not know.
pub(crate) fn changed(
    before: &BTreeMap<String, String>,
    change: &ConfigChange,
) -> Result<(BTreeMap<String, String>, Vec<String>), Error> {
    let mut after = before.clone();
    after.extend(checked(&change.set)?);
    for key in &change.reset {
        after.remove(key);
    }
    let unknown = change.set.keys().filter(|key| setting(key).is_none());
    let messages = unknown
        .map(|key| {
            format!("key \"{key}\" is not defined in the model configuration: possible misspelling")
        })
        .collect();
    Ok((after, messages))
}

fn setting(key: &str) -> Option<(Kind, &'static str)> {
    SETTINGS.iter().find(|(name, ..)| *name == key).map(|(_, kind, default)| (*kind, *default))
}

fn entry(kind: Kind, text: &str, source: &str) -> ModelConfigValue {
    let value = match kind {
        Kind::Flag => json!(text == "true"),
        Kind::Number => text.parse::<i64>().map_or_else(|_| json!(text), Value::from),
        Kind::Text | Kind::Duration => json!(text),
    };
    ModelConfigValue { value, source: source.into() }
}

fn check(key: &str, value: &str) -> Result<(), Error> {
    let expected = match setting(key).map(|(kind, _)| kind) {
        Some(Kind::Flag) if !matches!(value, "true" | "false") => "true or false",
        Some(Kind::Number) if value.parse::<i64>().is_err() => "a number",
        _ => return Ok(()),
    };
    Err(Error::Invalid(format!("{key}: expected {expected}, got \"{value}\"")))
}
