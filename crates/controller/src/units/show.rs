//! A unit as `juju show-unit` prints it.

use tutti_model::api::UnitInfo;
use tutti_model::status::open_ports;
use tutti_store::Tx;

use super::{by_id, find};
use crate::Error;
use crate::applications;
use crate::models::Model;
use crate::relations::view::{View, Viewer};

/// The unit with its relations.
pub(crate) fn info(tx: &mut Tx<'_>, model: &Model, name: &str) -> Result<UnitInfo, Error> {
    let unit = find(tx, model, name)?;
    let application = applications::by_id(tx, &unit.application)?
        .ok_or_else(|| Error::NotFound(format!("the application of {} is gone", unit.name)))?;
    let principal = match &unit.principal {
        Some(principal) => by_id(tx, principal)?,
        None => None,
    };
    let leader = application.leader.as_deref() == Some(&unit.id);
    let beside = principal.as_ref().map(|unit| (unit.id.as_str(), unit.application.as_str()));
    let viewer = Viewer {
        unit: &unit.id,
        application: &unit.application,
        model: &model.id,
        principal: beside,
        leader,
    };
    let relation_info = View::load(tx, viewer)?.unit_relations(&unit.name)?;
    Ok(UnitInfo {
        workload_version: unit.workload_version,
        machine: unit.machine.map(|number| number.to_string()).unwrap_or_default(),
        opened_ports: open_ports(&unit.ports.0),
        public_address: unit.address.clone(),
        address: unit.address,
        charm: if unit.charm.is_empty() { application.charm } else { unit.charm },
        leader,
        life: unit.life.0,
        provider_id: unit.provider_id,
        relation_info,
    })
}
