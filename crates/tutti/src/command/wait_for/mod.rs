//! `wait-for`: until an application, unit, machine or model is as wanted.

mod query;

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use tutti_model::api::{Status, StatusApplication, StatusMachine, StatusUnit};

use crate::arguments::{GoDuration, ModelArgument};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use query::Query;

/// How often to look.
const STEP: Duration = Duration::from_millis(200);

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  tutti wait-for application db --query 'status==\"active\" && len(units)>=3'"
)]
pub(crate) struct WaitFor {
    #[command(subcommand)]
    what: What,
}

/// What to wait for.
#[derive(Debug, Subcommand)]
enum What {
    /// Until an application is active
    Application(One),
    /// Until a unit is active
    Unit(One),
    /// Until a machine is started
    Machine(One),
    /// Until a model is available
    Model(One),
}

#[derive(Args, Debug)]
struct One {
    #[command(flatten)]
    model: ModelArgument,
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    /// What it is to be like: status=="active" && life=="alive"
    #[arg(long, value_name = "QUERY")]
    query: Option<String>,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    timeout: GoDuration,
    /// Accepted
    #[arg(hide = true, long)]
    summary: bool,
}

impl WaitFor {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let (noun, usual, one) = match &self.what {
            What::Application(one) => ("application", r#"life=="alive" && status=="active""#, one),
            What::Unit(one) => ("unit", r#"life=="alive" && workload-status=="active""#, one),
            What::Machine(one) => ("machine", r#"life=="alive" && status=="started""#, one),
            What::Model(one) => ("model", r#"life=="alive" && status=="available""#, one),
        };
        let text = one.query.as_deref().unwrap_or(usual);
        let query = Query::parse(text)
            .map_err(|why| Failure::usage(format!("query {text:?} is not understood: {why}")))?;
        let model = match noun {
            "model" => context.model_named(Some(&one.name)).await?,
            _ => context.model(&one.model).await?,
        };
        let deadline = Instant::now() + one.timeout.0;
        loop {
            let scope = match model.get::<Status>("/status").await {
                Ok(status) => scope(noun, &one.name, &status),
                Err(failure) if failure.is_not_found() && noun == "model" => gone(&one.name),
                Err(failure) => return Err(failure),
            };
            if query.holds(&scope) {
                context.tell(format!("{noun} {:?} is as wanted", one.name));
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Failure::new(format!(
                    "timed out after {} waiting for {noun} {:?}: it has life {} and status {}",
                    one.timeout, one.name, scope["life"], scope["status"]
                )));
            }
            tokio::time::sleep(STEP.min(deadline.saturating_duration_since(Instant::now()))).await;
        }
    }
}

/// What a query may ask about a thing that does not exist (any more).
fn gone(name: &str) -> Value {
    json!({"name": name, "life": "dead", "status": ""})
}

fn scope(noun: &str, name: &str, status: &Status) -> Value {
    let found = match noun {
        "application" => {
            status.applications.get(name).map(|application| of_application(name, application))
        }
        "unit" => crate::status::units(status)
            .find(|(unit_name, _)| *unit_name == name)
            .map(|(_, unit)| of_unit(name, unit)),
        "machine" => status.machines.get(name).map(|machine| of_machine(name, machine)),
        _ => Some(of_model(status)),
    };
    found.unwrap_or_else(|| gone(name))
}

fn life(word: &str) -> &str {
    if word.is_empty() { "alive" } else { word }
}

fn of_application(name: &str, application: &StatusApplication) -> Value {
    json!({
        "name": name,
        "life": life(&application.life),
        "status": application.application_status.current,
        "status-message": application.application_status.message,
        "charm": application.charm,
        "exposed": application.exposed,
        "scale": application.scale,
        "subordinate": !application.subordinate_to.is_empty(),
        "workload-version": application.version,
        "units": all(&application.units, of_unit),
    })
}

fn of_unit(name: &str, unit: &StatusUnit) -> Value {
    let life_word = unit.workload_status.life.as_str();
    json!({
        "name": name,
        "application": name.split('/').next(),
        "life": life(life_word),
        "status": unit.workload_status.current,
        "workload-status": unit.workload_status.current,
        "workload-message": unit.workload_status.message,
        "agent-status": unit.juju_status.current,
        "leader": unit.leader,
        "machine-id": unit.machine,
        "public-address": unit.public_address,
        "subordinate": false,
    })
}

fn of_machine(number: &str, machine: &StatusMachine) -> Value {
    json!({
        "id": number,
        "name": number,
        "life": life(&machine.juju_status.life),
        "status": machine.juju_status.current,
        "instance-status": machine.machine_status.current,
    })
}

fn of_model(status: &Status) -> Value {
    let units = crate::status::units(status);
    let units = units.map(|(name, unit)| (name.to_owned(), of_unit(name, unit)));
    json!({
        "name": status.model.name,
        "life": life(&status.model.model_status.life),
        "status": status.model.model_status.current,
        "applications": all(&status.applications, of_application),
        "machines": all(&status.machines, of_machine),
        "units": Value::Object(units.collect()),
    })
}

fn all<T>(
    things: &std::collections::BTreeMap<String, T>,
    scope: impl Fn(&str, &T) -> Value,
) -> Value {
    let entries = things.iter().map(|(name, thing)| (name.clone(), scope(name, thing)));
    Value::Object(entries.collect::<Map<_, _>>())
}
