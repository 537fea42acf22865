//! `bus`: the calls and events of services, from the command line.
//!
//! Every command that needs a bus is an [`Action`] on a [`Session`] ([`connection`]), so that `tutti bus X` and the
//! [`shell`] are the same code. [`name`] reads what is named, [`parameters`] what goes with it, [`event`] shows events.

mod ask;
mod check;
mod connection;
mod dead_letters;
mod event;
mod history;
mod listen;
mod name;
mod parameters;
mod schema;
mod serve;
mod shell;
mod stats;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::failure::Outcome;
pub(super) use connection::address;
use connection::{Connection, Session};
pub(super) use serve::{options, start};

/// Commands about the bus.
#[derive(Debug, Subcommand)]
pub(crate) enum BusCommand {
    /// Call services, fire and follow events, look inside the bus
    Bus(Bus),
}

impl BusCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let Self::Bus(bus) = self;
        Box::pin(bus.what.run(context)).await
    }
}

#[derive(Args, Debug)]
pub(crate) struct Bus {
    #[command(subcommand)]
    what: BusVerb,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum BusVerb {
    /// Run the built-in broker alone, until told to stop
    Serve(serve::Serve),
    /// Call a procedure and print what it returns
    #[command(
        after_help = "Examples:\n  tutti bus call my.auth.check_password username=ann password=x\n  \
                            tutti bus call my.auth.check_password '{\"username\": \"ann\", \"password\": \"x\"}'"
    )]
    Call(OnBus<ask::Call>),
    /// Fire an event and print its id
    #[command(
        after_help = "Example:\n  tutti bus fire my.auth.user_registered username=ann email=ann@x.org"
    )]
    Fire(OnBus<ask::Fire>),
    /// Print events as they are fired, a line each, until interrupted
    #[command(
        after_help = "Without --listener nobody is kept from the events and nothing is acknowledged.\n\n\
                            Examples:\n  tutti bus listen 'my.auth.*' --since 10m\n  \
                            tutti bus listen my.auth.user_registered --listener mailer --format json"
    )]
    Listen(OnBus<listen::Listen>),
    /// Print events that were fired, newest first
    #[command(
        after_help = "Examples:\n  tutti bus inspect --api 'my.*' --where username=ann --limit 20\n  \
                            tutti bus inspect --follow --format json"
    )]
    Inspect(OnBus<history::Inspect>),
    /// Try things out: calls, events and history, with completion
    Shell(OnBus<shell::Shell>),
    /// List the APIs on the bus
    Apis(OnBus<schema::Apis>),
    /// Show what an API, a procedure or an event takes
    Schema(OnBus<schema::ShowSchema>),
    /// Show how far every listener is, and what waits
    Stats(OnBus<stats::Stats>),
    /// Look at the events that listeners gave up; replay or drop them
    DeadLetters(OnBus<dead_letters::DeadLetters>),
    /// Acknowledge one event in every group of its stream
    #[command(
        after_help = "For an event that ends Python workers again and again: they read it at every start \
                            until it is acknowledged.\n\nExample:\n  tutti bus ack my.auth.user_registered 1795164389852-0"
    )]
    Ack(OnBus<dead_letters::Ack>),
    /// Write the schemas of all APIs on the bus
    #[command(name = "dumpschema")]
    DumpSchema(OnBus<schema::DumpSchema>),
    /// Write the JSON Schema of the configuration file
    #[command(name = "dumpconfigschema")]
    DumpConfigSchema(check::DumpConfigSchema),
    /// Check a configuration file
    CheckConfig(check::CheckConfig),
}

impl BusVerb {
    async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Serve(command) => command.run(context).await,
            Self::Call(command) => command.run(context).await,
            Self::Fire(command) => command.run(context).await,
            Self::Listen(command) => command.run(context).await,
            Self::Inspect(command) => command.run(context).await,
            Self::Shell(command) => command.run(context).await,
            Self::Apis(command) => command.run(context).await,
            Self::Schema(command) => command.run(context).await,
            Self::Stats(command) => command.run(context).await,
            Self::DeadLetters(command) => command.run(context).await,
            Self::Ack(command) => command.run(context).await,
            Self::DumpSchema(command) => command.run(context).await,
            Self::DumpConfigSchema(command) => command.run(),
            Self::CheckConfig(command) => command.run(context),
        }
    }
}

/// Something to do on a bus.
trait Action {
    /// Does it.
    async fn act(self, session: &Session) -> Outcome;
}

/// An action, and which bus it is for.
#[derive(Args, Debug)]
struct OnBus<A: Args> {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    action: A,
}

impl<A: Args + Action> OnBus<A> {
    async fn run(self, context: &Context) -> Outcome {
        let session = Session::open(&self.connection, context).await?;
        let outcome = Box::pin(self.action.act(&session)).await;
        session.bus.shutdown().await;
        outcome
    }
}

#[cfg(test)]
mod tests;
