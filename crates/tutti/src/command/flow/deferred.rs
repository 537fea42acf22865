//! `deferred`: what charms have put off, and when it comes back.

use clap::Args;
use tutti_model::api::DeferredInfo;

use crate::arguments::{ModelArgument, OutputArguments};
use crate::context::{Context, query};
use crate::failure::{Failure, Outcome};
use crate::output::Format;
use crate::output::table::Table;

#[derive(Args, Debug)]
pub(crate) struct Deferred {
    #[command(flatten)]
    model: ModelArgument,
    /// Only of this unit
    #[arg(value_name = "UNIT")]
    unit: Option<String>,
    #[command(flatten)]
    output: OutputArguments,
}

impl Deferred {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        if let Some(unit) = &self.unit
            && tutti_charm::name::split_unit(unit).is_none()
        {
            return Err(Failure::usage(format!("{unit:?} is not a valid unit name")));
        }
        let model = context.model(&self.model).await?;
        let query = query([("unit", self.unit.unwrap_or_default())]);
        let deferred: Vec<DeferredInfo> = model.get(&format!("/deferred{query}")).await?;
        if deferred.is_empty() && self.output.form(Format::Tabular) == Format::Tabular {
            context.tell("Nothing is deferred.");
            return Ok(());
        }
        self.output.print(Format::Tabular, &deferred, || {
            let mut table =
                Table::new(["Unit", "Event", "Handler", "Attempts", "Since", "Next"]).right(3);
            for one in &deferred {
                table.row([
                    one.unit.as_str().into(),
                    one.event.as_str().into(),
                    one.handler.as_str().into(),
                    one.attempts.to_string().into(),
                    one.since.as_str().into(),
                    one.next.as_str().into(),
                ]);
            }
            table.render()
        })
    }
}
