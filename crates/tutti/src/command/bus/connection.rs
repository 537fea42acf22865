//! Which bus, and as whom.

use std::os::unix::net::UnixStream;

use clap::Args;
use tutti_bus::config::{Config, Configuration, DEFAULT_URL, Environment, Placeholders, Sources};
use tutti_bus::schema::ApiSchema;
use tutti_bus::{Address, Bus, Error, Settings};

use super::serve::password;
use crate::context::Context;
use crate::directories;
use crate::failure::{Failure, Outcome};

/// The service that the command line is, unless it is told to be another one.
const SERVICE: &str = "tutti-cli";

/// Which bus, and as whom.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Connection {
    /// The bus: redis://HOST:PORT/DATABASE, or the path of a unix socket [default: as configured, else
    /// the one of this machine's 'tutti serve', else redis://127.0.0.1:6379/0]
    #[arg(long, value_name = "URL", env = "TUTTI_BUS_URL", hide_env_values = true)]
    url: Option<String>,
    /// A lightbus.yaml or .json: path or URL
    #[arg(long, value_name = "FILE", env = "LIGHTBUS_CONFIG")]
    config: Option<String>,
    /// Name of the service to be; the first half of the names of its listeners' groups
    #[arg(long, value_name = "NAME")]
    service_name: Option<String>,
    /// Name of the process to be [default: this machine's name]
    #[arg(long, value_name = "NAME")]
    process_name: Option<String>,
}

/// A bus that answers.
pub(super) struct Session {
    pub(super) bus: Bus,
    /// Where it is, for people; without a password.
    pub(super) place: String,
    /// The name this program goes by.
    pub(super) program: &'static str,
    quiet: bool,
}

impl Session {
    /// Connects.
    pub(super) async fn open(connection: &Connection, context: &Context) -> Outcome<Session> {
        let settings = connection.settings().await?;
        let place = format!("{:?}", settings.address);
        let connected = Bus::connect(settings).await;
        let program = context.personality.name();
        let bus = connected.map_err(|error| refusal(error, &place, program))?;
        Ok(Session { bus, place, program, quiet: context.quiet })
    }

    /// An error of the bus in a sentence that says what to do.
    pub(super) fn refusal(&self, error: Error) -> Failure {
        refusal(error, &self.place, self.program)
    }

    /// The schemas that are on the bus now.
    pub(super) async fn schemas(&self) -> Outcome<Vec<ApiSchema>> {
        self.bus.schemas().await.map_err(|error| self.refusal(error))
    }

    /// Tells the person something that is not the answer.
    pub(super) fn tell(&self, text: impl AsRef<str>) {
        if !self.quiet {
            crate::output::tell(text.as_ref());
        }
    }
}

impl Connection {
    async fn settings(&self) -> Outcome<Settings> {
        let sources = Sources {
            location: self.config.clone(),
            service_name: self.service_name.clone(),
            process_name: self.process_name.clone(),
        };
        let placeholders = Placeholders::of_this_process();
        let mut configuration = sources.load(&Environment::read(), &placeholders).await?;
        self.name(&mut configuration, &placeholders);
        let settings = configuration.settings()?;
        Ok(match (&self.url, &self.config) {
            (Some(url), _) => settings.all_at(address("--url", url)?),
            (None, None) => settings.all_at(nearest()?),
            (None, Some(_)) => settings,
        })
    }

    /// Lightbus's default names are new ones each time, under which a listener would never find its events again.
    fn name(&self, configuration: &mut Configuration, placeholders: &Placeholders) {
        let is_configured = |text: &str, default: &str| {
            // The default has been filled in by now; what it is like is all that is left of it.
            placeholders.fill(default).is_ok_and(|filled| filled != text)
        };
        let defaults = Config::default();
        let lightbus = &mut configuration.lightbus;
        if !is_configured(&lightbus.service_name, &defaults.service_name) {
            lightbus.service_name = SERVICE.to_owned();
        }
        if !is_configured(&lightbus.process_name, &defaults.process_name) {
            lightbus.process_name.clone_from(&placeholders.hostname);
        }
    }
}

