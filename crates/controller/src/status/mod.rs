//! The `status` document of a model, read in a handful of set queries whatever its size.

mod api;
mod sql;

use std::collections::{BTreeMap, HashMap};

use tutti_model::agent::OpenPort;
use tutti_model::api::{Constraints, Life, ModelKind, Status, StatusInfo, StatusInterface};
use tutti_model::application::constraints_text;
use tutti_model::convergence::{Facts, SyncState, progress};
use tutti_model::status::{
    ApplicationRow, MachineRow, ModelRow, RelationRow, StatusRows, StatusValue, StorageRow,
    UnitRow, build, worst,
};
use tutti_store::Tx;

use crate::agents::Heard;
use crate::applications::{self, Application};
use crate::charms::{CharmUrl, Origin};
use crate::host::Host;
use crate::http::AGENT_VERSION;
use crate::machines::{self, HOST_AGENT, Machine};
use crate::models::config::retry_hooks;
use crate::models::{self, Model};
use crate::state::Vantage;
use crate::units::{self, Standing, Unit};
use crate::{Error, convergence, time};

pub(crate) use api::routes;
pub(crate) use sql::STATEMENTS;

/// What status needs beside the store.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// Name of the controller.
    pub(crate) controller: String,
    /// When the controller started: agents have to be given time to come back.
    pub(crate) started: i64,
    /// The host.
    pub(crate) host: Host,
}

/// The status of a model.
pub(crate) fn status(
    tx: &mut Tx<'_>,
    model: &str,
    around: &Surroundings,
    vantage: Vantage,
    now: i64,
) -> Result<Status, Error> {
    let model = models::find(tx, model)?;
    let heard = Heard::read(tx, vantage)?;
    let units: Vec<sql::UnitLine> = tx.all(sql::UNITS, (&model.id,))?;
    let applications = applications::list(tx, &model)?;
    let deferred: HashMap<String, u32> =
        tx.all::<(String, u32)>(sql::DEFERRED, (&model.id,))?.into_iter().collect();
    let by_id: HashMap<&str, &Application> =
        applications.iter().map(|one| (one.id.as_str(), one)).collect();
    let unit_names: HashMap<&str, &str> =
        units.iter().map(|unit| (unit.id.as_str(), unit.name.as_str())).collect();
    let rows = StatusRows {
        model: model_row(&model, around),
        now,
        applications: application_rows(tx, &model, &applications, &units, &unit_names, &heard)?,
        units: units
            .iter()
            .map(|unit| {
                let deferred = deferred.get(&unit.id).copied().unwrap_or_default();
                unit_row(&model, unit, &by_id, &unit_names, deferred, &heard)
            })
            .collect::<Result<_, _>>()?,
        machines: machines::list(tx, &model)?
            .into_iter()
            .map(|machine| machine_row(machine, &around.host, &heard))
            .collect(),
        relations: relation_rows(tx.all(sql::RELATIONS, (&model.id,))?),
        storage: tx
            .all::<sql::StorageLine>(sql::STORAGE, (&model.id,))?
            .into_iter()
            .map(storage_row)
            .collect(),
    };
    Ok(build(&rows, time::offset(now)))
}

/// The status of one application, as set by its leader or derived from its units.
pub(crate) fn of_application(application: &Application, units: &[Unit]) -> StatusInfo {
    let scale = u32::try_from(application.scale).unwrap_or_default();
    let workloads: Vec<StatusValue> = units.iter().map(workload).collect();
    let value = set_status(application)
        .unwrap_or_else(|| worst(&workloads, ModelKind::Iaas, scale, application.created));
    StatusInfo {
        current: value.status,
        message: value.message,
        since: time::status_time(value.since),
        ..StatusInfo::default()
    }
}

/// What a unit's workload shows: the failed hook, if there is one.
fn workload(unit: &Unit) -> StatusValue {
    if unit.agent_status == "error" {
        return value(&unit.agent_status, &unit.agent_message, unit.agent_since);
    }
    value(&unit.workload_status, &unit.workload_message, unit.workload_since)
}

