//! The catalogue: charms that every model deploys by their bare name.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tutti_model::api::CharmInfo;

use crate::arguments::{ControllerArgument, OutputArguments};
use crate::context::Context;
use crate::failure::Outcome;
use crate::local_charm::Prepared;
use crate::output::table::Table;
use crate::output::{Format, progress};

/// Commands about the catalogue.
#[derive(Debug, Subcommand)]
pub(crate) enum CatalogueCommand {
    /// Put a charm into the catalogue, from which every model deploys it by its name
    #[command(after_help = "Example:\n  tutti publish ./db && tutti deploy db")]
    Publish(Publish),
    /// List the charms of the catalogue
    Catalogue(Catalogue),
}

impl CatalogueCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Publish(command) => command.run(context).await,
            Self::Catalogue(command) => command.run(context).await,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct Publish {
    #[command(flatten)]
    controller: ControllerArgument,
    /// The charm's directory or file
    #[arg(value_name = "CHARM")]
    charm: PathBuf,
    #[command(flatten)]
    output: OutputArguments,
}

impl Publish {
    async fn run(self, context: &Context) -> Outcome {
        let prepared = Prepared::from_path(&self.charm, context.quiet)?;
        let client =
            context.client(&context.target(self.controller.controller.as_deref())?).await?;
        let bytes = std::fs::metadata(&prepared.archive).map_or(0, |metadata| metadata.len());
        let progress = progress::transfer(prepared.charm.name(), bytes);
        let charm: CharmInfo =
            client.post_file("/v1/catalogue", &prepared.archive, progress).await?;
        for warning in &charm.warnings {
            context.tell(format!("WARNING {warning}"));
        }
        self.output.print(Format::Tabular, &charm, || {
            format!("Published {:?}, revision {}\n", charm.name, charm.revision)
        })
    }
}

#[derive(Args, Debug)]
pub(crate) struct Catalogue {
    #[command(flatten)]
    controller: ControllerArgument,
    #[command(flatten)]
    output: OutputArguments,
}

impl Catalogue {
    async fn run(self, context: &Context) -> Outcome {
        let client =
            context.client(&context.target(self.controller.controller.as_deref())?).await?;
        let charms: Vec<CharmInfo> = client.get("/v1/catalogue").await?;
        if charms.is_empty() && self.output.form(Format::Tabular) == Format::Tabular {
            let program = context.personality.name();
            context.tell(format!("The catalogue is empty: '{program} publish CHARM' fills it."));
            return Ok(());
        }
        self.output.print(Format::Tabular, &charms, || {
            let mut table = Table::new(["Charm", "Revision", "Base", "Size"]).right(1).right(3);
            for one in &charms {
                table.row([
                    one.name.as_str().into(),
                    one.revision.to_string().into(),
                    one.base.as_str().into(),
                    one.size.to_string().into(),
                ]);
            }
            table.render()
        })
    }
}
