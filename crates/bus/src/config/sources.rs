//! Where the configuration of a process comes from, and what counts more than what.

use std::path::Path;

use super::fetch::fetch;
use super::{Config, ConfigError, Format, OwnConfig, Placeholders};

/// What a program or a command line says. It counts most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The configuration: a path, or an http URL.
    pub location: Option<String>,
    /// The name of the service, in place of the configuration's.
    pub service_name: Option<String>,
    /// The name of the process, in place of the configuration's.
    pub process_name: Option<String>,
}

/// What the environment says. It counts least.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `LIGHTBUS_CONFIG`.
    pub config: Option<String>,
    /// `LIGHTBUS_SERVICE_NAME`.
    pub service_name: Option<String>,
    /// `LIGHTBUS_PROCESS_NAME`.
    pub process_name: Option<String>,
}

impl Environment {
    /// That of this process. As in Python, an empty variable is none.
    pub fn read() -> Environment {
        let read = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Environment {
            config: read("LIGHTBUS_CONFIG"),
            service_name: read("LIGHTBUS_SERVICE_NAME"),
            process_name: read("LIGHTBUS_PROCESS_NAME"),
        }
    }
}

/// All that is configured, with the names as they are used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configuration {
    /// Lightbus's settings, the names filled in.
    pub lightbus: Config,
    /// Ours.
    pub own: OwnConfig,
}

impl Sources {
    /// Reads everything. Without a location, here or in the environment, all has its default.
    pub async fn load(
        &self,
        environment: &Environment,
        placeholders: &Placeholders,
    ) -> Result<Configuration, ConfigError> {
        let location = self.location.as_ref().or(environment.config.as_ref());
        let Some(location) = location else {
            return self.apply(Config::default(), OwnConfig::default(), environment, placeholders);
        };
        if location.starts_with("http://") || location.starts_with("https://") {
            let (text, is_json) = fetch(location)
                .await
                .map_err(|reason| ConfigError::NotFound { location: location.clone(), reason })?;
            let format = if is_json { Format::Json } else { Format::of(location) };
            let config = Config::parse(location, &text, format)?;
            return self.apply(config, OwnConfig::default(), environment, placeholders);
        }
        let path = Path::new(location);
        let config = Config::read_file(path)?;
        let beside = OwnConfig::beside(path);
        let own =
            if beside.exists() { OwnConfig::read_file(&beside)? } else { OwnConfig::default() };
        self.apply(config, own, environment, placeholders)
    }

    fn apply(
        &self,
        mut lightbus: Config,
        own: OwnConfig,
        environment: &Environment,
        placeholders: &Placeholders,
    ) -> Result<Configuration, ConfigError> {
        let defaults = Config::default();
        let name =
            |set: &Option<String>, configured: &str, default: &str, variable: &Option<String>| {
                let unset = configured == default;
                let fallback = variable.as_deref().filter(|_| unset).unwrap_or(configured);
                placeholders.fill(set.as_deref().unwrap_or(fallback))
            };
        lightbus.service_name = name(
            &self.service_name,
            &lightbus.service_name,
            &defaults.service_name,
            &environment.service_name,
        )?;
        lightbus.process_name = name(
            &self.process_name,
            &lightbus.process_name,
            &defaults.process_name,
            &environment.process_name,
        )?;
        Ok(Configuration { lightbus, own })
    }
}
