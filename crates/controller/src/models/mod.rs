//! Models: the namespaces that hold applications, relations, machines and secrets.
//!
//! A model is found by UUID or short name ([`find`]). It is destroyed with all that is in it, and
//! gone when the last of it is ([`destroy`]).

mod api;
pub(crate) mod config;
mod destroy;
pub(crate) mod sql;

use std::collections::BTreeMap;

use tutti_charm::name;
use tutti_model::api::{
    ConfigChange, Life, ModelConfig, ModelCreate, ModelInfo, ModelKind, StatusInfo,
};
use tutti_model::convergence::{self, AgentFacts, Facts, Progress};
use tutti_model::model_config;
use tutti_store::{Json, Tx};
use uuid::Uuid;

use crate::agents::Heard;
use crate::state::Vantage;
use crate::time::status_time;
use crate::{Error, events, flows, http::AGENT_VERSION};

pub(crate) use api::routes;
pub(crate) use destroy::gone_if_empty;
pub(crate) use sql::Model;

/// The model with this UUID or short name.
pub(crate) fn find(tx: &mut Tx<'_>, model: &str) -> Result<Model, Error> {
    tx.maybe(sql::FIND, (short_name(model),))?
        .ok_or_else(|| Error::NotFound(format!("model \"{model}\" not found")))
}

/// The model with this UUID, locked: this transaction is its only writer until it ends.
pub(crate) fn lock(tx: &mut Tx<'_>, model: &str) -> Result<Model, Error> {
    let model = find(tx, model)?;
    crate::sequence::lock_model(tx, &model.id)?;
    // Read again: what was read before the lock may be outdated.
    find(tx, &model.id)
}

/// As [`lock`], and refuses a model that is being destroyed.
pub(crate) fn lock_alive(tx: &mut Tx<'_>, model: &str) -> Result<Model, Error> {
    let model = lock(tx, model)?;
    match model.life.0 {
        Life::Alive => Ok(model),
        _ => Err(Error::Deleting(format!("model \"{}\" is being destroyed", model.name))),
    }
}

/// Every model, by name.
pub(crate) fn list(tx: &mut Tx<'_>) -> Result<Vec<Model>, Error> {
    Ok(tx.all(sql::LIST, ())?)
}

/// Short names by UUID.
pub(crate) fn names(tx: &mut Tx<'_>) -> Result<BTreeMap<String, String>, Error> {
    let names: Vec<(String, String)> = tx.all(sql::NAMES, ())?;
    Ok(names.into_iter().collect())
}

/// `model`, `owner/model` and `controller:owner/model` are all names of one model.
fn short_name(model: &str) -> &str {
    let model = model.rsplit(':').next().unwrap_or(model);
    model.rsplit('/').next().unwrap_or(model)
}

/// Creates a model.
pub(crate) fn create(
    tx: &mut Tx<'_>,
    request: &ModelCreate,
    default_cloud: &str,
    now: i64,
) -> Result<Model, Error> {
    name::model(&request.name).map_err(|error| Error::Invalid(error.to_string()))?;
    if Uuid::try_parse(&request.name).is_ok() {
        let text =
            format!("\"{}\" is not a valid name: it reads as the UUID of a model", request.name);
        return Err(Error::Invalid(text));
    }
    if tx.maybe::<Model>(sql::FIND, (&request.name,))?.is_some() {
        let owner = owner(request);
        return Err(Error::Conflict(format!("model \"{owner}/{}\" already exists", request.name)));
    }
    let set = ConfigChange { set: request.config.clone(), ..ConfigChange::default() };
    let cloud = if request.cloud.is_empty() { default_cloud } else { &request.cloud };
    let model = Model {
        id: Uuid::now_v7().to_string(),
        name: request.name.clone(),
        owner: owner(request).to_owned(),
        kind: Json(kind_of_cloud(cloud)?),
        cloud: cloud.to_owned(),
        region: if request.region.is_empty() { "localhost" } else { &request.region }.to_owned(),
        life: Json(Life::Alive),
        config: Json(model_config::changed(&BTreeMap::new(), &set)?),
        constraints: Json(BTreeMap::new()),
        revision: 0,
        generation: 1,
        status_since: now,
        created: now,
    };
    sql::insert(tx, &model)?;
    events::model(tx, &model, "created")?;
    Ok(model)
}

