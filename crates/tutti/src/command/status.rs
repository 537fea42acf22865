//! `status`, `debug-log`, `wait-for`: what is going on.

use std::time::Duration;

use clap::{Args, Subcommand};
use tutti_model::api::Status;

use super::log::DebugLog;
use super::wait_for::WaitFor;
use crate::arguments::{GoDuration, ModelArgument, OutputArguments};
use crate::context::{Context, Model};
use crate::failure::{Attempt as _, Outcome};
use crate::output::{self, Format, json};
use crate::status::{oneline, selection, summary, tabular, time};

/// Commands that look and change nothing.
#[derive(Debug, Subcommand)]
pub(crate) enum StatusCommand {
    /// Show a model: applications, units, machines
    #[command(
        visible_alias = "show-status",
        after_help = "Examples:\n  tutti status\n  tutti status db --relations --watch 2s"
    )]
    Status(StatusArguments),
    /// Show the log of a model
    DebugLog(DebugLog),
    /// Wait until something is as wanted
    WaitFor(WaitFor),
}

impl StatusCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Status(command) => command.run(context).await,
            Self::DebugLog(command) => Box::pin(command.run(context)).await,
            Self::WaitFor(command) => command.run(context).await,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    model: ModelArgument,
    /// Only these applications, units, machines or statuses; * stands for anything
    #[arg(value_name = "NAME")]
    selectors: Vec<String>,
    /// Show relations
    #[arg(long, visible_alias = "integrations")]
    relations: bool,
    /// Show storage
    #[arg(long)]
    storage: bool,
    /// Show it again and again
    #[arg(long, value_name = "DURATION")]
    watch: Option<GoDuration>,
    /// Times in UTC
    #[arg(long)]
    utc: bool,
    /// Colours even when nobody watches
    #[arg(long)]
    color: bool,
    /// No colours
    #[arg(long)]
    no_color: bool,
    /// Accepted; there are no calls to try again
    #[arg(hide = true, long, value_name = "NUMBER")]
    retry_count: Option<u32>,
    /// Accepted
    #[arg(hide = true, long, value_name = "DURATION")]
    retry_delay: Option<GoDuration>,
    #[command(flatten)]
    output: OutputArguments,
}

impl StatusArguments {
    async fn run(self, context: &Context) -> Outcome {
        let model = context.model(&self.model).await?;
        let Some(pause) = self.watch else {
            return self.once(context, &model).await;
        };
        let pause = pause.0.max(Duration::from_millis(100));
        loop {
            // Clear the screen and go to its upper left corner.
            output::write("\u{1b}[2J\u{1b}[H")?;
            self.once(context, &model).await?;
            tokio::time::sleep(pause).await;
        }
    }

    async fn once(&self, context: &Context, model: &Model) -> Outcome {
        let mut bytes = Vec::new();
        model.client.get_bytes_to(&model.path("/status"), &mut bytes).await?;
        let form = self.output.form(Format::Tabular);
        let is_whole = self.selectors.is_empty() && !self.utc && self.output.output.is_none();
        if form == Format::Json && is_whole {
            return print_as_it_is(bytes);
        }
        let mut status: Status =
            serde_json::from_slice(&bytes).attempt(|| "the status is not understood".into())?;
        if self.utc {
            time::to_utc(&mut status);
        }
        let was_empty = tabular::is_empty(&status);
        selection::select(&mut status, &self.selectors);
        let text = match form {
            Format::Json => json::line(&status)?,
            Format::Yaml => tutti_charm::yaml::to_string(&status)?,
            Format::Oneline => oneline::draw(&status),
            Format::Summary => summary::draw(&status),
            Format::Tabular => {
                let extra = tabular::Extra {
                    relations: match self.relations {
                        true => Some(model.get("/relations").await?),
                        false => None,
                    },
                    storage: match self.storage {
                        true => Some(model.get("/storage").await?),
                        false => None,
                    },
                };
                tabular::draw(&status, &extra)
            }
        };
        self.print(&text)?;
        if form == Format::Tabular && was_empty {
            context.tell(format!("\nModel {:?} is empty.", status.model.name));
        } else if !self.selectors.is_empty() && selection::is_empty(&status) {
            context.tell("Nothing matched specified filters.");
        }
        Ok(())
    }

    fn print(&self, text: &str) -> Outcome {
        if self.output.output.is_some() || self.no_color {
            let plain = anstream::adapter::strip_str(text).to_string();
            return self.output.write(&plain);
        }
        if self.color {
            return output::write_bytes(text.as_bytes());
        }
        output::write(text)
    }
}

/// The controller's JSON, which is what Juju prints but for Go's escapes and the line break.
fn print_as_it_is(bytes: Vec<u8>) -> Outcome {
    let mut bytes = json::escape(bytes);
    if !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    output::write_bytes(&bytes)
}
