//! From a request to tasks.
//!
//! Each target gets a task of its own, or a reason why it gets none: what is wrong with one target
//! does not keep the others from theirs. Texts as Juju's.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use tutti_charm::charm::Charm;
use tutti_model::api::{ModelKind, RunOperation};
use tutti_store::{Json, Tx};

use super::{FLOWS, machine, sql};
use crate::flows::{self, Change, Tasks};
use crate::models::Model;
use crate::relations::Touched;
use crate::units::{self, Unit};
use crate::{Error, applications, charms, machines};

/// The name tasks of commands have.
const EXEC: &str = "juju-exec";

/// Where a task will run.
enum Target {
    Unit(Box<Unit>),
    Machine(i64),
}

/// A task to be made.
struct Planned {
    target: Target,
    parallel: bool,
    parameters: Value,
}

/// Starts an operation; answers its number. Units with a task are to be touched.
pub(super) fn start(
    tx: &mut Tx<'_>,
    model: &Model,
    request: &RunOperation,
    now: i64,
    touched: &mut Touched,
) -> Result<i64, Error> {
    check(model, request)?;
    let given = match &request.parameters {
        Value::Null => Map::new(),
        Value::Object(parameters) => parameters.clone(),
        _ => return Err(Error::Invalid("parameters must be a mapping".to_owned())),
    };
    let (targets, mut refused) = targets(tx, model, request)?;
    let mut planned = Vec::new();
    let mut charms = Charms::default();
    for target in targets {
        match plan(tx, &mut charms, request, &given, target)? {
            Ok(task) => planned.push(task),
            Err(reason) => refused.push(reason),
        }
    }
    insert(tx, model, request, &planned, &refused, now, touched)
}

fn check(model: &Model, request: &RunOperation) -> Result<(), Error> {
    let invalid = |text: &str| Err(Error::Invalid(text.to_owned()));
    if request.action.is_empty() == request.command.is_empty() {
        return invalid("an operation is either an action or a command");
    }
    if !request.machines.is_empty() && model.kind.0 == ModelKind::Caas {
        return invalid("unable to target machines with a k8s controller");
    }
    if !request.machines.is_empty() && !request.action.is_empty() {
        return invalid("actions run on units, not on machines");
    }
    if request.command.contains('\0') {
        return invalid("the command holds a NUL character");
    }
    if request.units.is_empty() && request.applications.is_empty() && request.machines.is_empty() {
        return invalid("no targets: name units, applications or machines");
    }
    Ok(())
}

