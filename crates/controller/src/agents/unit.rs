//! A unit with all the rows that its snapshot and context are made of.

use std::sync::Arc;

use tutti_charm::charm::Charm;
use tutti_model::agent::Journal;
use tutti_store::Tx;

use super::session::{self, Agent};
use super::sql;
use crate::applications::{self, Application};
use crate::models::{self, Model};
use crate::relations::view::Viewer;
use crate::relations::{self, Member};
use crate::units::{self, Unit};
use crate::{Error, charms};

/// A unit with its surroundings.
pub(super) struct Loaded {
    pub(super) unit: Unit,
    pub(super) application: Application,
    pub(super) model: Model,
    pub(super) member: Member,
    pub(super) principal: Option<Unit>,
    pub(super) journal: Journal,
    pub(super) charm: Arc<Charm>,
}

impl Loaded {
    /// Reads a unit.
    pub(super) fn load(tx: &mut Tx<'_>, id: &str) -> Result<Self, Error> {
        let unit = units::by_id(tx, id)?.ok_or_else(|| gone(id))?;
        let application = applications::by_id(tx, &unit.application)?.ok_or_else(|| gone(id))?;
        let model = models::find(tx, &unit.model)?;
        let principal = match &unit.principal {
            Some(principal) => units::by_id(tx, principal)?,
            None => None,
        };
        let stored: sql::Stored = tx.one(sql::JOURNAL, (id,))?;
        let member = relations::member(tx, id)?;
        let charm = charm(tx, &application)?;
        let journal = stored.journal.0;
        Ok(Self { unit, application, model, member, principal, journal, charm })
    }

    /// The unit as it looks at relations.
    pub(super) fn viewer(&self) -> Viewer<'_> {
        let principal = self.principal.as_ref();
        Viewer {
            unit: &self.unit.id,
            application: &self.application.id,
            model: &self.model.id,
            principal: principal.map(|unit| (unit.id.as_str(), unit.application.as_str())),
            leader: self.member.leader,
        }
    }
}

/// Whether a unit, by id, has installed its charm.
pub(crate) fn is_installed(tx: &mut Tx<'_>, id: &str) -> Result<bool, Error> {
    let stored: Option<sql::Stored> = tx.maybe(sql::JOURNAL, (id,))?;
    Ok(stored.is_some_and(|stored| stored.journal.0.installed))
}

/// A unit, for a call of its agent.
pub(super) fn served(tx: &mut Tx<'_>, agent: &Agent, id: &str) -> Result<Unit, Error> {
    session::check(tx, agent)?;
    let unit = units::by_id(tx, id)?.ok_or_else(|| gone(id))?;
    if unit.agent == agent.machine {
        return Ok(unit);
    }
    Err(Error::Forbidden(format!("unit {} is not served by agent {}", unit.name, agent.machine)))
}

/// As [`served`], with its model locked: this transaction is the model's only writer.
pub(super) fn lock(tx: &mut Tx<'_>, agent: &Agent, id: &str) -> Result<Unit, Error> {
    session::check(tx, agent)?;
    if tx.exec(sql::LOCK, (id,))? == 0 {
        return Err(gone(id));
    }
    served(tx, agent, id)
}

fn gone(id: &str) -> Error {
    Error::UnitNotFound(id.to_owned())
}

/// The charm an application, by id, runs.
pub(super) fn charm_of(tx: &mut Tx<'_>, application: &str) -> Result<Arc<Charm>, Error> {
    let found = applications::by_id(tx, application)?;
    let application = found.ok_or_else(|| Error::NotFound("the application is gone".to_owned()))?;
    charm(tx, &application)
}

/// The charm an application runs, read once per archive.
pub(super) fn charm(tx: &mut Tx<'_>, application: &Application) -> Result<Arc<Charm>, Error> {
    let digest = &application.charm_digest;
    match charms::known(digest) {
        Some(charm) => Ok(charm),
        None => Ok(charms::remember(digest, charms::of_application(tx, application)?)),
    }
}
