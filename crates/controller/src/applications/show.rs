//! Applications as the API shows them.

use std::collections::BTreeMap;

use tutti_model::api::{ActionInfo, Actions, ApplicationConfig, ApplicationInfo, ModelKind};
use tutti_model::convergence::{self, Facts, Progress, Said};
use tutti_store::Tx;

use super::{Application, config, find};
use crate::agents::Heard;
use crate::models::Model;
use crate::state::Vantage;
use crate::units::{self, Standing, Unit};
use crate::{Error, charms, flows, status};

/// Applications with their units and how far they are.
pub(super) fn infos(
    tx: &mut Tx<'_>,
    model: &Model,
    applications: Vec<Application>,
    vantage: Vantage,
) -> Result<Vec<ApplicationInfo>, Error> {
    let mut by_application: BTreeMap<String, Vec<Unit>> = BTreeMap::new();
    for unit in tx.all::<Unit>(units::sql::OF_MODEL, (&model.id,))? {
        by_application.entry(unit.application.clone()).or_default().push(unit);
    }
    let heard = Heard::read(tx, vantage)?;
    let mut infos = Vec::new();
    for application in applications {
        let units = by_application.remove(&application.id).unwrap_or_default();
        infos.push(shown(tx, model, application, &units, &heard)?);
    }
    Ok(infos)
}

/// One application.
pub(crate) fn info(
    tx: &mut Tx<'_>,
    model: &Model,
    name: &str,
    vantage: Vantage,
) -> Result<ApplicationInfo, Error> {
    let application = find(tx, model, name)?;
    let units = units::of_application(tx, &application.id)?;
    let heard = Heard::read(tx, vantage)?;
    shown(tx, model, application, &units, &heard)
}

/// How far the application of that name is.
pub(crate) fn progress_of(
    tx: &mut Tx<'_>,
    model: &Model,
    name: &str,
    vantage: Vantage,
) -> Result<Progress, Error> {
    let application = find(tx, model, name)?;
    let units = units::of_application(tx, &application.id)?;
    let heard = Heard::read(tx, vantage)?;
    progress(tx, model, &application, units.iter().map(Standing::from), &heard)
}

/// How far an application is: its flows tell, unless agents of its units are silent or have reported
/// otherwise since.
pub(crate) fn progress<'u>(
    tx: &mut Tx<'_>,
    model: &Model,
    application: &Application,
    units: impl Iterator<Item = Standing<'u>> + Clone,
    heard: &Heard,
) -> Result<Progress, Error> {
    let resource = format!("application/{}", application.name);
    let facts = flows::facts(tx, model, &resource, application.generation)?;
    let drifted = units.clone().find(|unit| !unit.drift.is_empty());
    let drift = drifted.map(|unit| Said {
        message: format!("{} {}", unit.name, unit.drift),
        since: unit.drift_since,
    });
    let silent = silent(units, heard);
    Ok(convergence::progress(Facts { silent, drift, settled: application.created, ..facts }))
}

/// That the agent of one of these units is silent.
fn silent<'u>(mut units: impl Iterator<Item = Standing<'u>>, heard: &Heard) -> Option<Said> {
    units.find_map(|unit| heard.silent(unit.agent))
}

/// Its settings.
pub(crate) fn config(
    tx: &mut Tx<'_>,
    model: &Model,
    name: &str,
) -> Result<ApplicationConfig, Error> {
    let application = find(tx, model, name)?;
    let charm = charms::of_application(tx, &application)?;
    Ok(config::shown(&charm, &application))
}

fn shown(
    tx: &mut Tx<'_>,
    model: &Model,
    application: Application,
    units: &[Unit],
    heard: &Heard,
) -> Result<ApplicationInfo, Error> {
    let progress = progress(tx, model, &application, units.iter().map(Standing::from), heard)?;
    let leader = units.iter().find(|unit| Some(&unit.id) == application.leader.as_ref());
    let silent = leader.and_then(|unit| heard.silent(&unit.agent));
    let leader = leader.map(|unit| unit.name.as_str());
    let found = [
        convergence::converged(&progress),
        convergence::leader_elected(leader, units.len(), silent.as_ref()),
    ];
    let conditions = crate::convergence::conditions(found, progress.observed);
    let sync = crate::convergence::shown(progress);
    let machine = |unit: &Unit| match model.kind.0 {
        ModelKind::Caas => String::new(),
        ModelKind::Iaas => unit.machine.map(|number| number.to_string()).unwrap_or_default(),
    };
    Ok(ApplicationInfo {
        status: status::of_application(&application, units),
        units: units.iter().map(|unit| (unit.name.clone(), machine(unit))).collect(),
        name: application.name,
        charm: application.charm,
        charm_name: application.charm_name,
        charm_revision: application.charm_revision,
        base: application.base,
        life: application.life.0,
        subordinate: application.subordinate,
        exposed: application.exposed,
        trust: application.trust,
        scale: u32::try_from(application.scale).unwrap_or_default(),
        constraints: application.constraints.0,
        bindings: application.bindings.0,
        generation: application.generation,
        observed_generation: sync.observed_generation,
        sync,
        conditions,
    })
}

/// The actions of a charm.
pub(super) fn actions(charm: &tutti_charm::charm::Charm) -> Actions {
    let shown = charm.actions.iter().map(|(name, action)| {
        let info = ActionInfo {
            description: action.description.clone(),
            schema: action.json_schema(name),
        };
        (name.clone(), info)
    });
    Actions(shown.collect())
}