/// The targets a request names, each once, and why others are none.
fn targets(
    tx: &mut Tx<'_>,
    model: &Model,
    request: &RunOperation,
) -> Result<(Vec<Target>, Vec<String>), Error> {
    let mut names = Vec::new();
    let mut refused = Vec::new();
    for name in &request.units {
        match name.strip_suffix("/leader") {
            None => names.push(name.clone()),
            Some(application) => match tx.maybe(sql::LEADER_OF, (&model.id, application))? {
                Some(leader) => names.push(leader),
                None => refused.push(format!("could not determine leader for \"{application}\"")),
            },
        }
    }
    for name in &request.applications {
        match refusal(applications::find(tx, model, name))? {
            Ok(found) => {
                let units = units::of_application(tx, &found.id)?;
                names.extend(units.into_iter().map(|unit| unit.name));
            }
            Err(reason) => refused.push(reason),
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let mut targets = Vec::new();
    for name in names {
        match refusal(units::find(tx, model, &name))? {
            Ok(unit) => targets.push(Target::Unit(Box::new(unit))),
            Err(reason) => refused.push(reason),
        }
    }
    let known = machines::list(tx, model)?;
    for number in &request.machines {
        match known.iter().find(|machine| machine.number.to_string() == *number) {
            Some(machine) => targets.push(Target::Machine(machine.number)),
            None => refused.push(format!("machine \"{number}\" not found")),
        }
    }
    Ok((targets, refused))
}

/// What is not found is a reason; other errors end the request.
fn refusal<T>(found: Result<T, Error>) -> Result<Result<T, String>, Error> {
    match found {
        Ok(found) => Ok(Ok(found)),
        Err(Error::NotFound(reason)) => Ok(Err(reason)),
        Err(error) => Err(error),
    }
}

/// Charms by application, each read once per request.
type Charms = BTreeMap<String, Arc<Charm>>;

fn plan(
    tx: &mut Tx<'_>,
    charms: &mut Charms,
    request: &RunOperation,
    given: &Map<String, Value>,
    target: Target,
) -> Result<Result<Planned, String>, Error> {
    let unit = match &target {
        Target::Unit(unit) if !request.action.is_empty() => unit,
        _ => return Ok(Ok(Planned { target, parallel: false, parameters: Value::Null })),
    };
    let charm = match charms.get(&unit.application) {
        Some(charm) => Arc::clone(charm),
        None => {
            let found = applications::by_id(tx, &unit.application)?;
            let gone = || Error::NotFound(format!("unit \"{}\" not found", unit.name));
            let charm = Arc::new(charms::of_application(tx, &found.ok_or_else(gone)?)?);
            charms.insert(unit.application.clone(), Arc::clone(&charm));
            charm
        }
    };
    let name = &request.action;
    let Some(action) = charm.actions.get(name) else {
        return Ok(Err(format!("action \"{name}\" not defined on unit \"{}\"", unit.name)));
    };
    let parameters = action.defaults(given);
    if let Err(error) = action.validate(name, &parameters) {
        return Ok(Err(format!("unit \"{}\": {error}", unit.name)));
    }
    let parallel = action.parallel.unwrap_or_default();
    Ok(Ok(Planned { target, parallel, parameters: Value::Object(parameters) }))
}

fn insert(
    tx: &mut Tx<'_>,
    model: &Model,
    request: &RunOperation,
    planned: &[Planned],
    refused: &[String],
    now: i64,
    touched: &mut Touched,
) -> Result<i64, Error> {
    let tasks = i64::try_from(planned.len()).unwrap_or(i64::MAX);
    let last: i64 = tx.one(sql::NUMBERS, (&model.id, tasks + 1))?;
    let operation = last - tasks;
    let flow = match planned {
        [] => None,
        _ => Some(submit(tx, model, request, operation, planned, now)?),
    };
    let row = (&model.id, operation, summary(request), Json(refused), flow, now);
    tx.exec(sql::INSERT, row)?;
    for (number, task) in (operation + 1..).zip(planned) {
        let (unit, receiver) = match &task.target {
            Target::Unit(unit) => (Some(&unit.id), unit.name.clone()),
            Target::Machine(machine) => (None, machine.to_string()),
        };
        let (name, work) = kind(request);
        let row = (
            &model.id,
            number,
            operation,
            unit,
            receiver,
            name,
            work,
            task.parallel,
            Json(&task.parameters),
            &request.command,
            request.timeout_ms,
            now,
        );
        tx.exec(sql::INSERT_TASK, row)?;
        touched.extend(unit.cloned());
    }
    Ok(operation)
}

/// The flow behind an operation. It names no resource: tasks run at once, also on a unit that
/// another flow is waiting for.
fn submit(
    tx: &mut Tx<'_>,
    model: &Model,
    request: &RunOperation,
    operation: i64,
    planned: &[Planned],
    now: i64,
) -> Result<String, Error> {
    let (name, _) = kind(request);
    let mut tasks = Tasks::new();
    for (number, task) in (operation + 1..).zip(planned) {
        match &task.target {
            Target::Unit(unit) => {
                let title = format!("Run {name} on {} (task {number})", unit.name);
                tasks.external("unit.task", title, format!("unit/{}", unit.name));
            }
            Target::Machine(machine) => {
                tasks = tasks.with(machine::flow_task(&model.id, number, *machine));
            }
        }
    }
    let [action, command] = FLOWS;
    let change = Change {
        kind: if request.action.is_empty() { command } else { action },
        title: summary(request),
        resources: Vec::new(),
        generation: None,
        tasks,
    };
    Ok(flows::submit(tx, model, change, now)?.id)
}

/// Name and work of an operation's tasks.
fn kind(request: &RunOperation) -> (&str, &'static str) {
    if request.action.is_empty() { (EXEC, "exec") } else { (&request.action, "action") }
}

fn summary(request: &RunOperation) -> String {
    let targets = [&request.units, &request.applications, &request.machines];
    let targets: Vec<_> = targets.into_iter().flatten().map(String::as_str).collect();
    let (name, _) = kind(request);
    format!("{name} run on {}", targets.join(","))
}