/// The bus of this machine's controller if there is one, else the Redis everybody has; with the password that a broker started here
/// asks for.
fn nearest() -> Outcome<Address> {
    let socket = directories::bus_socket(&directories::data());
    let password = password();
    if UnixStream::connect(&socket).is_ok() {
        return Ok(Address::unix(socket, password.as_deref()));
    }
    let address = address("--url", DEFAULT_URL)?;
    Ok(match password {
        Some(password) => address.with_password(&password),
        None => address,
    })
}

/// A URL, or the path of a socket, as a flag has it.
pub(in crate::command) fn address(flag: &str, url: &str) -> Outcome<Address> {
    let text = url_of(url);
    Address::url(&text).map_err(|error| {
        Failure::usage(format!(
            "invalid value {url:?} for flag {flag}: {error}; use redis://HOST:PORT/DATABASE or the path of a socket"
        ))
    })
}

fn url_of(url: &str) -> String {
    match url.strip_prefix("unix:") {
        Some(path) => format!("redis+unix://{}", path.strip_prefix("//").unwrap_or(path)),
        None if url.contains("://") => url.to_owned(),
        None if url.contains('/') || url.ends_with(".sock") => {
            let path = std::path::absolute(url).unwrap_or_else(|_| url.into());
            format!("redis+unix://{}", path.display())
        }
        None => format!("redis://{url}"),
    }
}

fn refusal(error: Error, place: &str, program: &str) -> Failure {
    match error {
        Error::Transport { attempt, source } if source.is_io_error() => Failure::new(format!(
            "cannot {attempt}: the bus at {place} cannot be reached ({source}); '{program} bus serve' \
             starts one, --url names another"
        )),
        Error::Transport { attempt, source } => {
            Failure::new(format!("cannot {attempt}: the bus at {place} refuses: {source}"))
        }
        Error::Timeout { api, procedure, timeout } => Failure::new(format!(
            "no answer from {api}.{procedure} within {timeout:?}: nobody serves {api}, or it takes \
             longer; --timeout waits longer"
        )),
        Error::Remote { api, procedure, failure } => {
            let trace = failure.trace.as_deref().map(str::trim).unwrap_or_default();
            let lines = trace.lines().filter(|line| *line != failure.message);
            let trace: String = lines.map(|line| format!("\n  {line}")).collect();
            Failure::new(format!("{api}.{procedure} failed: {}{trace}", failure.message))
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_is_a_url_or_a_path() {
        for (text, url) in [
            ("redis://u:p@h:1/2", "redis://u:p@h:1/2"),
            ("/run/bus.sock", "redis+unix:///run/bus.sock"),
            ("unix:/run/bus.sock", "redis+unix:///run/bus.sock"),
            ("unix:///run/bus.sock", "redis+unix:///run/bus.sock"),
            ("127.0.0.1:6400", "redis://127.0.0.1:6400"),
        ] {
            assert_eq!(url_of(text), url, "{text}");
            assert!(address("--url", text).is_ok(), "{text}");
        }
        assert_eq!(address("--url", "http://x").unwrap_err().code(), 2);
    }

    #[test]
    fn names_are_the_same_each_time_unless_somebody_says_so() {
        let placeholders = Placeholders::of_this_process();
        let mut configuration = Configuration::default();
        let fill = |name: &mut String| *name = placeholders.fill(name).unwrap();
        fill(&mut configuration.lightbus.service_name);
        fill(&mut configuration.lightbus.process_name);
        Connection::default().name(&mut configuration, &placeholders);
        assert_eq!(configuration.lightbus.service_name, SERVICE);
        assert_eq!(configuration.lightbus.process_name, placeholders.hostname);
        configuration.lightbus.service_name = "shop".to_owned();
        Connection::default().name(&mut configuration, &placeholders);
        assert_eq!(configuration.lightbus.service_name, "shop");
    }
}