fn value(status: &str, message: &str, since: i64) -> StatusValue {
    StatusValue { status: status.to_owned(), message: message.to_owned(), since }
}

fn set_status(application: &Application) -> Option<StatusValue> {
    let Application { status, status_message, status_since, .. } = application;
    application.status_set.then(|| value(status, status_message, *status_since))
}

fn model_row(model: &Model, around: &Surroundings) -> ModelRow {
    ModelRow {
        name: model.name.clone(),
        kind: model.kind.0,
        controller: around.controller.clone(),
        cloud: model.cloud.clone(),
        region: model.region.clone(),
        version: AGENT_VERSION.to_owned(),
        life: model.life.0,
        since: model.status_since,
    }
}

fn application_rows(
    tx: &mut Tx<'_>,
    model: &Model,
    applications: &[Application],
    units: &[sql::UnitLine],
    names: &HashMap<&str, &str>,
    heard: &Heard,
) -> Result<Vec<ApplicationRow>, Error> {
    let mut by_application: HashMap<&str, Vec<&sql::UnitLine>> = HashMap::new();
    for unit in units {
        by_application.entry(&unit.application).or_default().push(unit);
    }
    let caas = model.kind.0 == ModelKind::Caas;
    let row = |one: &Application| {
        let units = by_application.get(one.id.as_str()).map(Vec::as_slice).unwrap_or_default();
        let leader = one.leader.as_deref().and_then(|leader| names.get(leader));
        let speaker = units.iter().find(|unit| Some(unit.id.as_str()) == one.leader.as_deref());
        let address = speaker.or_else(|| units.first()).map(|unit| unit.address.clone());
        let parts = units.iter().map(|unit| Standing::from(*unit));
        let progress = applications::progress(tx, model, one, parts, heard)?;
        Ok(ApplicationRow {
            name: one.name.clone(),
            charm: shown_charm(&one.charm),
            charm_origin: origin(&one.charm).word().to_owned(),
            charm_name: one.charm_name.clone(),
            charm_revision: one.charm_revision,
            charm_channel: match origin(&one.charm) {
                Origin::Local => String::new(),
                Origin::Catalogue => "latest/stable".to_owned(),
            },
            charm_version: one.charm_version.clone(),
            base: one.base.clone(),
            scale: u32::try_from(one.scale).unwrap_or_default(),
            exposed: one.exposed,
            subordinate: one.subordinate,
            life: one.life.0,
            status: set_status(one),
            created: one.created,
            workload_version: one.workload_version.clone(),
            bindings: one.bindings.0.clone(),
            address: address.filter(|_| caas).unwrap_or_default(),
            provider_id: if caas { one.name.clone() } else { String::new() },
            leader: leader.map(|name| (*name).to_owned()),
            sync: Some(convergence::shown(progress)),
            error: String::new(),
        })
    };
    applications.iter().map(row).collect()
}

fn origin(url: &str) -> Origin {
    url.parse().map_or(Origin::Local, |url: CharmUrl| url.origin)
}

/// Juju shows the URL of a local charm and the bare name of one from the catalogue.
fn shown_charm(url: &str) -> String {
    match url.parse() {
        Ok(CharmUrl { origin: Origin::Catalogue, name, .. }) => name,
        _ => url.to_owned(),
    }
}

impl<'u> From<&'u sql::UnitLine> for Standing<'u> {
    fn from(unit: &'u sql::UnitLine) -> Self {
        Self {
            name: &unit.name,
            life: unit.life.0,
            agent: &unit.agent,
            version: unit.version,
            generation: unit.generation,
            observed_generation: unit.observed_generation,
            resolved: unit.resolved.0,
            trouble: &unit.trouble,
            agent_since: unit.agent_since,
            drift: &unit.drift,
            drift_since: unit.drift_since,
        }
    }
}

/// The word of a state, unless everything is as wished.
fn sync_state(facts: Facts) -> String {
    match progress(facts).state {
        SyncState::InSync => String::new(),
        state => state.as_str().to_owned(),
    }
}

