//! `run`, `exec` and what became of them: actions, operations and tasks.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use tutti_model::api::{
    Actions, ModelInfo, ModelKind, OperationInfo, OperationTask, RunOperation, TaskInfo,
};

use super::answer::Pauses;
use super::flow::task_id;
use crate::arguments::{GoDuration, ModelArgument, OutputArguments, value};
use crate::context::{Context, Model, application_path};
use crate::failure::{Failure, Outcome};
use crate::output::table::{Cell, Table};
use crate::output::{self, Format};

mod result;
mod target;

use result::{is_final, is_success, task_document};

/// The longest one look at a task may take; the controller answers earlier when it is over.
const LOOK: Duration = Duration::from_secs(25);

/// Commands about actions and operations.
#[derive(Debug, Subcommand)]
pub(crate) enum OperationCommand {
    /// Run an action on units and wait for it
    #[command(
        visible_alias = "run-action",
        after_help = "Examples:\n  tutti run db/0 backup\n  \
                      tutti run db/leader restore file=monday --wait 10m"
    )]
    Run(Run),
    /// Run a command on units, in their hook environment, or on machines
    #[command(after_help = "Examples:\n  tutti exec --unit db/0 -- relation-ids db\n  \
                            tutti exec --application db 'hostname; uptime'")]
    Exec(Exec),
    /// List the actions of an application
    #[command(visible_alias = "list-actions")]
    Actions(ActionsCommand),
    /// Show an action with its parameters
    ShowAction(ShowAction),
    /// List recent operations
    #[command(visible_alias = "list-operations")]
    Operations(Operations),
    /// Show an operation with its tasks
    ShowOperation(ShowOperation),
    /// Show a task of an operation, or of a flow
    ShowTask(ShowTask),
    /// Cancel tasks of operations
    CancelTask(CancelTask),
}

impl OperationCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Run(command) => command.run(context).await,
            Self::Exec(command) => command.run(context).await,
            Self::Actions(command) => command.run(context).await,
            Self::ShowAction(command) => command.run(context).await,
            Self::Operations(command) => command.run(context).await,
            Self::ShowOperation(command) => command.run(context).await,
            Self::ShowTask(command) => command.run(context).await,
            Self::CancelTask(command) => command.run(context).await,
        }
    }
}

/// How to wait for an operation.
#[derive(Args, Debug)]
struct WaitArguments {
    /// How long to wait for the results
    #[arg(long, value_name = "DURATION")]
    wait: Option<GoDuration>,
    /// Do not wait at all
    #[arg(long)]
    background: bool,
    /// Accepted; times are always UTC
    #[arg(hide = true, long)]
    utc: bool,
    /// Accepted
    #[arg(hide = true, long)]
    color: bool,
    /// Accepted
    #[arg(hide = true, long)]
    no_color: bool,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Args, Debug)]
pub(crate) struct Run {
    #[command(flatten)]
    model: ModelArgument,
    /// Units (app/0, app/leader), the action, and its parameters
    #[arg(value_name = "UNIT… ACTION [KEY=VALUE…]")]
    words: Vec<String>,
    /// YAML file with parameters
    #[arg(long, value_name = "FILE")]
    params: Option<std::path::PathBuf>,
    /// Take parameter values as text, not as YAML
    #[arg(long)]
    string_args: bool,
    #[command(flatten)]
    wait: WaitArguments,
}

impl Run {
    async fn run(self, context: &Context) -> Outcome {
        let named = target::action(&self.words)?;
        let mut parameters = match &self.params {
            Some(file) => value::mapping_file(file)?,
            None => Map::new(),
        };
        for (key, text) in &named.parameters {
            target::set_parameter(&mut parameters, key, text, self.string_args)?;
        }
        let model = context.model(&self.model).await?;
        let request = RunOperation {
            units: named.units,
            action: named.action,
            parameters: Value::Object(parameters),
            ..RunOperation::default()
        };
        follow(context, &model, &request, &self.wait, Duration::from_secs(60)).await
    }
}

