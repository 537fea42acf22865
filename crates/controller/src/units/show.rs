//! A unit as `juju show-unit` prints it.

use tutti_model::agent::OpenPort;
use tutti_model::api::UnitInfo;
use tutti_store::Tx;

use super::{Unit, by_id};
use crate::Error;
use crate::applications;
use crate::models::Model;
use crate::relations::view::{View, Viewer};

/// The unit with its relations.
pub(super) fn info(tx: &mut Tx<'_>, model: &Model, unit: Unit) -> Result<UnitInfo, Error> {
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
        opened_ports: ports(&unit.ports.0),
        public_address: unit.address.clone(),
        address: unit.address,
        charm: if unit.charm.is_empty() { application.charm } else { unit.charm },
        leader,
        life: unit.life.0,
        provider_id: unit.provider_id,
        relation_info,
    })
}

/// `8080/tcp`, `9000-9010/udp`, `icmp`; each once, by number.
pub(crate) fn ports(open: &[OpenPort]) -> Vec<String> {
    let mut open: Vec<_> = open.iter().map(|one| (one.from, one.to, &one.protocol)).collect();
    open.sort();
    open.dedup();
    let shown = |(from, to, protocol): (u16, u16, &String)| match (from, to) {
        (0, 0) => protocol.clone(),
        _ if from == to => format!("{from}/{protocol}"),
        _ => format!("{from}-{to}/{protocol}"),
    };
    open.into_iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_as_juju_shows_them() {
        let port = |endpoint: &str, protocol: &str, from, to| OpenPort {
            endpoint: endpoint.into(),
            protocol: protocol.into(),
            from,
            to,
        };
        let open = [
            port("", "udp", 9000, 9010),
            port("web", "tcp", 8080, 8080),
            port("", "tcp", 8080, 8080),
            port("", "icmp", 0, 0),
        ];
        assert_eq!(ports(&open), ["icmp", "8080/tcp", "9000-9010/udp"]);
    }
}