fn unit_row(
    model: &Model,
    unit: &sql::UnitLine,
    applications: &HashMap<&str, &Application>,
    unit_names: &HashMap<&str, &str>,
    deferred: u32,
    heard: &Heard,
) -> Result<UnitRow, Error> {
    let application = applications.get(unit.application.as_str());
    // The application's charm may be shown by its name alone: the same charm must look the same.
    let charm = match application {
        Some(one) if one.charm == unit.charm => shown_charm(&unit.charm),
        _ => unit.charm.clone(),
    };
    let principal = unit.principal.as_deref().and_then(|id| unit_names.get(id));
    // Most units have no ports; parsing costs.
    let ports: Vec<OpenPort> = match unit.ports.as_str() {
        "[]" => Vec::new(),
        text => serde_json::from_str(text)
            .map_err(|source| Error::Stored { what: "a unit's ports", source })?,
    };
    Ok(UnitRow {
        name: unit.name.clone(),
        application: application.map(|one| one.name.clone()).unwrap_or_default(),
        principal: principal.map(|name| (*name).to_owned()),
        machine: unit.machine.map(|number| number.to_string()).unwrap_or_default(),
        life: unit.life.0,
        agent: value(&unit.agent_status, &unit.agent_message, unit.agent_since),
        workload: value(&unit.workload_status, &unit.workload_message, unit.workload_since),
        lost: unit.version > 0 && heard.silent(&unit.agent).is_some(),
        sync_state: sync_state(units::facts(unit.into(), retry_hooks(model), heard)),
        generation: unit.generation,
        observed_generation: unit.observed_generation,
        charm,
        ports,
        address: unit.address.clone(),
        provider_id: unit.provider_id.clone(),
        deferred,
    })
}

fn machine_row(machine: Machine, host: &Host, heard: &Heard) -> MachineRow {
    let agent_status = machines::status(&heard.of(&machine.agent));
    let sync_state = sync_state(machines::facts(&machine, heard));
    let local = machine.agent == HOST_AGENT;
    let elsewhere = heard.hostname(&machine.agent).filter(|_| !local);
    let hostname = elsewhere.unwrap_or(&host.hostname);
    let loopback = StatusInterface {
        ip_addresses: vec!["127.0.0.1".to_owned()],
        mac_address: "00:00:00:00:00:00".to_owned(),
        is_up: true,
    };
    MachineRow {
        number: machine.number.to_string(),
        life: machine.life.0,
        agent: value(agent_status, "", machine.created),
        instance: value("running", "Running", machine.created),
        hostname: hostname.to_owned(),
        sync_state,
        addresses: vec!["127.0.0.1".to_owned()],
        instance_id: format!("host-{}", machine.number),
        base: machine.base,
        interfaces: BTreeMap::from([("lo".to_owned(), loopback)]),
        constraints: constraints_text(&Constraints(machine.constraints.0)),
        hardware: host.hardware.clone(),
    }
}

fn relation_rows(ends: Vec<sql::End>) -> Vec<RelationRow> {
    let mut rows: Vec<RelationRow> = Vec::new();
    let mut number = None;
    for end in ends {
        let side = (end.application, end.endpoint);
        match rows.last_mut() {
            Some(row) if number == Some(end.number) => row.ends.push(side),
            _ => rows.push(RelationRow {
                interface: end.interface,
                scope: end.scope,
                ends: vec![side],
            }),
        }
        number = Some(end.number);
    }
    rows
}

fn storage_row(line: sql::StorageLine) -> StorageRow {
    let status = match (line.life.0, line.provisioned) {
        (Life::Alive, true) => "attached",
        (Life::Alive, false) => "pending",
        _ => "detaching",
    };
    StorageRow {
        id: line.id,
        kind: line.kind,
        status: value(status, "", line.created),
        persistent: false,
        life: line.life.0,
        unit: line.unit,
        machine: line.machine.map(|number| number.to_string()).unwrap_or_default(),
        location: line.location,
    }
}
