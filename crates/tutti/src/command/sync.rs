//! `sync`: what was wished already, once more.

use clap::{Args, Subcommand};
use serde_json::json;
use tutti_charm::name::split_unit;
use tutti_model::api::{Accepted, ApplicationInfo, Sync, UnitInfo};

use super::flow::ended;
use crate::arguments::{GoDuration, ModelArgument};
use crate::context::{Context, Model, application_path, unit_path};
use crate::failure::{Failure, Outcome};

/// Commands about what is not as wished.
#[derive(Debug, Subcommand)]
pub(crate) enum SyncCommand {
    /// Bring back to what is wished what failed, drifted or fell silent
    #[command(
        after_help = "Nothing new is wished for: units look again and repair what differs.\n\n\
                            Examples:\n  tutti sync db\n  tutti sync db/0 --wait 5m"
    )]
    Sync(Synchronize),
}

impl SyncCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let Self::Sync(command) = self;
        command.run(context).await
    }
}

#[derive(Args, Debug)]
pub(crate) struct Synchronize {
    #[command(flatten)]
    model: ModelArgument,
    /// Applications and units
    #[arg(value_name = "APPLICATION|UNIT", required = true)]
    names: Vec<String>,
    /// Wait until that is over, at most so long for each; exit code 1 if it is not in sync then
    #[arg(long, value_name = "DURATION")]
    wait: Option<GoDuration>,
}

impl Synchronize {
    async fn run(self, context: &Context) -> Outcome {
        let model = context.model(&self.model).await?;
        let mut begun = Vec::new();
        for name in &self.names {
            let accepted: Accepted = model.post(&path(name, "/sync")?, &json!({})).await?;
            match accepted.flow {
                None => context.tell(format!("{name} is in sync")),
                Some(flow) => {
                    context.tell(format!("{}: flow {}", flow.title, flow.id));
                    begun.push((name, flow.id));
                }
            }
        }
        let Some(wait) = self.wait else { return Ok(()) };
        for (name, flow) in begun {
            ended(&model.client, &flow, wait.0).await?;
            let sync = read(&model, name).await?;
            if sync.state != "in_sync" {
                return Err(Failure::new(format!("{name} is {}: {}", sync.state, sync.message)));
            }
            context.tell(format!("{name} is in sync"));
        }
        Ok(())
    }
}

/// The path of an application or a unit, whichever the name is of.
fn path(name: &str, rest: &str) -> Outcome<String> {
    match split_unit(name) {
        Some(_) => unit_path(name, rest),
        None => Ok(application_path(name, rest)),
    }
}

/// How far it is.
async fn read(model: &Model, name: &str) -> Outcome<Sync> {
    let path = path(name, "")?;
    Ok(match split_unit(name) {
        Some(_) => model.get::<UnitInfo>(&path).await?.sync,
        None => model.get::<ApplicationInfo>(&path).await?.sync,
    })
}