fn owner(request: &ModelCreate) -> &str {
    if request.owner.is_empty() { "admin" } else { &request.owner }
}

/// Machine-like or Kubernetes-like, by the cloud's name.
fn kind_of_cloud(cloud: &str) -> Result<ModelKind, Error> {
    match cloud {
        "localhost" | "local" | "lxd" | "manual" => Ok(ModelKind::Iaas),
        "local-k8s" | "microk8s" | "k8s" => Ok(ModelKind::Caas),
        _ => Err(Error::NotFound(format!(
            "cloud \"{cloud}\" not found: there are localhost (machines) and local-k8s (Kubernetes-like)"
        ))),
    }
}

/// Models as the API shows them; every machine has the host's cores.
fn infos(tx: &mut Tx<'_>, models: Vec<Model>, vantage: Vantage) -> Result<Vec<ModelInfo>, Error> {
    let count = |rows: Vec<(String, u32)>| rows.into_iter().collect::<BTreeMap<_, _>>();
    let units = count(tx.all(sql::COUNT_UNITS, ())?);
    let applications = count(tx.all(sql::COUNT_APPLICATIONS, ())?);
    let mut machines: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
    for (model, number) in tx.all::<(String, i64)>(sql::MACHINES, ())? {
        machines.entry(model).or_default().insert(number.to_string(), vantage.cores);
    }
    let heard = Heard::read(tx, vantage)?;
    let mut infos = Vec::new();
    for model in models {
        let agents = agents(tx, &model, &heard)?;
        let progress = progress(tx, &model, &agents)?;
        let found = [
            convergence::available(model.life.0, model.status_since),
            convergence::agents_heard(&agents),
        ];
        infos.push(ModelInfo {
            conditions: crate::convergence::conditions(found, progress.observed),
            sync: crate::convergence::shown(progress),
            units: units.get(&model.id).copied().unwrap_or_default(),
            applications: applications.get(&model.id).copied().unwrap_or_default(),
            machines: machines.remove(&model.id).unwrap_or_default(),
            status: status(&model),
            uuid: model.id,
            name: model.name,
            owner: model.owner,
            kind: model.kind.0,
            cloud: model.cloud,
            region: model.region,
            life: model.life.0,
            agent_version: AGENT_VERSION.into(),
            generation: model.generation,
        });
    }
    Ok(infos)
}

/// The agents that run units of a model.
fn agents(tx: &mut Tx<'_>, model: &Model, heard: &Heard) -> Result<Vec<AgentFacts>, Error> {
    let agents: Vec<String> = tx.all(sql::AGENTS, (&model.id,))?;
    Ok(agents.iter().map(|agent| heard.of(agent)).collect())
}

/// How far a model is with its own settings, which agents of its units have to read.
fn progress(tx: &mut Tx<'_>, model: &Model, agents: &[AgentFacts]) -> Result<Progress, Error> {
    let facts = flows::facts(tx, model, &format!("model/{}", model.name), model.generation)?;
    let silent = agents.iter().find_map(|agent| agent.silent.clone());
    Ok(convergence::progress(Facts { silent, settled: model.created, ..facts }))
}

/// As [`progress`], of the model as it is now.
pub(crate) fn progress_of(
    tx: &mut Tx<'_>,
    model: &Model,
    vantage: Vantage,
) -> Result<Progress, Error> {
    let heard = Heard::read(tx, vantage)?;
    let agents = agents(tx, model, &heard)?;
    progress(tx, model, &agents)
}

/// A model as the API shows it.
pub(crate) fn info(tx: &mut Tx<'_>, model: Model, vantage: Vantage) -> Result<ModelInfo, Error> {
    Ok(infos(tx, vec![model], vantage)?.pop().unwrap_or_default())
}

/// A model's config as the API shows it.
pub(crate) fn config_shown(model: &Model) -> ModelConfig {
    model_config::shown(&model.config.0)
}

/// `available` or `destroying`.
pub(crate) fn status(model: &Model) -> StatusInfo {
    let current = if model.life.0 == Life::Alive { "available" } else { "destroying" };
    StatusInfo {
        current: current.into(),
        since: status_time(model.status_since),
        ..StatusInfo::default()
    }
}