#[derive(Args, Debug)]
pub(crate) struct Exec {
    #[command(flatten)]
    model: ModelArgument,
    /// Units, comma-separated
    #[arg(short, long, value_name = "UNIT,…")]
    unit: Vec<String>,
    /// All units of applications, comma-separated
    #[arg(short, long, visible_alias = "app", value_name = "APPLICATION,…")]
    application: Vec<String>,
    /// Machines, comma-separated
    #[arg(long, value_name = "MACHINE,…")]
    machine: Vec<String>,
    /// All machines
    #[arg(long)]
    all: bool,
    /// Accepted; tasks of a unit run one after the other
    #[arg(hide = true, long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    parallel: Option<bool>,
    /// Accepted
    #[arg(hide = true, long, value_name = "GROUP")]
    execution_group: Option<String>,
    /// Accepted; commands run where the charm does
    #[arg(hide = true, long)]
    operator: bool,
    #[command(flatten)]
    wait: WaitArguments,
    /// The command: one word for the shell, or a program and its arguments
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

impl Exec {
    async fn run(self, context: &Context) -> Outcome {
        if self.command.is_empty() {
            return Err(Failure::usage("no commands specified"));
        }
        let mut request = RunOperation {
            units: value::list(&self.unit),
            applications: value::list(&self.application),
            machines: value::list(&self.machine),
            command: target::command_line(&self.command),
            ..RunOperation::default()
        };
        let targets = !request.units.is_empty()
            || !request.applications.is_empty()
            || !request.machines.is_empty();
        if targets == self.all {
            return Err(Failure::usage(if targets {
                "You cannot specify --all and individual machines, applications or units"
            } else {
                "You must specify a target, either through --all, --machine, --application or --unit"
            }));
        }
        let model = context.model(&self.model).await?;
        if self.all || !request.machines.is_empty() {
            let info: ModelInfo = model.get("").await?;
            if info.kind == ModelKind::Caas {
                return Err(Failure::new("unable to target machines with a k8s controller"));
            }
            if self.all {
                request.machines = info.machines.into_keys().collect();
            }
        }
        follow(context, &model, &request, &self.wait, Duration::from_secs(300)).await
    }
}

/// `juju-exec [-u] UNIT COMMAND…`: what scripts beside a charm call.
pub(crate) async fn juju_exec(context: &mut Context, words: &[String]) -> Outcome {
    let (unit, command) = target::juju_exec(words)?;
    let model = target::model_of_unit(context, &unit).await?;
    let command = target::command_line(&command);
    let request = RunOperation { units: vec![unit], command, ..RunOperation::default() };
    let operation: OperationInfo = model.post("/operations", &request).await?;
    let Some(task) = operation.tasks.first() else {
        return Err(Failure::new(operation.refused.join("\n")));
    };
    let task = loop {
        let task = look(&model, &task.id, LOOK).await?;
        if is_final(&task.status) {
            break task;
        }
    };
    let document = task_document(&task);
    let text = |key: &str| document["results"][key].as_str().unwrap_or_default().to_owned();
    output::write(&text("stdout"))?;
    let stderr = text("stderr");
    if !stderr.is_empty() {
        output::tell(stderr.trim_end_matches('\n'));
    }
    match document["results"]["return-code"].as_i64() {
        Some(0) if is_success(&task) => Ok(()),
        Some(code) if code != 0 => Err(Failure::Exit(u8::try_from(code).unwrap_or(1))),
        _ => Err(Failure::new(format!(
            "task {} ended as {}: {}",
            task.id, task.status, task.message
        ))),
    }
}

/// Starts an operation, waits for its tasks and prints their results, by Juju's rules: what could
/// not be scheduled is told on stderr with exit code 0; results go to stdout; a task with another
/// return code than 0, or that was stopped before it had one, makes the exit code 1.
async fn follow(
    context: &Context,
    model: &Model,
    request: &RunOperation,
    wait: &WaitArguments,
    patience: Duration,
) -> Outcome {
    let operation: OperationInfo = model.post("/operations", request).await?;
    let (id, refused) = (&operation.id, operation.refused.join("\n"));
    if operation.tasks.is_empty() {
        output::tell(&format!("Operation {id} failed to schedule any tasks:\n{refused}"));
        return Ok(());
    }
    if !refused.is_empty() {
        output::tell(&format!("Operation {id} failed to schedule some tasks:\n{refused}"));
    }
    announce(context, &operation, wait.background);
    if wait.background {
        return Ok(());
    }
    let patience = wait.wait.map_or(patience, |wait| wait.0);
    let tasks = wait_for_tasks(context, model, &operation.tasks, patience).await?;
    let late: Vec<String> = tasks
        .iter()
        .filter(|task| !is_final(&task.status))
        .map(|task| result::receiver_sentence(&task.receiver))
        .collect();
    let finished: Vec<&OperationTask> =
        tasks.iter().filter(|task| is_final(&task.status)).collect();
    if !finished.is_empty() || late.is_empty() {
        result::print(&wait.output, &finished)?;
    }
    if !late.is_empty() {
        let late = late.join(", ");
        return Err(Failure::new(format!("timed out waiting for results from: {late}")));
    }
    result::verdict(context.personality, &finished)
}

/// Says on stderr what was started.
fn announce(context: &Context, operation: &OperationInfo, background: bool) {
    let (id, program) = (&operation.id, context.personality.name());
    let count = operation.tasks.len();
    let noun = if count == 1 { "task" } else { "tasks" };
    if background {
        let tasks: Vec<&str> = operation.tasks.iter().map(|task| task.id.as_str()).collect();
        context.tell(format!(
            "Scheduled operation {id} with {noun} {}\nCheck operation status with '{program} \
             show-operation {id}'\nCheck task status with '{program} show-task <task-id>'",
            tasks.join(", ")
        ));
        return;
    }
    let lines: String = operation
        .tasks
        .iter()
        .map(|task| format!("  - task {} on {}\n", task.id, result::receiver_tag(&task.receiver)))
        .collect();
    context.tell(format!("Running operation {id} with {count} {noun}\n{lines}"));
}

/// The tasks as they are when all are over or the time is.
async fn wait_for_tasks(
    context: &Context,
    model: &Model,
    tasks: &[OperationTask],
    patience: Duration,
) -> Outcome<Vec<OperationTask>> {
    let deadline = Instant::now() + patience;
    let mut seen = Vec::with_capacity(tasks.len());
    for task in tasks {
        context.tell(format!("Waiting for task {}...", task.id));
        let mut pauses = Pauses::new();
        let mut now = task.clone();
        while !is_final(&now.status) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let asked = Instant::now();
            now = look(model, &task.id, left.min(LOOK)).await?;
            if !is_final(&now.status) && asked.elapsed() < Duration::from_millis(5) {
                pauses.pause().await;
            }
        }
        seen.push(now);
    }
    Ok(seen)
}

