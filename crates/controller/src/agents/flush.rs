//! What a hook changed, applied in the transaction that commits the hook: all of it or nothing.
//!
//! Everything is checked as of now, not as of the hook's beginning: a unit that lost leadership
//! meanwhile can no longer write for its application. Every reason is collected before the step is
//! refused.

use tutti_charm::charm::Charm;
use tutti_model::agent::{Changes, OpenPort, RelationSettings};
use tutti_store::{Json, Tx};

use super::sql;
use crate::relations::{self, Member, Touched};
use crate::units::Unit;
use crate::{Error, secrets, storage};

/// The most a unit may keep with `state-set`, bytes (Juju: 2 MiB).
const STATE: i64 = 2 * 1024 * 1024;

/// The unit whose hook is committed.
pub(super) struct Committer<'a> {
    pub(super) unit: &'a Unit,
    pub(super) member: &'a Member,
    pub(super) charm: &'a Charm,
    pub(super) now: i64,
}

/// Applies a hook's changes, or refuses them with every reason.
pub(super) fn flush(
    tx: &mut Tx<'_>,
    by: &Committer<'_>,
    changes: &Changes,
    touched: &mut Touched,
) -> Result<(), Error> {
    let mut reasons = Reasons(Vec::new());
    for settings in &changes.relations {
        reasons.note(write_databag(tx, by, settings, touched))?;
    }
    flush_ports(tx, by, changes)?;
    reasons.note(flush_state(tx, by, changes))?;
    for (name, count) in &changes.storage {
        let count = count.to_string();
        let (model, unit, metadata) = (&by.unit.model, &by.unit.id, &by.charm.metadata);
        let added = storage::add(tx, model, unit, metadata, name, &count, by.now);
        reasons.note(added.map(drop))?;
    }
    flush_secrets(tx, by, changes, &mut reasons, touched)?;
    reasons.refusal()
}

/// Reasons to refuse a step.
struct Reasons(Vec<String>);

impl Reasons {
    /// Notes a refusal; other errors end the transaction at once.
    fn note(&mut self, result: Result<(), Error>) -> Result<(), Error> {
        match result {
            Err(
                refusal @ (Error::Invalid(_)
                | Error::NotFound(_)
                | Error::Conflict(_)
                | Error::Deleting(_)
                | Error::Forbidden(_)),
            ) => {
                self.0.push(refusal.to_string());
                Ok(())
            }
            other => other,
        }
    }

    fn refusal(self) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let summary = format!("cannot apply changes: {}", self.0.join("; "));
        Err(Error::Refused { summary, reasons: self.0 })
    }
}

fn write_databag(
    tx: &mut Tx<'_>,
    by: &Committer<'_>,
    write: &RelationSettings,
    touched: &mut Touched,
) -> Result<(), Error> {
    let Some(relation) = relations::find(tx, &by.unit.model, write.relation)? else {
        // Gone while the hook ran: nobody is left to read it.
        return Ok(());
    };
    if !write.application {
        return relations::write_unit(tx, &relation, by.member, &write.settings, touched);
    }
    if !by.member.leader {
        let name = &by.member.name;
        let application = name.split('/').next().unwrap_or_default();
        return Err(Error::Forbidden(format!("{name:?} is not leader of {application:?}")));
    }
    relations::write_application(tx, &relation, by.member, &write.settings, touched)
}

fn flush_ports(tx: &mut Tx<'_>, by: &Committer<'_>, changes: &Changes) -> Result<(), Error> {
    let mut ports = by.unit.ports.0.clone();
    for port in &changes.open_ports {
        if !ports.contains(port) {
            ports.push(port.clone());
        }
    }
    ports.retain(|port| !changes.close_ports.iter().any(|closed| closes(closed, port)));
    ports.sort();
    if ports != by.unit.ports.0 {
        tx.exec(sql::SET_PORTS, (&by.unit.id, Json(ports)))?;
    }
    Ok(())
}

/// Closing a range without an endpoint closes it for every endpoint.
fn closes(closed: &OpenPort, port: &OpenPort) -> bool {
    let range = |port: &OpenPort| (port.protocol.clone(), port.from, port.to);
    range(closed) == range(port) && (closed.endpoint.is_empty() || closed.endpoint == port.endpoint)
}

fn flush_state(tx: &mut Tx<'_>, by: &Committer<'_>, changes: &Changes) -> Result<(), Error> {
    let unit = &by.unit.id;
    for (key, value) in &changes.state {
        match value {
            Some(value) if key.contains('\0') || value.contains('\0') => {
                return Err(Error::Invalid(format!("state {key:?} holds a NUL character")));
            }
            Some(value) => tx.exec(sql::SET_STATE, (unit, key, value))?,
            None => tx.exec(sql::DELETE_STATE, (unit, key))?,
        };
    }
    if changes.state.is_empty() {
        return Ok(());
    }
    let size: i64 = tx.one(sql::STATE_SIZE, (unit,))?;
    if size > STATE {
        let text = format!("the unit's state would hold {size} bytes, more than {STATE} allowed");
        return Err(Error::Invalid(text));
    }
    Ok(())
}

fn flush_secrets(
    tx: &mut Tx<'_>,
    by: &Committer<'_>,
    changes: &Changes,
    reasons: &mut Reasons,
    touched: &mut Touched,
) -> Result<(), Error> {
    let (model, member, now) = (&by.unit.model, by.member, by.now);
    for new in &changes.secrets_created {
        reasons.note(secrets::create(tx, model, member, new, now))?;
    }
    for change in &changes.secrets_updated {
        reasons.note(secrets::update(tx, model, member, change, now, touched))?;
    }
    for grant in &changes.secrets_granted {
        reasons.note(secrets::grant(tx, model, member, grant))?;
    }
    for grant in &changes.secrets_revoked {
        reasons.note(secrets::revoke(tx, model, member, grant, touched))?;
    }
    for (id, track) in &changes.secrets_tracked {
        reasons.note(secrets::track(tx, member, id, track, touched))?;
    }
    for removal in &changes.secrets_removed {
        reasons.note(secrets::remove(tx, model, member, removal, touched))?;
    }
    Ok(())
}
