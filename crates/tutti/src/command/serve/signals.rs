//! The signals that end a service: the first one asks, the second one insists.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Failure, Outcome};

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub(in crate::command) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over from now on.
    pub(in crate::command) fn listen() -> Outcome<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { terminate, interrupt })
    }

    /// Waits for the next one and names it.
    pub(in crate::command) async fn first(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Lets `stop` finish, unless somebody insists.
    pub(in crate::command) async fn unless_again<T>(
        &mut self,
        stop: impl Future<Output = T>,
    ) -> Outcome<T> {
        tokio::select! {
            done = stop => Ok(done),
            signal = self.first() => {
                tracing::warn!(signal, "ending at once");
                Err(Failure::Exit(1))
            }
        }
    }
}
