//! `integrate` and `remove-relation`.

use clap::{Args, Subcommand};
use tutti_model::api::{Accepted, Integrate, RemoveRelation};

use super::answer::report;
use crate::arguments::ModelArgument;
use crate::context::Context;
use crate::failure::{Failure, Outcome};

/// Commands about relations.
#[derive(Debug, Subcommand)]
pub(crate) enum RelationCommand {
    /// Relate two applications
    #[command(
        aliases = ["relate", "add-relation"],
        after_help = "Examples:\n  tutti integrate web db\n  tutti integrate web:cache redis:db"
    )]
    Integrate(IntegrateCommand),
    /// Remove a relation
    RemoveRelation(RemoveRelationCommand),
}

impl RelationCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Integrate(command) => command.run(context).await,
            Self::RemoveRelation(command) => command.run(context).await,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct IntegrateCommand {
    #[command(flatten)]
    model: ModelArgument,
    /// The two sides
    #[arg(value_name = "APPLICATION_NAME[:ENDPOINT]")]
    sides: Vec<String>,
    /// Accepted; networks matter only between models
    #[arg(hide = true, long, value_name = "CIDR,…")]
    via: Vec<String>,
}

impl IntegrateCommand {
    async fn run(self, context: &Context) -> Outcome {
        if self.sides.len() != 2 {
            return Err(Failure::usage("a relation must involve two applications"));
        }
        if let Some(offer) = self.sides.iter().find(|side| side.contains(['.', '/'])) {
            return Err(Failure::new(format!(
                "cannot relate to {offer:?}: offers of other models are not supported yet"
            )));
        }
        let model = context.model(&self.model).await?;
        let request = Integrate { endpoints: self.sides };
        let accepted: Accepted = model.post("/relations", &request).await?;
        report(context, &accepted);
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(crate) struct RemoveRelationCommand {
    #[command(flatten)]
    model: ModelArgument,
    /// The two sides, or the relation's number
    #[arg(value_name = "APPLICATION_NAME[:ENDPOINT]|NUMBER")]
    sides: Vec<String>,
    /// Do not wait for agents that do not answer
    #[arg(long)]
    force: bool,
}

impl RemoveRelationCommand {
    async fn run(self, context: &Context) -> Outcome {
        let mut request = RemoveRelation { force: self.force, ..RemoveRelation::default() };
        match &self.sides[..] {
            [number] if number.parse::<i64>().is_ok() => request.id = number.parse().ok(),
            [_, _] => request.endpoints = self.sides,
            _ => return Err(Failure::usage("a relation must involve two applications")),
        }
        let model = context.model(&self.model).await?;
        let accepted: Accepted = model.post("/relations/remove", &request).await?;
        report(context, &accepted);
        Ok(())
    }
}
