//! `bus serve`: the built-in broker alone. `tutti serve` has one as well ([`start`]).

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use tutti_bus::Address;
use tutti_bus::broker::{Broker, Durability, Error, Settings};
use tutti_controller::BusOptions;

use crate::command::serve::{LogArguments, Signals};
use crate::context::Context;
use crate::directories;
use crate::failure::{Attempt as _, Failure, Outcome};
use crate::output;

/// Where Redis is looked for by default, and so by every service that is not configured otherwise.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 6379);

/// The password, which other users could read on the command line.
const PASSWORD: &str = "TUTTI_BUS_PASSWORD";

/// The file of the events, in the data directory.
const FILE: &str = "bus.db";

#[derive(Args, Debug)]
#[command(
    after_help = "Without --unix and --listen it listens on bus.sock in the data directory and on \
                  127.0.0.1:6379.\n$TUTTI_BUS_PASSWORD is what clients have to give; an address \
                  that other machines reach needs one.\n\nExample:\n  \
                  tutti bus serve --listen 127.0.0.1:6400 --data /var/lib/bus"
)]
pub(super) struct Serve {
    /// Listen on this unix socket; may be repeated
    #[arg(long, value_name = "PATH")]
    unix: Vec<PathBuf>,
    /// Listen on this address; port 0 takes a free one; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<SocketAddr>,
    /// Directory for the events (bus.db) [default: as 'tutti' finds it]
    #[arg(long, value_name = "DIRECTORY", env = "TUTTI_DATA")]
    data: Option<PathBuf>,
    /// Keep nothing on disk: events end with the process
    #[arg(long)]
    memory_only: bool,
    /// Answer when the disk has an event, not when the system has it: survives a loss of power
    #[arg(long)]
    sync: bool,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    log: LogArguments,
}

/// What a broker may take.
#[derive(Args, Clone, Debug)]
struct Limits {
    /// Refuse to hold more data than this: 512M, 2G; 0 for no limit
    #[arg(long, value_name = "SIZE", default_value = "512M", value_parser = bytes)]
    max_memory: usize,
}

impl Serve {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        self.log.start()?;
        let mut signals = Signals::listen()?;
        let data = self.data.clone().unwrap_or_else(directories::data);
        let broker = self.open(&data).await?;
        for place in self.listen(&broker, &data).await? {
            output::write(&format!("{place}\n"))?;
        }
        context.tell("the bus is ready");
        let signal = signals.first().await;
        tracing::info!(signal, "stopping");
        signals.unless_again(broker.shutdown()).await
    }

    async fn open(&self, data: &Path) -> Outcome<Broker> {
        if !self.memory_only {
            make(data)?;
        }
        let settings = Settings {
            data: (!self.memory_only).then(|| data.join(FILE)),
            durability: if self.sync { Durability::Disk } else { Durability::Process },
            password: password(),
            memory_bytes_max: self.limits.max_memory,
            ..Settings::default()
        };
        Broker::open(settings).await.map_err(refusal)
    }

    /// Listens everywhere; the URLs.
    async fn listen(&self, broker: &Broker, data: &Path) -> Outcome<Vec<String>> {
        let (mut unix, mut tcp) = (self.unix.clone(), self.listen.clone());
        if unix.is_empty() && tcp.is_empty() {
            make(data)?;
            unix.push(directories::bus_socket(data));
            tcp.push(LISTEN);
        }
        let mut places = Vec::new();
        for path in unix {
            broker.listen_unix(&path).await.map_err(refusal)?;
            let path = std::path::absolute(&path).unwrap_or(path);
            places.push(format!("redis+unix://{}", path.display()));
        }
        for address in tcp {
            let address = broker.listen_tcp(address).await.map_err(refusal)?;
            places.push(format!("redis://{address}/0"));
        }
        Ok(places)
    }
}

/// Makes the directory, if it is missing.
fn make(data: &Path) -> Outcome {
    tutti_controller::create_data_directory(data)
        .attempt(|| format!("cannot make the directory {} for the bus", data.display()))
}

/// What clients have to give.
pub(super) fn password() -> Option<String> {
    directories::variable(PASSWORD)
}

/// An error of the broker, and what to do about it.
fn refusal(error: Error) -> Failure {
    let hint = match &error {
        Error::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
            "; --listen and --unix choose other places"
        }
        Error::InUse { .. } => "; one broker at a time can have it, --data chooses another",
        Error::Unprotected(_) => "; $TUTTI_BUS_PASSWORD sets one",
        _ => "",
    };
    let text = Failure::from(error).message().unwrap_or_default();
    Failure::new(format!("{text}{hint}"))
}

/// `512M`, `2G`, `1024`.
fn bytes(text: &str) -> Result<usize, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let number: usize = number.parse().map_err(|_| "write a size such as 512M or 2G".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "that is more than there can be".to_owned())
}

/// Where a controller and its units find the broker that [`start`] starts. Units are not told the password.
pub(in crate::command) fn options(data: &Path, address: Option<SocketAddr>) -> BusOptions {
    let socket = directories::bus_socket(data);
    let url = match address {
        // Programs of other users cannot open the socket.
        Some(address) if address.port() != 0 => format!("redis://{address}/0"),
        _ => format!("unix://{}", socket.display()),
    };
    BusOptions { address: Address::unix(socket, password().as_deref()), url }
}

/// The broker of a controller, in its data directory; also on an address, if one is given.
pub(in crate::command) async fn start(data: &Path, address: Option<SocketAddr>) -> Outcome<Broker> {
    let settings =
        Settings { data: Some(data.join(FILE)), password: password(), ..Settings::default() };
    let broker = Broker::open(settings).await.map_err(refusal)?;
    broker.listen_unix(directories::bus_socket(data)).await.map_err(refusal)?;
    if let Some(address) = address {
        let address = broker.listen_tcp(address).await.map_err(refusal)?;
        tracing::info!(%address, "the bus listens");
    }
    Ok(broker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, size) in
            [("0", 0), ("10", 10), ("2k", 2048), ("512M", 512 << 20), ("1G", 1 << 30)]
        {
            assert_eq!(bytes(text).unwrap(), size);
        }
        for wrong in ["", "M", "-1", "1T", "99999999999999999999", "99999999999G"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
