//! The context: what the tools of one hook read, a stable picture taken when the hook begins.
//!
//! Configuration is the current one, also for an action that begins right after a change.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tutti_charm::charm::Charm;
use tutti_charm::config::effective;
use tutti_model::agent::{
    Context, ContextResource, ContextStatus, ContextStorage, GoalStatus, Hook, Operation,
    StorageSnapshot,
};
use tutti_model::api::Life;
use tutti_model::status::{StatusValue, worst};
use tutti_store::Tx;

use super::sql;
use super::unit::Loaded;
use crate::applications::Application;
use crate::models::{Model, config};
use crate::relations::view::View;
use crate::{Error, applications, notices, operations, secrets, time};

/// What a context needs beside the store.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    /// Where the controller's API listens, `host:port`.
    pub(super) api_addresses: Vec<String>,
    /// The bus, or empty.
    pub(super) bus: String,
}

/// What a hook of the unit reads; with the number of a task, what that task reads.
pub(super) fn context(
    tx: &mut Tx<'_>,
    loaded: &Loaded,
    view: &View<'_>,
    storage: &BTreeMap<String, StorageSnapshot>,
    task: Option<i64>,
    surroundings: &Surroundings,
) -> Result<Context, Error> {
    let Loaded { unit, application, model, member, charm, .. } = loaded;
    let statuses: Vec<sql::Status> = tx.all(sql::STATUSES, (&application.id,))?;
    Ok(Context {
        leader: member.leader,
        config: settings(charm, application),
        unit_status: status(&unit.workload_status, &unit.workload_message),
        application_status: application_status(application, model, &statuses),
        goal_units: statuses.iter().map(|one| (one.name.clone(), goal(one))).collect(),
        unit_statuses: statuses.into_iter().map(named).collect(),
        relations: view.context()?,
        ports: unit.ports.0.clone(),
        state: tx.all::<(String, String)>(sql::STATE, (&unit.id,))?.into_iter().collect(),
        storage: storage.iter().filter(|(_, one)| one.provisioned).map(attached).collect(),
        storage_names: charm.metadata.storage.keys().cloned().collect(),
        resources: resources(tx, charm, application)?,
        secrets: secrets::view::context(tx, &model.id, member)?,
        goal_relations: goal_relations(tx, &application.id)?,
        bindings: bindings(charm),
        address: unit.address.clone(),
        leader_settings: application.leader_settings.0.clone(),
        credential: application.trust.then(|| credential(model)),
        action: match task {
            Some(task) => operations::action(tx, &unit.id, task)?,
            None => None,
        },
        payload_classes: charm.metadata.payloads.keys().cloned().collect(),
        proxies: proxies(model),
        api_addresses: surroundings.api_addresses.clone(),
        notice: match &loaded.journal.operation {
            Operation::RunHook { hook: Hook::Notice(hook), .. } => {
                notices::content(tx, &unit.id, hook)?
            }
            _ => None,
        },
        bus: surroundings.bus.clone(),
    })
}

/// Values in force, and `null` for options with none.
fn settings(charm: &Charm, application: &Application) -> BTreeMap<String, Value> {
    let mut settings: BTreeMap<String, Value> =
        charm.config.options.keys().map(|key| (key.clone(), Value::Null)).collect();
    settings.extend(effective(&charm.config, &application.config.0));
    settings
}

fn status(status: &str, message: &str) -> ContextStatus {
    ContextStatus { status: status.to_owned(), message: message.to_owned() }
}

/// What the leader has set, else that of the worst unit.
fn application_status(
    application: &Application,
    model: &Model,
    statuses: &[sql::Status],
) -> ContextStatus {
    if application.status_set {
        return status(&application.status, &application.status_message);
    }
    let value = |one: &sql::Status| StatusValue {
        status: one.status.clone(),
        message: one.message.clone(),
        since: one.since,
    };
    let values: Vec<_> = statuses.iter().map(value).collect();
    let scale = u32::try_from(application.scale).unwrap_or_default();
    let worst = worst(&values, model.kind.0, scale, application.created);
    status(&worst.status, &worst.message)
}

fn named(one: sql::Status) -> (String, ContextStatus) {
    (one.name, ContextStatus { status: one.status, message: one.message })
}

/// A unit's status in `goal-state`: units that go do not count as planned.
fn goal(one: &sql::Status) -> GoalStatus {
    let word = match (one.life.0, one.trouble.is_empty()) {
        (Life::Alive, true) => &one.status,
        (Life::Alive, false) => "error",
        _ => "dying",
    };
    GoalStatus { status: word.to_owned(), since: time::rfc3339(one.since) }
}

fn goal_relations(
    tx: &mut Tx<'_>,
    application: &str,
) -> Result<BTreeMap<String, BTreeMap<String, GoalStatus>>, Error> {
    let mut relations: BTreeMap<String, BTreeMap<String, GoalStatus>> = BTreeMap::new();
    for row in tx.all::<sql::Remote>(sql::REMOTES, (application,))? {
        let members = relations.entry(row.endpoint).or_default();
        members.entry(row.application).or_insert_with(|| GoalStatus {
            status: row.relation_status,
            since: time::rfc3339(row.relation_since),
        });
        let Some(unit) = row.unit else { continue };
        let alive = row.life.is_none_or(|life| life.0 == Life::Alive);
        let status = if alive { row.status.unwrap_or_default() } else { "dying".to_owned() };
        let since = time::rfc3339(row.since.unwrap_or_default());
        members.insert(unit, GoalStatus { status, since });
    }
    Ok(relations)
}

fn attached((id, storage): (&String, &StorageSnapshot)) -> (String, ContextStorage) {
    let (kind, location) = (storage.kind.clone(), storage.location.clone());
    (id.clone(), ContextStorage { kind, location })
}

/// The resources the charm declares, with what was attached.
fn resources(
    tx: &mut Tx<'_>,
    charm: &Charm,
    application: &Application,
) -> Result<BTreeMap<String, ContextResource>, Error> {
    if charm.metadata.resources.is_empty() {
        return Ok(BTreeMap::new());
    }
    let declared = |(name, resource): (&String, &tutti_charm::metadata::Resource)| {
        let filename = resource.filename.clone().unwrap_or_default();
        (name.clone(), ContextResource { digest: String::new(), filename })
    };
    let mut resources: BTreeMap<_, _> = charm.metadata.resources.iter().map(declared).collect();
    for attached in applications::resources(tx, &application.id)? {
        if let Some(resource) = resources.get_mut(&attached.name) {
            resource.digest = attached.digest;
            if resource.filename.is_empty() {
                resource.filename = attached.filename;
            }
        }
    }
    Ok(resources)
}

fn bindings(charm: &Charm) -> Vec<String> {
    let endpoints = charm.metadata.endpoints().map(|(name, _)| name.to_owned());
    endpoints.chain(charm.metadata.extra_bindings.iter().cloned()).collect()
}

/// The cloud of a local controller asks no one for anything.
fn credential(model: &Model) -> Value {
    json!({
        "type": if model.cloud == "localhost" { "lxd" } else { "k8s" },
        "name": model.cloud,
        "region": model.region,
        "endpoint": "",
        "credential": {"auth-type": "empty", "attrs": {}},
    })
}

/// The proxies charms are told of: the model's `juju-…-proxy` settings.
fn proxies(model: &Model) -> BTreeMap<String, String> {
    ["http", "https", "ftp", "no"]
        .into_iter()
        .map(|kind| {
            let value = config::text(model, &format!("juju-{kind}-proxy")).to_owned();
            (kind.to_owned(), value)
        })
        .collect()
}