/// A task when it is over, or after `patience`.
async fn look(model: &Model, id: &str, patience: Duration) -> Outcome<OperationTask> {
    let wait = GoDuration(patience).milliseconds();
    model.get(&format!("/operation-tasks/{id}?wait_ms={wait}")).await
}

#[derive(Args, Debug)]
pub(crate) struct ActionsCommand {
    #[command(flatten)]
    model: ModelArgument,
    /// The application
    #[arg(value_name = "APPLICATION_NAME")]
    application: String,
    /// Show the whole schema of the parameters
    #[arg(long)]
    schema: bool,
    #[command(flatten)]
    output: OutputArguments,
}

impl ActionsCommand {
    async fn run(self, context: &Context) -> Outcome {
        let model = context.model(&self.model).await?;
        let actions: Actions = model.get(&application_path(&self.application, "/actions")).await?;
        if actions.0.is_empty() {
            let application = &self.application;
            context.tell(format!("No actions defined for {application}."));
            if self.output.form(Format::Tabular) == Format::Tabular && !self.schema {
                return Ok(());
            }
        }
        let document = |(name, action): (&String, &tutti_model::api::ActionInfo)| {
            let shown = if self.schema { action.schema.clone() } else { json!(action.description) };
            (name.clone(), shown)
        };
        let value = Value::Object(actions.0.iter().map(document).collect());
        let default = if self.schema { Format::Yaml } else { Format::Tabular };
        self.output.print(default, &value, || {
            let mut table = Table::new(["Action", "Description"]);
            for (name, action) in &actions.0 {
                table.row([name.as_str().into(), action.description.as_str().into()]);
            }
            table.render()
        })
    }
}

#[derive(Args, Debug)]
pub(crate) struct ShowAction {
    #[command(flatten)]
    model: ModelArgument,
    /// The application
    #[arg(value_name = "APPLICATION_NAME")]
    application: String,
    /// The action
    #[arg(value_name = "ACTION")]
    action: String,
    #[command(flatten)]
    output: OutputArguments,
}

impl ShowAction {
    async fn run(self, context: &Context) -> Outcome {
        let model = context.model(&self.model).await?;
        let actions: Actions = model.get(&application_path(&self.application, "/actions")).await?;
        let Some(action) = actions.0.get(&self.action) else {
            return Err(Failure::new(format!(
                "unknown action {:?}: {:?} has {}",
                self.action,
                self.application,
                actions.0.keys().cloned().collect::<Vec<_>>().join(", ")
            )));
        };
        self.output.print(Format::Tabular, &action.schema, || {
            let schema = tutti_charm::yaml::to_string(&action.schema).unwrap_or_default();
            format!("{}\n\nArguments\n{schema}", action.description)
        })
    }
}

