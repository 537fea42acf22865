//! The snapshot: what the controller wants of a unit and knows about its surroundings.
//!
//! Hashes are made here, of what is effective, so that what was changed and changed back is no
//! change.

use aws_lc_rs::digest;
use serde::Serialize;
use tutti_charm::charm::Charm;
use tutti_charm::config::effective;
use tutti_model::agent::{CharmReference, ModelIdentity, Snapshot};
use tutti_model::convergence::Wanted;
use tutti_store::Tx;

use super::sql;
use super::unit::Loaded;
use crate::applications::Application;
use crate::models::config;
use crate::relations::view::View;
use crate::{Error, notices, operations, secrets, storage};

/// What the agent of a unit decides from.
pub(super) fn snapshot(
    tx: &mut Tx<'_>,
    loaded: &Loaded,
    view: &View<'_>,
    now: i64,
) -> Result<Snapshot, Error> {
    let Loaded { unit, application, model, member, principal, journal, charm } = loaded;
    let secrets = secrets::view::snapshot(tx, member, now)?;
    let wanted = wanted(application, charm)?;
    Ok(Snapshot {
        unit: unit.name.clone(),
        unit_id: unit.id.clone(),
        model: ModelIdentity {
            uuid: model.id.clone(),
            name: model.name.clone(),
            kind: model.kind.0,
        },
        journal: journal.clone(),
        version: unit.version,
        generation: unit.generation,
        life: unit.life.0,
        application_life: application.life.0,
        charm: wanted.charm,
        charm_modified: wanted.charm_modified,
        force_upgrade: application.force_upgrade,
        resolved: unit.resolved.0,
        config_hash: wanted.config_hash,
        trust_hash: wanted.trust_hash,
        address_hash: hash(&unit.address)?,
        leader: member.leader,
        leader_settings: application.leader_settings_version,
        relations: view.snapshot(),
        storage: storage::of_unit(tx, &unit.id)?,
        tasks: operations::waiting_for(tx, &unit.id)?,
        secrets_rotate: secrets.rotate,
        secrets_expired: secrets.expired,
        secrets_consumed: secrets.consumed,
        secrets_obsolete: secrets.obsolete,
        notice: notices::next(tx, &unit.id)?,
        subordinates: tx.all(sql::SUBORDINATES, (&unit.id,))?,
        principal: principal.as_ref().map(|unit| unit.name.clone()),
        machine: unit.machine.map(|machine| machine.to_string()),
        address: unit.address.clone(),
        retry_hooks: config::retry_hooks(model),
        update_status_interval_ms: config::update_status_interval_ms(model),
        deferral_retries: application.deferral_retries,
    })
}

/// What an application wants of each of its units.
pub(super) fn wanted(application: &Application, charm: &Charm) -> Result<Wanted, Error> {
    Ok(Wanted {
        charm: CharmReference {
            url: application.charm.clone(),
            digest: application.charm_digest.clone(),
            revision: application.charm_revision,
        },
        charm_modified: application.charm_modified,
        config_hash: hash(&effective(&charm.config, &application.config.0))?,
        trust_hash: hash(&application.trust)?,
    })
}

fn hash(value: &impl Serialize) -> Result<String, Error> {
    let json = serde_json::to_vec(value)
        .map_err(|source| Error::Stored { what: "configuration", source })?;
    let digest = digest::digest(&digest::SHA256, &json);
    Ok(digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_depends_on_nothing_but_the_value() {
        assert_eq!(hash(&true).unwrap(), hash(&true).unwrap());
        assert_ne!(hash(&true).unwrap(), hash(&false).unwrap());
        assert_eq!(hash(&true).unwrap().len(), 64);
    }
}
