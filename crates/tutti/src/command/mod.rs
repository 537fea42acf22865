//! The commands, grouped in one file per noun.
//!
//! Each file holds the arguments of its commands (clap reads them from the types) and a `run` that
//! turns them into calls of the API and the answer into text. [`Command`] is all of them.

mod answer;
mod application;
mod bundle;
mod bus;
mod catalogue;
mod charm;
mod charmcraft;
mod config;
mod content;
mod controller;
mod deploy;
mod events;
mod flow;
mod later;
mod log;
mod machine;
mod model;
mod operation;
mod refresh;
mod relation;
mod remote;
mod resource;
mod secret;
mod serve;
mod status;
mod storage;
mod sync;
mod unit;
mod wait_for;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Outcome;

pub(crate) use charmcraft::charmcraft;
pub(crate) use operation::juju_exec;

/// A command with its arguments.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Model(model::ModelCommand),
    #[command(flatten)]
    Status(status::StatusCommand),
    #[command(flatten)]
    Application(application::ApplicationCommand),
    #[command(flatten)]
    Unit(unit::UnitCommand),
    #[command(flatten)]
    Sync(sync::SyncCommand),
    #[command(flatten)]
    Relation(relation::RelationCommand),
    #[command(flatten)]
    Operation(operation::OperationCommand),
    #[command(flatten)]
    Remote(remote::RemoteCommand),
    #[command(flatten)]
    Secret(secret::SecretCommand),
    #[command(flatten)]
    Resource(resource::ResourceCommand),
    #[command(flatten)]
    Machine(machine::MachineCommand),
    #[command(flatten)]
    Storage(storage::StorageCommand),
    #[command(flatten)]
    Flow(flow::FlowCommand),
    #[command(flatten)]
    Bus(bus::BusCommand),
    #[command(flatten)]
    Controller(controller::ControllerCommand),
    #[command(flatten)]
    Serve(serve::ServeCommand),
    #[command(flatten)]
    Catalogue(catalogue::CatalogueCommand),
    #[command(flatten)]
    Charm(charm::CharmCommand),
    #[command(flatten)]
    Content(content::ContentCommand),
    /// A word that is no command here.
    #[command(external_subcommand)]
    Other(Vec<String>),
}

impl Command {
    /// Runs the command.
    pub(crate) async fn run(self, context: &mut Context) -> Outcome {
        match self {
            Self::Model(command) => Box::pin(command.run(context)).await,
            Self::Status(command) => Box::pin(command.run(context)).await,
            Self::Application(command) => Box::pin(command.run(context)).await,
            Self::Unit(command) => Box::pin(command.run(context)).await,
            Self::Sync(command) => Box::pin(command.run(context)).await,
            Self::Relation(command) => Box::pin(command.run(context)).await,
            Self::Operation(command) => Box::pin(command.run(context)).await,
            Self::Remote(command) => Box::pin(command.run(context)).await,
            Self::Secret(command) => Box::pin(command.run(context)).await,
            Self::Resource(command) => Box::pin(command.run(context)).await,
            Self::Machine(command) => Box::pin(command.run(context)).await,
            Self::Storage(command) => Box::pin(command.run(context)).await,
            Self::Flow(command) => Box::pin(command.run(context)).await,
            Self::Bus(command) => Box::pin(command.run(context)).await,
            Self::Controller(command) => Box::pin(command.run(context)).await,
            Self::Serve(command) => Box::pin(command.run(context)).await,
            Self::Catalogue(command) => Box::pin(command.run(context)).await,
            Self::Charm(command) => Box::pin(command.run(context)).await,
            Self::Content(command) => Box::pin(command.run(context)).await,
            Self::Other(words) => Err(later::refusal(context.personality, &words)),
        }
    }

    /// Whether the command serves others until it is told to stop, on all cores.
    pub(crate) fn is_service(&self) -> bool {
        matches!(self, Self::Serve(command) if command.is_service())
    }
}

/// The commands by what they are about, for the overview.
pub(crate) fn groups() -> Vec<(&'static str, clap::Command)> {
    fn group<T: Subcommand>() -> clap::Command {
        T::augment_subcommands(clap::Command::new("group"))
    }
    vec![
        ("Look", group::<status::StatusCommand>()),
        ("Models", group::<model::ModelCommand>()),
        ("Applications", group::<application::ApplicationCommand>()),
        ("Units", group::<unit::UnitCommand>()),
        ("What is not as wished", group::<sync::SyncCommand>()),
        ("Relations", group::<relation::RelationCommand>()),
        ("Actions and commands", group::<operation::OperationCommand>()),
        ("Shell on units and machines", group::<remote::RemoteCommand>()),
        ("Secrets", group::<secret::SecretCommand>()),
        ("Resources", group::<resource::ResourceCommand>()),
        ("Machines", group::<machine::MachineCommand>()),
        ("Storage", group::<storage::StorageCommand>()),
        ("Flows and tasks", group::<flow::FlowCommand>()),
        ("Bus", group::<bus::BusCommand>()),
        ("Catalogue", group::<catalogue::CatalogueCommand>()),
        ("Charms", group::<charm::CharmCommand>()),
        ("Content", group::<content::ContentCommand>()),
        ("Controllers", group::<controller::ControllerCommand>()),
        ("Services", group::<serve::ServeCommand>()),
    ]
}
