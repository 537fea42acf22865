//! The built-in broker as a program of its own:
//!
//! ```sh
//! cargo run -p tutti-bus --example broker -- --tcp 127.0.0.1:6400 --data bus.db
//! redis-cli -p 6400 ping
//! ```

use std::{io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};
use tutti_bus::broker::{Broker, Durability, Error, Settings};

const USAGE: &str = "broker [--tcp ADDRESS] [--unix PATH] [--data FILE] [--disk] [--auth PASSWORD] [--max-memory BYTES]

  --tcp ADDRESS      listen on TCP; port 0 takes a free one; may be repeated
  --unix PATH        listen on a unix socket; may be repeated
  --data FILE        keep events in this file
  --disk             answer when the disk has them, not when the system has
  --auth PASSWORD    what clients have to give
  --max-memory BYTES refuse to hold more data; 0 for no limit";

#[derive(Default)]
struct Arguments {
    tcp: Vec<SocketAddr>,
    unix: Vec<PathBuf>,
    settings: Settings,
}

fn arguments(mut given: impl Iterator<Item = String>) -> Option<Arguments> {
    let mut arguments = Arguments::default();
    while let Some(name) = given.next() {
        match name.as_str() {
            "--tcp" => arguments.tcp.push(given.next()?.parse().ok()?),
            "--unix" => arguments.unix.push(given.next()?.into()),
            "--data" => arguments.settings.data = Some(given.next()?.into()),
            "--disk" => arguments.settings.durability = Durability::Disk,
            "--auth" => arguments.settings.password = Some(given.next()?),
            "--max-memory" => arguments.settings.memory_bytes_max = given.next()?.parse().ok()?,
            _ => return None,
        }
    }
    Some(arguments).filter(|arguments| !arguments.tcp.is_empty() || !arguments.unix.is_empty())
}

async fn run(arguments: Arguments) -> Result<(), Error> {
    let broker = Broker::open(arguments.settings).await?;
    for address in arguments.tcp {
        println!("tcp {}", broker.listen_tcp(address).await?);
    }
    for path in arguments.unix {
        broker.listen_unix(&path).await?;
        println!("unix {}", path.display());
    }
    println!("ready");
    let _ = std::io::stdout().flush();
    if let (Ok(mut term), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    {
        tokio::select! {
            _ = term.recv() => (),
            _ = interrupt.recv() => (),
        }
    }
    broker.shutdown().await;
    Ok(())
}

fn main() -> ExitCode {
    let Some(arguments) = arguments(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(arguments)).map_err(anyhow::Error::from),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
