//! `call` and `fire`: one message to the bus.

use clap::Args;
use serde_json::{Value, json};
use tutti_bus::{CallOptions, Error};

use super::Action;
use super::connection::Session;
use super::name::{Kind, Name, find_api, find_member};
use super::parameters;
use crate::arguments::{GoDuration, OutputArguments};
use crate::failure::{Failure, Outcome};
use crate::output::Format;

/// What goes with a message.
#[derive(Args, Debug)]
struct Content {
    /// Parameters as key=value, or all as one JSON object; - reads that from stdin
    #[arg(value_name = "KEY=VALUE|JSON")]
    parameters: Vec<String>,
    /// Send it even if no schema is known to check it by; what does not fit may end a Python worker
    #[arg(long)]
    unchecked: bool,
    #[command(flatten)]
    output: OutputArguments,
}

impl Content {
    /// The parameters, as far as they can be checked before the bus checks them itself.
    async fn read(&self, session: &Session, name: &Name, kind: Kind) -> Outcome<Value> {
        let of = format!("{}.{}", name.api, name.member);
        let schemas = session.schemas().await?;
        let api = match find_api(&schemas, &name.api, session) {
            Ok(api) => api,
            Err(_) if self.unchecked => return parameters::read(&self.parameters, None, &of),
            Err(failure) => return Err(failure),
        };
        find_member(api, kind, &name.member)?;
        let schema = match kind {
            Kind::Procedure => api.rpc(&name.member).map(|rpc| rpc.parameters),
            Kind::Event => api.event(&name.member),
        };
        parameters::read(&self.parameters, schema, &of)
    }
}

/// Adds where to look to what the bus says of parameters that do not fit.
fn refusal(session: &Session, name: &Name, error: Error) -> Failure {
    match error {
        Error::Invalid(why) => Failure::new(format!(
            "{why}; '{} bus schema {}.{}' shows what it takes",
            session.program, name.api, name.member
        )),
        error => session.refusal(error),
    }
}

#[derive(Args, Debug)]
pub(super) struct Call {
    /// What to call
    #[arg(value_name = "API.PROCEDURE")]
    name: Name,
    /// How long to wait for the answer [default: as configured, else 5s]
    #[arg(long, value_name = "DURATION")]
    timeout: Option<GoDuration>,
    #[command(flatten)]
    content: Content,
}

impl Action for Call {
    async fn act(self, session: &Session) -> Outcome {
        let Name { api, member } = &self.name;
        let parameters = self.content.read(session, &self.name, Kind::Procedure).await?;
        let options = CallOptions {
            timeout: self.timeout.map(|GoDuration(timeout)| timeout),
            ..CallOptions::default()
        };
        let answer: Value = session
            .bus
            .request(api, member, &parameters, &options)
            .await
            .map_err(|error| refusal(session, &self.name, error))?;
        self.content.output.print(Format::Tabular, &answer, || format!("{answer:#}\n"))
    }
}

#[derive(Args, Debug)]
pub(super) struct Fire {
    /// What to fire
    #[arg(value_name = "API.EVENT")]
    name: Name,
    #[command(flatten)]
    content: Content,
}

impl Action for Fire {
    async fn act(self, session: &Session) -> Outcome {
        let Name { api, member } = &self.name;
        let parameters = self.content.read(session, &self.name, Kind::Event).await?;
        let fired = session
            .bus
            .fire_dynamic(api, member, parameters)
            .await
            .map_err(|error| refusal(session, &self.name, error))?;
        let answer = json!({"id": fired.id, "native_id": fired.native_id});
        self.content
            .output
            .print(Format::Tabular, &answer, || format!("{} {}\n", fired.id, fired.native_id))
    }
}