#[derive(Args, Debug)]
pub(crate) struct Operations {
    #[command(flatten)]
    model: ModelArgument,
    /// How many
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: u32,
    /// Accepted
    #[arg(hide = true, long)]
    utc: bool,
    #[command(flatten)]
    output: OutputArguments,
}

impl Operations {
    async fn run(self, context: &Context) -> Outcome {
        let model = context.model(&self.model).await?;
        let path = format!("/operations?limit={}", self.limit);
        let operations: Vec<OperationInfo> = model.get(&path).await?;
        let documents =
            operations.iter().map(|one| (one.id.clone(), result::operation_document(one)));
        let value = Value::Object(documents.collect());
        self.output.print(Format::Tabular, &value, || {
            let mut table =
                Table::new(["ID", "Status", "Started", "Finished", "Task IDs", "Summary"]);
            for one in &operations {
                let tasks: Vec<&str> = one.tasks.iter().map(|task| task.id.as_str()).collect();
                table.row([
                    one.id.as_str().into(),
                    Cell::status(&one.status),
                    one.enqueued.as_str().into(),
                    one.completed.as_str().into(),
                    tasks.join(",").into(),
                    one.summary.as_str().into(),
                ]);
            }
            table.render()
        })
    }
}

#[derive(Args, Debug)]
pub(crate) struct ShowOperation {
    #[command(flatten)]
    model: ModelArgument,
    /// The operation's number
    #[arg(value_name = "OPERATION")]
    operation: String,
    #[command(flatten)]
    wait: WaitArguments,
}

impl ShowOperation {
    async fn run(self, context: &Context) -> Outcome {
        let model = context.model(&self.model).await?;
        let path = format!("/operations/{}", tutti_client::encode(&self.operation));
        let mut operation: OperationInfo = model.get(&path).await?;
        if let Some(wait) = self.wait.wait {
            wait_for_tasks(context, &model, &operation.tasks, wait.0).await?;
            operation = model.get(&path).await?;
        }
        let value = result::operation_document(&operation);
        let yaml = || tutti_charm::yaml::to_string(&value).unwrap_or_default();
        self.wait.output.print(Format::Yaml, &value, yaml)
    }
}

#[derive(Args, Debug)]
pub(crate) struct ShowTask {
    #[command(flatten)]
    model: ModelArgument,
    /// Number of an operation's task, or id of a flow's task
    #[arg(value_name = "TASK")]
    task: String,
    /// Accepted; messages are part of the answer
    #[arg(hide = true, long)]
    watch: bool,
    #[command(flatten)]
    wait: WaitArguments,
}

impl ShowTask {
    async fn run(self, context: &Context) -> Outcome {
        // The end of an id may be digits only; no operation counts that far.
        let is_number = self.task.len() < 10 && self.task.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            let client = context.client(&context.target(None)?).await?;
            let id = task_id(&client, &self.task).await?;
            let path = format!("/v1/tasks/{}", tutti_client::encode(&id));
            let task: TaskInfo = client.get(&path).await?;
            let yaml = || tutti_charm::yaml::to_string(&task).unwrap_or_default();
            return self.wait.output.print(Format::Yaml, &task, yaml);
        }
        let model = context.model(&self.model).await?;
        let patience = self.wait.wait.map_or(Duration::ZERO, |wait| wait.0);
        let deadline = Instant::now() + patience;
        let task = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let task = look(&model, &self.task, left.min(LOOK)).await?;
            if left.is_zero() || is_final(&task.status) {
                break task;
            }
        };
        let value = task_document(&task);
        let yaml = || tutti_charm::yaml::to_string(&value).unwrap_or_default();
        self.wait.output.print(Format::Yaml, &value, yaml)
    }
}

#[derive(Args, Debug)]
pub(crate) struct CancelTask {
    #[command(flatten)]
    model: ModelArgument,
    /// Numbers of tasks
    #[arg(value_name = "TASK", required = true)]
    tasks: Vec<String>,
    #[command(flatten)]
    output: OutputArguments,
}

impl CancelTask {
    async fn run(self, context: &Context) -> Outcome {
        let model = context.model(&self.model).await?;
        let mut value = json!({});
        for id in &self.tasks {
            let path = format!("/operation-tasks/{}/cancel", tutti_client::encode(id));
            let task: OperationTask = model.post(&path, &json!({})).await?;
            value[&task.id] = task_document(&task);
        }
        let yaml = || tutti_charm::yaml::to_string(&value).unwrap_or_default();
        self.output.print(Format::Yaml, &value, yaml)
    }
}
