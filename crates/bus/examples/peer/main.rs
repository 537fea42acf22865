//! A peer on the bus that does what it is told, for the tests in `tests/bus`:
//!
//! ```sh
//! LIGHTBUS_CONFIG=lightbus.yaml cargo run -p tutti-bus --example peer -- web 1
//! ```
//!
//! The configuration is the one its Python neighbours have; the arguments are the names of service and process. It reads one
//! JSON request a line, and answers with one JSON object a line that repeats the request's `number`. What its listeners
//! hear is told on lines of their own. It ends when its input does, or by a signal, after what runs is finished.

mod api;
mod load;
mod request;

use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tutti_bus::config::{Environment, Placeholders, Sources};
use tutti_bus::{Bus, Settings};

use request::Peer;

/// Requests that wait.
const REQUESTS_MAX: usize = 64;

type AnyError = Box<dyn std::error::Error>;

/// Prints an object as JSON on a line.
pub(crate) fn say(what: &impl Serialize) {
    let line = serde_json::to_string(what).unwrap_or_else(|error| error.to_string());
    let mut out = std::io::stdout().lock();
    // Whoever listened may be gone.
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// What Lightbus's configuration says, under the names given.
async fn settings(mut given: impl Iterator<Item = String>) -> Result<Settings, AnyError> {
    let (service_name, process_name) = (given.next(), given.next());
    let sources = Sources { location: None, service_name, process_name };
    let configuration =
        sources.load(&Environment::read(), &Placeholders::of_this_process()).await?;
    Ok(configuration.settings()?)
}

/// The lines of the standard input; none after its end.
fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(REQUESTS_MAX);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), AnyError> {
    let settings = settings(std::env::args().skip(1)).await?;
    let process = settings.process_name.clone();
    let bus = Bus::connect(settings).await?;
    let peer = Peer::new(bus.clone(), process);
    let mut terminated = signal(SignalKind::terminate())?;
    let mut lines = lines();
    say(&json!({ "ready": true }));
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            _ = terminated.recv() => None,
        };
        let Some(line) = line else { break };
        let peer = peer.clone();
        // Requests are answered as they are done: some take long.
        tokio::spawn(async move { say(&peer.answer(&line).await) });
    }
    bus.shutdown().await;
    say(&json!({ "stopped": true }));
    Ok(())
}
