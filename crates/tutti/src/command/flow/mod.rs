//! Flows, their tasks, and what charms have deferred: what Tutti is doing and why it waits.
//!
//! `list` has `flows` and `tasks`, `one` what is asked of one flow, `tree` how one is shown, `watch` how
//! one is followed. Ids may be abbreviated (`id`).

mod deferred;
mod id;
mod list;
mod one;
mod tree;
mod watch;

use clap::Subcommand;

use super::answer::{Away, Pauses};
use super::events::Events;
use crate::context::Context;
use crate::failure::Outcome;

pub(super) use id::task_id;
pub(super) use list::open;
pub(super) use one::ended;

/// Commands about flows.
#[derive(Debug, Subcommand)]
pub(crate) enum FlowCommand {
    /// List tasks of flows: what is being done, what failed, what waits
    #[command(after_help = "Examples:\n  tutti tasks --state failed\n  \
                            tutti tasks --resource unit/db/0")]
    Tasks(list::Tasks),
    /// List flows
    Flows(list::Flows),
    /// Look at one flow, or change its course
    Flow(one::Flow),
    /// Show what has happened, and with --follow what happens
    #[command(after_help = "Examples:\n  tutti events --topic flow.ended\n  \
                            tutti events --follow --format json")]
    Events(Events),
    /// List what charms have deferred, and when it comes back
    Deferred(deferred::Deferred),
}

impl FlowCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Tasks(command) => command.run(context).await,
            Self::Flows(command) => command.run(context).await,
            Self::Flow(command) => command.run(context).await,
            Self::Events(command) => command.run(context).await,
            Self::Deferred(command) => command.run(context).await,
        }
    }
}
