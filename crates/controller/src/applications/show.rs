//! Applications as the API shows them.

use std::collections::BTreeMap;

use tutti_model::api::{ActionInfo, Actions, ApplicationConfig, ApplicationInfo, ModelKind};
use tutti_store::Tx;

use super::{Application, config, find};
use crate::models::Model;
use crate::units::{self, Unit};
use crate::{Error, charms, flows, status};

/// Applications with their units and how far they are.
pub(super) fn infos(
    tx: &mut Tx<'_>,
    model: &Model,
    applications: Vec<Application>,
) -> Result<Vec<ApplicationInfo>, Error> {
    let mut by_application: BTreeMap<String, Vec<Unit>> = BTreeMap::new();
    for unit in tx.all::<Unit>(units::sql::OF_MODEL, (&model.id,))? {
        by_application.entry(unit.application.clone()).or_default().push(unit);
    }
    let mut infos = Vec::new();
    for application in applications {
        let units = by_application.remove(&application.id).unwrap_or_default();
        infos.push(shown(tx, model, application, &units)?);
    }
    Ok(infos)
}

/// One application.
pub(crate) fn info(tx: &mut Tx<'_>, model: &Model, name: &str) -> Result<ApplicationInfo, Error> {
    let application = find(tx, model, name)?;
    let units = units::of_application(tx, &application.id)?;
    shown(tx, model, application, &units)
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
) -> Result<ApplicationInfo, Error> {
    let resource = format!("application/{}", application.name);
    let sync = flows::sync(tx, model, &resource, application.generation)?;
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
