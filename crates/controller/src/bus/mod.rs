//! Tutti on the bus: what the outbox has is fired as bus events, and bus events reach charms as notices.
//!
//! - `topics`: which event an entry of the outbox is, with its schema;
//! - `publish`: firing them in order;
//! - `listeners`: which events charms want to hear of; `listen`: making notices of them, and of what workloads raise.
//!
//! The controller works without the bus: what it would have fired waits in the outbox.

mod listen;
pub(crate) mod listeners;
mod publish;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use tutti_bus::{Address, Bus, Settings};
use tutti_store::Tx;

use crate::Error;
use crate::http::sentence;
use crate::state::State;
use publish::Publisher;
pub(crate) use publish::STATEMENTS;

/// A bus, as the controller and the units it tells of it find it.
#[derive(Clone, Debug)]
pub struct BusOptions {
    /// Where the controller finds it. It need not be there; what it has missed it is told later.
    pub address: Address,
    /// Its URL, for charms and what they start.
    pub url: String,
}

/// The pause after a bus could not be reached for the first time.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The service that a controller is on the bus.
const SERVICE: &str = "tutti";

/// Tells the bus of what happens, and units of what happens on the bus, until the controller stops.
pub(crate) async fn run(state: Arc<State>, address: Address) {
    let bus = tokio::select! {
        bus = connect(&state, address) => bus,
        () = state.stopping.cancelled() => return,
    };
    let mut publisher = Publisher::new(&state, &bus);
    tokio::select! {
        () = publisher.run() => {}
        () = listen::run(&state, &bus) => {}
        // What was under way is fired again by the next controller, as after a crash.
        () = state.stopping.cancelled() => {}
    }
    if let Err(error) = publisher.release().await {
        tracing::warn!(error = %sentence(&error), "other controllers will wait before they fire");
    }
    bus.shutdown().await;
}

/// Events that the bus has not been told of yet.
pub(crate) fn waiting(tx: &mut Tx<'_>, last: i64) -> Result<i64, Error> {
    Ok(last - publish::cursor(tx)?.seq)
}

async fn connect(state: &State, address: Address) -> Bus {
    let settings = Settings::new(SERVICE, &state.options.name, address);
    let mut pause = PAUSE;
    loop {
        match Bus::connect(settings.clone()).await {
            Ok(bus) => return bus,
            Err(error) if pause < PAUSE_MAX => {
                tracing::debug!(%error, "no bus yet");
            }
            Err(error) => {
                tracing::warn!(error = %sentence(&error), "no bus: what happens waits in the outbox")
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
