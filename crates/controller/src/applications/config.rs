//! An application's settings: the charm's options and `trust`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tutti_charm::charm::Charm;
use tutti_charm::config::{Settings, parse_value};
use tutti_model::api::{ApplicationConfig, ConfigChange, ConfigSetting};

use super::Application;
use crate::Error;

/// The one setting of an application itself: whether it gets the cloud credential.
pub(super) const TRUST: &str = "trust";

/// Settings and trust after a change. Every bad key or value is named.
pub(super) fn changed(
    charm: &Charm,
    application: &Application,
    change: &ConfigChange,
) -> Result<(Settings, bool), Error> {
    let mut settings = application.config.0.clone();
    let mut trust = application.trust;
    let mut reasons = Vec::new();
    for key in &change.reset {
        match charm.config.option(key) {
            _ if key == TRUST => trust = false,
            Ok(_) => drop(settings.remove(key)),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    for (key, text) in &change.set {
        if key == TRUST {
            match text.parse() {
                Ok(wanted) => trust = wanted,
                Err(_) => reasons.push(format!("option \"trust\" expected bool, got {text:?}")),
            }
            continue;
        }
        match parse_value(&charm.config, key, text) {
            Ok(value) => drop(settings.insert(key.clone(), value)),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    match reasons.as_slice() {
        [] => Ok((settings, trust)),
        [reason] => Err(Error::Invalid(reason.clone())),
        _ => Err(Error::refused("the settings are refused", reasons)),
    }
}

/// The settings as the API shows them.
pub(super) fn shown(charm: &Charm, application: &Application) -> ApplicationConfig {
    let setting = |(key, option): (&String, &tutti_charm::config::ConfigOption)| {
        let set = application.config.0.get(key);
        let source = match (set, &option.default) {
            (Some(_), _) => "user",
            (None, Some(_)) => "default",
            (None, None) => "unset",
        };
        let setting = ConfigSetting {
            default: option.default.clone(),
            description: option.description.clone(),
            source: source.to_owned(),
            kind: option.kind.word().to_owned(),
            value: set.or(option.default.as_ref()).cloned(),
        };
        (key.clone(), setting)
    };
    ApplicationConfig {
        application: application.name.clone(),
        charm: application.charm_name.clone(),
        application_config: BTreeMap::from([(TRUST.to_owned(), trust(application.trust))]),
        settings: charm.config.options.iter().map(setting).collect(),
    }
}

fn trust(trust: bool) -> ConfigSetting {
    ConfigSetting {
        default: Some(json!(false)),
        description: "Does this application have access to trusted credentials".into(),
        source: if trust { "user" } else { "default" }.into(),
        kind: "bool".into(),
        value: Some(Value::Bool(trust)),
    }
}
